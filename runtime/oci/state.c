/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/oci/cgroups.h"
#include "runtime/oci/oci.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/shim/record.h"

#define DOCUMENT_LIMIT (16u << 20)

bool oci_id_is_valid(const char *id)
{
    size_t size = strlen(id);
    bool fits = size > 0 && size <= 255 && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
    for (const char *at = id; *at != '\0'; at++)
        fits = fits && (isalnum((unsigned char)*at) || strchr("_+-.", *at) != NULL);
    return fits;
}

static int check_id(const char *id, struct err *err)
{
    return oci_id_is_valid(id)
               ? 0
               : err_set(err, ERR_INVALID,
                         "'%s' is no container id: up to 255 letters, digits and '_', '+', '-', '.'", id);
}

static int open_lock(struct oci_container *container, struct err *err)
{
    container->lock_fd = openat(container->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (container->lock_fd < 0 || flock(container->lock_fd, LOCK_EX) < 0)
        return err_sys(err, errno, "cannot lock the container '%s'", container->id);
    return 0;
}

static int begin(struct oci_container *ret, const char *root, const char *id, struct err *err)
{
    if (check_id(id, err) < 0)
        return -1;
    ret->id = strdup(id);
    ret->root = strdup(root);
    return ret->id == NULL || ret->root == NULL ? err_nomem(err, "opening a container") : 0;
}

static int open_directory(struct oci_container *container, struct err *err)
{
    auto_free char *path = NULL;
    if (asprintf(&path, "%s/%s", container->root, container->id) < 0) {
        path = NULL;
        return err_nomem(err, "opening a container");
    }
    container->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (container->dir_fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "container '%s' does not exist", container->id);
    return container->dir_fd < 0 ? err_sys(err, errno, "cannot open '%s'", path) : 0;
}

int oci_container_make(struct oci_container *ret, const char *root, const char *id, struct err *err)
{
    auto_free char *path = NULL;
    if (begin(ret, root, id, err) < 0 || fs_mkdirs(AT_FDCWD, root, 0711, err) < 0)
        return -1;
    if (asprintf(&path, "%s/%s", root, id) < 0) {
        path = NULL;
        return err_nomem(err, "making a container");
    }
    if (mkdir(path, 0700) < 0) {
        if (errno == EEXIST)
            return err_set(err, ERR_EXISTS, "container '%s' already exists", id);
        return err_sys(err, errno, "cannot make '%s'", path);
    }
    if (open_directory(ret, err) == 0 && open_lock(ret, err) == 0)
        return 0;
    rmdir(path);
    return -1;
}

static int read_document(const struct oci_container *container, const char *name, json_t **ret,
                         struct err *err)
{
    auto_free char *text = NULL;
    size_t size = 0;
    json_error_t error;
    if (fs_read_file(container->dir_fd, name, DOCUMENT_LIMIT, &text, &size, err) < 0)
        return -1;
    *ret = oci_json_parse(text, size, &error);
    return *ret == NULL ? err_set(err, ERR_CORRUPT, "'%s' of the container '%s' is damaged: %s", name,
                                  container->id, error.text)
                        : 0;
}

/* A creator that died early has left a directory without state.json: that is a container too, to be deleted.
 */
int oci_container_open(struct oci_container *ret, const char *root, const char *id, bool lock,
                       struct err *err)
{
    struct err why = ERR_INIT;
    if (begin(ret, root, id, err) < 0 || open_directory(ret, err) < 0 || (lock && open_lock(ret, err) < 0))
        return -1;
    struct stat st;
    if (fstat(ret->dir_fd, &st) == 0 && st.st_nlink == 0) /* deleted while we waited */
        return err_set(err, ERR_NOT_FOUND, "container '%s' does not exist", id);
    if (read_document(ret, "state.json", &ret->document, &why) == 0)
        return 0;
    if (why.code != ERR_NOT_FOUND) {
        if (err != NULL)
            *err = why;
        return -1;
    }
    ret->document = json_pack("{s:s, s:s}", "id", id, "bundle", "");
    return ret->document == NULL ? err_nomem(err, "opening a container") : 0;
}

int oci_container_save(const struct oci_container *container, struct err *err)
{
    auto_free char *text = json_dumps(container->document, JSON_INDENT(2));
    if (text == NULL)
        return err_nomem(err, "writing a container's state");
    return fs_write_file(container->dir_fd, "state.json", 0600, text, strlen(text), false, err);
}

json_t *oci_container_config(const struct oci_container *container, struct err *err)
{
    json_t *config = NULL;
    return read_document(container, "config.json", &config, err) < 0 ? NULL : config;
}

int oci_container_remove(struct oci_container *container, struct err *err)
{
    auto_fd int root_fd = open(container->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return err_sys(err, errno, "cannot open '%s'", container->root);
    return fs_remove_tree(root_fd, container->id, err);
}

void oci_container_release(struct oci_container *container)
{
    if (container->dir_fd >= 0)
        close(container->dir_fd);
    if (container->lock_fd >= 0)
        close(container->lock_fd);
    json_decref(container->document);
    free(container->id);
    free(container->root);
    *container = (struct oci_container)OCI_CONTAINER_INIT;
}

uint64_t oci_process_start(int pid)
{
    char path[40];
    auto_free char *text = NULL;
    uint64_t start;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (pid <= 0 || fs_read_file(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
        return 0;
    const char *state = strrchr(text, ')');
    if (state == NULL || strlen(state) < 3 || state[2] == 'Z' || state[2] == 'X')
        return 0;
    return proc_stat_start(text, &start) ? start : 0;
}

int oci_container_pid(const struct oci_container *container)
{
    return (int)json_integer_value(json_object_get(container->document, "pid"));
}

/* The descriptor first, then the comparison: what it refers to cannot change any more. */
int oci_container_process(const struct oci_container *container)
{
    int pid = oci_container_pid(container);
    json_int_t start = json_integer_value(json_object_get(container->document, "pidStart"));
    auto_fd int fd = pid <= 0 ? -1 : pidfd_open(pid, 0);
    if (fd < 0 || start <= 0 || oci_process_start(pid) != (uint64_t)start)
        return -1;
    return steal_fd(&fd);
}

static bool is_waiting(const struct oci_container *container)
{
    auto_fd int fd = openat(container->dir_fd, "waiting", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

enum oci_status oci_container_status(const struct oci_container *container)
{
    bool complete = json_is_true(json_object_get(container->document, "complete"));
    auto_fd int process_fd = oci_container_process(container);
    if (process_fd < 0) {
        /* A creator that is at work holds the lock. */
        auto_fd int fd = openat(container->dir_fd, "lock", O_RDONLY | O_CLOEXEC);
        bool busy = !complete && container->lock_fd < 0 && fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
        return busy ? OCI_CREATING : OCI_STOPPED;
    }
    if (!complete)
        return OCI_CREATING;
    if (is_waiting(container))
        return OCI_CREATED;
    return oci_cgroups_frozen(container->document) ? OCI_PAUSED : OCI_RUNNING;
}

const char *oci_status_name(enum oci_status status)
{
    static const char *const NAMES[] = {[OCI_CREATING] = "creating",
                                        [OCI_CREATED] = "created",
                                        [OCI_RUNNING] = "running",
                                        [OCI_PAUSED] = "paused",
                                        [OCI_STOPPED] = "stopped"};
    return NAMES[status];
}

json_t *oci_container_state(const struct oci_container *container, enum oci_status status)
{
    const json_t *document = container->document;
    const char *bundle = json_string_value(json_object_get(document, "bundle"));
    json_t *state =
        json_pack("{s:s, s:s, s:s, s:i, s:s}", "ociVersion", OCI_VERSION, "id", container->id, "status",
                  oci_status_name(status), "pid", status == OCI_STOPPED ? 0 : oci_container_pid(container),
                  "bundle", bundle == NULL ? "" : bundle);
    static const char *const OTHERS[] = {"annotations", "created", "rootfs", "owner"};
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        json_t *value = json_object_get(document, OTHERS[i]);
        if (value != NULL && state != NULL && json_object_set(state, OTHERS[i], value) < 0) {
            json_decref(state);
            return NULL;
        }
    }
    return state;
}
