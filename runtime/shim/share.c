/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces that the container shares with another one. They are joined through descriptors of the other's
 * first process, so that no number can have changed hands: if it has ended, that fails.
 */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

int share_join(const struct plan *plan, uint64_t which, struct plan_failure *failure)
{
    struct plan_join join;
    int fd = PLAN_FD_CGROUPS + (int)plan->header.n_cgroups;
    for (size_t cursor = 0; plan_next_namespace(plan, &cursor, &join); fd++) {
        if ((join.flag & which) != 0 && setns(fd, (int)join.flag) < 0)
            return fail(failure, PLAN_STAGE_NAMESPACE, join.path);
    }
    return 0;
}

void share_close(const struct plan *plan)
{
    struct plan_join join;
    int fd = PLAN_FD_CGROUPS + (int)plan->header.n_cgroups;
    for (size_t cursor = 0; plan_next_namespace(plan, &cursor, &join); fd++)
        close(fd);
}
