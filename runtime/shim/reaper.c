/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A first process that stays: it has the command as its child, hands on every signal it gets, reaps whatever
 * becomes its child, and ends as the command ends, which takes the rest of the pid namespace with it.
 *
 * It has the container's user, capabilities and filter, as the command has. It cannot be looked into through
 * /proc (process_hide), so that nobody in the container gets at the file it was executed from.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

#define KERNEL_SIGNALS 64
#define SIGNAL_BYTES 8 /* of the kernel's sigset_t */

static void set_mask(uint64_t mask)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGNAL_BYTES);
}

/* As a shell does for what it starts: a process group of its own, in front if there is a terminal. What the
 * terminal sends then reaches the command once, and not by way of us too. */
static void set_group_in_front(void)
{
    setpgid(0, 0);
    if (isatty(0))
        tcsetpgrp(0, getpid()); /* SIGTTOU is blocked */
}

static void end_as(int status)
{
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void reap(pid_t command)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == command)
            end_as(status);
    }
}

static _Noreturn void attend(pid_t command)
{
    const uint64_t all = ~UINT64_C(0);
    for (;;) {
        reap(command);
        siginfo_t info;
        int signal = (int)syscall(SYS_rt_sigtimedwait, &all, &info, NULL, SIGNAL_BYTES);
        if (signal > 0 && signal != SIGCHLD)
            kill(command, signal);
    }
}

int reaper_begin(struct plan_failure *failure)
{
    set_mask(~UINT64_C(0));
    prctl(PR_SET_NAME, "wharf-init");
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* where the pid namespace is another's */
    pid_t command = fork();
    if (command < 0)
        return fail(failure, PLAN_STAGE_SHIM, "init");
    if (command == 0) {
        set_group_in_front();
        set_mask(0);
        return 0;
    }
    syscall(SYS_close_range, 3u, ~0u, 0u);
    attend(command);
}
