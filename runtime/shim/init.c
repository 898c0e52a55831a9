/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-init - makes and becomes the first process of a container that wharf-oci creates.
 *
 *     wharf-init BASE      the descriptors of enum init_fd are at BASE; those below are the container's
 *
 * It joins the cgroups and the namespaces that the config names by path, opens what can be opened by the
 * host's root only, and clones itself into the new ones
 * as a sibling (CLONE_PARENT), so that whoever called wharf-oci can become the parent; then it ends, and the
 * sibling goes on: mounts, an answer, hooks, the new root, the terminal, an answer, and a wait for somebody
 * to connect to the socket that `wharf oci start` knows. Only then it gives up its rights and executes the
 * command: an end of file on that connection is the proof that the command runs, and a message says why it
 * does not. With PLAN_JOIN it becomes one more process of a container that there is (join.h).
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

#include "base/defence.h"
#include "runtime/shim/join.h"
#include "runtime/shim/shim.h"

struct init {
    int base;
    struct plan plan;
    struct plan_failure failure;
    char state[INIT_STATE_MAX + 1]; /* what hooks are told */
    size_t state_size;
    int sources[PLAN_MAX_SOURCES]; /* with PLAN_EARLY_SOURCES */
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
    close(fd);
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

/* The user namespace last: it takes the rights over the host away. */
static int join_namespaces(struct init *init, bool user)
{
    struct plan_join join;
    size_t cursor = 0;
    while (plan_next_namespace(&init->plan, &cursor, &join)) {
        if ((join.flag == CLONE_NEWUSER) != user)
            continue;
        int fd = open(join.path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, (int)join.flag) < 0)
            return fail(&init->failure, PLAN_STAGE_NAMESPACE, join.path);
        close(fd);
    }
    return 0;
}

/* Offsets can be set until the first process is in it (time_namespaces(7)), which will be our clone. */
static int make_time_namespace(struct init *init)
{
    const char *offsets = init->plan.time_offsets;
    if (offsets == NULL)
        return 0;
    if (unshare(CLONE_NEWTIME) < 0)
        return fail(&init->failure, PLAN_STAGE_TIME_NAMESPACE, "");
    if (offsets[0] != '\0' && process_write_file("/proc/self/timens_offsets", offsets) < 0)
        return fail(&init->failure, PLAN_STAGE_TIME_NAMESPACE, "offsets");
    return 0;
}

/* What a user namespace would have no right to is set here, and inherited. */
static int prepare(struct init *init)
{
    const struct plan *plan = &init->plan;
    if (join_cgroups(plan, init_fd(init, INIT_FD_CGROUPS), &init->failure) < 0 ||
        process_set_oom_score(plan, &init->failure) < 0 || make_time_namespace(init) < 0 ||
        join_namespaces(init, false) < 0)
        return -1;
    process_raise_limits(plan, 0);
    if ((plan->header.flags & PLAN_EARLY_SOURCES) != 0 &&
        sources_open(plan, init->sources, &init->failure) < 0)
        return -1;
    return join_namespaces(init, true);
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

static int run_hooks(struct init *init, enum plan_hook_stage stage)
{
    static struct plan_hook_call hook; /* too large for the stack of every other container */
    size_t cursor = 0;
    char why[64], text[sizeof(init->failure.subject)];
    while (plan_next_hook(&init->plan, &cursor, &hook)) {
        if (hook.stage != stage || hook_run(&hook, init->state, init->state_size, why) == 0)
            continue;
        snprintf(text, sizeof(text), "%s': '%.160s%s%s",
                 stage == PLAN_HOOK_CREATE_CONTAINER ? "createContainer" : "startContainer", hook.path,
                 why[0] == '\0' ? "" : "': '", why);
        return fail(&init->failure, PLAN_STAGE_HOOK, text);
    }
    return 0;
}

static int open_terminal(struct init *init, int root_fd)
{
    if ((init->plan.header.flags & PLAN_TERMINAL) == 0)
        return 0;
    return terminal_open(&init->plan, root_fd, true, init_fd(init, INIT_FD_CONSOLE), &init->failure);
}

static int build(struct init *init)
{
    struct mount_work work = MOUNT_WORK_INIT(&init->plan, &init->failure);
    if ((init->plan.header.flags & PLAN_EARLY_SOURCES) != 0)
        work.sources = init->sources;
    int sync_fd = init_fd(init, INIT_FD_SYNC);
    if (DEFENDED(OWN_SESSION) && setsid() < 0 && errno != EPERM)
        return fail(&init->failure, PLAN_STAGE_SHIM, "session");
    if (set_names(init) < 0)
        return -1;
    if ((init->plan.header.flags & PLAN_LOOPBACK) != 0 && process_bring_loopback_up(&init->failure) < 0)
        return -1;
    if (mounts_make(&work) < 0 ||
        (DEFENDED(HOST_PROC) && kernel_set_parameters(&init->plan, &init->failure) < 0))
        return -1;
    tell(init, sync_fd, INIT_MOUNTED, 0);
    hear(init, sync_fd);
    /* Mounting has led into the container's root: its files are nothing for a hook of the host's to begin in.
     */
    if (chdir("/") < 0)
        return fail(&init->failure, PLAN_STAGE_HOOK, "/");
    if (run_hooks(init, PLAN_HOOK_CREATE_CONTAINER) < 0 || open_terminal(init, work.root_fd) < 0 ||
        mounts_enter(&work) < 0)
        return -1;
    if (!DEFENDED(HOST_PROC) && kernel_set_parameters(&init->plan, &init->failure) < 0)
        return -1;
    process_give_streams(&init->plan);
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

static int become_command(struct init *init, int start_fd)
{
    if (init->plan.argv[0] == NULL) {
        errno = EINVAL;
        return fail(&init->failure, PLAN_STAGE_EXEC, "");
    }
    if (run_hooks(init, PLAN_HOOK_START_CONTAINER) < 0 || scheduling_apply(&init->plan, &init->failure) < 0 ||
        process_set_limits(&init->plan, &init->failure) < 0)
        return -1;
    /* The numbers below are what the container is to have; they came without close-on-exec. */
    if (process_close_on_exec((unsigned)init->base, &init->failure) < 0 ||
        process_set_labels(&init->plan, &init->failure) < 0 ||
        process_become_user(&init->plan, &init->failure) < 0 || process_hide(&init->failure) < 0)
        return -1;
    return filter_and_execute(&init->plan, start_fd, &init->failure);
}

static void container(struct init *init)
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
    become_command(init, fd);
    end_failed(init, fd);
}

/* Descriptors from the base on are closed by execve(2), those below are the command's. */
static int become_joined(struct init *init)
{
    const struct plan *plan = &init->plan;
    int console_fd = init_fd(init, INIT_FD_CONSOLE);
    if (join_place(plan, console_fd, &init->failure) < 0)
        return -1;
    close(console_fd);
    process_give_streams(plan);
    if (scheduling_apply(plan, &init->failure) < 0 || process_set_limits(plan, &init->failure) < 0 ||
        process_close_on_exec((unsigned)init->base, &init->failure) < 0 ||
        process_set_labels(plan, &init->failure) < 0 || process_become_user(plan, &init->failure) < 0 ||
        process_hide(&init->failure) < 0)
        return -1;
    return filter_and_execute(plan, init_fd(init, INIT_FD_SYNC), &init->failure);
}

static void joined(struct init *init)
{
    int sync_fd = init_fd(init, INIT_FD_SYNC);
    hear(init, sync_fd);
    become_joined(init);
    end_failed(init, sync_fd);
}

static void settle(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 1; i < 32; i++)
        signal(i, SIG_DFL);
    prctl(PR_SET_NAME, "wharf-init"); /* executed by descriptor, it would be named by its number */
}

/* The sibling goes on with `go_on`; this process ends. */
static int clone_sibling(struct init *init, uint64_t flags, void (*go_on)(struct init *init))
{
    int sync_fd = init_fd(init, INIT_FD_SYNC);
    struct clone_args args = {.flags = flags | CLONE_PARENT};
    int pid = (int)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        go_on(init);
    if (pid < 0) {
        fail(&init->failure, PLAN_STAGE_CLONE, "");
        end_failed(init, sync_fd);
    }
    return tell(init, sync_fd, INIT_CLONED, pid) < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct init init;
    init.base = argc > 1 ? atoi(argv[1]) : 0;
    if (init.base < 3)
        return 2;
    settle();
    int sync_fd = init_fd(&init, INIT_FD_SYNC);
    if (process_hide(&init.failure) < 0 || process_close_on_exec((unsigned)init.base, &init.failure) < 0)
        end_failed(&init, sync_fd);
    hear(&init, sync_fd); /* the cgroups are ready */
    if (load_plan(&init) < 0)
        end_failed(&init, sync_fd);
    const struct plan *plan = &init.plan;
    /* Whatever else a caller left open. */
    if (DEFENDED(CLOSED_DESCRIPTORS))
        syscall(SYS_close_range, (unsigned)init_fd(&init, INIT_FD_CGROUPS) + plan->header.n_cgroups, ~0u, 0);
    if ((plan->header.flags & PLAN_JOIN) != 0) {
        if (join_enter(plan, init_fd(&init, INIT_FD_TARGET), init_fd(&init, INIT_FD_CGROUPS), &init.failure) <
            0)
            end_failed(&init, sync_fd);
        return clone_sibling(&init, 0, joined);
    }
    if (prepare(&init) < 0)
        end_failed(&init, sync_fd);
    return clone_sibling(&init, plan->header.clone_flags, container);
}
