/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/memfd.h"

#define MAX_FDS (INIT_FD_CGROUPS + OCI_HIERARCHIES)

/* The program itself, so that neither an installation nor a container can put another in its place. */
__asm__(".section .rodata\n"
        ".balign 16\n"
        "wharf_init_begin: .incbin \"wharf-init\"\n"
        "wharf_init_end: .byte 0\n"
        ".previous\n");
extern const char wharf_init_begin[], wharf_init_end[];

/* Between vfork and execve only system calls: the memory is shared with this process. First everything is
 * moved out of the way of the numbers it has to get. */
static _Noreturn void exec_init(int init_fd, char *const argv[], int base, const int *from, int n)
{
    int high[MAX_FDS];
    for (int i = 0; i < n; i++) {
        high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, base + MAX_FDS);
        if (high[i] < 0)
            _exit(127);
    }
    int program_fd = fcntl(init_fd, F_DUPFD_CLOEXEC, base + MAX_FDS);
    for (int i = 0; i < n; i++) {
        if (dup2(high[i], base + i) < 0)
            _exit(127);
    }
    syscall(SYS_execveat, program_fd, "", argv, FAULT_ENVIRONMENT, AT_EMPTY_PATH);
    _exit(127);
}

static pid_t spawn(int init_fd, int base, const int *from, int n)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", base);
    char *const argv[] = {"wharf-init", number, NULL};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork)
    if (pid == 0)
        exec_init(init_fd, argv, base, from, n); // NOLINT(clang-analyzer-unix.Vfork)
    int cause = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = cause;
    return pid;
}

int oci_launch_begin(struct oci_launch *ret, const struct buf *plan, int start_fd, int waiting_fd,
                     int console_fd, const struct oci_cgroups *cgroups, int preserve_fds, struct err *err)
{
    auto_fd int init_fd =
        memfd_sealed("wharf-init", wharf_init_begin, (size_t)(wharf_init_end - wharf_init_begin), err);
    auto_fd int plan_fd = init_fd < 0 ? -1 : memfd_sealed("wharf-plan", plan->data, plan->size, err);
    auto_fd int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int pair[2];
    if (plan_fd < 0)
        return -1;
    if (null_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "cannot prepare the container's first process");
    int from[MAX_FDS] = {
        [INIT_FD_PLAN] = plan_fd,
        [INIT_FD_SYNC] = pair[1],
        [INIT_FD_START] = start_fd,
        [INIT_FD_WAITING] = waiting_fd < 0 ? null_fd : waiting_fd,
        [INIT_FD_CONSOLE] = console_fd < 0 ? null_fd : console_fd,
    };
    int n = INIT_FD_CGROUPS;
    for (size_t i = 0; i < cgroups->n; i++)
        from[n++] = cgroups->items[i].fd;
    ret->sync_fd = pair[0];
    ret->launcher = spawn(init_fd, 3 + preserve_fds, from, n);
    int cause = errno;
    close(pair[1]);
    return ret->launcher < 0 ? err_sys(err, cause, "cannot start the container's first process") : 0;
}

int oci_launch_explain(const struct plan_failure *failure, struct err *err)
{
    static const char *const STAGES[PLAN_STAGES] = {
        [PLAN_STAGE_SHIM] = "cannot set the container's first process up",
        [PLAN_STAGE_PLAN] = "wharf-init does not understand its plan",
        [PLAN_STAGE_CLONE] = "cannot make the container's namespaces",
        [PLAN_STAGE_ROOT] = "cannot mount the container's root",
        [PLAN_STAGE_MOUNT] = "cannot mount in the container",
        [PLAN_STAGE_DEVICE] = "cannot make a device in the container",
        [PLAN_STAGE_MASK] = "cannot protect a path in the container",
        [PLAN_STAGE_NETWORK] = "cannot bring the loopback interface up",
        [PLAN_STAGE_HOSTNAME] = "cannot set the host name or domain name",
        [PLAN_STAGE_WORKDIR] = "cannot enter the working directory",
        [PLAN_STAGE_CGROUP] = "cannot join the container's cgroup",
        [PLAN_STAGE_RLIMIT] = "cannot set the resource limit",
        [PLAN_STAGE_CREDENTIALS] = "cannot become the container's user",
        [PLAN_STAGE_SECCOMP] = "cannot load the system call filter",
        [PLAN_STAGE_EXEC] = "cannot execute",
        [PLAN_STAGE_NAMESPACE] = "cannot join the namespace",
        [PLAN_STAGE_SYSCTL] = "cannot set the kernel parameter",
        [PLAN_STAGE_HOOK] = "a hook failed:",
        [PLAN_STAGE_TERMINAL] = "cannot make the terminal",
        [PLAN_STAGE_USER_NAMESPACE] = "cannot become in the user namespace",
        [PLAN_STAGE_TIME_NAMESPACE] = "cannot make the time namespace",
        [PLAN_STAGE_SCHEDULER] = "cannot set the scheduler of 'process.scheduler'",
        [PLAN_STAGE_IO_PRIORITY] = "cannot set the priority of 'process.ioPriority'",
        [PLAN_STAGE_PERSONALITY] = "cannot set 'linux.personality'",
        [PLAN_STAGE_LABEL] = "cannot set the command's label",
        [PLAN_STAGE_ID_MAP] = "cannot map the ids of the mount on",
        [PLAN_STAGE_COPY_UP] = "cannot copy what the tmpfs hides, on",
    };
    const char *what = failure->stage < PLAN_STAGES ? STAGES[failure->stage] : NULL;
    if (failure->stage == PLAN_STAGE_EXEC && failure->subject[0] == '\0')
        return err_set(err, ERR_INVALID, "the configuration has no 'process.args' to execute");
    if (failure->cause == ECANCELED || failure->cause == ETIMEDOUT) /* the subject says it all */
        return err_set(err, ERR_CONFLICT, "%s '%s'", what == NULL ? "the container failed" : what,
                       failure->subject);
    return err_sys(err, failure->cause, "%s%s%.*s%s", what == NULL ? "the container failed" : what,
                   failure->subject[0] == '\0' ? "" : " '", (int)sizeof(failure->subject), failure->subject,
                   failure->subject[0] == '\0' ? "" : "'");
}

static void reap(pid_t *pid)
{
    while (*pid > 0 && waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *pid = -1;
}

static ssize_t receive(const struct oci_launch *launch, struct init_message *ret)
{
    ssize_t n;
    do {
        n = recv(launch->sync_fd, ret, sizeof(*ret), 0);
    } while (n < 0 && errno == EINTR);
    ret->failure.subject[sizeof(ret->failure.subject) - 1] = '\0';
    return n;
}

int oci_launch_expect(struct oci_launch *launch, enum init_event event, struct err *err)
{
    struct init_message message;
    ssize_t n = receive(launch, &message);
    if (n != (ssize_t)sizeof(message))
        return err_set(err, ERR_UNAVAILABLE, "the container's first process ended while it was being made");
    if (message.event == INIT_FAILED)
        return oci_launch_explain(&message.failure, err);
    if (message.event != event)
        return err_set(err, ERR_PROTOCOL, "the container's first process sent %u instead of %u",
                       message.event, (unsigned)event);
    if (event == INIT_CLONED) {
        launch->pid = message.pid;
        reap(&launch->launcher);
    }
    return 0;
}

int oci_launch_answer(const struct oci_launch *launch, const char *state, struct err *err)
{
    size_t size = strlen(state);
    if (size > INIT_STATE_MAX)
        return err_set(err, ERR_TOO_LARGE, "the container's state has more than %d bytes", INIT_STATE_MAX);
    if (send(launch->sync_fd, state, size, MSG_NOSIGNAL) != (ssize_t)size)
        return err_sys(err, errno, "cannot tell the container's first process to go on");
    return 0;
}

void oci_launch_close(struct oci_launch *launch)
{
    if (launch->sync_fd >= 0)
        close(launch->sync_fd);
    launch->sync_fd = -1;
}

void oci_launch_abandon(struct oci_launch *launch)
{
    oci_launch_close(launch);
    if (launch->pid > 0)
        kill(launch->pid, SIGKILL); /* our child: the number is still its own */
    reap(&launch->launcher);
    reap(&launch->pid);
}
