/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-init - makes and becomes the first process of a container that wharf-oci creates.
 *
 *     wharf-init BASE      the descriptors of enum init_fd are at BASE; those below are the container's
 *
 * It joins the cgroups and the namespaces that the config names by path, and clones itself into the new ones
 * as a sibling (CLONE_PARENT), so that whoever called wharf-oci can become the parent; then it ends, and the
 * sibling goes on: mounts, an answer, hooks, the new root, the terminal, an answer, and a wait for somebody
 * to connect to the socket that `wharf oci start` knows. Only then it gives up its rights and executes the
 * command: an end of file on that connection is the proof that the command runs, and a message says why it
 * does not.
 *
 * Failure modes: while the creator has not confirmed what was reported last, its end ends this process, and
 * with it the container. It runs from a sealed copy in memory, so that nothing in the container can reach a
 * file of the host through /proc/PID/exe (CVE-2019-5736).
 *
 * One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41) /* ioctl_tty(2); not in musl's headers of Debian 12 */
#endif

struct init {
    int base;
    struct plan plan;
    struct plan_failure failure;
    char state[INIT_STATE_MAX + 1]; /* what hooks are told */
    size_t state_size;
};

static int init_fd(const struct init *init, enum init_fd which)
{
    return init->base + (int)which;
}

static int load_plan(struct init *init)
{
    struct stat st;
    int fd = init_fd(init, INIT_FD_PLAN);
    if (fstat(fd, &st) < 0)
        return fail(&init->failure, PLAN_STAGE_PLAN, "");
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return fail(&init->failure, PLAN_STAGE_PLAN, "");
    const char *why = plan_decode(&init->plan, bytes, (size_t)st.st_size);
    if (why == NULL && (init->plan.header.flags & PLAN_INIT) == 0)
        why = "it is for a shim";
    errno = EINVAL;
    return why == NULL ? 0 : fail(&init->failure, PLAN_STAGE_PLAN, why);
}

static int tell(const struct init *init, int fd, enum init_event event, int pid)
{
    struct init_message message = {.event = (uint32_t)event, .pid = pid, .failure = init->failure};
    return send(fd, &message, sizeof(message), MSG_NOSIGNAL) == (ssize_t)sizeof(message) ? 0 : -1;
}

static _Noreturn void end_failed(const struct init *init, int fd)
{
    tell(init, fd, INIT_FAILED, 0);
    _exit(1);
}

/* The answer is the state that hooks are given. A creator that is gone has no more use for us. */
static void hear(struct init *init, int fd)
{
    ssize_t n;
    do {
        n = recv(fd, init->state, INIT_STATE_MAX, 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        _exit(1);
    init->state_size = (size_t)n;
}

/* --- before the clone --- */

static int join_cgroups(struct init *init)
{
    for (uint32_t i = 0; i < init->plan.header.n_cgroups; i++) {
        int dir_fd = init_fd(init, INIT_FD_CGROUPS) + (int)i;
        int fd = openat(dir_fd, "tasks", O_WRONLY | O_CLOEXEC); /* v1; v2 has no such file */
        if (fd < 0)
            fd = openat(dir_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1)
            return fail(&init->failure, PLAN_STAGE_CGROUP, "");
        close(fd);
        close(dir_fd);
    }
    return 0;
}

static int join_namespaces(struct init *init)
{
    struct plan_join join;
    size_t cursor = 0;
    while (plan_next_namespace(&init->plan, &cursor, &join)) {
        int fd = open(join.path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, (int)join.flag) < 0)
            return fail(&init->failure, PLAN_STAGE_NAMESPACE, join.path);
        close(fd);
    }
    return 0;
}

/* --- after it --- */

static int set_names(struct init *init)
{
    const struct plan *plan = &init->plan;
    if (plan->hostname != NULL && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
        return fail(&init->failure, PLAN_STAGE_HOSTNAME, plan->hostname);
    if (plan->domain_name != NULL && setdomainname(plan->domain_name, strlen(plan->domain_name)) < 0)
        return fail(&init->failure, PLAN_STAGE_HOSTNAME, plan->domain_name);
    return 0;
}

static int write_proc(const char *path, const char *value)
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

/* Through the host's /proc, which shows each process its own namespaces, while it is still there. */
static int set_sysctls(struct init *init)
{
    struct plan_sysctl sysctl;
    size_t cursor = 0;
    char path[512];
    while (plan_next_sysctl(&init->plan, &cursor, &sysctl)) {
        snprintf(path, sizeof(path), "/proc/sys/%s", sysctl.path);
        if (write_proc(path, sysctl.value) < 0)
            return fail(&init->failure, PLAN_STAGE_SYSCTL, sysctl.path);
    }
    char score[16];
    snprintf(score, sizeof(score), "%d", init->plan.header.oom_score_adj);
    if ((init->plan.header.flags & PLAN_OOM_SCORE) != 0 && write_proc("/proc/self/oom_score_adj", score) < 0)
        return fail(&init->failure, PLAN_STAGE_SYSCTL, "oom_score_adj");
    return 0;
}

static int run_hooks(struct init *init, enum plan_hook_stage stage)
{
    static struct plan_hook_call hook; /* too large for the stack of every other container */
    size_t cursor = 0;
    char why[64], text[sizeof(init->failure.subject)];
    while (plan_next_hook(&init->plan, &cursor, &hook)) {
        if (hook.stage != stage || hook_run(&hook, init->state, init->state_size, why) == 0)
            continue;
        snprintf(text, sizeof(text), "%.180s%s%s", hook.path, why[0] == '\0' ? "" : "': '", why);
        return fail(&init->failure, PLAN_STAGE_HOOK, text);
    }
    return 0;
}

static int send_descriptor(int to_fd, int fd)
{
    char name[] = "/dev/ptmx";
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = name, .iov_len = sizeof(name) - 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(int));
    return sendmsg(to_fd, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The terminal is the container's own, and its other end is opened through the first, by no path. */
static int open_terminal(struct init *init, int root_fd)
{
    const struct plan_header *header = &init->plan.header;
    int unlocked = 0;
    if ((header->flags & PLAN_TERMINAL) == 0)
        return 0;
    int master = open_in_root(root_fd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        return fail(&init->failure, PLAN_STAGE_TERMINAL, "/dev/pts/ptmx");
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct winsize size = {.ws_row = header->console_rows, .ws_col = header->console_columns};
    if (slave < 0 || (size.ws_row != 0 && ioctl(slave, TIOCSWINSZ, &size) < 0) ||
        fchown(slave, header->uid, (gid_t)-1) < 0)
        return fail(&init->failure, PLAN_STAGE_TERMINAL, "/dev/pts");
    int console_fd = open_file_in_root(root_fd, "/dev/console");
    int tree_fd = console_fd < 0 ? -1
                                 : (int)syscall(SYS_open_tree, slave, "",
                                                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree_fd < 0 || mount_move(tree_fd, console_fd) < 0)
        return fail(&init->failure, PLAN_STAGE_TERMINAL, "/dev/console");
    if (send_descriptor(init_fd(init, INIT_FD_CONSOLE), master) < 0)
        return fail(&init->failure, PLAN_STAGE_TERMINAL, "console socket");
    if (ioctl(slave, TIOCSCTTY, 0) < 0 || dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0)
        return fail(&init->failure, PLAN_STAGE_TERMINAL, "standard streams");
    close(tree_fd);
    close(console_fd);
    close(slave);
    close(master);
    return 0;
}

/* The container's user may open its streams again through /dev/stdout. What cannot change hands stays. */
static void give_streams(const struct init *init)
{
    struct stat st;
    for (int fd = 0; fd < 3 && init->plan.header.uid != 0; fd++) {
        if (fstat(fd, &st) == 0 && !S_ISCHR(st.st_mode) && fchown(fd, init->plan.header.uid, (gid_t)-1) < 0)
            continue;
    }
}

static int build(struct init *init)
{
    struct mount_work work = MOUNT_WORK_INIT(&init->plan, &init->failure);
    int sync_fd = init_fd(init, INIT_FD_SYNC);
    if (setsid() < 0 && errno != EPERM)
        return fail(&init->failure, PLAN_STAGE_SHIM, "session");
    if (set_names(init) < 0)
        return -1;
    if ((init->plan.header.flags & PLAN_LOOPBACK) != 0 && process_bring_loopback_up(&init->failure) < 0)
        return -1;
    if (mounts_make(&work) < 0 || set_sysctls(init) < 0)
        return -1;
    tell(init, sync_fd, INIT_MOUNTED, 0);
    hear(init, sync_fd);
    if (run_hooks(init, PLAN_HOOK_CREATE_CONTAINER) < 0 || open_terminal(init, work.root_fd) < 0 ||
        mounts_enter(&work) < 0)
        return -1;
    give_streams(init);
    if (init->plan.argv[0] != NULL && process_find_command(&init->plan) < 0)
        return fail(&init->failure, PLAN_STAGE_EXEC, init->plan.argv[0]);
    return 0;
}

/* What connects wants the container to start; what goes away again has changed its mind. */
static int wait_for_start(struct init *init)
{
    for (;;) {
        int fd = accept4(init_fd(init, INIT_FD_START), NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t n = recv(fd, init->state, INIT_STATE_MAX, 0);
        if (n > 0) {
            init->state_size = (size_t)n;
            return fd;
        }
        close(fd);
    }
}

static int become_command(struct init *init)
{
    if (init->plan.argv[0] == NULL) {
        errno = EINVAL;
        return fail(&init->failure, PLAN_STAGE_EXEC, "");
    }
    if (run_hooks(init, PLAN_HOOK_START_CONTAINER) < 0 || process_set_limits(&init->plan, &init->failure) < 0)
        return -1;
    /* The numbers below are what the container is to have; they came without close-on-exec. */
    if (syscall(SYS_close_range, (unsigned)init->base, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return fail(&init->failure, PLAN_STAGE_SHIM, "descriptors");
    if (process_become_user(&init->plan, &init->failure) < 0 ||
        process_load_filter(&init->plan, &init->failure) < 0)
        return -1;
    process_execute(&init->plan);
    return fail(&init->failure, PLAN_STAGE_EXEC, init->plan.argv[0]);
}

static _Noreturn void container(struct init *init)
{
    int sync_fd = init_fd(init, INIT_FD_SYNC);
    hear(init, sync_fd);
    if (build(init) < 0)
        end_failed(init, sync_fd);
    tell(init, sync_fd, INIT_READY, 0);
    hear(init, sync_fd);
    close(sync_fd);
    int fd = wait_for_start(init);
    close(init_fd(init, INIT_FD_START));
    become_command(init);
    end_failed(init, fd);
}

static void settle(int base)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 1; i < 32; i++)
        signal(i, SIG_DFL);
    prctl(PR_SET_NAME, "wharf-init"); /* executed by descriptor, it would be named by its number */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    syscall(SYS_close_range, (unsigned)base, ~0u, CLOSE_RANGE_CLOEXEC);
}

int main(int argc, char **argv)
{
    static struct init init;
    init.base = argc > 1 ? atoi(argv[1]) : 0;
    if (init.base < 3)
        return 2;
    settle(init.base);
    int sync_fd = init_fd(&init, INIT_FD_SYNC);
    hear(&init, sync_fd); /* the cgroups are ready */
    if (load_plan(&init) < 0 || join_cgroups(&init) < 0 || join_namespaces(&init) < 0)
        end_failed(&init, sync_fd);
    struct clone_args args = {.flags = init.plan.header.clone_flags | CLONE_PARENT};
    int pid = (int)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        container(&init);
    if (pid < 0) {
        fail(&init.failure, PLAN_STAGE_CLONE, "");
        end_failed(&init, sync_fd);
    }
    return tell(&init, sync_fd, INIT_CLONED, pid) < 0 ? 1 : 0;
}
