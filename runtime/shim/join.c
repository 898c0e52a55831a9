/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/shim/join.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

int join_cgroups(const struct plan *plan, int first_fd, struct plan_failure *failure)
{
    for (uint32_t i = 0; i < plan->header.n_cgroups; i++) {
        int dir_fd = first_fd + (int)i;
        int fd = openat(dir_fd, "tasks", O_WRONLY | O_CLOEXEC); /* v1; v2 has no such file */
        if (fd < 0)
            fd = openat(dir_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1)
            return fail(failure, PLAN_STAGE_CGROUP, "");
        close(fd);
        close(dir_fd);
    }
    return 0;
}

/* All at once: the kernel takes the user namespace first, and none if one fails (setns(2)). */
static int join_namespaces(const struct plan *plan, int pidfd, struct plan_failure *failure)
{
    uint64_t flags = plan->header.clone_flags;
    if (flags == 0)
        return 0;
    if (setns(pidfd, (int)flags) < 0)
        return fail(failure, PLAN_STAGE_NAMESPACE, "of the container's first process");
    return (flags & CLONE_NEWUSER) != 0 ? process_become_namespace_root(failure) : 0;
}

int join_enter(const struct plan *plan, int pidfd, int first_cgroup_fd, struct plan_failure *failure)
{
    if (process_hide(failure) < 0 || process_set_oom_score(plan, failure) < 0 ||
        join_cgroups(plan, first_cgroup_fd, failure) < 0)
        return -1;
    process_raise_limits(plan, 0); /* which a user namespace would have no right to */
    if (join_namespaces(plan, pidfd, failure) < 0)
        return -1;
    close(pidfd);
    return process_hide(failure);
}

/* A directory that is not below the root has a name that does not begin with '/' (getcwd(2)). */
static int enter_directory(const struct plan *plan, int root_fd, struct plan_failure *failure)
{
    char name[PATH_MAX];
    int fd = open_in_root(root_fd, plan->workdir, O_PATH | O_DIRECTORY);
    if (fd < 0 || fchdir(fd) < 0)
        return fail(failure, PLAN_STAGE_WORKDIR, plan->workdir);
    close(fd);
    long size = syscall(SYS_getcwd, name, sizeof(name));
    if (size > 0 && name[0] == '/')
        return 0;
    errno = ENOENT;
    return fail(failure, PLAN_STAGE_WORKDIR, plan->workdir);
}

int join_place(const struct plan *plan, int console_fd, struct plan_failure *failure)
{
    if (setsid() < 0 && errno != EPERM)
        return fail(failure, PLAN_STAGE_SHIM, "session");
    int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return fail(failure, PLAN_STAGE_ROOT, "/");
    if ((plan->header.flags & PLAN_TERMINAL) != 0 &&
        terminal_open(plan, root_fd, false, console_fd, failure) < 0)
        return -1;
    if (enter_directory(plan, root_fd, failure) < 0)
        return -1;
    close(root_fd);
    return 0;
}
