/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/timestamp.h"
#include "runtime/oci/state.h"
#include "runtime/sandbox/oci_json.h"

#define REPORT_LIMIT (256u << 10)
#define COMMAND_LIMIT (32u << 10) /* of the command's text that is reported */
#define DELIVERY_MS 500
#define PENDING ".pending"

static void warn(const struct oci_options *options, const struct err *err)
{
    char text[ERR_MESSAGE_SIZE + 64];
    snprintf(text, sizeof(text), "cannot report to the event log: %s", err->message);
    options->warn(text);
}

static int open_reports(const struct oci_options *options, struct err *err)
{
    auto_free char *path = NULL;
    if (asprintf(&path, "%s/@reports", options->root) < 0) {
        path = NULL;
        return err_nomem(err, "writing a report");
    }
    if (fs_mkdirs(AT_FDCWD, path, 0700, err) < 0)
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_sys(err, errno, "cannot open '%s'", path) : fd;
}

static void pending_name(const char *key, char ret[NAME_MAX + 1])
{
    snprintf(ret, NAME_MAX + 1, "%s" PENDING, key);
}

/* It has its name only when it is locked and whole. */
static int make_pending(struct oci_report *report, struct err *err)
{
    char name[NAME_MAX + 1], path[48];
    auto_free char *text = json_dumps(report->data, JSON_COMPACT);
    auto_fd int fd = openat(report->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    pending_name(report->key, name);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (text == NULL)
        return err_nomem(err, "writing a report");
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ||
        write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
        linkat(AT_FDCWD, path, report->dir_fd, name, AT_SYMLINK_FOLLOW) < 0)
        return err_sys(err, errno, "cannot write a report");
    report->pending_fd = steal_fd(&fd);
    return 0;
}

static json_t *first_data(const struct oci_options *options, const char *verb, const char *id)
{
    char now[TIMESTAMP_SIZE];
    auto_free char *root = realpath(options->root, NULL);
    timestamp_format(now, clock_realtime_ns());
    return json_pack("{s:s, s:s, s:I, s:s*, s:s}", "container", id, "at", now, "uid", (json_int_t)getuid(),
                     "root", root, "verb", verb);
}

static int begin(struct oci_report *report, const char *verb, const char *id, struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    report->dir_fd = open_reports(report->options, err);
    if (report->dir_fd < 0 || uuid_v7_now(uuid, err) < 0)
        return -1;
    snprintf(report->key, sizeof(report->key), "%020lld-%s", (long long)clock_realtime_ns(), uuid);
    report->data = first_data(report->options, verb, id);
    return report->data == NULL ? err_nomem(err, "writing a report") : make_pending(report, err);
}

static void release(struct oci_report *report)
{
    if (report->dir_fd >= 0)
        close(report->dir_fd);
    if (report->pending_fd >= 0)
        close(report->pending_fd);
    json_decref(report->data);
    *report = (struct oci_report){.dir_fd = -1, .pending_fd = -1};
}

void oci_report_begin(struct oci_report *ret, const struct oci_options *options, const char *verb,
                      const char *id)
{
    struct err err = ERR_INIT;
    *ret = (struct oci_report){.dir_fd = -1, .pending_fd = -1};
    if (options->event_log == NULL || !oci_id_is_valid(id))
        return;
    ret->options = options;
    if (begin(ret, verb, id, &err) < 0) {
        warn(options, &err);
        release(ret);
    }
}

void oci_report_set(struct oci_report *report, const char *member, json_t *value_take)
{
    if (report->options == NULL || value_take == NULL)
        json_decref(value_take);
    else
        json_object_set_new(report->data, member, value_take);
}

/* --- the end --- */

/* As much of it as a report is for. */
static json_t *short_command(const json_t *args)
{
    size_t i, size = 0;
    json_t *item, *list = json_array();
    json_array_foreach(args, i, item)
    {
        size += json_string_length(item);
        if (size > COMMAND_LIMIT) {
            json_array_append_new(list, json_string("..."));
            break;
        }
        json_array_append(list, item);
    }
    return list;
}

/* What only the container's own state says. */
static void describe(struct oci_report *report)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    if (oci_container_open(&container, report->options->root, oci_text(report->data, "container"), false,
                           NULL) < 0)
        return;
    json_auto_t *config = oci_container_config(&container, NULL);
    const json_t *args = json_object_get(json_object_get(config, "process"), "args");
    if (oci_container_pid(&container) > 0)
        oci_report_set(report, "pid", json_integer(oci_container_pid(&container)));
    oci_report_set(report, "bundle", json_string(oci_text(container.document, "bundle")));
    oci_report_set(report, "command", json_incref((json_t *)(uintptr_t)args));
}

static void tell(json_t *data, const char *action, const char *message)
{
    json_object_set_new(data, "action", json_string(action));
    if (message != NULL && message[0] != '\0')
        json_object_set_new(data, "message", json_string(message));
    const json_t *command = json_object_get(data, "command");
    if (command != NULL)
        json_object_set_new(data, "command", short_command(command));
    if (strcmp(action, "failed") != 0)
        json_object_del(data, "verb");
}

static int finish(int dir_fd, const char *key, const json_t *data, struct err *err)
{
    char name[NAME_MAX + 1];
    auto_free char *text = json_dumps(data, JSON_COMPACT);
    pending_name(key, name);
    if (text == NULL)
        return err_nomem(err, "writing a report");
    if (fs_write_file(dir_fd, name, 0600, text, strlen(text), true, err) < 0)
        return -1;
    if (renameat(dir_fd, name, dir_fd, key) < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot write a report");
    return 0;
}

/* --- delivery --- */

static bool is_report(const char *name)
{
    return name[0] >= '0' && name[0] <= '9' && strspn(name, "0123456789abcdef-") == strlen(name);
}

static bool is_pending(const char *name)
{
    size_t size = strlen(name), end = strlen(PENDING);
    return size > end && strcmp(name + size - end, PENDING) == 0;
}

static json_t *read_report(int dir_fd, const char *name)
{
    auto_free char *text = NULL;
    size_t size = 0;
    if (fs_read_file(dir_fd, name, REPORT_LIMIT, &text, &size, NULL) < 0)
        return NULL;
    return json_loadb(text, size, 0, NULL);
}

/* One that nobody takes does not hold the others up; people find it under a name that says why. */
static int put_aside(const struct oci_options *options, int dir_fd, const char *name, const char *why,
                     struct err *err)
{
    char aside[NAME_MAX + 1];
    struct err told = ERR_INIT;
    if (snprintf(aside, sizeof(aside), "%s.%s", name, why) >= (int)sizeof(aside) ||
        renameat(dir_fd, name, dir_fd, aside) < 0)
        return err_sys(err, errno, "cannot put the report '%s' aside", name);
    err_set(&told, ERR_CORRUPT, "the report '%s' is %s and was put aside in '%s/@reports'", name, why,
            options->root);
    warn(options, &told);
    return 0;
}

/* Whoever was at it is gone. Whether what it did was done is not known, and that is said. */
static int take_over(const struct oci_options *options, int dir_fd, const char *name, struct err *err)
{
    char key[NAME_MAX + 1];
    struct stat here, there;
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return 0;
    if (fstat(fd, &here) < 0 || fstatat(dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
        here.st_ino != there.st_ino)
        return 0;
    snprintf(key, sizeof(key), "%.*s", (int)(strlen(name) - strlen(PENDING)), name);
    json_auto_t *data = read_report(dir_fd, name);
    if (data == NULL) /* a power cut may leave a name without contents */
        return put_aside(options, dir_fd, name, "damaged", err);
    if (json_object_get(data, "action") == NULL)
        tell(data, "failed", "wharf-oci ended before it could say how that went");
    return finish(dir_fd, key, data, err);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Negative: later. */
static int send_one(const struct oci_options *options, int dir_fd, const char *name, int timeout_ms,
                    struct err *err)
{
    json_auto_t *data = read_report(dir_fd, name);
    if (data == NULL)
        return put_aside(options, dir_fd, name, "damaged", err);
    json_auto_t *body =
        json_pack("{s:s, s:O*, s:s*}", "type", "oci.report", "data", data, "node", options->event_node);
    auto_free char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    if (text == NULL)
        return err_nomem(err, "sending a report");
    int result = options->deliver(options->event_log, name, text, timeout_ms, err);
    if (result < 0)
        return -1;
    if (result == 0)
        return unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT
                   ? 0
                   : err_sys(err, errno, "cannot remove a report");
    warn(options, err);
    return put_aside(options, dir_fd, name, "refused", err);
}

/* Calls `each` for all names, oldest first, until one call is negative. How many were 1, or negative. */
static int for_each(int dir_fd, int (*each)(const char *name, void *data), void *data)
{
    struct dirent **names = NULL;
    int found = 0, result = 0;
    int n = scandirat(dir_fd, ".", &names, NULL, by_name);
    for (int i = 0; i < n; i++) {
        result = result < 0 ? result : each(names[i]->d_name, data);
        found += result > 0;
        free(names[i]);
    }
    free(names);
    return n < 0 || result < 0 ? -1 : found;
}

struct delivery {
    const struct oci_options *options;
    int dir_fd;
    int64_t deadline_ns;
    struct err *err;
};

static int each_pending(const char *name, void *data)
{
    const struct delivery *delivery = data;
    return is_pending(name) ? take_over(delivery->options, delivery->dir_fd, name, delivery->err) : 0;
}

static int each_report(const char *name, void *data)
{
    const struct delivery *delivery = data;
    int64_t left_ms = (delivery->deadline_ns - clock_monotonic_ns()) / 1000000;
    if (!is_report(name))
        return 0;
    if (left_ms <= 0 || send_one(delivery->options, delivery->dir_fd, name, (int)left_ms, delivery->err) < 0)
        return -1;
    return 1;
}

/* Another who delivers has perhaps not seen ours; it looks once more after it let go of the lock, as we do.
 */
static void deliver(const struct oci_options *options, int dir_fd)
{
    int64_t deadline_ns = clock_monotonic_ns() + DELIVERY_MS * 1000000LL;
    int sent = 1;
    while (sent > 0) {
        struct err err = ERR_INIT;
        auto_fd int lock_fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (lock_fd < 0 || flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
            return;
        struct delivery delivery = {options, dir_fd, deadline_ns, &err};
        sent = for_each(dir_fd, each_pending, &delivery) < 0 ? -1 : for_each(dir_fd, each_report, &delivery);
        if (sent < 0 && err.code != ERR_NONE && err.code != ERR_UNAVAILABLE && err.code != ERR_TIMEOUT)
            warn(options, &err);
    }
}

int oci_report_end(struct oci_report *report, const char *action, int result, const struct err *err)
{
    struct err why = ERR_INIT;
    char name[NAME_MAX + 1];
    if (report->options == NULL)
        return result;
    pending_name(report->key, name);
    if (result != 0 && err != NULL && err->code == ERR_NOT_FOUND) {
        unlinkat(report->dir_fd, name, 0);
        release(report);
        return result;
    }
    if (result == 0 && (strcmp(action, "created") == 0 || strcmp(action, "started") == 0))
        describe(report);
    tell(report->data, result == 0 ? action : "failed", result == 0 || err == NULL ? NULL : err->message);
    if (finish(report->dir_fd, report->key, report->data, &why) < 0)
        warn(report->options, &why);
    deliver(report->options, report->dir_fd);
    release(report);
    return result;
}
