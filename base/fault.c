/* SPDX-License-Identifier: Apache-2.0 */
/* Part of builds with -DWHARF_FAULTS only. */
#include "base/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const NAMES[FAULTS] = {
#define FAULT(ENUM, name, role, where) [FAULT_##ENUM] = (name),
#include "base/fault.def"
#undef FAULT
};

/* What the environment armed; set before main, so that neither chroot nor a change of user hides the file. */
static struct {
    const char *name;
    size_t name_size;
    long nth;
    int mark_fd;
} armed;

__attribute__((constructor)) static void arm(void)
{
    const char *fault = getenv("TEST_FAULT");
    const char *mark = getenv("TEST_FAULT_MARK");
    const char *colon = fault != NULL ? strrchr(fault, ':') : NULL;
    if (colon == NULL || mark == NULL)
        return;
    armed.mark_fd = open(mark, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (armed.mark_fd < 0) {
        perror("TEST_FAULT_MARK");
        abort();
    }
    armed.nth = strtol(colon + 1, NULL, 10);
    armed.name_size = (size_t)(colon - fault);
    armed.name = fault;
}

/* A write to a file opened with O_APPEND leaves the descriptor's offset behind what it wrote: the count so
 * far. Threads share the descriptor, hence the lock around the two. */
static long pass_count(void)
{
    static bool locked;
    char line[FAULT_MARK_BYTES + 1];
    while (__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE))
        ;
    snprintf(line, sizeof(line), "%*d\n", FAULT_MARK_BYTES - 1, (int)getpid());
    if (write(armed.mark_fd, line, FAULT_MARK_BYTES) != FAULT_MARK_BYTES)
        abort();
    long count = (long)(lseek(armed.mark_fd, 0, SEEK_CUR) / FAULT_MARK_BYTES);
    __atomic_clear(&locked, __ATOMIC_RELEASE);
    return count;
}

void fault_pass(enum fault fault)
{
    const char *name = NAMES[fault];
    if (armed.name == NULL || strlen(name) != armed.name_size ||
        memcmp(name, armed.name, armed.name_size) != 0)
        return;
    if (pass_count() != armed.nth)
        return;
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}
