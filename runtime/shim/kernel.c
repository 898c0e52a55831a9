/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel keeps for the container's namespaces and its first process, set through files of /proc.
 */
#include <stdio.h>

#include "runtime/shim/shim.h"

int kernel_set_parameters(const struct plan *plan, struct plan_failure *failure)
{
    struct plan_sysctl sysctl;
    size_t cursor = 0;
    char path[512];
    while (plan_next_sysctl(plan, &cursor, &sysctl)) {
        snprintf(path, sizeof(path), "/proc/sys/%s", sysctl.path);
        if (process_write_file(path, sysctl.value) < 0)
            return fail(failure, PLAN_STAGE_SYSCTL, sysctl.path);
    }
    /* Who is in a user namespace may not: it has been done before. */
    return (plan->header.flags & (PLAN_INIT | PLAN_USER_NAMESPACE)) != 0
               ? 0
               : process_set_oom_score(plan, failure);
}
