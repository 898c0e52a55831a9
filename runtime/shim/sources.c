/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

/* A process that does nothing but to be in a new user namespace. */
static int clone_idle(void)
{
    int pid = (int)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;)
        pause();
}

int sources_user_namespace(const char *uid_map, const char *gid_map)
{
    char path[48];
    int pid = clone_idle();
    if (pid < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
    int result = process_write_file(path, uid_map);
    snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
    if (result == 0)
        result = process_write_file(path, gid_map);
    snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
    int fd = result < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    int cause = errno;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    errno = cause;
    return fd;
}

static int map_ids(int fd, const struct plan_step *step)
{
    int user_fd = sources_user_namespace(step->b, step->c);
    if (user_fd < 0)
        return -1;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint32_t)user_fd};
    int result = mount_set(fd, &attr, step->mode == 1 ? AT_RECURSIVE : 0);
    int cause = errno;
    close(user_fd);
    errno = cause;
    return result;
}

int sources_open(const struct plan *plan, int ret[PLAN_MAX_SOURCES], struct plan_failure *failure)
{
    struct mount_attr propagation = {.propagation = plan->header.propagation & ~(uint64_t)MS_REC};
    struct plan_step step;
    size_t cursor = 0, n = 0;
    while (plan_next_step(plan, &cursor, &step)) {
        if (step.op != PLAN_OP_BIND)
            continue;
        errno = E2BIG;
        int fd = n == PLAN_MAX_SOURCES ? -1 : mounts_open_source(&step);
        if (fd < 0 || mount_set(fd, &propagation, AT_RECURSIVE) < 0)
            return fail(failure, PLAN_STAGE_MOUNT, step.a);
        if (step.b[0] != '\0' && map_ids(fd, &step) < 0)
            return fail(failure, PLAN_STAGE_ID_MAP, step.path);
        ret[n++] = fd;
    }
    return 0;
}
