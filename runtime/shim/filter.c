/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the filter to execve(2): the filter may forbid any system call, or hand any to a listener, so that
 * this process makes none between the two.
 *
 * Whether the command was executed is then said through memory that is shared with whoever starts the
 * container: the descriptor goes there first, the memory is read once the connection is closed. The
 * listener's descriptor is sent by a second thread, which was there before the filter and has none; execve
 * ends it.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "runtime/shim/shim.h"

/* Only now, since before there is nothing that could keep a message from being sent. */
static struct init_message *share_memory(int to_fd)
{
    const struct init_message message = {.event = INIT_FILTERED};
    int fd = (int)syscall(SYS_memfd_create, "start", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof(message)) < 0)
        return NULL;
    void *memory = mmap(NULL, sizeof(message), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED || descriptor_send(to_fd, &message, sizeof(message), fd, 0) < 0)
        return NULL;
    close(fd);
    return memory;
}

enum progress { UNFILTERED, FILTERED, REFUSED, SENT };

struct listener {
    int to_fd;
    int fd;
    int progress; /* of enum progress */
};

static int progress_of(const struct listener *listener)
{
    return __atomic_load_n(&listener->progress, __ATOMIC_ACQUIRE);
}

static void set_progress(struct listener *listener, enum progress progress)
{
    __atomic_store_n(&listener->progress, (int)progress, __ATOMIC_RELEASE);
}

/* The other thread is about to load the filter and cannot wake this one afterwards: it is looked at. */
static int send_listener(void *data)
{
    struct listener *listener = data;
    const struct init_message message = {.event = INIT_LISTENER};
    while (progress_of(listener) == UNFILTERED)
        sched_yield();
    if (progress_of(listener) == FILTERED) {
        /* Whoever starts the container may be gone. Then nobody listens, and nobody waits for the command. */
        descriptor_send(listener->to_fd, &message, sizeof(message), listener->fd, 0);
        set_progress(listener, SENT);
    }
    return 0;
}

static int load_with_listener(const struct plan *plan, int to_fd)
{
    static char stack[16384] __attribute__((aligned(16)));
    static struct listener listener;
    listener = (struct listener){.to_fd = to_fd, .fd = -1, .progress = UNFILTERED};
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    if (clone(send_listener, stack + sizeof(stack), flags, &listener) < 0)
        return -1;
    listener.fd = process_set_filter(plan);
    int cause = errno;
    set_progress(&listener, listener.fd < 0 ? REFUSED : FILTERED);
    while (listener.fd >= 0 && progress_of(&listener) != SENT)
        __asm__ volatile("" ::: "memory"); /* no system call: it could wait for the listener */
    errno = cause;
    return listener.fd < 0 ? -1 : 0;
}

/* Even an end can be forbidden. */
static _Noreturn void end(void)
{
    syscall(SYS_exit_group, 1);
    syscall(SYS_exit, 1);
    __builtin_trap();
}

int filter_and_execute(const struct plan *plan, int to_fd, struct plan_failure *failure)
{
    struct init_message *memory = NULL;
    if (plan->n_seccomp > 0) {
        memory = share_memory(to_fd);
        if (memory == NULL)
            return fail(failure, PLAN_STAGE_SECCOMP, "shared memory");
        bool listens = (plan->header.flags & PLAN_LISTENER) != 0;
        if ((listens ? load_with_listener(plan, to_fd) : process_set_filter(plan)) < 0)
            return fail(failure, PLAN_STAGE_SECCOMP, "");
    }
    process_execute(plan);
    fail(failure, PLAN_STAGE_EXEC, plan->argv[0]);
    if (memory == NULL)
        return -1;
    memory->failure = *failure;
    __atomic_store_n(&memory->event, (uint32_t)INIT_FAILED, __ATOMIC_RELEASE);
    end();
}
