/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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

/* The directory of a process in /proc, if `path` is below its root and its IPC namespace is ours: by number
 * it could be another one by now. */
static int open_companion(const char *path, const char **ret_below)
{
    char name[32], *below = NULL;
    struct stat own, its;
    long pid = strncmp(path, "/proc/", 6) == 0 ? strtol(path + 6, &below, 10) : 0;
    errno = EINVAL;
    if (pid <= 0 || strncmp(below, "/root/", 6) != 0)
        return -1;
    snprintf(name, sizeof(name), "/proc/%ld", pid);
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && stat("/proc/self/ns/ipc", &own) == 0 && fstatat(fd, "ns/ipc", &its, 0) == 0 &&
        own.st_ino == its.st_ino && own.st_dev == its.st_dev) {
        *ret_below = below + strlen("/root");
        return fd;
    }
    if (fd >= 0)
        close(fd);
    errno = EINVAL;
    return -1;
}

/* A link on the way would be the other container's to choose. */
static int clone_in(int ns_fd, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    int at =
        setns(ns_fd, CLONE_NEWNS) < 0 ? -1 : (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
    if (at < 0)
        return -errno;
    int fd = (int)syscall(SYS_open_tree, at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    int answer = fd < 0 ? -errno : fd;
    close(at);
    return answer;
}

/* The descriptors are the parent's, too: it only has to learn the number. */
static _Noreturn void clone_there(int ns_fd, const char *path, int to_fd)
{
    int answer = clone_in(ns_fd, path);
    _exit(write(to_fd, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? 0 : 1);
}

int sources_open_shared(const char *path)
{
    int ends[2], answer = -EIO;
    const char *below;
    int process_fd = open_companion(path, &below);
    int ns_fd = process_fd < 0 ? -1 : openat(process_fd, "ns/mnt", O_RDONLY | O_CLOEXEC);
    int cause = errno;
    if (process_fd >= 0)
        close(process_fd);
    errno = cause;
    if (ns_fd < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    int pid = (int)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        clone_there(ns_fd, below, ends[1]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(ns_fd);
    close(ends[1]);
    if (pid > 0 && read(ends[0], &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
        answer = -EIO;
    close(ends[0]);
    errno = answer < 0 ? -answer : 0;
    return answer < 0 ? -1 : answer;
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
