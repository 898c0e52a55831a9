/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/host_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"

#define INTERRUPTED_TIMEOUT_MS 3000 /* who has to give up does it at once, if it gets a processor */
#define START_TIMEOUT_MS 10000      /* a shim that takes longer to execute its command is taken to run */

static ssize_t read_small(int dir_fd, const char *path, char *ret, size_t size)
{
    auto_fd int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -1 : read(fd, ret, size);
}

int host_open_process(int64_t pid, uint64_t start)
{
    char path[40], text[512];
    uint64_t found;
    /* Opened first and compared afterwards: if the start time matches, the descriptor is of that process. */
    auto_fd int fd = pidfd_open((pid_t)pid, 0);
    snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    ssize_t n = fd < 0 ? -1 : read_small(AT_FDCWD, path, text, sizeof(text) - 1);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    return proc_stat_start(text, &found) && found == start ? steal_fd(&fd) : -1;
}

int host_newer_records(int dir_fd)
{
    static const char *const records[] = {"shim", "exit"};
    char bytes[RECORD_BYTES];
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        ssize_t n = read_small(dir_fd, records[i], bytes, sizeof(bytes));
        int version = n > 0 ? record_version(bytes, (size_t)n) : 0;
        if (version > RECORD_VERSION)
            return version;
    }
    return 0;
}

/* The shim's record is there before the command is executed: until then the first process still is the shim's
 * own program. One that cannot be looked at has ended, and so will its shim. */
static bool has_executed(const struct shim_record *record)
{
    char path[40];
    struct stat shim, process;
    snprintf(path, sizeof(path), "/proc/%lld/exe", (long long)record->shim_pid);
    if (stat(path, &shim) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%lld/exe", (long long)record->pid);
    return stat(path, &process) == 0 && (process.st_ino != shim.st_ino || process.st_dev != shim.st_dev);
}

int host_open_shim(const struct shim_record *record)
{
    auto_fd int fd = host_open_process(record->shim_pid, record->shim_start);
    for (int waited_ms = 0; fd >= 0 && waited_ms < START_TIMEOUT_MS && !has_executed(record); waited_ms++) {
        struct pollfd gone = {.fd = fd, .events = POLLIN};
        if (poll(&gone, 1, 1) > 0)
            return -1;
    }
    return steal_fd(&fd);
}

static bool is_running(const struct host *host, int dir_fd)
{
    struct shim_record record;
    if (!host_read_shim_record(dir_fd, &record) || strcmp(record.boot_id, host->boot_id) != 0)
        return false;
    auto_fd int fd = host_open_shim(&record);
    return fd >= 0;
}

enum directory_use host_lock_directory(const struct host *host, int dir_fd)
{
    for (int waited_ms = 0; flock(dir_fd, LOCK_EX | LOCK_NB) < 0; waited_ms++) {
        if (is_running(host, dir_fd))
            return DIRECTORY_RUNS;
        if (waited_ms == INTERRUPTED_TIMEOUT_MS)
            return DIRECTORY_HELD;
        poll(NULL, 0, 1);
    }
    return DIRECTORY_FREE;
}

bool host_read_shim_record(int dir_fd, struct shim_record *ret)
{
    char bytes[RECORD_BYTES];
    ssize_t n = read_small(dir_fd, "shim", bytes, sizeof(bytes));
    return n > 0 && shim_record_parse(ret, bytes, (size_t)n);
}

bool host_claim_exec(const struct host *host, const char *exec_id)
{
    char path[CONTAINER_ID_SIZE + 8];
    snprintf(path, sizeof(path), "%s/shim", exec_id);
    auto_fd int fd = openat(host->containers_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return fd >= 0 || errno != EEXIST;
}

bool host_read_exit_record(int dir_fd, int64_t incarnation, struct exit_record *ret)
{
    char bytes[RECORD_BYTES];
    ssize_t n = read_small(dir_fd, "exit", bytes, sizeof(bytes));
    return n > 0 && exit_record_parse(ret, bytes, (size_t)n) &&
           (incarnation == 0 || ret->incarnation == incarnation);
}

static void name_exit(struct host_exit *exit, const struct host_container *container)
{
    bool is_exec = container->exec_of[0] != '\0';
    snprintf(exit->container_id, sizeof(exit->container_id), "%s",
             is_exec ? container->exec_of : container->id);
    snprintf(exit->exec_id, sizeof(exit->exec_id), "%s", is_exec ? container->id : "");
}

void host_exit_from_record(struct host_exit *ret, const struct host_container *container,
                           const struct exit_record *record)
{
    *ret = (struct host_exit){
        .incarnation = record->incarnation,
        .reason = record->signal == 0                               ? "exited"
                  : record->oom_killed && record->signal == SIGKILL ? "oom-killed"
                                                                    : "signaled",
        .exit_code = record->exit_code,
        .signal = record->signal,
        .oom_killed = record->oom_killed,
        .finished_at_ns = record->finished_at_ns,
    };
    name_exit(ret, container);
    if (record->log_lost_bytes > 0)
        snprintf(ret->observed, sizeof(ret->observed), "%llu bytes of output could not be written to the log",
                 (unsigned long long)record->log_lost_bytes);
}

void host_exit_unseen(struct host_exit *ret, const struct host_container *container, int64_t incarnation,
                      const char *reason)
{
    *ret = (struct host_exit){.incarnation = incarnation, .reason = reason, .exit_code = -1};
    name_exit(ret, container);
}

/* What is left in the cgroup is killed and the cgroup removed, so that nothing outlives the container. */
static void run_cleanup(struct host_op *op)
{
    auto_fd int dir_fd = host_container_dir(op->host, op->container->id, NULL);
    FAULT_POINT(CLEANUP_BEGUN);
    if (dir_fd >= 0 && host_lock_directory(op->host, dir_fd) == DIRECTORY_RUNS)
        return; /* what looked like an interrupted start has gone on */
    host_cgroup_destroy(op->host, op->container->id, NULL); /* host_remove and the next start try again */
}

static void done_cleanup(struct host_op *op)
{
    host_op_finish(op);
    free(op);
}

void host_cleanup_begin(struct host *host, struct host_container *container)
{
    struct host_op *op = container->exec_of[0] == '\0' ? calloc(1, sizeof(*op)) : NULL;
    if (op == NULL)
        return; /* or an exec, whose cgroup is its container's */
    op->run = run_cleanup;
    op->done = done_cleanup;
    host_op_begin(host, container, op);
}

static void find_exit(struct host *host, struct host_container *container)
{
    struct exit_record record;
    auto_fd int dir_fd = host_container_dir(host, container->id, NULL);
    if (dir_fd >= 0 && host_read_exit_record(dir_fd, container->record.incarnation, &record)) {
        host_exit_from_record(&container->exit, container, &record);
        return;
    }
    host_exit_unseen(&container->exit, container, container->record.incarnation, "shim-lost");
    snprintf(container->exit.observed, sizeof(container->exit.observed),
             "shim %lld ended without an exit record; process %lld was killed with it",
             (long long)container->record.shim_pid, (long long)container->record.pid);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct host_watch *watch = handle->data;
    struct host *host = watch->host;
    close(watch->pid_fd);
    free(watch);
    host_unbusy(host);
}

static void close_watch(struct host_watch *watch)
{
    if (watch->container != NULL)
        watch->container->watch = NULL;
    watch->container = NULL;
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static bool clears_cgroup(const struct host_op *queue)
{
    while (queue != NULL && queue->adjusts)
        queue = queue->next;
    return queue != NULL;
}

static void on_shim_gone(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct host_watch *watch = poll->data;
    struct host_container *container = watch->container;
    struct host *host = watch->host;
    siginfo_t info;
    if (watch->is_child)
        waitid(P_PIDFD, (id_t)watch->pid_fd, &info, WEXITED | WNOHANG);
    close_watch(watch);
    find_exit(host, container);
    container->state = HOST_CONTAINER_EXITED;
    container->owed = true;
    struct host_exit exit = container->exit; /* the callback may start the container anew */
    host->on_exit(&exit, host->data);
    if (!clears_cgroup(
            container->queue)) /* a removal or a start, if one was asked for, begins with the same */
        host_cleanup_begin(host, container);
}

int host_watch_begin(struct host *host, struct host_container *container, int pid_fd, bool is_child,
                     struct err *err)
{
    struct host_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        close(pid_fd);
        return err_nomem(err, "watching a shim");
    }
    int result = uv_poll_init(host->loop, &watch->poll, pid_fd);
    if (result < 0) {
        close(pid_fd);
        free(watch);
        return err_sys(err, -result, "cannot watch the shim %lld", (long long)container->record.shim_pid);
    }
    watch->poll.data = watch;
    watch->host = host;
    watch->container = container;
    watch->pid_fd = pid_fd;
    watch->is_child = is_child;
    container->watch = watch;
    container->state = HOST_CONTAINER_RUNNING;
    host->n_busy++;
    uv_poll_start(&watch->poll, UV_READABLE, on_shim_gone); /* fails only on a closed handle */
    return 0;
}

void host_watch_end(struct host_container *container)
{
    if (container->watch != NULL)
        close_watch(container->watch);
}
