/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/ioprio.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

/* sched_setattr(2): libc has no structure for it. */
struct attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static int set_scheduler(const struct plan_scheduler *scheduler)
{
    struct attributes attributes = {
        .size = sizeof(attributes),
        .policy = scheduler->policy,
        .flags = scheduler->flags,
        .nice = scheduler->nice,
        .priority = scheduler->priority,
        .runtime = scheduler->runtime,
        .deadline = scheduler->deadline,
        .period = scheduler->period,
    };
    return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int scheduling_apply(const struct plan *plan, struct plan_failure *failure)
{
    const struct plan_header *header = &plan->header;
    if (plan->scheduler != NULL && set_scheduler(plan->scheduler) < 0)
        return fail(failure, PLAN_STAGE_SCHEDULER, "");
    if (header->io_priority != 0 &&
        syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (int)header->io_priority) < 0)
        return fail(failure, PLAN_STAGE_IO_PRIORITY, "");
    if ((header->flags & PLAN_PERSONALITY) != 0 && personality(header->personality) < 0)
        return fail(failure, PLAN_STAGE_PERSONALITY, "");
    return 0;
}
