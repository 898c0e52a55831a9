/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/seccomp.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* By name, so that one table serves every architecture; names an architecture lacks are skipped. */
static const char *const ALLOWED[] = {
    /* files and directories */
    "access",
    "chdir",
    "chmod",
    "chown",
    "chown32",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchown32",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "ioctl",
    "lchown",
    "lchown32",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "llistxattr",
    "_llseek",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "lstat64",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "name_to_handle_at",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "removexattr",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendfile64",
    "setxattr",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "tee",
    "truncate",
    "truncate64",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimensat_time64",
    "utimes",
    "vmsplice",
    "write",
    "writev",
    "chroot",
    "fanotify_mark",
    /* memory */
    "brk",
    "get_mempolicy",
    "madvise",
    "map_shadow_stack",
    "mbind",
    "membarrier",
    "memfd_create",
    "memfd_secret",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mmap2",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "process_madvise",
    "process_mrelease",
    "remap_file_pages",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "mseal",
    /* processes and threads */
    "arch_prctl",
    "capget",
    "capset",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "futex",
    "futex_requeue",
    "futex_time64",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getgroups32",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getresgid",
    "getresgid32",
    "getresuid",
    "getresuid32",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "getuid32",
    "ioprio_get",
    "ioprio_set",
    "kcmp",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "modify_ldt",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "prlimit64",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "restart_syscall",
    "rseq",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "setfsgid",
    "setfsgid32",
    "setfsuid",
    "setfsuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setpgid",
    "setpriority",
    "setregid",
    "setregid32",
    "setresgid",
    "setresgid32",
    "setresuid",
    "setresuid32",
    "setreuid",
    "setreuid32",
    "setrlimit",
    "setsid",
    "setuid",
    "setuid32",
    "sysinfo",
    "syslog",
    "times",
    "ugetrlimit",
    "uname",
    "vfork",
    "wait4",
    "waitid",
    "waitpid",
    /* signals and time */
    "adjtimex",
    "alarm",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "getitimer",
    "gettimeofday",
    "kill",
    "nanosleep",
    "pause",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo",
    "setitimer",
    "sigaltstack",
    "signal",
    "signalfd",
    "signalfd4",
    "sigprocmask",
    "sigreturn",
    "sigsuspend",
    "tgkill",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_gettime64",
    "timer_settime",
    "timer_settime64",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
    "tkill",
    /* waiting and communicating */
    "accept",
    "accept4",
    "bind",
    "connect",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_ctl_old",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "epoll_wait_old",
    "eventfd",
    "eventfd2",
    "getpeername",
    "getsockname",
    "getsockopt",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_pgetevents_time64",
    "io_setup",
    "io_submit",
    "ipc",
    "listen",
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedreceive_time64",
    "mq_timedsend",
    "mq_timedsend_time64",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "_newselect",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "pselect6_time64",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "select",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "semtimedop_time64",
    "send",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "shutdown",
    "socketcall",
    "socketpair",
    /* the rest */
    "getrandom",
    "cachestat",
};

/* What a capability is needed for anyhow, and useless without. */
static const struct {
    int capability;
    const char *names[24];
} WITH_CAPABILITY[] = {
    {CAP_DAC_READ_SEARCH, {"open_by_handle_at"}},
    {CAP_SYS_ADMIN, {"bpf",         "clone3",        "fanotify_init",   "fsconfig",   "fsmount",
                     "fsopen",      "fspick",        "lookup_dcookie",  "mount",      "mount_setattr",
                     "move_mount",  "open_tree",     "perf_event_open", "pivot_root", "quotactl",
                     "quotactl_fd", "setdomainname", "sethostname",     "setns",      "umount",
                     "umount2",     "unshare"}},
    {CAP_SYS_BOOT, {"reboot"}},
    {CAP_SYS_MODULE, {"delete_module", "finit_module", "init_module"}},
    {CAP_SYS_PACCT, {"acct"}},
    {CAP_SYS_RAWIO, {"ioperm", "iopl"}},
    {CAP_SYS_TIME, {"clock_settime", "clock_settime64", "settimeofday", "stime"}},
    {CAP_SYS_TTY_CONFIG, {"vhangup"}},
    {CAP_BPF, {"bpf"}},
    {CAP_PERFMON, {"perf_event_open"}},
};

#define NAMESPACE_FLAGS                                                                                      \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |               \
     CLONE_NEWCGROUP)

/* Execution domains a program may ask for; 0xffffffff asks for the present one (personality(2)). */
static const unsigned PERSONALITIES[] = {PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26, 0xffffffff};

/* Beyond any number in use; what lies between the newest one libseccomp knows and this is not known either.
 */
#define NUMBERS 1024

enum verdict { REFUSE, ALLOW, NOT_THERE, CHECK_CLONE, CHECK_SOCKET, CHECK_PERSONALITY };

struct table {
    uint8_t verdicts[NUMBERS]; /* enum verdict by system call number */
};

static void set_verdict(struct table *table, uint32_t arch, const char *name, enum verdict verdict)
{
    int nr = seccomp_syscall_resolve_name_arch(arch, name);
    if (nr >= 0 && nr < NUMBERS) /* negative: not on this architecture */
        table->verdicts[nr] = (uint8_t)verdict;
}

static void allow_by_capability(struct table *table, uint32_t arch, uint64_t capabilities)
{
    for (size_t i = 0; i < sizeof(WITH_CAPABILITY) / sizeof(WITH_CAPABILITY[0]); i++) {
        if ((capabilities >> WITH_CAPABILITY[i].capability & 1) == 0)
            continue;
        for (const char *const *name = WITH_CAPABILITY[i].names; *name != NULL; name++)
            set_verdict(table, arch, *name, ALLOW);
    }
    if ((capabilities >> CAP_SYS_ADMIN & 1) != 0)
        set_verdict(table, arch, "clone", ALLOW); /* with any namespace */
}

static void fill_table(struct table *table, uint32_t arch, uint64_t capabilities)
{
    int newest = 0;
    for (int nr = 0; nr < NUMBERS; nr++) {
        auto_free char *name = seccomp_syscall_resolve_num_arch(arch, nr);
        if (name != NULL)
            newest = nr;
        table->verdicts[nr] = REFUSE;
    }
    for (int nr = newest + 1; nr < NUMBERS; nr++)
        table->verdicts[nr] = NOT_THERE;
    for (size_t i = 0; i < sizeof(ALLOWED) / sizeof(ALLOWED[0]); i++)
        set_verdict(table, arch, ALLOWED[i], ALLOW);
    set_verdict(table, arch, "clone", CHECK_CLONE);
    set_verdict(table, arch, "socket", CHECK_SOCKET);
    set_verdict(table, arch, "personality", CHECK_PERSONALITY);
    set_verdict(table, arch, "clone3", NOT_THERE);
    allow_by_capability(table, arch, capabilities);
}

static void emit(struct buf *program, struct sock_filter instruction)
{
    buf_add(program, &instruction, sizeof(instruction));
}

static void emit_return(struct buf *program, enum verdict verdict)
{
    uint32_t value = verdict == ALLOW       ? SECCOMP_RET_ALLOW
                     : verdict == NOT_THERE ? SECCOMP_RET_ERRNO | ENOSYS
                                            : SECCOMP_RET_ERRNO | EPERM;
    emit(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

/* The arguments looked at are of 32 bits to the kernel, so that the lower half is all there is to see. */
static void emit_load_argument(struct buf *program)
{
    uint32_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;
    emit(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                               (uint32_t)offsetof(struct seccomp_data, args) + low));
}

static void emit_leaf(struct buf *program, enum verdict verdict)
{
    if (verdict == REFUSE || verdict == ALLOW || verdict == NOT_THERE) {
        emit_return(program, verdict);
        return;
    }
    emit_load_argument(program);
    if (verdict == CHECK_CLONE) {
        emit(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACE_FLAGS, 1, 0));
        emit_return(program, ALLOW);
        emit_return(program, REFUSE);
    } else if (verdict ==
               CHECK_SOCKET) { /* virtual machine sockets are not confined by the network namespace */
        emit(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_VSOCK, 1, 0));
        emit_return(program, ALLOW);
        emit_return(program, REFUSE);
    } else {
        const uint8_t n = sizeof(PERSONALITIES) / sizeof(PERSONALITIES[0]);
        for (uint8_t i = 0; i < n; i++)
            emit(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PERSONALITIES[i],
                                                       (uint8_t)(n - i), 0));
        emit_return(program, REFUSE);
        emit_return(program, ALLOW);
    }
}

/* A binary search over runs of numbers with the same verdict, which begin at starts[first] to starts[last].
 */
static void emit_search(struct buf *program, const struct table *table, const uint16_t *starts, size_t first,
                        size_t last)
{
    if (first == last) {
        emit_leaf(program, (enum verdict)table->verdicts[starts[first]]);
        return;
    }
    size_t middle = first + (last - first + 1) / 2;
    auto_buf struct buf left = BUF_INIT;
    emit_search(&left, table, starts, first, middle - 1);
    uint32_t skip = (uint32_t)(left.size / sizeof(struct sock_filter));
    if (skip <= UINT8_MAX) {
        emit(program,
             (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, starts[middle], (uint8_t)skip, 0));
    } else { /* farther than a conditional jump reaches */
        emit(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, starts[middle], 0, 1));
        emit(program, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, skip));
    }
    program->failed |= left.failed;
    buf_add(program, left.data, left.size);
    emit_search(program, table, starts, middle, last);
}

static void emit_architecture(struct buf *program, uint32_t arch, uint64_t capabilities)
{
    struct table table;
    uint16_t starts[NUMBERS];
    size_t n = 0;
    auto_buf struct buf body = BUF_INIT;
    fill_table(&table, arch, capabilities);
    for (uint16_t nr = 0; nr < NUMBERS; nr++) {
        if (nr == 0 || table.verdicts[nr] != table.verdicts[nr - 1])
            starts[n++] = nr;
    }
    emit(&body, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    emit_search(&body, &table, starts, 0, n - 1);
    program->failed |= body.failed;
    if (program->failed)
        return;
    uint32_t size = (uint32_t)(body.size / sizeof(struct sock_filter));
    emit(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0));
    emit(program, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, size));
    buf_add(program, body.data, body.size);
}

uint64_t seccomp_relevant_capabilities(uint64_t capabilities)
{
    uint64_t relevant = 0;
    for (size_t i = 0; i < sizeof(WITH_CAPABILITY) / sizeof(WITH_CAPABILITY[0]); i++)
        relevant |= capabilities & UINT64_C(1) << WITH_CAPABILITY[i].capability;
    return relevant;
}

int seccomp_default_program(uint64_t capabilities, struct buf *ret, struct err *err)
{
    emit(ret, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    emit_architecture(ret, seccomp_arch_native(), capabilities);
#ifdef __x86_64__
    emit_architecture(ret, SCMP_ARCH_X86, capabilities); /* 32-bit programs */
#endif
    emit(ret, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    return ret->failed ? err_nomem(err, "building the system call filter") : 0;
}
