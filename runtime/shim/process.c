/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the container's root to its command: limits, user, capabilities, filter, execve(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/defence.h"
#include "runtime/shim/shim.h"

int fail(struct plan_failure *ret, enum plan_stage stage, const char *subject)
{
    ret->cause = errno;
    ret->stage = (uint32_t)stage;
    snprintf(ret->subject, sizeof(ret->subject), "%s", subject);
    return -1;
}

int process_write_file(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, value, strlen(value));
    int cause = errno;
    close(fd);
    errno = cause;
    return n == (ssize_t)strlen(value) ? 0 : -1;
}

int process_hide(struct plan_failure *failure)
{
    if (DEFENDED(HIDDEN_SETUP) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return fail(failure, PLAN_STAGE_SHIM, "dumpable");
    return 0;
}

int process_close_on_exec(unsigned from_fd, struct plan_failure *failure)
{
    if (DEFENDED(CLOSED_DESCRIPTORS) && syscall(SYS_close_range, from_fd, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return fail(failure, PLAN_STAGE_SHIM, "descriptors");
    return 0;
}

int process_set_oom_score(const struct plan *plan, struct plan_failure *failure)
{
    char score[16];
    snprintf(score, sizeof(score), "%d", plan->header.oom_score_adj);
    if ((plan->header.flags & PLAN_OOM_SCORE) != 0 &&
        process_write_file("/proc/self/oom_score_adj", score) < 0)
        return fail(failure, PLAN_STAGE_SYSCTL, "oom_score_adj");
    return 0;
}

void process_give_streams(const struct plan *plan)
{
    struct stat st;
    for (int fd = 0; fd < 3 && plan->header.uid != 0; fd++) {
        if (fstat(fd, &st) == 0 && !S_ISCHR(st.st_mode) && fchown(fd, plan->header.uid, (gid_t)-1) < 0)
            continue;
    }
}

int process_bring_loopback_up(struct plan_failure *failure)
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

struct limit {
    uint64_t soft, hard; /* as prlimit(2) has them in 64 bits everywhere */
};

/* A hard limit may only be raised with CAP_SYS_RESOURCE. */
static int set_limit(const struct plan_rlimit *wanted)
{
    struct limit now, value = {wanted->soft, wanted->hard};
    if (syscall(SYS_prlimit64, 0, wanted->resource, &value, NULL) == 0)
        return 0;
    if (errno != EPERM || wanted->may_be_lower == 0 ||
        syscall(SYS_prlimit64, 0, wanted->resource, NULL, &now) < 0)
        return -1;
    value.hard = now.hard;
    value.soft = wanted->soft < now.hard ? wanted->soft : now.hard;
    return (int)syscall(SYS_prlimit64, 0, wanted->resource, &value, NULL);
}

static const char *limit_name(uint32_t resource)
{
    static const char *const NAMES[] = {
        [RLIMIT_AS] = "as",           [RLIMIT_CORE] = "core",     [RLIMIT_CPU] = "cpu",
        [RLIMIT_DATA] = "data",       [RLIMIT_FSIZE] = "fsize",   [RLIMIT_LOCKS] = "locks",
        [RLIMIT_MEMLOCK] = "memlock", [RLIMIT_NICE] = "nice",     [RLIMIT_MSGQUEUE] = "msgqueue",
        [RLIMIT_NOFILE] = "nofile",   [RLIMIT_NPROC] = "nproc",   [RLIMIT_RSS] = "rss",
        [RLIMIT_RTPRIO] = "rtprio",   [RLIMIT_RTTIME] = "rttime", [RLIMIT_SIGPENDING] = "sigpending",
        [RLIMIT_STACK] = "stack",
    };
    return resource < sizeof(NAMES) / sizeof(NAMES[0]) && NAMES[resource] != NULL ? NAMES[resource] : "";
}

int process_set_limits(const struct plan *plan, struct plan_failure *failure)
{
    struct plan_rlimit limit;
    size_t cursor = 0;
    while (plan_next_rlimit(plan, &cursor, &limit)) {
        if (set_limit(&limit) < 0)
            return fail(failure, PLAN_STAGE_RLIMIT, limit_name(limit.resource));
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

static int set_capabilities(const struct plan_header *h, uint64_t extra)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    uint64_t permitted = h->cap_permitted | extra, effective = h->cap_effective | extra;
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)h->cap_inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(h->cap_inheritable >> 32)},
    };
    return (int)syscall(SYS_capset, &head, data);
}

static int raise_ambient(uint64_t ambient)
{
    for (unsigned long cap = 0; cap < 64; cap++) {
        if ((ambient >> cap & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return -1;
    }
    return 0;
}

/* Direct system calls: this process has one thread, and libc's would signal others. */
static int change_user(const struct plan *plan)
{
    const struct plan_header *h = &plan->header;
    if (h->uid != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -1;
    if ((DEFENDED(OWN_GROUPS) && syscall(SYS_setgroups, plan->n_groups, plan->groups) < 0) ||
        syscall(SYS_setresgid, h->gid, h->gid, h->gid) < 0 ||
        syscall(SYS_setresuid, h->uid, h->uid, h->uid) < 0)
        return -1;
    return h->uid != 0 ? prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) : 0;
}

/* A filter without no_new_privs needs CAP_SYS_ADMIN. execve(2) takes it away unless the bounding set has it
 * (capabilities(7), "Transformation of capabilities during execve()"). */
static uint64_t needed_until_exec(const struct plan *plan)
{
    bool needed = plan->n_seccomp > 0 && (plan->header.flags & PLAN_NO_NEW_PRIVS) == 0;
    return needed ? UINT64_C(1) << CAP_SYS_ADMIN : 0;
}

int process_become_user(const struct plan *plan, struct plan_failure *failure)
{
    const struct plan_header *h = &plan->header;
    char text[32];
    snprintf(text, sizeof(text), "%u:%u", h->uid, h->gid);
    if ((h->flags & PLAN_KEEP_KEYRING) == 0 && DEFENDED(OWN_KEYRING) &&
        syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EDQUOT)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "session keyring");
    if (drop_capabilities(h->cap_bounding) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "capabilities");
    if (change_user(plan) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, text);
    if (set_capabilities(h, needed_until_exec(plan)) < 0 || raise_ambient(h->cap_ambient) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "capabilities");
    if ((h->flags & PLAN_NO_NEW_PRIVS) != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(failure, PLAN_STAGE_CREDENTIALS, "no_new_privs");
    umask((mode_t)h->umask);
    return 0;
}

int process_set_filter(const struct plan *plan)
{
    struct sock_fprog program = {
        .len = (unsigned short)plan->n_seccomp,
        .filter = (struct sock_filter *)(uintptr_t)plan->seccomp,
    };
    uint32_t flags = plan->header.seccomp_flags;
    if ((plan->header.flags & PLAN_LISTENER) != 0)
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

int process_load_filter(const struct plan *plan, struct plan_failure *failure)
{
    if (plan->n_seccomp == 0)
        return 0;
    return process_set_filter(plan) < 0 ? fail(failure, PLAN_STAGE_SECCOMP, "") : 0;
}

/* The host's root is nobody in the container's user namespace, and what it makes there would be nobody's. A
 * namespace without a user 0 leaves it at that. */
int process_become_namespace_root(struct plan_failure *failure)
{
    if ((syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0) && errno != EINVAL)
        return fail(failure, PLAN_STAGE_USER_NAMESPACE, "user 0");
    return process_hide(failure); /* a change of user may have undone it */
}

/* What is at the container's /proc is the container's word: it must be a procfs, and nothing may be mounted
 * in it on the way (CVE-2019-16884). */
static int write_label(const char *path, const char *label)
{
    struct open_how how = {.flags = O_WRONLY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
    struct statfs about;
    int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (proc_fd < 0 || fstatfs(proc_fd, &about) < 0)
        return -1;
    errno = ENODEV;
    int fd =
        about.f_type != PROC_SUPER_MAGIC ? -1 : (int)syscall(SYS_openat2, proc_fd, path, &how, sizeof(how));
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, label, strlen(label));
    close(fd);
    close(proc_fd);
    return n == (ssize_t)strlen(label) ? 0 : -1;
}

/* A thread may change its own label only: thread-self is the one that executes. AppArmor has a file of its
 * own since Linux 5.8, beside the one that the first security module answers. */
int process_set_labels(const struct plan *plan, struct plan_failure *failure)
{
    char text[512];
    if (plan->apparmor != NULL) {
        snprintf(text, sizeof(text), "exec %s", plan->apparmor);
        if (write_label("thread-self/attr/apparmor/exec", text) < 0 &&
            (errno != ENOENT || write_label("thread-self/attr/exec", text) < 0))
            return fail(failure, PLAN_STAGE_LABEL, plan->apparmor);
    }
    if (plan->selinux != NULL && write_label("thread-self/attr/exec", plan->selinux) < 0)
        return fail(failure, PLAN_STAGE_LABEL, plan->selinux);
    return 0;
}

void process_raise_limits(const struct plan *plan, int pid)
{
    struct plan_rlimit limit;
    struct limit now;
    size_t cursor = 0;
    while (plan_next_rlimit(plan, &cursor, &limit)) {
        if (syscall(SYS_prlimit64, pid, limit.resource, NULL, &now) < 0 || now.hard >= limit.hard)
            continue;
        now.hard = limit.hard;
        /* What cannot be raised here cannot be raised later either, and is said then. */
        syscall(SYS_prlimit64, pid, limit.resource, &now, NULL);
    }
}

static const char *search_path(char *const *envp)
{
    for (; *envp != NULL; envp++) {
        if (strncmp(*envp, "PATH=", 5) == 0)
            return *envp + 5;
    }
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Executes, or only finds out whether that is possible. Without the user's credentials the latter cannot know
 * what the user may. */
static int try(const char *path, const struct plan *plan, bool only_look)
{
    struct stat st;
    if (!only_look)
        return execve(path, plan->argv, plan->envp);
    if (stat(path, &st) < 0)
        return -1;
    errno = EACCES;
    return S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0 ? 0 : -1;
}

/* As execvp(3): the first match that can be executed; a match that may not be is remembered. */
static int search(const struct plan *plan, bool only_look)
{
    const char *name = plan->argv[0];
    if (strchr(name, '/') != NULL || name[0] == '\0')
        return try(name, plan, only_look);
    int cause = ENOENT;
    char path[PATH_MAX];
    for (const char *at = search_path(plan->envp), *end; at != NULL; at = *end == ':' ? end + 1 : NULL) {
        end = strchrnul(at, ':');
        int size = (int)(end - at);
        if (snprintf(path, sizeof(path), "%.*s%s%s", size, at, size > 0 ? "/" : "", name) >=
            (int)sizeof(path))
            continue;
        if (try(path, plan, only_look) == 0)
            return 0;
        if (errno == EACCES)
            cause = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return -1;
    }
    errno = cause;
    return -1;
}

void process_execute(const struct plan *plan)
{
    search(plan, false);
}

int process_find_command(const struct plan *plan)
{
    return search(plan, true);
}
