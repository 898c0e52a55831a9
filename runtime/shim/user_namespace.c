/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shim, as the host's root, does for a container in a user namespace of its own, before it is cloned
 * and until it is let go: the process itself has no rights outside.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

int user_namespace_mount(const struct plan *plan, struct mapped_mounts *ret, struct plan_failure *failure)
{
    memset(ret->sources, -1, sizeof(ret->sources));
    ret->root_fd = layers_mount(plan, failure);
    return ret->root_fd < 0 ? -1 : sources_open(plan, ret->sources, failure);
}

void user_namespace_unmount(const struct mapped_mounts *mounts)
{
    close(mounts->root_fd);
    for (size_t i = 0; i < PLAN_MAX_SOURCES && mounts->sources[i] >= 0; i++)
        close(mounts->sources[i]);
}

void user_namespace_give(const struct plan *plan, int fd)
{
    int64_t uid = layers_outside(plan->uid_map, 0), gid = layers_outside(plan->gid_map, 0);
    if (fd >= 0 && fchown(fd, (uid_t)uid, (gid_t)gid) < 0)
        return; /* it can be written to all the same */
}

static int write_for(int pid, const char *file, const char *value)
{
    char path[48];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    return process_write_file(path, value);
}

int user_namespace_begin(const struct plan *plan, int pid, struct plan_failure *failure)
{
    char score[16];
    snprintf(score, sizeof(score), "%d", plan->header.oom_score_adj);
    if (write_for(pid, "uid_map", plan->uid_map) < 0 || write_for(pid, "gid_map", plan->gid_map) < 0)
        return fail(failure, PLAN_STAGE_USER_NAMESPACE, "");
    if ((plan->header.flags & PLAN_OOM_SCORE) != 0 && write_for(pid, "oom_score_adj", score) < 0)
        return fail(failure, PLAN_STAGE_SYSCTL, "oom_score_adj");
    process_raise_limits(plan, pid);
    return 0;
}

int user_namespace_join_cgroups(const struct plan *plan, int pid, struct plan_failure *failure)
{
    char path[PATH_MAX], number[16];
    snprintf(path, sizeof(path), "%s/tasks", plan->cgroup);
    snprintf(number, sizeof(number), "%d", pid);
    for (uint32_t i = 0; i < plan->header.n_cgroups && (plan->header.flags & PLAN_CGROUP2) == 0; i++) {
        int fd = openat(PLAN_FD_CGROUPS + (int)i, path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, number, strlen(number)) < 0)
            return fail(failure, PLAN_STAGE_CGROUP, plan->cgroup);
        close(fd);
    }
    return 0;
}
