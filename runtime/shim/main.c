/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-shim - the parent of one container's first process, or of one more process in a container (an exec,
 * by a plan with PLAN_JOIN).
 *
 * Started by the runtime with a plan and descriptors (plan.h). It clones the process into its namespaces,
 * records who it is (`shim`), lets it go, answers the runtime, keeps its output in the log, hands on what
 * those who are attached type (streams.h), and when it has ended writes the exit record (`exit`) durably and
 * ends itself: its own end is the notification. It needs nobody: the runtime may die and come back.
 *
 * Failure modes: before the command runs, everything ends in a plan_status with the stage and errno, and the
 * records are taken back. A runtime that dies before it said go makes the shim give up. If the shim is
 * killed, PDEATHSIG kills the container.
 *
 * One thread; it waits in poll(2) only.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "runtime/shim/cri_log.h"
#include "runtime/shim/join.h"
#include "runtime/shim/record.h"
#include "runtime/shim/shim.h"
#include "runtime/shim/streams.h"

/* How soon a log that is held is looked at again without being told: a close is told of before it gives up
 * the file's locks, and of a lock given up otherwise nothing tells. */
#define HELD_AGAIN_MS 100
#define WAIT_PIDFD 3 /* P_PIDFD of waitid(2), which musl's headers of Debian 12 lack as a name */

struct shim {
    struct plan plan;
    void *plan_bytes;
    size_t plan_size;
    struct shim_record record;
    struct cri_log log;
    struct streams streams;
    int pid_fd;
    int out_fd;    /* with a terminal, until the command runs: the socket that its master comes over */
    int err_fd;    /* -1 with a terminal */
    int report_fd; /* -1 once the command runs */
    int exit_fd;
    int oom_fd;                /* -1 if nothing counts */
    uint64_t oom_kills_before; /* of a container whose cgroup this one joined */
    int64_t finished_at_ns;
    struct mapped_mounts mapped; /* with a user namespace, until the container has them */
    struct plan_failure failure;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Everything blocked: the shim cannot be ended but by SIGKILL. Ignored signals are inherited through
 * execve(2), so that the container would start with them: back to the defaults. By system calls, since musl
 * keeps three signals to itself. */
static void settle_signals(void)
{
    const uint64_t all = ~UINT64_C(0);
    const unsigned long by_default[4] = {0}; /* the kernel's struct sigaction, larger than it anywhere */
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
    for (int i = 1; i <= 64; i++)
        syscall(SYS_rt_sigaction, i, by_default, NULL, sizeof(all));
}

/* The shim outlives whoever started it, whose output would otherwise never end. */
static void leave_stdio(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3 && fd >= 0; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
}

static int load_plan(struct shim *shim)
{
    struct stat st;
    if (fstat(PLAN_FD_PLAN, &st) < 0)
        return fail(&shim->failure, PLAN_STAGE_PLAN, "");
    shim->plan_size = (size_t)st.st_size;
    shim->plan_bytes = mmap(NULL, shim->plan_size, PROT_READ, MAP_PRIVATE, PLAN_FD_PLAN, 0);
    if (shim->plan_bytes == MAP_FAILED)
        return fail(&shim->failure, PLAN_STAGE_PLAN, "");
    const char *why = plan_decode(&shim->plan, shim->plan_bytes, shim->plan_size);
    if (why != NULL) {
        errno = EINVAL;
        return fail(&shim->failure, PLAN_STAGE_PLAN, why);
    }
    close(PLAN_FD_PLAN);
    return 0;
}

static int read_start_ticks(const char *path, uint64_t *ret)
{
    char text[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    return proc_stat_start(text, ret) ? 0 : -1;
}

/* The exit record's space is taken now, so that a full disk later cannot keep the exit from being recorded.
 */
static int prepare_files(struct shim *shim)
{
    static const char zeros[RECORD_BYTES];
    const struct plan_header *header = &shim->plan.header;
    cri_log_init(&shim->log, PLAN_FD_DIR, header->log_max_bytes, header->log_files);
    shim->exit_fd = openat(PLAN_FD_DIR, "exit", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (shim->exit_fd < 0 || pwrite(shim->exit_fd, zeros, sizeof(zeros), 0) != RECORD_BYTES)
        return fail(&shim->failure, PLAN_STAGE_RECORD, "exit");
    if ((header->flags & (PLAN_INPUT | PLAN_TERMINAL)) != 0 &&
        streams_listen(&shim->streams, PLAN_FD_DIR) < 0)
        return fail(&shim->failure, PLAN_STAGE_RECORD, STREAMS_SOCKET);
    shim->record.incarnation = header->incarnation;
    shim->record.shim_pid = getpid();
    snprintf(shim->record.boot_id, sizeof(shim->record.boot_id), "%s", shim->plan.boot_id);
    return 0;
}

static int clone_container(const struct plan *plan, int *ret_pid_fd)
{
    struct clone_args args = {
        .flags = plan->header.clone_flags | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)ret_pid_fd,
        .exit_signal = SIGCHLD,
    };
    int cgroup_fd = -1;
    if ((plan->header.flags & PLAN_CGROUP2) != 0) {
        cgroup_fd = openat(PLAN_FD_CGROUPS, plan->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (cgroup_fd < 0)
            return -1;
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)cgroup_fd;
    }
    int pid = (int)syscall(SYS_clone3, &args, sizeof(args));
    if (cgroup_fd >= 0 && pid != 0) {
        int cause = errno;
        close(cgroup_fd);
        errno = cause;
    }
    return pid;
}

/* Both ends of everything between the two; [0] is the shim's but for the input. */
struct channels {
    int in[2], out[2], err[2], report[2], go[2];
};

static int make_channels(const struct plan *plan, struct channels *ret)
{
    uint32_t flags = plan->header.flags;
    *ret = (struct channels){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    if (pipe2(ret->report, O_CLOEXEC) < 0 || pipe2(ret->go, O_CLOEXEC) < 0)
        return -1;
    if ((flags & PLAN_TERMINAL) != 0)
        return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret->out);
    if (pipe2(ret->out, O_CLOEXEC) < 0 || pipe2(ret->err, O_CLOEXEC) < 0)
        return -1;
    return (flags & PLAN_INPUT) != 0 ? pipe2(ret->in, O_CLOEXEC) : 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void set_nonblocking(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* The container's ends are closed, or nobody would ever see end of file. */
static void keep_own_ends(struct shim *shim, const struct channels *channels)
{
    close_fd(channels->in[0]);
    close_fd(channels->out[1]);
    close_fd(channels->err[1]);
    close_fd(channels->report[1]);
    close_fd(channels->go[0]);
    shim->out_fd = channels->out[0];
    shim->err_fd = channels->err[0];
    shim->report_fd = channels->report[0];
    shim->streams.input_fd = channels->in[1];
    set_nonblocking(shim->out_fd);
    set_nonblocking(shim->err_fd);
    set_nonblocking(channels->in[1]);
}

/* One that joins finds it made. */
static bool makes_user_namespace(const struct shim *shim)
{
    return (shim->plan.header.flags & (PLAN_USER_NAMESPACE | PLAN_JOIN)) == PLAN_USER_NAMESPACE;
}

/* The shim's ends must not stay open in a child: it would never see end of file. */
static _Noreturn void become(const struct shim *shim, const struct channels *channels,
                             void (*go_on)(const struct plan *plan, const struct container_fds *fds))
{
    close(channels->go[1]);
    close_fd(channels->in[1]);
    struct container_fds fds = {channels->in[0],  channels->out[1],
                                channels->err[1], channels->report[1],
                                channels->go[0],  makes_user_namespace(shim) ? &shim->mapped : NULL};
    go_on(&shim->plan, &fds);
    _exit(1); /* it never returns */
}

/* The runtime says when the layers, and then when the cgroups are ready. If it is gone, so is this start. */
static int wait_for_runtime(struct shim *shim)
{
    char byte;
    ssize_t n = read(PLAN_FD_GO, &byte, 1);
    if (n == 1)
        return 0;
    if (n == 0)
        errno = EPIPE;
    return fail(&shim->failure, PLAN_STAGE_CGROUP, shim->plan.cgroup);
}

/* Into namespaces of its own, or into those that it shares. */
static int start_first(struct shim *shim, const struct channels *channels)
{
    bool mounts = makes_user_namespace(shim); /* otherwise the container does so itself */
    if (mounts &&
        (wait_for_runtime(shim) < 0 || user_namespace_mount(&shim->plan, &shim->mapped, &shim->failure) < 0))
        return -1;
    if (share_join(&shim->plan, CLONE_NEWPID, &shim->failure) < 0)
        return -1;
    FAULT_POINT(SHIM_BEFORE_CLONE);
    int pid = clone_container(&shim->plan, &shim->pid_fd);
    if (pid < 0)
        return fail(&shim->failure, PLAN_STAGE_CLONE, "");
    if (pid == 0)
        become(shim, channels, container_main);
    share_close(&shim->plan);
    if (mounts)
        user_namespace_unmount(&shim->mapped);
    return pid;
}

/* What the process that joins says to the shim when it has made the other, and ends. */
struct joined {
    int pid; /* 0: failure says why there is none */
    struct plan_failure failure;
};

/* A process that has joined stays outside the pid namespace itself; its clone is in it, and is the shim's
 * child (CLONE_PARENT). */
static _Noreturn void join(const struct shim *shim, const struct channels *channels, int to_fd)
{
    struct joined joined = {0};
    int first_fd = PLAN_FD_CGROUPS, target_fd = first_fd + (int)shim->plan.header.n_cgroups;
    /* the host's, which are nothing for a process that the container sees */
    close(PLAN_FD_DIR);
    close(PLAN_FD_STATUS);
    close(PLAN_FD_GO);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* cannot fail for a signal that there is */
    if (join_enter(&shim->plan, target_fd, first_fd, &joined.failure) == 0) {
        struct clone_args args = {.flags = CLONE_PARENT};
        joined.pid = (int)syscall(SYS_clone3, &args, sizeof(args));
        if (joined.pid == 0)
            become(shim, channels, joined_main);
        if (joined.pid < 0)
            joined.pid = fail(&joined.failure, PLAN_STAGE_CLONE, "") + 1;
    }
    _exit(write(to_fd, &joined, sizeof(joined)) == (ssize_t)sizeof(joined) ? 0 : 1);
}

/* Into a container that there is. */
static int start_joined(struct shim *shim, const struct channels *channels)
{
    int ends[2];
    struct joined joined = {0};
    siginfo_t info;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fail(&shim->failure, PLAN_STAGE_SHIM, "pipes");
    FAULT_POINT(SHIM_BEFORE_CLONE);
    int helper = fork();
    if (helper == 0)
        join(shim, channels, ends[1]);
    close(ends[1]);
    ssize_t n = helper < 0 ? -1 : read(ends[0], &joined, sizeof(joined));
    close(ends[0]);
    while (helper > 0 && waitid(P_PID, (id_t)helper, &info, WEXITED) < 0 && errno == EINTR)
        ;
    for (uint32_t i = 0; i <= shim->plan.header.n_cgroups; i++) {
        if (i != shim->plan.header.oom_cgroup) /* whose counter is opened later */
            close(PLAN_FD_CGROUPS + (int)i);
    }
    if (n != (ssize_t)sizeof(joined))
        return fail(&shim->failure, PLAN_STAGE_CLONE, "");
    shim->failure = joined.failure;
    if (joined.pid <= 0)
        return -1;
    /* our own child that nobody else reaps: the number cannot have changed hands */
    shim->pid_fd = (int)syscall(SYS_pidfd_open, joined.pid, 0);
    return shim->pid_fd < 0 ? fail(&shim->failure, PLAN_STAGE_CLONE, "") : joined.pid;
}

/* Who is root in a user namespace has no right to what the host's root made. */
static void give_pipes(const struct shim *shim, const struct channels *channels)
{
    const int pipes[] = {channels->in[0], channels->out[1], channels->err[1]};
    if ((shim->plan.header.flags & (PLAN_USER_NAMESPACE | PLAN_TERMINAL)) != PLAN_USER_NAMESPACE)
        return;
    for (size_t i = 0; i < sizeof(pipes) / sizeof(pipes[0]); i++)
        user_namespace_give(&shim->plan, pipes[i]);
}

static int start_container(struct shim *shim, int *ret_go_fd)
{
    struct channels channels;
    if (make_channels(&shim->plan, &channels) < 0 || fchdir(PLAN_FD_DIR) < 0)
        return fail(&shim->failure, PLAN_STAGE_SHIM, "pipes");
    give_pipes(shim, &channels);
    int pid = (shim->plan.header.flags & PLAN_JOIN) != 0 ? start_joined(shim, &channels)
                                                         : start_first(shim, &channels);
    if (pid < 0)
        return -1;
    FAULT_POINT(SHIM_CLONED);
    shim->record.pid = pid;
    keep_own_ends(shim, &channels);
    *ret_go_fd = channels.go[1];
    return 0;
}

/* The record of an exec is there as a whole or not at all, and who makes it first decides: a runtime that has
 * found none, and has claimed the name, starts the command anew, so that this one must not be executed. */
static int publish_record(void)
{
    int result = linkat(PLAN_FD_DIR, "shim.new", PLAN_FD_DIR, "shim", 0);
    int cause = errno;
    unlinkat(PLAN_FD_DIR, "shim.new", 0);
    errno = cause;
    return result;
}

static int write_record(struct shim *shim)
{
    bool joins = (shim->plan.header.flags & PLAN_JOIN) != 0;
    char path[40], bytes[RECORD_BYTES];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)shim->record.pid);
    if (read_start_ticks("/proc/self/stat", &shim->record.shim_start) < 0 ||
        read_start_ticks(path, &shim->record.pid_start) < 0)
        return fail(&shim->failure, PLAN_STAGE_RECORD, path);
    int fd = openat(PLAN_FD_DIR, joins ? "shim.new" : "shim", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return fail(&shim->failure, PLAN_STAGE_RECORD, "shim");
    shim->record.started_at_ns = now_ns();
    shim_record_format(bytes, &shim->record);
    if (write(fd, bytes, sizeof(bytes)) != RECORD_BYTES)
        return fail(&shim->failure, PLAN_STAGE_RECORD, "shim");
    close(fd);
    return joins && publish_record() < 0 ? fail(&shim->failure, PLAN_STAGE_RECORD, "shim") : 0;
}

/* "oom_kill N" in v1's memory.oom_control and v2's memory.events alike. */
static uint64_t count_oom_kills(const struct shim *shim)
{
    char text[1024];
    ssize_t n = shim->oom_fd < 0 ? -1 : pread(shim->oom_fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *at = strstr(text, "oom_kill ");
    return at != NULL ? strtoull(at + strlen("oom_kill "), NULL, 10) : 0;
}

static void open_oom_counter(struct shim *shim)
{
    const struct plan_header *header = &shim->plan.header;
    if (header->oom_cgroup >= header->n_cgroups)
        return;
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", shim->plan.cgroup != NULL ? shim->plan.cgroup : ".",
             (header->flags & PLAN_CGROUP2) != 0 ? "memory.events" : "memory.oom_control");
    shim->oom_fd = openat(PLAN_FD_CGROUPS + (int)header->oom_cgroup, path, O_RDONLY | O_CLOEXEC);
    shim->oom_kills_before = count_oom_kills(shim);
}

static void answer(const struct shim *shim, bool ok)
{
    struct plan_status status = {
        .ok = ok ? 1 : 0,
        .pid = shim->record.pid,
        .pid_start = shim->record.pid_start,
        .shim_start = shim->record.shim_start,
        .started_at_ns = shim->record.started_at_ns,
        .failure = shim->failure,
    };
    /* The runtime may be gone: it will read the records instead. */
    ssize_t n = write(PLAN_FD_STATUS, &status, sizeof(status));
    (void)n;
    close(PLAN_FD_STATUS);
}

/* A container that is gone has reported why. */
static int let_go(struct shim *shim, int go_fd)
{
    if (write(go_fd, "g", 1) != 1 && errno != EPIPE)
        return fail(&shim->failure, PLAN_STAGE_SHIM, "go");
    return 0;
}

/* The runtime's first byte is handed on to the container, which mounts then; with a user namespace it has
 * been waited for. */
static int let_mount(struct shim *shim, int go_fd)
{
    int result = makes_user_namespace(shim)
                     ? user_namespace_begin(&shim->plan, (int)shim->record.pid, &shim->failure)
                     : wait_for_runtime(shim);
    return result < 0 ? -1 : let_go(shim, go_fd);
}

/* And the second one. */
static int let_run(struct shim *shim, int go_fd)
{
    if (wait_for_runtime(shim) < 0 ||
        (makes_user_namespace(shim) &&
         user_namespace_join_cgroups(&shim->plan, (int)shim->record.pid, &shim->failure) < 0))
        return -1;
    return let_go(shim, go_fd);
}

/* The files are made while the container mounts. */
static int launch(struct shim *shim)
{
    int go_fd = -1;
    if (load_plan(shim) < 0 || start_container(shim, &go_fd) < 0)
        return -1;
    int result = let_mount(shim, go_fd);
    if (result == 0)
        result = prepare_files(shim);
    FAULT_POINT(SHIM_BEFORE_RECORD);
    if (result == 0)
        result = write_record(shim);
    FAULT_POINT(SHIM_AFTER_RECORD);
    if (result == 0)
        result = let_run(shim, go_fd);
    FAULT_POINT(SHIM_LET_GO);
    close(go_fd);
    return result;
}

/* Reads once from a stream; returns as read(2). */
static ssize_t drain_once(struct shim *shim, int fd, const char *stream)
{
    char data[CRI_READ_MAX];
    ssize_t n = fd < 0 ? 0 : read(fd, data, sizeof(data));
    if (n > 0)
        cri_log_add(&shim->log, stream, now_ns(), data, (size_t)n);
    return n;
}

/* The same for one that poll(2) found ready; false at its end, which for a terminal is EIO. */
static bool drain_ready(struct shim *shim, int fd, const char *stream)
{
    ssize_t n = drain_once(shim, fd, stream);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* The command runs with the terminal, so its master has been sent. */
static void take_terminal(struct shim *shim)
{
    int master = terminal_receive(shim->out_fd);
    close(shim->out_fd);
    set_nonblocking(master);
    shim->out_fd = shim->streams.input_fd = master;
    shim->streams.terminal = true;
}

/* The command runs (end of file), or says why it does not. */
static bool hear_report(struct shim *shim)
{
    struct plan_failure failure;
    ssize_t n = read(shim->report_fd, &failure, sizeof(failure));
    close(shim->report_fd);
    shim->report_fd = -1;
    if (n == (ssize_t)sizeof(failure)) {
        shim->failure = failure;
        shim->failure.subject[sizeof(failure.subject) - 1] = '\0';
        return false;
    }
    if ((shim->plan.header.flags & PLAN_TERMINAL) != 0)
        take_terminal(shim);
    FAULT_POINT(SHIM_BEFORE_ANSWER);
    answer(shim, true);
    FAULT_POINT(SHIM_ANSWERED);
    open_oom_counter(shim);
    plan_release(&shim->plan);
    munmap(shim->plan_bytes, shim->plan_size);
    close(PLAN_FD_GO);
    return true;
}

enum { ON_REPORT, ON_END, ON_LOG, ON_OUT, ON_ERR, ON_STREAMS };

/* The output's descriptors once more: a terminal's came with the report. */
static void react_to_output(struct shim *shim, const struct pollfd *found)
{
    if (found[ON_OUT].revents != 0 && !drain_ready(shim, shim->out_fd, "stdout")) {
        if (shim->streams.terminal)
            streams_close_input(&shim->streams);
        close(shim->out_fd);
        shim->out_fd = -1;
    }
    if (found[ON_ERR].revents != 0 && !drain_ready(shim, shim->err_fd, "stderr")) {
        close(shim->err_fd);
        shim->err_fd = -1;
    }
}

/* Until the process has ended; false if the command could not be executed. Before it runs, a terminal's
 * output is no output yet. Output that would push out of the log what somebody has yet to read waits, but not
 * beyond the end, when the pipes' contents are all there is to come. */
static bool attend(struct shim *shim)
{
    struct pollfd found[ON_STREAMS + STREAMS_POLL_MAX];
    bool terminal = (shim->plan.header.flags & PLAN_TERMINAL) != 0;
    while (shim->finished_at_ns == 0) {
        bool held = cri_log_is_held(&shim->log);
        bool wait = held || (terminal && shim->report_fd >= 0);
        found[ON_REPORT] = (struct pollfd){.fd = shim->report_fd, .events = POLLIN};
        found[ON_END] = (struct pollfd){.fd = shim->pid_fd, .events = POLLIN};
        found[ON_OUT] = (struct pollfd){.fd = wait ? -1 : shim->out_fd, .events = POLLIN};
        found[ON_ERR] = (struct pollfd){.fd = held ? -1 : shim->err_fd, .events = POLLIN};
        found[ON_LOG] = (struct pollfd){.fd = held ? shim->log.watch_fd : -1, .events = POLLIN};
        size_t n = ON_STREAMS + streams_prepare(&shim->streams, found + ON_STREAMS);
        if (poll(found, n, held ? HELD_AGAIN_MS : -1) < 0)
            continue;
        if (found[ON_REPORT].revents != 0 && !hear_report(shim))
            return false;
        if (found[ON_END].revents != 0)
            shim->finished_at_ns = now_ns();
        react_to_output(shim, found);
        streams_react(&shim->streams, found + ON_STREAMS);
    }
    while (drain_once(shim, shim->out_fd, "stdout") > 0)
        ;
    while (drain_once(shim, shim->err_fd, "stderr") > 0)
        ;
    return true;
}

static void record_exit(struct shim *shim)
{
    siginfo_t info = {0};
    char bytes[RECORD_BYTES];
    FAULT_POINT(SHIM_EXIT_SEEN);
    while (waitid((idtype_t)WAIT_PIDFD, (id_t)shim->pid_fd, &info, WEXITED) < 0 && errno == EINTR)
        ;
    FAULT_POINT(SHIM_EXIT_REAPED);
    bool exited = info.si_code == CLD_EXITED;
    struct exit_record record = {
        .incarnation = shim->record.incarnation,
        .exit_code = exited ? info.si_status : 128 + info.si_status,
        .signal = exited ? 0 : info.si_status,
        .oom_killed = count_oom_kills(shim) > shim->oom_kills_before,
        .finished_at_ns = shim->finished_at_ns,
        .log_lost_bytes = shim->log.lost_bytes,
        .shim_pid = shim->record.shim_pid,
        .pid = shim->record.pid,
        .started_at_ns = shim->record.started_at_ns,
    };
    exit_record_format(bytes, &record);
    ssize_t n = pwrite(shim->exit_fd, bytes, sizeof(bytes), 0);
    FAULT_POINT(SHIM_EXIT_WRITTEN);
    if (n == RECORD_BYTES)
        fdatasync(shim->exit_fd);
    FAULT_POINT(SHIM_EXIT_DURABLE);
}

/* Nothing of a start that failed may look like a container that ran. */
static int give_up(struct shim *shim)
{
    if (shim->pid_fd >= 0) {
        siginfo_t info;
        kill((pid_t)shim->record.pid, SIGKILL);
        while (waitid((idtype_t)WAIT_PIDFD, (id_t)shim->pid_fd, &info, WEXITED) < 0 && errno == EINTR)
            ;
    }
    unlinkat(PLAN_FD_DIR, "shim", 0);
    unlinkat(PLAN_FD_DIR, "exit", 0);
    unlinkat(PLAN_FD_DIR, STREAMS_SOCKET, 0);
    answer(shim, false);
    return 1;
}

int main(void)
{
    /* Beyond the stack's first pages only what is touched costs memory. */
    static struct shim shim = {.pid_fd = -1,
                               .out_fd = -1,
                               .err_fd = -1,
                               .report_fd = -1,
                               .exit_fd = -1,
                               .oom_fd = -1,
                               .streams = STREAMS_INIT};
    settle_signals();
    prctl(PR_SET_NAME, "wharf-shim"); /* executed by descriptor, it may be named by its number */
    leave_stdio();
    setsid();
    if (launch(&shim) < 0 || !attend(&shim))
        return give_up(&shim);
    cri_log_close(&shim.log);
    record_exit(&shim);
    return 0;
}
