/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

/* A file rather than a pipe: a hook that does not read its state cannot block us. */
static int state_file(const char *state, size_t size)
{
    int fd = memfd_create("state", MFD_CLOEXEC);
    if (fd >= 0 && (write(fd, state, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

static _Noreturn void become_hook(const struct plan_hook_call *hook, int state_fd)
{
    char *const by_default[] = {(char *)(uintptr_t)hook->path, NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(state_fd, 0) == 0 && syscall(SYS_close_range, 3u, ~0u, 0) == 0)
        execve(hook->path, hook->argv[0] == NULL ? by_default : hook->argv, hook->envp);
    _exit(errno == ENOENT ? 127 : 126);
}

/* True once it has ended; false when its time was up first, and then it is killed. */
static bool wait_in_time(pid_t pid, uint32_t timeout_s)
{
    if (timeout_s == 0)
        return true;
    int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd poll_fd = {.fd = pid_fd, .events = POLLIN};
    int timeout_ms = timeout_s > INT32_MAX / 1000 ? INT32_MAX : (int)timeout_s * 1000;
    int n = pid_fd < 0 ? -1 : poll(&poll_fd, 1, timeout_ms);
    if (pid_fd >= 0)
        close(pid_fd);
    if (n > 0)
        return true;
    kill(pid, SIGKILL);
    return false;
}

int hook_run(const struct plan_hook_call *hook, const char *state, size_t state_size, char ret_why[64])
{
    ret_why[0] = '\0';
    int state_fd = state_file(state, state_size);
    if (state_fd < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        become_hook(hook, state_fd);
    close(state_fd);
    if (pid < 0)
        return -1;
    bool in_time = wait_in_time(pid, hook->timeout_s);
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (!in_time)
        snprintf(ret_why, 64, "not done after %u s", hook->timeout_s);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        snprintf(ret_why, 64, "exit status 127, as if it were not there");
    else if (WIFEXITED(status))
        snprintf(ret_why, 64, "exit status %d", WEXITSTATUS(status));
    else
        snprintf(ret_why, 64, "killed by signal %d", WTERMSIG(status));
    errno = in_time ? ECANCELED : ETIMEDOUT;
    return -1;
}
