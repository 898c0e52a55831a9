/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define LEFTOVER_TIMEOUT_MS 10000

static char *join(const char *run_dir, const char *file)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", run_dir, file) < 0 ? NULL : path;
}

int stack_lock(const char *run_dir, bool create, int *ret_fd, pid_t *ret_holder, struct err *err)
{
    auto_free char *path = join(run_dir, "up.lock");
    if (path == NULL)
        return err_nomem(err, "taking the lock");
    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0644);
    if (fd < 0 && errno == ENOENT && !create)
        return err_set(err, ERR_NOT_FOUND, "there is no stack in '%s'", run_dir);
    if (fd < 0)
        return err_sys(err, errno, "cannot open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = steal_fd(&fd);
        return 0;
    }
    if (errno != EWOULDBLOCK)
        return err_sys(err, errno, "cannot lock '%s'", path);
    char text[32] = "";
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    if (size < 0)
        return err_sys(err, errno, "cannot read '%s'", path);
    *ret_holder = (pid_t)strtol(text, NULL, 10);
    return 1;
}

int stack_lock_sign(int lock_fd, struct err *err)
{
    if (ftruncate(lock_fd, 0) < 0 || dprintf(lock_fd, "%d\n", (int)getpid()) < 0)
        return err_sys(err, errno, "cannot write our pid into the lock file");
    return 0;
}

int stack_write_state(const char *run_dir, const json_t *state, struct err *err)
{
    auto_free char *path = join(run_dir, "up.json");
    auto_free char *text = json_dumps(state, JSON_INDENT(2));
    if (path == NULL || text == NULL)
        return err_nomem(err, "writing the state of the stack");
    return fs_write_file(AT_FDCWD, path, 0644, text, strlen(text), false, err);
}

json_t *stack_read_state(const char *run_dir)
{
    auto_free char *path = join(run_dir, "up.json");
    return path != NULL ? json_load_file(path, 0, NULL) : NULL;
}

static int take_setting(char **setting, const json_t *state, const char *member, struct err *err)
{
    const char *value = json_string_value(json_object_get(state, member));
    char *copy = value != NULL ? strdup(value) : NULL;
    if (copy == NULL)
        return value != NULL ? err_nomem(err, "reading the state of the stack") : 0;
    free(*setting);
    *setting = copy;
    return 0;
}

int stack_take_settings(struct config *config, struct err *err)
{
    json_auto_t *state = stack_read_state(config->run_dir);
    if (take_setting(&config->log_url, state, "log", err) < 0 ||
        take_setting(&config->redis_url, state, "redis", err) < 0 ||
        take_setting(&config->state_dir, state, "state_dir", err) < 0)
        return -1;
    return take_setting(&config->node, state, "node", err);
}

void stack_remove_state(const char *run_dir)
{
    auto_free char *path = join(run_dir, "up.json");
    if (path != NULL)
        unlink(path);
}

/* State letter and start time. The command, in parentheses, may contain anything: what counts follows its
 * last ')'. */
static bool read_stat(pid_t pid, char *ret_state, uint64_t *ret_ticks)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (size <= 0)
        return false;
    text[size] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0')
        return false;
    *ret_state = at[2];
    at += 2;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (at == NULL)
            return false;
        at++;
    }
    *ret_ticks = strtoull(at, NULL, 10);
    return true;
}

uint64_t process_start_ticks(pid_t pid)
{
    char state;
    uint64_t ticks;
    return read_stat(pid, &state, &ticks) ? ticks : 0;
}

bool process_is_alive(pid_t pid, uint64_t start_ticks)
{
    char state;
    uint64_t ticks;
    return pid > 0 && read_stat(pid, &state, &ticks) && ticks == start_ticks && state != 'Z' && state != 'X';
}

static int pidfd_open_(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool pidfd_end(int pidfd, int signal, int timeout_ms)
{
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
        return errno == ESRCH;
    int rc;
    do {
        rc = poll(&wait, 1, timeout_ms);
    } while (rc < 0 && errno == EINTR);
    return rc > 0;
}

bool process_end(pid_t pid, int signal, int timeout_ms)
{
    auto_fd int pidfd = pidfd_open_(pid);
    return pidfd < 0 ? errno == ESRCH : pidfd_end(pidfd, signal, timeout_ms);
}

/* The start time is compared after the pidfd was opened, which pins the process. */
static bool end_leftover(pid_t pid, uint64_t start_ticks)
{
    auto_fd int pidfd = pid > 0 ? pidfd_open_(pid) : -1;
    if (pidfd < 0 || !process_is_alive(pid, start_ticks))
        return false;
    if (!pidfd_end(pidfd, SIGTERM, LEFTOVER_TIMEOUT_MS))
        pidfd_end(pidfd, SIGKILL, LEFTOVER_TIMEOUT_MS);
    return true;
}

int stack_end_leftovers(const char *run_dir)
{
    json_auto_t *state = stack_read_state(run_dir);
    const json_t *parts = json_object_get(state, "parts");
    int n = 0;
    for (size_t i = json_array_size(parts); i-- > 0;) {
        const json_t *part = json_array_get(parts, i);
        if (end_leftover((pid_t)json_integer_value(json_object_get(part, "pid")),
                         (uint64_t)json_integer_value(json_object_get(part, "start_ticks"))))
            n++;
    }
    stack_remove_state(run_dir);
    return n;
}
