/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of a container in a user namespace. Its layers hold ids as the container counts them, and so does
 * what it writes: only mounts of them are mapped to the host's ids that the container has. Such mounts are
 * for the host's root to make, and the kernel wants them in the mount namespace of who mounts the overlay: a
 * process with a namespace of its own does both, sends the overlay as a detached mount, and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "runtime/shim/shim.h"

int64_t layers_outside(const char *map, uint32_t id)
{
    while (*map != '\0') {
        char *end;
        unsigned long inside = strtoul(map, &end, 10);
        unsigned long outside = strtoul(end, &end, 10);
        unsigned long size = strtoul(end, &end, 10);
        if (id >= inside && id - inside < size)
            return (int64_t)(outside + id - inside);
        map = *end == '\n' ? end + 1 : "";
    }
    return -1;
}

/* What the overlay's own files belong to is the user that mounts it, and the host's root has no place among
 * ids that are mapped. The rights stay (capabilities(7), "Effect of user ID changes on capabilities"). */
static int become_owner(const struct plan *plan)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    int64_t uid = layers_outside(plan->uid_map, 0), gid = layers_outside(plan->gid_map, 0);
    errno = EINVAL;
    if (uid < 0 || gid < 0 || syscall(SYS_capget, &head, data) < 0)
        return -1;
    syscall(SYS_setfsgid, gid);
    syscall(SYS_setfsuid, uid);
    data[0].effective = data[0].permitted;
    data[1].effective = data[1].permitted;
    return (int)syscall(SYS_capset, &head, data);
}

/* The directory mounted on itself, with its ids mapped. */
static int map_layer(const char *path, int user_fd)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint32_t)user_fd};
    int to_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = to_fd < 0 ? -1
                       : (int)syscall(SYS_open_tree, to_fd, "",
                                      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    return fd < 0 || mount_set(fd, &attr, 0) < 0 || mount_move(fd, to_fd) < 0 ? -1 : fd;
}

/* In the process. The working directory is the container's, which has the upper layer. */
static int mount_mapped(const struct plan *plan, struct plan_failure *failure)
{
    struct plan_step step;
    size_t cursor = 0;
    plan_next_step(plan, &cursor, &step); /* the first makes the root (plan_decode) */
    if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0)
        return fail(failure, PLAN_STAGE_ROOT, "/");
    int user_fd = sources_user_namespace(plan->uid_map, plan->gid_map);
    if (user_fd < 0)
        return fail(failure, PLAN_STAGE_USER_NAMESPACE, "");
    int here_fd = map_layer(step.a, user_fd) < 0 ? -1 : map_layer(".", user_fd);
    if (here_fd < 0 || fchdir(here_fd) < 0 || become_owner(plan) < 0 ||
        mount("overlay", "upper", "overlay", step.flags, step.b) < 0)
        return fail(failure, PLAN_STAGE_ID_MAP, "/");
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "upper", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return fd < 0 ? fail(failure, PLAN_STAGE_ROOT, "upper") : fd;
}

static _Noreturn void run(const struct plan *plan, int to_fd)
{
    struct plan_failure failure;
    memset(&failure, 0, sizeof(failure));
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    int fd = mount_mapped(plan, &failure);
    if (fd < 0)
        _exit(send(to_fd, &failure, sizeof(failure), MSG_NOSIGNAL) < 0);
    _exit(descriptor_send(to_fd, "", 1, fd, 0) < 0);
}

int layers_mount(const struct plan *plan, struct plan_failure *failure)
{
    int pair[2], fd;
    struct plan_failure why;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fail(failure, PLAN_STAGE_SHIM, "socket");
    int pid = (int)syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        run(plan, pair[1]);
    close(pair[1]); /* whatever becomes of the process, there is an end now */
    if (pid < 0)
        return fail(failure, PLAN_STAGE_SHIM, "layers");
    ssize_t n = descriptor_receive(pair[0], &why, sizeof(why), &fd);
    close(pair[0]);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (fd >= 0)
        return fd;
    errno = ECHILD;
    if (n != (ssize_t)sizeof(why))
        return fail(failure, PLAN_STAGE_SHIM, "layers");
    *failure = why;
    return -1;
}
