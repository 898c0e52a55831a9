/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_namespaces.h"

#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/plan_encode.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *name;
    uint64_t flag;
} NAMESPACES[] = {
    {"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC},   {"mount", CLONE_NEWNS},  {"network", CLONE_NEWNET},
    {"pid", CLONE_NEWPID},       {"time", CLONE_NEWTIME}, {"user", CLONE_NEWUSER}, {"uts", CLONE_NEWUTS},
};

const char *oci_namespace_name(size_t index)
{
    return index < COUNT(NAMESPACES) ? NAMESPACES[index].name : NULL;
}

static size_t find(const char *type)
{
    size_t at = 0;
    while (at < COUNT(NAMESPACES) && strcmp(NAMESPACES[at].name, type) != 0)
        at++;
    return at;
}

uint64_t oci_namespaces_of(const json_t *config)
{
    uint64_t flags = 0;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(json_object_get(config, "linux"), "namespaces"), i, item)
    {
        size_t at = find(oci_text(item, "type"));
        flags |= at < COUNT(NAMESPACES) ? NAMESPACES[at].flag : 0;
    }
    return flags;
}

static int add_one(const json_t *item, struct buf *plan, struct oci_namespaces *found, struct err *err)
{
    const char *type = oci_text(item, "type"), *path = oci_text(item, "path");
    size_t at = find(type);
    if (at == COUNT(NAMESPACES))
        return err_set(err, ERR_INVALID, "the namespace '%s' is not supported", type);
    uint64_t flag = NAMESPACES[at].flag;
    if (((found->created | found->joined) & flag) != 0)
        return err_set(err, ERR_INVALID, "the namespace '%s' comes twice", type);
    if (path[0] == '\0') {
        found->created |= flag;
        return 0;
    }
    if (path[0] != '/')
        return err_set(err, ERR_INVALID, "the path '%s' of the namespace '%s' is not absolute", path, type);
    const struct plan_namespace head = {.flag = flag};
    auto_buf struct buf text = BUF_INIT;
    buf_add(&text, path, strlen(path) + 1);
    plan_add_record(plan, PLAN_NAMESPACE, &head, sizeof(head), &text);
    found->joined |= flag;
    return 0;
}

/* time_namespaces(7), "/proc/PID/timens_offsets". */
static int add_time_offsets(const json_t *section, struct buf *plan, bool created, struct err *err)
{
    static const char *const CLOCKS[] = {"monotonic", "boottime"};
    json_t *offsets = json_object_get(section, "timeOffsets"), *value;
    const char *clock;
    auto_buf struct buf text = BUF_INIT;
    size_t at;
    if (!created)
        return json_object_size(offsets) == 0
                   ? 0
                   : err_set(err, ERR_INVALID, "'linux.timeOffsets' need a new time namespace");
    buf_add_string(&text, "");
    json_object_foreach(offsets, clock, value)
    {
        int64_t nanoseconds = oci_number(value, "nanosecs");
        for (at = 0; at < COUNT(CLOCKS) && strcmp(CLOCKS[at], clock) != 0; at++)
            ;
        if (at == COUNT(CLOCKS))
            return err_set(err, ERR_INVALID,
                           "'linux.timeOffsets' has the clock '%s': there are monotonic and "
                           "boottime",
                           clock);
        if (nanoseconds < 0 || nanoseconds >= 1000000000)
            return err_set(err, ERR_INVALID, "'linux.timeOffsets.%s.nanosecs' must be below 1000000000",
                           clock);
        buf_printf(&text, "%s %lld %lld\n", clock, (long long)oci_number(value, "secs"),
                   (long long)nanoseconds);
    }
    if (text.failed)
        return err_nomem(err, "reading 'linux.timeOffsets'");
    plan_add_string(plan, PLAN_TIME_OFFSETS, text.data);
    return 0;
}

static int check_mappings(const json_t *section, const struct oci_namespaces *found, struct err *err)
{
    size_t uids = json_array_size(json_object_get(section, "uidMappings"));
    size_t gids = json_array_size(json_object_get(section, "gidMappings"));
    if ((found->created & CLONE_NEWUSER) != 0 && (uids == 0 || gids == 0))
        return err_set(err, ERR_INVALID,
                       "a new user namespace needs 'linux.uidMappings' and 'linux.gidMappings'");
    if (((found->created | found->joined) & CLONE_NEWUSER) == 0 && uids + gids > 0)
        return err_set(err, ERR_INVALID, "'linux.uidMappings' and 'linux.gidMappings' need a user namespace");
    return 0;
}

int oci_namespaces(const json_t *config, struct buf *plan, struct oci_namespaces *ret, struct err *err)
{
    const json_t *section = json_object_get(config, "linux");
    struct oci_namespaces found = {0};
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(section, "namespaces"), i, item)
    {
        if (add_one(item, plan, &found, err) < 0)
            return -1;
    }
    if (check_mappings(section, &found, err) < 0 ||
        add_time_offsets(section, plan, (found.created & CLONE_NEWTIME) != 0, err) < 0)
        return -1;
    *ret = found;
    return 0;
}
