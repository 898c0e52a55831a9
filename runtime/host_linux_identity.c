/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose state directory this is: STATE_DIR/node.json, written once a runtime has dealt with all that a new
 * directory means. What was made by a wharf that had no such file is told by what is in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/timestamp.h"
#include "runtime/host_linux.h"

#define IDENTITY_SIZE_MAX 4096

static int path_below(const struct host *host, const char *name, char ret[PATH_MAX], struct err *err)
{
    if (snprintf(ret, PATH_MAX, "%s/%s", host->state_dir, name) >= PATH_MAX)
        return err_sys(err, ENAMETOOLONG, "cannot use the directory '%s'", host->state_dir);
    return 0;
}

static bool has_containers(const struct host *host)
{
    int fd =
        host->containers_fd < 0 ? -1 : openat(host->containers_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (container_id_is_valid(entry->d_name))
            return true;
    return false;
}

static bool holds_nothing(const struct host *host)
{
    char path[PATH_MAX];
    bool has_snapshot = path_below(host, "snapshot", path, NULL) == 0 && access(path, F_OK) == 0;
    return !has_snapshot && !has_containers(host);
}

int host_identify(struct host *host, const char *node, enum host_identity *ret, struct err *err)
{
    char path[PATH_MAX];
    auto_free char *text = NULL;
    size_t size;
    struct err why = ERR_INIT;
    if (path_below(host, "node.json", path, err) < 0)
        return -1;
    if (fs_read_file(AT_FDCWD, path, IDENTITY_SIZE_MAX, &text, &size, &why) < 0) {
        if (why.code != ERR_NOT_FOUND)
            return err_set(err, why.code, "%s", why.message);
        *ret = holds_nothing(host) ? HOST_NEW : HOST_UNCLAIMED;
        return 0;
    }
    json_auto_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const char *owner = json_string_value(json_object_get(document, "node"));
    if (owner == NULL)
        return err_set(err, ERR_CORRUPT,
                       "'%s' is damaged, so nobody knows whose state directory this is: remove that file if "
                       "it is node '%s's",
                       path, node);
    if (strcmp(owner, node) != 0)
        return err_set(
            err, ERR_CONFLICT,
            "the state directory '%s' is of node '%s', not of '%s': give '%s' a --state-dir of its "
            "own, or start as --node %s",
            host->state_dir, owner, node, node, owner);
    *ret = HOST_CLAIMED;
    return 0;
}

int host_claim(struct host *host, const char *node, struct err *err)
{
    char path[PATH_MAX], time[TIMESTAMP_SIZE];
    timestamp_format(time, clock_realtime_ns());
    json_auto_t *document =
        json_pack("{s:s, s:s, s:s}", "node", node, "created_at", time, "boot_id", host->boot_id);
    auto_free char *text = document != NULL ? json_dumps(document, JSON_INDENT(2)) : NULL;
    if (text == NULL)
        return err_nomem(err, "claiming the state directory");
    if (path_below(host, "node.json", path, err) < 0)
        return -1;
    return fs_write_file(AT_FDCWD, path, 0600, text, strlen(text), true, err);
}
