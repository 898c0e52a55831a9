/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: the state directory and its lock, the plan, cgroups, wharf-init, hooks, and the record that it is
 * complete. Only then wharf-init is let loose from us: whatever ends us before ends it too, and what is left
 * then is a directory and cgroups that state.json names, which `delete --force` clears.
 */
#include "runtime/oci/create.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/timestamp.h"
#include "runtime/oci/cgroups.h"
#include "runtime/oci/console.h"
#include "runtime/oci/hooks.h"
#include "runtime/oci/host.h"
#include "runtime/oci/launch.h"
#include "runtime/oci/report.h"
#include "runtime/oci/resources.h"
#include "runtime/oci/state.h"
#include "runtime/sandbox/oci_check.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/oci_plan.h"

#define CONFIG_LIMIT (16u << 20)

struct creation {
    const struct oci_options *options;
    struct oci_container container;
    struct oci_cgroups cgroups;
    struct oci_launch launch;
    json_t *config;
    json_t *values; /* of linux.resources */
    char *bundle;
    char *text; /* of config.json */
    struct buf plan;
    struct oci_console console;
    bool stays;
    int start_fd, waiting_fd, master_fd;
};

/* --- what it is made from --- */

static int read_config(struct creation *creation, struct err *err)
{
    auto_free char *path = NULL;
    json_error_t error;
    size_t size = 0;
    const char *bundle = creation->options->bundle == NULL ? "." : creation->options->bundle;
    creation->bundle = realpath(bundle, NULL);
    if (creation->bundle == NULL)
        return err_sys(err, errno, "cannot use the bundle '%s'", bundle);
    if (asprintf(&path, "%s/config.json", creation->bundle) < 0) {
        path = NULL;
        return err_nomem(err, "reading a bundle");
    }
    struct stat st; /* 'run' has blocked the signals that could end it while it waits at a pipe */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "'%s' is no file", path);
    if (fs_read_file(AT_FDCWD, path, CONFIG_LIMIT, &creation->text, &size, err) < 0)
        return -1;
    creation->config = oci_json_parse(creation->text, size, &error);
    if (creation->config == NULL)
        return err_set(err, ERR_INVALID, "'%s' is no JSON: line %d: %s", path, error.line, error.text);
    return oci_check(creation->config, err) < 0 ? err_wrap(err, "'%s'", path) : 0;
}

/* Pure from here to the container's directory: what is wrong is said before anything exists. */
static int compile(struct creation *creation, const char *id, struct err *err)
{
    const json_t *section = json_object_get(creation->config, "linux");
    struct oci_cgroup_dir dirs[OCI_HIERARCHIES];
    if (oci_host_check(creation->config, creation->options->warn, err) < 0 ||
        oci_cgroups_plan(&creation->cgroups, oci_text(section, "cgroupsPath"), id, err) < 0)
        return -1;
    for (size_t i = 0; i < creation->cgroups.n; i++) {
        const struct oci_cgroup *cgroup = &creation->cgroups.items[i];
        /* v2 has one directory and no links */
        const char *names = creation->cgroups.v2 ? "" : cgroup->names;
        dirs[i] = (struct oci_cgroup_dir){cgroup->name, names, cgroup->path};
    }
    struct oci_plan_input input = {
        .config = creation->config,
        .bundle = creation->bundle,
        .cgroups = dirs,
        .n_cgroups = creation->cgroups.n,
        .n_cgroup_fds = (uint32_t)creation->cgroups.n,
        .grant = {oci_host_capabilities(creation->config), creation->options->warn},
        .lower_limits = true,
        .selinux = oci_host_has_selinux(),
        .flags = (creation->options->no_pivot ? PLAN_NO_PIVOT : 0u) |
                 (creation->options->no_new_keyring ? PLAN_KEEP_KEYRING : 0u),
    };
    creation->values = oci_resources(json_object_get(section, "resources"), creation->cgroups.v2, err);
    return creation->values == NULL ? -1 : oci_plan(&input, &creation->plan, NULL, err);
}

/* --- what it needs --- */

/* Its path may be longer than a socket's may be: it is named by the directory's descriptor. */
static int make_start_socket(struct creation *creation, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/start.sock",
             creation->container.dir_fd);
    creation->start_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (creation->start_fd < 0 ||
        bind(creation->start_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(creation->start_fd, 4) < 0)
        return err_sys(err, errno, "cannot make the socket that the container is started by");
    creation->waiting_fd = openat(creation->container.dir_fd, "waiting", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (creation->waiting_fd < 0 || flock(creation->waiting_fd, LOCK_EX | LOCK_NB) < 0)
        return err_sys(err, errno, "cannot lock the container's 'waiting'");
    return 0;
}

static json_t *first_document(const struct creation *creation)
{
    char now[TIMESTAMP_SIZE];
    auto_free char *rootfs = NULL;
    const char *path = oci_text(json_object_get(creation->config, "root"), "path");
    timestamp_format(now, clock_realtime_ns());
    if (asprintf(&rootfs, "%s%s%s", path[0] == '/' ? "" : creation->bundle, path[0] == '/' ? "" : "/", path) <
        0) {
        rootfs = NULL;
        return NULL;
    }
    json_t *annotations = json_object_get(creation->config, "annotations");
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:O*}", "id", creation->container.id, "bundle",
                     creation->bundle, "rootfs", rootfs, "created", now, "owner", "", "cgroups",
                     oci_cgroups_document(&creation->cgroups), "annotations", annotations);
}

static int prepare(struct creation *creation, struct err *err)
{
    if (oci_cgroups_check_unused(&creation->cgroups, err) < 0)
        return -1;
    creation->container.document = first_document(creation);
    if (creation->container.document == NULL)
        return err_nomem(err, "creating a container");
    if (oci_host_note_root(creation->container.document, creation->config, err) < 0 ||
        oci_container_save(&creation->container, err) < 0 ||
        fs_write_file(creation->container.dir_fd, "config.json", 0600, creation->text, strlen(creation->text),
                      false, err) < 0 ||
        make_start_socket(creation, err) < 0 || oci_cgroups_make(&creation->cgroups, err) < 0)
        return -1;
    return oci_cgroups_write(&creation->cgroups, creation->values, err);
}

/* --- the conversation --- */

static int record_pid(struct creation *creation, struct err *err)
{
    uint64_t start = oci_process_start(creation->launch.pid);
    json_t *document = creation->container.document;
    if (start == 0)
        return err_set(err, ERR_UNAVAILABLE, "the container's first process has ended");
    if (json_object_set_new(document, "pid", json_integer(creation->launch.pid)) < 0 ||
        json_object_set_new(document, "pidStart", json_integer((json_int_t)start)) < 0)
        return err_nomem(err, "creating a container");
    return oci_container_save(&creation->container, err);
}

/* Hooks come after the environment was made, which the spec calls created (runtime.md, "State"). */
static int answer_with_state(struct creation *creation, struct err *err)
{
    json_auto_t *state = oci_container_state(&creation->container, OCI_CREATED);
    auto_free char *text = state == NULL ? NULL : json_dumps(state, JSON_COMPACT);
    if (text == NULL)
        return err_nomem(err, "creating a container");
    return oci_launch_answer(&creation->launch, text, err);
}

static int run_create_hooks(struct creation *creation, struct err *err)
{
    json_auto_t *state = oci_container_state(&creation->container, OCI_CREATED);
    if (state == NULL)
        return err_nomem(err, "creating a container");
    if (oci_hooks_run(creation->config, "prestart", state, err) < 0)
        return -1;
    return oci_hooks_run(creation->config, "createRuntime", state, err);
}

int oci_pid_file(const char *path, pid_t pid, struct err *err)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    return path == NULL ? 0 : fs_write_file(AT_FDCWD, path, 0644, text, strlen(text), false, err);
}

static int converse(struct creation *creation, struct err *err)
{
    struct oci_launch *launch = &creation->launch;
    if (oci_launch_answer(launch, "{}", err) < 0 || oci_launch_expect(launch, INIT_CLONED, err) < 0 ||
        record_pid(creation, err) < 0 || oci_host_map_ids(creation->config, launch->pid, err) < 0 ||
        answer_with_state(creation, err) < 0 || oci_launch_expect(launch, INIT_MOUNTED, err) < 0 ||
        run_create_hooks(creation, err) < 0 || answer_with_state(creation, err) < 0 ||
        oci_launch_expect(launch, INIT_READY, err) < 0 ||
        oci_console_take(&creation->console, &creation->master_fd, err) < 0 ||
        oci_pid_file(creation->options->pid_file, launch->pid, err) < 0)
        return -1;
    if (json_object_set_new(creation->container.document, "complete", json_true()) < 0)
        return err_nomem(err, "creating a container");
    if (oci_container_save(&creation->container, err) < 0)
        return -1;
    return oci_launch_answer(launch, "{}", err);
}

static int make(struct creation *creation, struct err *err)
{
    const struct oci_options *options = creation->options;
    if (prepare(creation, err) < 0 ||
        oci_launch_begin(&creation->launch, &creation->plan, creation->start_fd, creation->waiting_fd,
                         creation->console.socket_fd, &creation->cgroups, options->preserve_fds, err) < 0)
        return -1;
    /* From here on it is held by wharf-init alone. */
    close(steal_fd(&creation->waiting_fd));
    return converse(creation, err);
}

/* What failed is told, not what undoing it met. Hooks that prepared something may clean up. */
static void undo(struct creation *creation)
{
    oci_launch_abandon(&creation->launch);
    if (creation->container.document != NULL) {
        json_auto_t *state = oci_container_state(&creation->container, OCI_STOPPED);
        oci_unmake_container(&creation->container, NULL);
        oci_hooks_run_all(creation->config, "poststop", state, creation->options->warn);
    } else {
        oci_container_remove(&creation->container, NULL);
    }
}

static void release(struct creation *creation)
{
    const int fds[] = {creation->start_fd, creation->waiting_fd, creation->master_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    oci_console_close(&creation->console);
    oci_launch_close(&creation->launch);
    oci_cgroups_close(&creation->cgroups);
    oci_container_release(&creation->container);
    json_decref(creation->config);
    json_decref(creation->values);
    buf_release(&creation->plan);
    free(creation->bundle);
    free(creation->text);
}

static int open_console(struct creation *creation, struct err *err)
{
    bool terminal = oci_flag(json_object_get(creation->config, "process"), "terminal");
    return oci_console_open(&creation->console, creation->options, terminal, creation->stays, err);
}

static int make_container(const struct oci_options *options, const char *id, bool stays, struct oci_made *ret,
                          struct err *err)
{
    struct creation creation = {.options = options,
                                .stays = stays,
                                .container = OCI_CONTAINER_INIT,
                                .console = OCI_CONSOLE_INIT,
                                .launch = OCI_LAUNCH_INIT,
                                .start_fd = -1,
                                .waiting_fd = -1,
                                .master_fd = -1};
    int result = -1;
    if (read_config(&creation, err) == 0 && compile(&creation, id, err) == 0 &&
        open_console(&creation, err) == 0 &&
        oci_container_make(&creation.container, options->root, id, err) == 0) {
        result = make(&creation, err);
        if (result < 0)
            undo(&creation);
        else
            *ret = (struct oci_made){creation.launch.pid, steal_fd(&creation.master_fd)};
    }
    release(&creation);
    return result;
}

int oci_make_container(const struct oci_options *options, const char *id, bool stays, struct oci_made *ret,
                       struct err *err)
{
    struct oci_report report;
    oci_report_begin(&report, options, "create", id);
    return oci_report_end(&report, "created", make_container(options, id, stays, ret, err), err);
}

int oci_create(const struct oci_options *options, const char *id, struct err *err)
{
    struct oci_made made;
    return oci_make_container(options, id, false, &made, err);
}
