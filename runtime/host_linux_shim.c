/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a shim, and its answer: a pipe for it, and a pidfd on the shim for the rest of its life.
 *
 * Failure modes: what fails before the shim exists is answered at once. Afterwards the shim is never waited
 * for without the certainty that it ends: closing `go` makes it give up.
 */
#include "runtime/host_linux_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"

/* --- the answer --- */

static const char *const STAGES[PLAN_STAGES] = {
    [PLAN_STAGE_SHIM] = "cannot set the container's first process up",
    [PLAN_STAGE_PLAN] = "the shim does not understand its plan",
    [PLAN_STAGE_CLONE] = "cannot make the container's namespaces",
    [PLAN_STAGE_RECORD] = "cannot write the container's record",
    [PLAN_STAGE_ROOT] = "cannot mount the container's root",
    [PLAN_STAGE_MOUNT] = "cannot mount in the container",
    [PLAN_STAGE_DEVICE] = "cannot make a device in the container",
    [PLAN_STAGE_MASK] = "cannot protect a path in the container",
    [PLAN_STAGE_NETWORK] = "cannot bring the loopback interface up",
    [PLAN_STAGE_HOSTNAME] = "cannot set the host name",
    [PLAN_STAGE_WORKDIR] = "cannot enter the working directory",
    [PLAN_STAGE_CGROUP] = "cannot join the container's cgroup",
    [PLAN_STAGE_RLIMIT] = "cannot set the resource limit",
    [PLAN_STAGE_CREDENTIALS] = "cannot become the container's user",
    [PLAN_STAGE_SECCOMP] = "cannot load the system call filter",
    [PLAN_STAGE_EXEC] = "cannot run",
    [PLAN_STAGE_NAMESPACE] = "cannot join the namespace",
    [PLAN_STAGE_SYSCTL] = "cannot set the kernel parameter",
    [PLAN_STAGE_HOOK] = "the hook failed:",
    [PLAN_STAGE_TERMINAL] = "cannot make the terminal",
    [PLAN_STAGE_USER_NAMESPACE] = "cannot make the user namespace",
    [PLAN_STAGE_COPY_UP] = "cannot copy what the tmpfs hides, on",
};

static void set_failed(struct host_launched *result, int exit_code, const char *code)
{
    result->ok = false;
    result->exit_code = exit_code;
    result->code = code;
}

static void explain_exec(struct host_launched *result, const char *command, int cause)
{
    const char *place = result->exec_id[0] != '\0' ? "container" : "image";
    if (cause == ENOENT || cause == ENOTDIR) {
        set_failed(result, 127, "command-not-found");
        if (strchr(command, '/') == NULL)
            snprintf(result->message, sizeof(result->message), "cannot run '%s': not found in the %s's PATH",
                     command, place);
        else
            snprintf(result->message, sizeof(result->message),
                     "cannot run '%s': the %s has no such file, or not the interpreter it needs", command,
                     place);
        return;
    }
    set_failed(result, 126, "not-executable");
    const char *why = cause == EACCES ? "it is not an executable file, or the user may not execute it"
                      : cause == ENOEXEC
                          ? "it is neither a program for this machine nor a script that begins with #!"
                          : strerror(cause);
    snprintf(result->message, sizeof(result->message), "cannot run '%s': %s", command, why);
}

/* The kernel says no more than that it is no valid argument. */
static void explain_id_map(struct host_launched *result, const struct plan_failure *failure)
{
    set_failed(result, 125, "ids-not-mapped");
    snprintf(
        result->message, sizeof(result->message),
        "cannot map the ids of what is mounted on '%s': %s; a user namespace needs Linux 5.19 or newer, and "
        "images, containers and volumes on a file system that can be mapped, such as ext4, xfs or btrfs",
        failure->subject, strerror(failure->cause));
}

static void explain(struct host_launched *result, const struct plan_failure *failure)
{
    if (failure->stage == PLAN_STAGE_EXEC) {
        explain_exec(result, failure->subject, failure->cause);
        return;
    }
    if (failure->stage == PLAN_STAGE_ID_MAP) {
        explain_id_map(result, failure);
        return;
    }
    const char *what = failure->stage < PLAN_STAGES ? STAGES[failure->stage] : NULL;
    set_failed(result, 125, "setup-failed");
    snprintf(result->message, sizeof(result->message), "%s%s%s%s: %s",
             what == NULL ? "the start failed" : what, failure->subject[0] == '\0' ? "" : " '",
             failure->subject, failure->subject[0] == '\0' ? "" : "'", strerror(failure->cause));
}

/* --- on the pool thread --- */

int launch_write_file(int dir_fd, const char *path, const void *data, size_t size, mode_t mode)
{
    auto_fd int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd >= 0 && write(fd, data, size) == (ssize_t)size ? 0 : -1;
}

int launch_write_intent(struct launch_op *launch)
{
    char text[512], exec_of[CONTAINER_ID_SIZE + 16] = "";
    if (launch_is_exec(launch))
        snprintf(exec_of, sizeof(exec_of), "\"exec_of\":\"%s\",", launch->result.container_id);
    int size =
        snprintf(text, sizeof(text),
                 "{\"container\":\"%s\",%s\"incarnation\":%lld,\"command_offset\":%lld,\"boot_id\":\"%s\"}\n",
                 launch->op.container->id, exec_of, (long long)launch->incarnation,
                 (long long)launch->command_offset, launch->op.host->boot_id);
    if (launch_write_file(launch->dir_fd, "launch.json", text, (size_t)size, 0640) < 0)
        return err_sys(&launch->err, errno, "cannot write 'launch.json' in the container's directory");
    return 0;
}

void launch_close_shim_fds(struct shim_fds *fds)
{
    const int all[] = {fds->plan, fds->status[0], fds->status[1], fds->go[0], fds->go[1]};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] >= 0)
            close(all[i]);
    }
}

static int prepare_shim_fds(struct shim_fds *fds, const struct buf *plan, struct err *err)
{
    fds->plan = memfd_create("wharf-plan", MFD_CLOEXEC);
    if (fds->plan < 0 || write(fds->plan, plan->data, plan->size) != (ssize_t)plan->size ||
        pipe2(fds->status, O_CLOEXEC) < 0 || pipe2(fds->go, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make what the shim needs");
    return 0;
}

/* Between vfork and execve only system calls: the memory is shared with this process. First everything is
 * moved out of the way of the numbers it has to get. */
static _Noreturn void exec_shim(int shim_fd, char *const argv[], const int *from, int n)
{
    int high[HOST_SHIM_FDS];
    for (int i = 0; i < n; i++) {
        high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, HOST_SHIM_FDS);
        if (high[i] < 0)
            _exit(127);
    }
    for (int i = 0; i < n; i++) {
        if (dup2(high[i], PLAN_FD_PLAN + i) < 0)
            _exit(127);
    }
    syscall(SYS_execveat, shim_fd, "", argv, FAULT_ENVIRONMENT, AT_EMPTY_PATH);
    _exit(127);
}

/* vfork keeps the cost independent of this process's size. All signals are blocked around it, so that no
 * handler of ours runs in the child, and the shim starts with them blocked, which is how it wants to live. */
static pid_t vfork_shim(int shim_fd, char *const argv[], const int *from, int n)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork)
    if (pid == 0)
        exec_shim(shim_fd, argv, from, n); // NOLINT(clang-analyzer-unix.Vfork)
    int cause = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = cause;
    return pid;
}

static pid_t spawn_shim(const struct launch_op *launch, const struct shim_fds *fds, const int *more,
                        int n_more)
{
    char *const argv[] = {"wharf-shim", launch->op.container->id, NULL};
    int from[HOST_SHIM_FDS] = {fds->plan, launch->dir_fd, fds->status[1], fds->go[0]};
    int n = PLAN_FD_CGROUPS - PLAN_FD_PLAN;
    for (int i = 0; i < n_more; i++)
        from[n++] = more[i];
    return vfork_shim(launch->op.host->shim_fd, argv, from, n);
}

int launch_start_shim(struct launch_op *launch, struct shim_fds *fds, const struct buf *plan, const int *more,
                      int n)
{
    if (prepare_shim_fds(fds, plan, &launch->err) < 0)
        return -1;
    launch->shim_pid = spawn_shim(launch, fds, more, n);
    if (launch->shim_pid < 0)
        return err_sys(&launch->err, errno, "cannot start '%s'", launch->op.host->shim_path);
    /* Our own child that nobody else reaps: the number cannot have changed hands. */
    launch->shim_fd = pidfd_open(launch->shim_pid, 0);
    launch->shim_is_child = true;
    launch->status_fd = steal_fd(&fds->status[0]);
    return launch->shim_fd < 0 ? err_sys(&launch->err, errno, "cannot watch the shim") : 0;
}

/* --- on the loop: the answer --- */

void launch_free(struct launch_op *launch)
{
    host_share_close(&launch->shared);
    host_cgroup_close(&launch->cgroup);
    if (launch->dir_fd >= 0)
        close(launch->dir_fd);
    if (launch->status_fd >= 0)
        close(launch->status_fd);
    if (launch->shim_fd >= 0)
        close(launch->shim_fd);
    if (launch->target_fd >= 0)
        close(launch->target_fd);
    schema_release(command_types[COMMAND_CONTAINER_EXEC].schema(), &launch->exec);
    schema_release(&container_spec_schema, &launch->spec);
    free(launch->image.reference);
    free(launch->image.digest);
    schema_release(&image_config_schema, &launch->image.config);
    free(launch);
}

static void finish_launch(struct launch_op *launch)
{
    struct host_container *container = launch->op.container;
    struct host *host = launch->op.host;
    if (container->state == HOST_CONTAINER_LAUNCHING)
        container->state = HOST_CONTAINER_IDLE;
    /* Told before, it may have come when the core did not yet know of this start. */
    bool tell_exit = launch->already && container->state == HOST_CONTAINER_EXITED;
    container->owed |= tell_exit;
    struct host_exit exit = container->exit;
    host->n_busy++; /* the callbacks may close the host */
    host_op_finish(&launch->op);
    if (launch_is_exec(launch) && !launch->result.ok)
        host_container_drop(host, container); /* nobody is going to remove it */
    launch->cb(&launch->result, launch->data);
    if (tell_exit && !host->closing)
        host->on_exit(&exit, host->data);
    host_unbusy(host);
    launch_free(launch);
}

/* The shim ends by itself once `go` is closed or its start has failed. */
static void run_undo(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    siginfo_t info;
    if (launch->shim_is_child) {
        while (waitid(P_PID, (id_t)launch->shim_pid, &info, WEXITED) < 0 && errno == EINTR)
            ;
    }
    FAULT_POINT(LAUNCH_UNDO);
    if (launch_is_exec(launch))                                           /* the cgroup is its container's */
        fs_remove_tree(op->host->containers_fd, op->container->id, NULL); /* the next start tries again */
    else
        host_cgroup_destroy(op->host, op->container->id, NULL);
}

static void done_undo(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    if (launch->err.code != ERR_NONE) {
        set_failed(&launch->result, 125, launch->code == NULL ? "setup-failed" : launch->code);
        snprintf(launch->result.message, sizeof(launch->result.message), "%s", launch->err.message);
    } else if (launch->status.failure.stage != 0) {
        explain(&launch->result, &launch->status.failure);
    } else {
        set_failed(&launch->result, 125, "setup-failed");
        snprintf(launch->result.message, sizeof(launch->result.message),
                 "the shim ended before the %s ran: is '%s' of the same build?",
                 launch_is_exec(launch) ? "command" : "container", op->host->shim_path);
    }
    finish_launch(launch);
}

static void undo(struct launch_op *launch)
{
    launch->op.run = run_undo;
    launch->op.done = done_undo;
    host_op_continue(&launch->op);
}

static void succeed(struct launch_op *launch)
{
    struct host_container *container = launch->op.container;
    struct host *host = launch->op.host;
    launch->result.ok = true;
    launch->result.incarnation = launch->record.incarnation;
    launch->result.pid = launch->record.pid;
    launch->result.shim_pid = launch->record.shim_pid;
    launch->result.started_at_ns = launch->record.started_at_ns;
    if (launch->known) {
        finish_launch(launch);
        return;
    }
    container->record = launch->record;
    container->owed = false;
    if (launch->ended) {
        container->state = HOST_CONTAINER_EXITED;
        container->exit = launch->exit;
    } else if (!host->closing && container->watch == NULL) {
        struct err err = ERR_INIT;
        if (host_watch_begin(host, container, steal_fd(&launch->shim_fd), launch->shim_is_child, &err) < 0)
            container->state =
                HOST_CONTAINER_RUNNING; /* without a watch only the next start of the runtime sees its end */
    }
    finish_launch(launch);
}

static void on_status_closed(uv_handle_t *handle)
{
    struct launch_op *launch = handle->data;
    if (launch->err.code != ERR_NONE || !launch->status.ok) {
        undo(launch);
        return;
    }
    launch->record = (struct shim_record){
        .incarnation = launch->incarnation,
        .shim_pid = launch->shim_pid,
        .shim_start = launch->status.shim_start,
        .pid = launch->status.pid,
        .pid_start = launch->status.pid_start,
        .started_at_ns = launch->status.started_at_ns,
    };
    succeed(launch);
}

static void on_status(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct launch_op *launch = poll->data;
    ssize_t n = read(launch->status_fd, &launch->status, sizeof(launch->status));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != (ssize_t)sizeof(launch->status))
        launch->status = (struct plan_status){.ok = 0};
    FAULT_POINT(LAUNCH_ANSWERED);
    uv_close((uv_handle_t *)poll, on_status_closed);
}

void launch_done(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    if (launch->already) {
        succeed(launch);
        return;
    }
    if (launch->err.code != ERR_NONE || launch->status_fd < 0 ||
        uv_poll_init(op->host->loop, &launch->poll, launch->status_fd) < 0) {
        undo(launch);
        return;
    }
    launch->poll.data = launch;
    uv_poll_start(&launch->poll, UV_READABLE, on_status); /* fails only on a closed handle */
}

/* --- on the caller's side --- */

struct launch_op *launch_new(host_launched_cb cb, void *data, const char *container_id, const char *exec_id,
                             int64_t incarnation)
{
    struct launch_op *op = calloc(1, sizeof(*op));
    if (op == NULL)
        return NULL;
    op->cb = cb;
    op->data = data;
    op->incarnation = incarnation;
    op->target_fd = op->dir_fd = op->status_fd = op->shim_fd = -1;
    for (size_t i = 0; i < SHARED_NAMESPACES; i++)
        op->shared.fds[i] = -1;
    op->result.incarnation = incarnation;
    snprintf(op->result.container_id, sizeof(op->result.container_id), "%s", container_id);
    snprintf(op->result.exec_id, sizeof(op->result.exec_id), "%s", exec_id);
    return op;
}

bool launch_is_known(const struct host_container *container, int64_t incarnation)
{
    for (const struct host_op *op = container->queue; op != NULL; op = op->next)
        if (op->removes)
            return false;
    return (container->state == HOST_CONTAINER_RUNNING || container->state == HOST_CONTAINER_EXITED) &&
           container->record.incarnation == incarnation;
}
