/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's first process, or one more, from clone3 to execve. The order matters:
 *   - PDEATHSIG first, so that it cannot outlive the shim; the wait for `go` later closes the race, since a
 * dead shim reads as end of file;
 *   - the file system between the two waits, so that it overlaps with the runtime's work on the cgroups;
 *   - cgroups before the command, and the cgroup namespace after joining, since its root is where the process
 * is then, and what is mounted of them shows that root;
 *   - limits and credentials after everything that needs root, PDEATHSIG again since a change of credentials
 * clears it (prctl(2)), the system call filter last, since it would forbid much of the above.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/shim/join.h"
#include "runtime/shim/shim.h"

static int wait_for_go(const struct container_fds *fds)
{
    char byte;
    ssize_t n;
    do {
        n = read(fds->go, &byte, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : -1;
}

/* v1: writing 0 to `tasks` moves the writing thread alone, which spares the kernel the lock that keeps all
 * other processes from forking, and with it a wait for an RCU grace period. */
static int enter_cgroup(const struct plan *plan, struct plan_failure *failure)
{
    char path[PATH_MAX];
    bool joined = (plan->header.flags & (PLAN_CGROUP2 | PLAN_USER_NAMESPACE)) != 0; /* by the shim */
    for (uint32_t i = 0; i < plan->header.n_cgroups && !joined; i++) {
        snprintf(path, sizeof(path), "%s/tasks", plan->cgroup);
        int fd = openat(PLAN_FD_CGROUPS + (int)i, path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1)
            return fail(failure, PLAN_STAGE_CGROUP, plan->cgroup);
        close(fd);
    }
    return unshare(CLONE_NEWCGROUP) < 0 ? fail(failure, PLAN_STAGE_CGROUP, plan->cgroup) : 0;
}

static int set_up_stdio(const struct plan *plan, const struct container_fds *fds,
                        struct plan_failure *failure)
{
    int in_fd = fds->in >= 0 ? fds->in : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (in_fd < 0 || dup2(in_fd, 0) < 0 || dup2(fds->out, 1) < 0 || dup2(fds->err, 2) < 0)
        return fail(failure, PLAN_STAGE_SHIM, "standard streams");
    process_give_streams(plan);
    return 0;
}

static int give_up_rights(const struct plan *plan, struct plan_failure *failure)
{
    if (process_set_limits(plan, failure) < 0 || process_become_user(plan, failure) < 0)
        return -1;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "parent death signal");
    if (process_hide(failure) < 0 || process_close_on_exec(3, failure) < 0)
        return -1;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return process_load_filter(plan, failure);
}

static int set_up(const struct plan *plan, const struct container_fds *fds, struct plan_failure *failure)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || setsid() < 0)
        return fail(failure, PLAN_STAGE_SHIM, "session");
    if (process_hide(failure) < 0 || share_join(plan, ~(uint64_t)CLONE_NEWPID, failure) < 0)
        return -1;
    share_close(plan);
    if (plan->hostname != NULL && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
        return fail(failure, PLAN_STAGE_HOSTNAME, plan->hostname);
    if ((plan->header.flags & PLAN_CGROUP2) != 0 && enter_cgroup(plan, failure) < 0)
        return -1;
    if (wait_for_go(fds) < 0)
        _exit(1);
    struct mount_work work = MOUNT_WORK_INIT(plan, failure);
    if (fds->mapped != NULL) {
        work.sources = fds->mapped->sources;
        work.mapped_root_fd = fds->mapped->root_fd;
    }
    bool terminal = (plan->header.flags & PLAN_TERMINAL) != 0;
    if (mounts_make(&work) < 0 || kernel_set_parameters(plan, failure) < 0 ||
        (terminal && terminal_open(plan, work.root_fd, true, fds->out, failure) < 0) ||
        mounts_enter(&work) < 0 || (!terminal && set_up_stdio(plan, fds, failure) < 0))
        return -1;
    if ((plan->header.flags & PLAN_LOOPBACK) != 0 && process_bring_loopback_up(failure) < 0)
        return -1;
    if (wait_for_go(fds) < 0)
        _exit(1);
    if ((plan->header.flags & PLAN_CGROUP2) == 0 &&
        (enter_cgroup(plan, failure) < 0 || mounts_show_cgroups(&work) < 0))
        return -1;
    if (give_up_rights(plan, failure) < 0)
        return -1;
    return (plan->header.flags & PLAN_REAPER) != 0 ? reaper_begin(failure) : 0;
}

/* The same for one that finds everything made, and is in the container's cgroups and namespaces already. */
static int set_up_joined(const struct plan *plan, const struct container_fds *fds,
                         struct plan_failure *failure)
{
    bool terminal = (plan->header.flags & PLAN_TERMINAL) != 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return fail(failure, PLAN_STAGE_SHIM, "parent death signal");
    if (wait_for_go(fds) < 0)
        _exit(1);
    if (join_place(plan, fds->out, failure) < 0 || (!terminal && set_up_stdio(plan, fds, failure) < 0))
        return -1;
    return give_up_rights(plan, failure);
}

static _Noreturn void execute(const struct plan *plan, const struct container_fds *fds, int result,
                              struct plan_failure *failure)
{
    if (result == 0) {
        process_execute(plan);
        fail(failure, PLAN_STAGE_EXEC, plan->argv[0]);
    }
    /* If even this fails the shim sees end of file and an exit instead: still no running command. */
    ssize_t written = write(fds->report, failure, sizeof(*failure));
    _exit(written == (ssize_t)sizeof(*failure) ? 125 : 1);
}

_Noreturn void container_main(const struct plan *plan, const struct container_fds *fds)
{
    struct plan_failure failure;
    memset(&failure, 0, sizeof(failure));
    int result = set_up(plan, fds, &failure);
    execute(plan, fds, result, &failure);
}

_Noreturn void joined_main(const struct plan *plan, const struct container_fds *fds)
{
    struct plan_failure failure;
    memset(&failure, 0, sizeof(failure));
    int result = set_up_joined(plan, fds, &failure);
    execute(plan, fds, result, &failure);
}
