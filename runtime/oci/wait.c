/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One poll(2) over signals, our input and the terminal's master. What the process wrote before it ended is in
 * the kernel then, and is read without waiting: others may have the terminal open for long after it.
 */
#include "runtime/oci/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CHUNK 32768

static const int FORWARDED[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT};

int oci_wait_begin(struct oci_wait *ret, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(FORWARDED) / sizeof(FORWARDED[0]); i++)
        sigaddset(&set, FORWARDED[i]);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGPIPE);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_sys(err, errno, "cannot block signals");
    ret->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return ret->signal_fd < 0 ? err_sys(err, errno, "cannot wait for signals") : 0;
}

void oci_wait_close(struct oci_wait *wait)
{
    if (wait->signal_fd >= 0)
        close(wait->signal_fd);
    wait->signal_fd = -1;
}

/* One direction: what was read and is not written yet. */
struct stream {
    int from_fd, to_fd; /* -1: it has ended */
    size_t at, size;
    char bytes[CHUNK];
};

static void fill(struct stream *stream)
{
    ssize_t n = read(stream->from_fd, stream->bytes, sizeof(stream->bytes));
    if (n > 0) {
        stream->at = 0;
        stream->size = (size_t)n;
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        stream->from_fd = -1; /* EIO: nobody has the terminal open any more */
    }
}

static void drain(struct stream *stream)
{
    ssize_t n = write(stream->to_fd, stream->bytes + stream->at, stream->size);
    if (n >= 0) {
        stream->at += (size_t)n;
        stream->size -= (size_t)n;
    } else if (errno != EINTR && errno != EAGAIN) {
        stream->size = 0; /* whoever read it is gone; the process goes on */
        stream->from_fd = -1;
    }
}

static struct pollfd wish(const struct stream *stream)
{
    if (stream->size > 0)
        return (struct pollfd){.fd = stream->to_fd, .events = POLLOUT};
    return (struct pollfd){.fd = stream->from_fd, .events = POLLIN};
}

static void serve(struct stream *stream, const struct pollfd *polled)
{
    if (polled->revents == 0)
        return;
    if (stream->size > 0)
        drain(stream);
    else
        fill(stream);
}

static void resize(int master_fd)
{
    struct winsize size;
    if (master_fd >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        ioctl(master_fd, TIOCSWINSZ, &size);
}

/* True once the process has ended. It is our child and was not waited for: the number is its own. */
static bool take_signals(struct oci_wait *wait, pid_t pid, int master_fd, int *ret_status)
{
    struct signalfd_siginfo info;
    while (read(wait->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGWINCH)
            resize(master_fd);
        else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE)
            kill(pid, (int)info.ssi_signo);
    }
    return waitpid(pid, ret_status, WNOHANG) == pid;
}

static void wait_and_carry(struct oci_wait *wait, pid_t pid, int master_fd, int *ret_status)
{
    static struct stream input, output; /* too large for the stack */
    input = (struct stream){.from_fd = master_fd < 0 ? -1 : STDIN_FILENO, .to_fd = master_fd};
    output = (struct stream){.from_fd = master_fd, .to_fd = STDOUT_FILENO};
    while (!take_signals(wait, pid, master_fd, ret_status)) {
        struct pollfd fds[] = {{.fd = wait->signal_fd, .events = POLLIN}, wish(&input), wish(&output)};
        if (poll(fds, 3, -1) < 0)
            continue;
        serve(&input, &fds[1]);
        serve(&output, &fds[2]);
    }
    while (output.size > 0 || output.from_fd >= 0) {
        struct pollfd rest = wish(&output);
        if (poll(&rest, 1, output.size > 0 ? -1 : 0) <= 0)
            break;
        serve(&output, &rest);
    }
}

int oci_wait_end(struct oci_wait *wait, pid_t pid, int master_fd, struct err *err)
{
    struct termios before, raw;
    int status = 0;
    bool changed = master_fd >= 0 && tcgetattr(STDIN_FILENO, &before) == 0;
    if (changed) {
        raw = before;
        cfmakeraw(&raw);
        if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
            return err_sys(err, errno, "cannot make the terminal raw");
    }
    if (master_fd >= 0)
        fcntl(master_fd, F_SETFL, O_RDWR | O_NONBLOCK);
    wait_and_carry(wait, pid, master_fd, &status);
    if (changed)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
