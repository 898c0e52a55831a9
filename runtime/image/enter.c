/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/defence.h"
#include "runtime/shim/shim.h"

/* Its root, with the ids that it counts by. */
static int become_container_root(int pid_fd, struct err *err)
{
    if (setns(pid_fd, CLONE_NEWUSER) < 0 || setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 ||
        setresuid(0, 0, 0) < 0)
        return err_sys(err, errno, "cannot enter the container's user namespace");
    return 0;
}

int enter_running(int pid_fd, bool root_only, bool own_users, struct err *err)
{
    if (setns(pid_fd, CLONE_NEWNS) < 0)
        return err_sys(err, errno, "cannot enter the container's mount namespace");
    /* The tree lives as long as the descriptor, which is the process's for good. */
    int root_fd = root_only ? open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC) : -1;
    if (root_only && (root_fd < 0 || fchdir(root_fd) < 0 || chroot(".") < 0))
        return err_sys(err, errno, "cannot enter the container's root file system");
    return own_users ? become_container_root(pid_fd, err) : 0;
}

static int mount_one(int root_fd, const json_t *mount, struct err *err)
{
    const char *source = json_string_value(json_object_get(mount, "source"));
    const char *target = json_string_value(json_object_get(mount, "target"));
    struct stat st;
    auto_fd int tree_fd =
        source == NULL ? -1 : open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree_fd < 0 || target == NULL)
        return 0; /* made by the next start, or missed by it */
    bool is_directory = fstat(tree_fd, &st) == 0 && S_ISDIR(st.st_mode);
    auto_fd int target_fd =
        is_directory ? open_directory_in_root(root_fd, target) : open_in_root(root_fd, target, O_PATH);
    if (target_fd < 0)
        return 0;
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    if ((json_is_true(json_object_get(mount, "read_only")) &&
         mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only, sizeof(read_only)) < 0) ||
        move_mount(tree_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return err_sys(err, errno, "cannot mount '%s' at '%s'", source, target);
    return 0;
}

static int mount_overlay(const char *image, struct err *err)
{
    char lower[PATH_MAX];
    snprintf(lower, sizeof(lower), "../../images/%.64s/rootfs", image);
    auto_fd int fs_fd = fsopen("overlay", FSOPEN_CLOEXEC);
    int root_fd = -1;
    if (fs_fd >= 0 && fsconfig(fs_fd, FSCONFIG_SET_STRING, "lowerdir", lower, 0) == 0 &&
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "upperdir", "upper", 0) == 0 &&
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "workdir", "work", 0) == 0 &&
        fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        root_fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, 0);
    return root_fd < 0 ? err_sys(err, errno, "cannot mount the container's layers") : root_fd;
}

int enter_layers(int dir_fd, const char *image, const json_t *mounts, bool read_only, struct err *err)
{
    size_t i;
    const json_t *mount_;
    /* The working directory moves into the new namespace; the descriptor would not. */
    if (fchdir(dir_fd) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(err, errno, "cannot make a mount namespace");
    auto_fd int root_fd = mount_overlay(image, err);
    if (root_fd < 0)
        return -1;
    if (move_mount(root_fd, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, errno, "cannot mount the container's layers");
    json_array_foreach(mounts, i, mount_)
    {
        if (mount_one(root_fd, mount_, err) < 0)
            return -1;
    }
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (read_only &&
        mount_setattr(root_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
        return err_sys(err, errno, "cannot make the container's layers read-only");
    if (!DEFENDED(ENTERED_ROOT))
        return fchdir(root_fd);
    /* The old root ends up below the new one (pivot_root(2)), and goes. */
    if (fchdir(root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return err_sys(err, errno, "cannot enter the container's root file system");
    return 0;
}
