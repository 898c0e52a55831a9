/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

/* musl's <sys/mount.h> has no new mount API and the kernel's header only its constants. */
static int sys_open_tree(int dir_fd, const char *path, unsigned flags)
{
    return (int)syscall(SYS_open_tree, dir_fd, path, flags);
}

static int sys_move_mount(int from_fd, int to_fd)
{
    return (int)syscall(SYS_move_mount, from_fd, "", to_fd, "",
                        MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int sys_mount_set_read_only(int fd)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr));
}

int open_in_root(int root_fd, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

struct mount_work {
    const struct plan *plan;
    struct plan_failure *failure;
    int root_fd;
    int empty_fd; /* an empty read-only directory that masks are cloned from; -1 until needed */
};

/* The overlay is mounted on its own upper directory: the kernel has resolved its layers by then, no further
 * directory is needed, and the mount exists in this namespace only. */
static int make_root(struct mount_work *work, const struct plan_step *step)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, "/");
    if (mount("overlay", "upper", "overlay", step->flags, step->b) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, step->b);
    if (chdir("upper") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, "pivot_root");
    work->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return work->root_fd < 0 ? fail(work->failure, PLAN_STAGE_ROOT, "/") : 0;
}

/* Makes the directory and its missing parents, confined to the root: each parent is opened before a child is
 * made. */
static int make_directory(int root_fd, const char *path)
{
    char partial[4096];
    size_t size = strlen(path);
    if (size >= sizeof(partial)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (size_t at = 1; at <= size; at++) {
        if (path[at] != '/' && path[at] != '\0')
            continue;
        memcpy(partial, path, at);
        partial[at] = '\0';
        int fd = open_in_root(root_fd, partial, O_PATH | O_DIRECTORY);
        if (fd >= 0) {
            close(fd);
            continue;
        }
        char *slash = strrchr(partial, '/');
        const char *name = slash + 1;
        *slash = '\0';
        int parent_fd = open_in_root(root_fd, slash == partial ? "/" : partial, O_PATH | O_DIRECTORY);
        if (parent_fd < 0)
            return -1;
        int made = mkdirat(parent_fd, name, 0755);
        int cause = errno;
        close(parent_fd);
        errno = cause;
        if (made < 0 && cause != EEXIST)
            return -1;
    }
    return 0;
}

static int open_directory(int root_fd, const char *path)
{
    int fd = open_in_root(root_fd, path, O_PATH | O_DIRECTORY);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (make_directory(root_fd, path) < 0)
        return -1;
    return open_in_root(root_fd, path, O_PATH | O_DIRECTORY);
}

static int mount_filesystem(struct mount_work *work, const struct plan_step *step)
{
    int fd = open_directory(work->root_fd, step->path);
    if (fd < 0 || fchdir(fd) < 0 ||
        mount(step->a, ".", step->a, step->flags, step->b[0] == '\0' ? NULL : step->b) < 0)
        return fail(work->failure, PLAN_STAGE_MOUNT, step->path);
    close(fd);
    return 0;
}

/* The parent of devices and links is opened, confined; the last component is made in it. */
static int make_node(struct mount_work *work, const struct plan_step *step)
{
    char parent[256];
    const char *slash = strrchr(step->path, '/');
    size_t size = (size_t)(slash - step->path);
    if (size == 0 || size >= sizeof(parent)) {
        errno = ENAMETOOLONG;
        return fail(work->failure, PLAN_STAGE_DEVICE, step->path);
    }
    memcpy(parent, step->path, size);
    parent[size] = '\0';
    int fd = open_in_root(work->root_fd, parent, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fail(work->failure, PLAN_STAGE_DEVICE, step->path);
    int made = step->op == PLAN_OP_SYMLINK ? symlinkat(step->a, fd, slash + 1)
                                           : mknodat(fd, slash + 1, (mode_t)step->mode, (dev_t)step->dev);
    if (made < 0)
        return fail(work->failure, PLAN_STAGE_DEVICE, step->path);
    close(fd);
    return 0;
}

/* One empty read-only tmpfs serves every masked directory: the first gets it, the others get clones of it. It
 * is cloned where it is mounted, since open_tree(2) refuses detached mounts before Linux 6.15. */
static int empty_directory(struct mount_work *work)
{
    if (work->empty_fd >= 0)
        return sys_open_tree(work->empty_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    int fs_fd = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fs_fd < 0)
        return -1;
    syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, "size", "0", 0);
    if (syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        work->empty_fd =
            (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC,
                         MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    close(fs_fd);
    return work->empty_fd;
}

static int mask(struct mount_work *work, const struct plan_step *step)
{
    int to_fd = open_in_root(work->root_fd, step->path, O_PATH);
    if (to_fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fail(work->failure, PLAN_STAGE_MASK, step->path);
    struct stat st;
    int from_fd = -1;
    if (fstat(to_fd, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            from_fd = sys_open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        else
            from_fd = empty_directory(work);
    }
    if (from_fd < 0 || sys_move_mount(from_fd, to_fd) < 0)
        return fail(work->failure, PLAN_STAGE_MASK, step->path);
    if (from_fd != work->empty_fd)
        close(from_fd);
    close(to_fd);
    return 0;
}

static int make_read_only(struct mount_work *work, const struct plan_step *step)
{
    int to_fd = open_in_root(work->root_fd, step->path, O_PATH);
    if (to_fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fail(work->failure, PLAN_STAGE_MASK, step->path);
    int from_fd =
        sys_open_tree(to_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
    if (from_fd < 0 || sys_mount_set_read_only(from_fd) < 0 || sys_move_mount(from_fd, to_fd) < 0)
        return fail(work->failure, PLAN_STAGE_MASK, step->path);
    close(from_fd);
    close(to_fd);
    return 0;
}

static int apply_step(struct mount_work *work, const struct plan_step *step)
{
    switch (step->op) {
    case PLAN_OP_OVERLAY_ROOT:
        return make_root(work, step);
    case PLAN_OP_MOUNT:
        return mount_filesystem(work, step);
    case PLAN_OP_MKNOD:
    case PLAN_OP_SYMLINK:
        return make_node(work, step);
    case PLAN_OP_MASK:
        return mask(work, step);
    case PLAN_OP_READ_ONLY:
        return make_read_only(work, step);
    }
    errno = EINVAL;
    return fail(work->failure, PLAN_STAGE_PLAN, step->path);
}

/* The working directory is made before the root may become read-only, and entered through a descriptor that
 * cannot lead out of the root, whatever links the image has. */
static int enter_workdir(struct mount_work *work)
{
    int fd = open_directory(work->root_fd, work->plan->workdir);
    if (fd < 0 || fchdir(fd) < 0)
        return fail(work->failure, PLAN_STAGE_WORKDIR, work->plan->workdir);
    close(fd);
    if ((work->plan->header.flags & PLAN_READ_ONLY_ROOT) != 0 && sys_mount_set_read_only(work->root_fd) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, "/");
    return 0;
}

int mounts_apply(const struct plan *plan, struct plan_failure *ret_failure)
{
    struct mount_work work = {.plan = plan, .failure = ret_failure, .root_fd = -1, .empty_fd = -1};
    /* Modes of directories and devices are meant as they are written. */
    umask(0);
    struct plan_step step;
    size_t cursor = 0;
    while (plan_next_step(plan, &cursor, &step)) {
        if (apply_step(&work, &step) < 0)
            return -1;
    }
    if (enter_workdir(&work) < 0)
        return -1;
    close(work.root_fd);
    if (work.empty_fd >= 0)
        close(work.empty_fd);
    return 0;
}
