/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_scheduling.h"

#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <string.h>
#include <sys/personality.h>

#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/plan_encode.h"

struct name {
    const char *name;
    uint64_t value;
};

static const struct name POLICIES[] = {
    {"SCHED_OTHER", SCHED_NORMAL},
    {"SCHED_FIFO", SCHED_FIFO},
    {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},
    {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", SCHED_DEADLINE},
    {NULL, 0},
};
static const struct name FLAGS[] = {
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
    {NULL, 0},
};
static const struct name CLASSES[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
    {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
    {NULL, 0},
};
static const struct name DOMAINS[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}, {NULL, 0}};

static int look_up(const struct name *names, const char *name, const char *where, uint64_t *ret,
                   struct err *err)
{
    for (; names->name != NULL; names++) {
        if (strcmp(names->name, name) == 0) {
            *ret = names->value;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "'%s' is '%s', which is not supported", where, name);
}

static int add_scheduler(const json_t *section, struct buf *plan, struct err *err)
{
    struct plan_scheduler scheduler = {
        .nice = (int32_t)oci_number(section, "nice"),
        .priority = (uint32_t)oci_number(section, "priority"),
        .runtime = (uint64_t)oci_number(section, "runtime"),
        .deadline = (uint64_t)oci_number(section, "deadline"),
        .period = (uint64_t)oci_number(section, "period"),
    };
    uint64_t value;
    size_t i;
    json_t *item;
    if (look_up(POLICIES, oci_text(section, "policy"), "process.scheduler.policy", &value, err) < 0)
        return -1;
    scheduler.policy = (uint32_t)value;
    json_array_foreach(json_object_get(section, "flags"), i, item)
    {
        if (look_up(FLAGS, json_string_value(item), "process.scheduler.flags", &value, err) < 0)
            return -1;
        scheduler.flags |= value;
    }
    plan_add(plan, PLAN_SCHEDULER, &scheduler, sizeof(scheduler));
    return 0;
}

static int read_io_priority(const json_t *section, struct plan_header *header, struct err *err)
{
    uint64_t class;
    int64_t priority = oci_number(section, "priority");
    if (look_up(CLASSES, oci_text(section, "class"), "process.ioPriority.class", &class, err) < 0)
        return -1;
    if (priority < 0 || priority > 7)
        return err_set(err, ERR_INVALID, "'process.ioPriority.priority' must be from 0 to 7");
    header->io_priority = (uint32_t)(class << IOPRIO_CLASS_SHIFT) | (uint32_t)priority;
    return 0;
}

static int read_personality(const json_t *section, struct plan_header *header, struct err *err)
{
    uint64_t domain;
    if (look_up(DOMAINS, oci_text(section, "domain"), "linux.personality.domain", &domain, err) < 0)
        return -1;
    if (json_array_size(json_object_get(section, "flags")) > 0)
        return err_set(err, ERR_INVALID, "'linux.personality.flags' has flags: the specification knows none");
    header->personality = (uint32_t)domain;
    header->flags |= PLAN_PERSONALITY;
    return 0;
}

int oci_scheduling(const json_t *process, const json_t *section, struct buf *plan, struct plan_header *header,
                   struct err *err)
{
    const json_t *scheduler = json_object_get(process, "scheduler");
    const json_t *io_priority = json_object_get(process, "ioPriority");
    const json_t *personality = json_object_get(section, "personality");
    if (json_is_object(scheduler) && add_scheduler(scheduler, plan, err) < 0)
        return -1;
    if (json_is_object(io_priority) && read_io_priority(io_priority, header, err) < 0)
        return -1;
    return json_is_object(personality) ? read_personality(personality, header, err) : 0;
}
