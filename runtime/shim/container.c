/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's first process, from clone3 to execve. The order matters:
 *   - PDEATHSIG first, so that it cannot outlive the shim; the wait for `go` later closes the race, since a
 * dead shim reads as end of file;
 *   - the file system between the two waits, so that it overlaps with the runtime's work on the cgroups;
 *   - cgroups before the command, and the cgroup namespace after joining, since its root is where the process
 * is then;
 *   - limits and credentials after everything that needs root, PDEATHSIG again since a change of credentials
 * clears it (prctl(2)), the system call filter last, since it would forbid much of the above.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

int fail(struct plan_failure *ret, enum plan_stage stage, const char *subject)
{
    ret->cause = errno;
    ret->stage = (uint32_t)stage;
    snprintf(ret->subject, sizeof(ret->subject), "%s", subject);
    return -1;
}

static int bring_loopback_up(struct plan_failure *failure)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(failure, PLAN_STAGE_NETWORK, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return fail(failure, PLAN_STAGE_NETWORK, "lo");
    close(fd);
    return 0;
}

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
static int join_cgroups(const struct plan *plan, struct plan_failure *failure)
{
    char path[PATH_MAX];
    for (uint32_t i = 0; i < plan->header.n_cgroups && (plan->header.flags & PLAN_CGROUP2) == 0; i++) {
        snprintf(path, sizeof(path), "%s/tasks", plan->cgroup);
        int fd = openat(PLAN_FD_CGROUPS + (int)i, path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1)
            return fail(failure, PLAN_STAGE_CGROUP, plan->cgroup);
        close(fd);
    }
    return unshare(CLONE_NEWCGROUP) < 0 ? fail(failure, PLAN_STAGE_CGROUP, plan->cgroup) : 0;
}

struct limit {
    uint64_t soft, hard; /* as prlimit(2) has them in 64 bits everywhere */
};

/* Without CAP_SYS_RESOURCE a hard limit cannot be raised: as much as we have ourselves is given then. */
static int set_limit(const struct plan_rlimit *wanted)
{
    struct limit now, value = {wanted->soft, wanted->hard};
    if (syscall(SYS_prlimit64, 0, wanted->resource, &value, NULL) == 0)
        return 0;
    if (errno != EPERM || syscall(SYS_prlimit64, 0, wanted->resource, NULL, &now) < 0)
        return -1;
    value.hard = now.hard;
    value.soft = wanted->soft < now.hard ? wanted->soft : now.hard;
    return (int)syscall(SYS_prlimit64, 0, wanted->resource, &value, NULL);
}

static int set_limits(const struct plan *plan, struct plan_failure *failure)
{
    struct plan_rlimit limit;
    size_t cursor = 0;
    while (plan_next_rlimit(plan, &cursor, &limit)) {
        if (set_limit(&limit) < 0)
            return fail(failure, PLAN_STAGE_RLIMIT, "");
    }
    return 0;
}

static int drop_capabilities(uint64_t keep)
{
    for (unsigned long cap = 0; cap < 64; cap++) {
        if ((keep >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            if (errno == EINVAL) /* beyond the kernel's last one (capabilities(7)) */
                break;
            return -1;
        }
    }
    return 0;
}

static int set_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
        {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
    };
    return (int)syscall(SYS_capset, &head, data);
}

/* Direct system calls: this process has one thread, and libc's would signal others. For a user other than
 * root the kernel empties the permitted and effective sets by itself. */
static int become_user(const struct plan *plan, struct plan_failure *failure)
{
    const struct plan_header *h = &plan->header;
    char text[32];
    snprintf(text, sizeof(text), "%u:%u", h->uid, h->gid);
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EDQUOT)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "session keyring");
    if (drop_capabilities(h->capabilities) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "capabilities");
    if (syscall(SYS_setgroups, plan->n_groups, plan->groups) < 0 ||
        syscall(SYS_setresgid, h->gid, h->gid, h->gid) < 0 ||
        syscall(SYS_setresuid, h->uid, h->uid, h->uid) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, text);
    if (h->uid == 0 && set_capabilities(h->capabilities) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "capabilities");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "parent death signal");
    if ((h->flags & PLAN_NO_NEW_PRIVS) != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "no_new_privs");
    umask((mode_t)h->umask);
    return 0;
}

static int load_filter(const struct plan *plan, struct plan_failure *failure)
{
    if (plan->n_seccomp == 0)
        return 0;
    struct sock_fprog program = {
        .len = (unsigned short)plan->n_seccomp,
        .filter = (struct sock_filter *)(uintptr_t)plan->seccomp,
    };
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return fail(failure, PLAN_STAGE_SECCOMP, "");
    return 0;
}

static const char *search_path(char *const *envp)
{
    for (; *envp != NULL; envp++) {
        if (strncmp(*envp, "PATH=", 5) == 0)
            return *envp + 5;
    }
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* As execvp(3): the first match that can be executed; a match that may not be is remembered. */
static void execute(const struct plan *plan)
{
    const char *name = plan->argv[0];
    if (strchr(name, '/') != NULL || name[0] == '\0') {
        execve(name, plan->argv, plan->envp);
        return;
    }
    int cause = ENOENT;
    char path[PATH_MAX];
    for (const char *at = search_path(plan->envp), *end; at != NULL; at = *end == ':' ? end + 1 : NULL) {
        end = strchrnul(at, ':');
        int size = (int)(end - at);
        if (snprintf(path, sizeof(path), "%.*s%s%s", size, at, size > 0 ? "/" : "", name) >=
            (int)sizeof(path))
            continue;
        execve(path, plan->argv, plan->envp);
        if (errno == EACCES)
            cause = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return;
    }
    errno = cause;
}

static int set_up_stdio(const struct container_fds *fds, struct plan_failure *failure)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(fds->out, 1) < 0 || dup2(fds->err, 2) < 0)
        return fail(failure, PLAN_STAGE_SHIM, "standard streams");
    return 0;
}

static int set_up(const struct plan *plan, const struct container_fds *fds, struct plan_failure *failure)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || setsid() < 0)
        return fail(failure, PLAN_STAGE_SHIM, "session");
    if (plan->hostname != NULL && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
        return fail(failure, PLAN_STAGE_HOSTNAME, plan->hostname);
    if ((plan->header.flags & PLAN_CGROUP2) != 0 && join_cgroups(plan, failure) < 0)
        return -1;
    if (wait_for_go(fds) < 0)
        _exit(1);
    if (mounts_apply(plan, failure) < 0 || set_up_stdio(fds, failure) < 0)
        return -1;
    if ((plan->header.flags & PLAN_LOOPBACK) != 0 && bring_loopback_up(failure) < 0)
        return -1;
    if (wait_for_go(fds) < 0)
        _exit(1);
    if ((plan->header.flags & PLAN_CGROUP2) == 0 && join_cgroups(plan, failure) < 0)
        return -1;
    if (set_limits(plan, failure) < 0 || become_user(plan, failure) < 0)
        return -1;
    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return fail(failure, PLAN_STAGE_SHIM, "descriptors");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return load_filter(plan, failure);
}

_Noreturn void container_main(const struct plan *plan, const struct container_fds *fds)
{
    struct plan_failure failure;
    memset(&failure, 0, sizeof(failure));
    if (set_up(plan, fds, &failure) == 0) {
        execute(plan);
        fail(&failure, PLAN_STAGE_EXEC, plan->argv[0]);
    }
    /* If even this fails the shim sees end of file and an exit instead: still no running command. */
    ssize_t written = write(fds->report, &failure, sizeof(failure));
    _exit(written == (ssize_t)sizeof(failure) ? 125 : 1);
}
