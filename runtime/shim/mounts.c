/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything is mounted below the new root while the old one is still there: that is where bind mounts come
 * from, what hooks expect, and what the kernel wants to see of /proc before it allows another one in a user
 * namespace. Paths below the root are resolved by openat2(2), confined to it, and used as descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/defence.h"
#include "runtime/shim/shim.h"

/* musl's <sys/mount.h> has no new mount API and the kernel's header only its constants. */
static int sys_open_tree(int dir_fd, const char *path, unsigned flags)
{
    return (int)syscall(SYS_open_tree, dir_fd, path, flags);
}

int mount_move(int from_fd, int to_fd)
{
    return (int)syscall(SYS_move_mount, from_fd, "", to_fd, "",
                        MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int mount_set(int fd, const struct mount_attr *attr, unsigned flags)
{
    return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, attr, sizeof(*attr));
}

static int set_read_only(int fd)
{
    return mount_set(fd, &(struct mount_attr){.attr_set = MOUNT_ATTR_RDONLY}, 0);
}

static int step_failed(struct mount_work *work, enum plan_stage stage, const struct plan_step *step)
{
    return fail(work->failure, stage, step->path);
}

/* --- the root --- */

/* The mount that the working directory is on becomes private: pivot_root(2) refuses a root whose parent mount
 * is shared, and nothing mounted below must show outside. Only a mount's own root can be changed, so that
 * climbing finds it. */
static int make_surrounding_mount_private(void)
{
    for (int depth = 0; depth < 4096; depth++) {
        if (mount(NULL, ".", NULL, MS_PRIVATE, NULL) == 0)
            return 0;
        if (errno != EINVAL || chdir("..") < 0)
            return -1;
    }
    return -1;
}

/* What is mounted here must not show on the host, even where other mounts are shared with it. */
static int leave_the_host(const struct mount_work *work)
{
    if ((work->plan->header.propagation & MS_PRIVATE) != 0)
        return 0;
    int here_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here_fd < 0 || make_surrounding_mount_private() < 0 || fchdir(here_fd) < 0)
        return -1;
    close(here_fd);
    return 0;
}

/* The host's root has mounted the overlay, whose layers have their ids mapped (layers.c). */
static int attach_overlay_root(struct mount_work *work)
{
    int to_fd = open("upper", O_PATH | O_DIRECTORY | O_CLOEXEC);
    work->root_fd = work->mapped_root_fd;
    if (to_fd < 0 || mount_move(work->root_fd, to_fd) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, "upper");
    close(to_fd);
    return 0;
}

/* The overlay is mounted on its own upper directory: the kernel has resolved its layers by then, no further
 * directory is needed, and the mount exists in this namespace only. */
static int make_overlay_root(struct mount_work *work, const struct plan_step *step)
{
    if (leave_the_host(work) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, "upper");
    if (work->mapped_root_fd >= 0)
        return attach_overlay_root(work);
    if (mount("overlay", "upper", "overlay", step->flags, step->b) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, step->b);
    work->root_fd = open("upper", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return work->root_fd < 0 ? fail(work->failure, PLAN_STAGE_ROOT, "upper") : 0;
}

/* The directory is mounted on itself, with what is mounted in it. In the host's mount namespace nothing but
 * that may change, and nothing mounted below may show anywhere else; whoever deletes the container takes it
 * away. */
static int make_bind_root(struct mount_work *work, const struct plan_step *step)
{
    const struct mount_attr private = {.propagation = MS_PRIVATE};
    bool on_host = (work->plan->header.flags & PLAN_HOST_MOUNTS) != 0;
    int to_fd = open(step->a, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (to_fd < 0 || (!on_host && (fchdir(to_fd) < 0 || make_surrounding_mount_private() < 0)))
        return fail(work->failure, PLAN_STAGE_ROOT, step->a);
    work->root_fd =
        sys_open_tree(to_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
    if (work->root_fd < 0 || (on_host && mount_set(work->root_fd, &private, AT_RECURSIVE) < 0) ||
        mount_move(work->root_fd, to_fd) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, step->a);
    close(to_fd);
    return 0;
}

static int make_root(struct mount_work *work, const struct plan_step *step)
{
    bool on_host = (work->plan->header.flags & PLAN_HOST_MOUNTS) != 0;
    if (!on_host && mount(NULL, "/", NULL, work->plan->header.propagation, NULL) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, "/");
    return step->op == PLAN_OP_OVERLAY_ROOT ? make_overlay_root(work, step) : make_bind_root(work, step);
}

/* --- what is mounted on /proc, /sys and /dev --- */

/* Whoever shares the root directory can rename what these are mounted on, and the mounts go along: looked up
 * once more by its name, /proc would be an empty directory, with nothing in it to hide. What is mounted there
 * is held open, and what is below is resolved from there. */
static const char *const HELD[MOUNTS_HELD] = {"/proc", "/sys", "/dev"};

static bool is_at(const struct plan_step *step, const char *path)
{
    size_t size = strlen(path);
    return strncmp(step->path, path, size) == 0 && step->path[size + strspn(step->path + size, "/")] == '\0';
}

/* True if what is mounted at the place will be what is seen there, instead of what is held. */
static bool covers(const struct held_mount *held, const struct mount_place *place)
{
    return held->fd >= 0 && memcmp(place, &held->place, sizeof(*place)) == 0;
}

static void let_go(struct held_mount *held)
{
    if (held->fd >= 0)
        close(held->fd);
    held->fd = -1;
}

/* No link leads out of what is new or the kernel's, as one may that was in a directory. */
static bool has_own_links_only(const struct plan_step *step, int fd)
{
    return step->op == PLAN_OP_MOUNT || filesystem_is_the_kernels(fd);
}

/* The mount `fd` is going to be on `to_fd`: by the step's path or by a link that leads there. It is taken
 * over, or -1, for what is known by its path only. */
static void hold(struct mount_work *work, const struct plan_step *step, int fd, int to_fd)
{
    struct mount_place to = {0};
    mount_place_of(to_fd, &to); /* without, it covers nothing */
    for (size_t i = 0; i < MOUNTS_HELD; i++) {
        struct held_mount *held = &work->held[i];
        if (!is_at(step, HELD[i]) && !covers(held, &to))
            continue;
        /* a part of the same, made read-only */
        bool is_same = step->op == PLAN_OP_READ_ONLY && held->fd >= 0;
        let_go(held);
        if (fd < 0 || !DEFENDED(HELD_MOUNTS) || !(is_same || has_own_links_only(step, fd)) ||
            !mount_place_of(fd, &held->place))
            break;
        held->fd = fd;
        return;
    }
    if (fd >= 0)
        close(fd);
}

/* Where the path is resolved from; `path` becomes what is left of it. */
static int base_of(const struct mount_work *work, const char **path)
{
    for (size_t i = 0; i < MOUNTS_HELD; i++) {
        size_t size = strlen(HELD[i]);
        const char *rest = *path + size;
        if (work->held[i].fd < 0 || strncmp(*path, HELD[i], size) != 0 || (*rest != '/' && *rest != '\0') ||
            strstr(rest, "/..") != NULL)
            continue;
        *path = *rest == '\0' ? "/" : rest;
        return work->held[i].fd;
    }
    return work->root_fd;
}

/* What is at the step's path. */
static int open_place(const struct mount_work *work, const struct plan_step *step, uint64_t flags)
{
    const char *path = step->path;
    int base_fd = base_of(work, &path);
    return open_in_root(base_fd, path, flags);
}

/* A file to mount one on, made if missing. */
static int open_file_place(const struct mount_work *work, const struct plan_step *step)
{
    const char *path = step->path;
    int base_fd = base_of(work, &path);
    return open_file_in_root(base_fd, path);
}

/* --- below the root --- */

static int set_attributes(int fd, const struct plan_attributes *attributes)
{
    struct mount_attr own = {.attr_set = attributes->set, .attr_clr = attributes->clear};
    struct mount_attr all = {.attr_set = attributes->set_all, .attr_clr = attributes->clear_all};
    if ((own.attr_set | own.attr_clr) != 0 && mount_set(fd, &own, 0) < 0)
        return -1;
    if ((all.attr_set | all.attr_clr) != 0 && mount_set(fd, &all, AT_RECURSIVE) < 0)
        return -1;
    return 0;
}

static int set_propagation(int fd, const struct plan_attributes *attributes)
{
    for (size_t i = 0; i < PLAN_MAX_PROPAGATIONS && attributes->propagation[i] != 0; i++) {
        uint64_t flags = attributes->propagation[i];
        struct mount_attr attr = {.propagation = flags & ~(uint64_t)MS_REC};
        if (mount_set(fd, &attr, (flags & MS_REC) != 0 ? AT_RECURSIVE : 0) < 0)
            return -1;
    }
    return 0;
}

/* A mount point that is there: what is mounted on it last is opened. */
static int change_mount(struct mount_work *work, const struct plan_step *step)
{
    int fd = open_place(work, step, O_PATH);
    if (fd < 0 || set_attributes(fd, &step->attributes) < 0 || set_propagation(fd, &step->attributes) < 0)
        return step_failed(work, PLAN_STAGE_MOUNT, step);
    close(fd);
    return 0;
}

static bool has_attributes(const struct plan_attributes *attributes)
{
    return (attributes->set | attributes->clear | attributes->set_all | attributes->clear_all |
            attributes->propagation[0]) != 0;
}

/* What hides and protects files of /proc and /sys, and the devices of /dev, are put there later. A link on
 * the way, to a volume, could lead somewhere else by then: all of /proc would be left open where it is
 * (CVE-2019-19921), and devices be made in the volume. */
static int open_mount_point(const struct mount_work *work, const struct plan_step *step)
{
    bool is_plain =
        is_at(step, "/proc") || is_at(step, "/sys") || is_at(step, "/dev") ||
        (step->op == PLAN_OP_MOUNT && (strcmp(step->a, "proc") == 0 || strcmp(step->a, "sysfs") == 0));
    const char *path = step->path;
    int base_fd = base_of(work, &path), fd = open_directory_in_root(base_fd, path);
    if (fd < 0 || !is_plain || !DEFENDED(PLAIN_MOUNTS))
        return fd;
    close(fd);
    return open_plain_in_root(base_fd, path, O_PATH | O_DIRECTORY);
}

/* What is mounted where a cgroup was going to be stays to be seen there. */
static void leave_cgroup_out(struct mount_work *work, int to_fd)
{
    struct mount_place at, cgroup;
    for (size_t i = 0; i < work->n_cgroups; i++) {
        if (work->cgroup_fds[i] < 0 || !mount_place_of(to_fd, &at) ||
            !mount_place_of(work->cgroup_fds[i], &cgroup) || memcmp(&at, &cgroup, sizeof(at)) != 0)
            continue;
        close(work->cgroup_fds[i]);
        work->cgroup_fds[i] = -1;
    }
}

/* What is mounted nowhere yet. Takes both descriptors over, of which either may be -1 with errno. */
static int attach(struct mount_work *work, const struct plan_step *step, int from_fd, int to_fd)
{
    if (from_fd < 0 || to_fd < 0 || set_attributes(from_fd, &step->attributes) < 0 ||
        mount_move(from_fd, to_fd) < 0 || set_propagation(from_fd, &step->attributes) < 0)
        return step_failed(work, PLAN_STAGE_MOUNT, step);
    hold(work, step, from_fd, to_fd);
    leave_cgroup_out(work, to_fd);
    close(to_fd);
    return 0;
}

/* What is mounted there by then is changed, or what fsopen(2) might not know all of. */
static int mount_by_path(struct mount_work *work, const struct plan_step *step)
{
    int fd = open_mount_point(work, step);
    if (fd < 0 || fchdir(fd) < 0 ||
        mount(step->c, ".", step->a, step->flags, step->b[0] == '\0' ? NULL : step->b) < 0)
        return step_failed(work, PLAN_STAGE_MOUNT, step);
    if ((step->flags & MS_REMOUNT) == 0)
        hold(work, step, -1, fd);
    leave_cgroup_out(work, fd);
    close(fd);
    return has_attributes(&step->attributes) ? change_mount(work, step) : 0;
}

static int mount_filesystem(struct mount_work *work, const struct plan_step *step)
{
    if ((step->flags & MS_REMOUNT) != 0 || !filesystem_is_virtual(step->a))
        return mount_by_path(work, step);
    int from_fd = filesystem_open(step);
    /* An option may be too long, or too new for this kernel's fsmount(2). */
    if (from_fd < 0 && errno == EINVAL)
        return mount_by_path(work, step);
    return attach(work, step, from_fd, from_fd < 0 ? -1 : open_mount_point(work, step));
}

/* A tmpfs that begins with what it hides; if that is nothing it is as it is by itself, for all to write. */
static int mount_with_copy(struct mount_work *work, const struct plan_step *step)
{
    int hidden_fd = open_place(work, step, O_PATH | O_DIRECTORY);
    if (hidden_fd < 0 && errno != ENOENT)
        return step_failed(work, PLAN_STAGE_MOUNT, step);
    int from_fd = filesystem_open(step);
    if (hidden_fd >= 0 && from_fd >= 0 && copy_up(hidden_fd, from_fd) < 0)
        return step_failed(work, PLAN_STAGE_COPY_UP, step);
    if (hidden_fd >= 0)
        close(hidden_fd);
    return attach(work, step, from_fd, from_fd < 0 ? -1 : open_mount_point(work, step));
}

int mounts_open_source(const struct plan_step *step)
{
    int fd = sys_open_tree(AT_FDCWD, step->a,
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
                               ((step->flags & MS_REC) != 0 ? AT_RECURSIVE : 0u));
    return fd < 0 && errno == EINVAL ? sources_open_shared(step->a) : fd;
}

static int bind(struct mount_work *work, const struct plan_step *step)
{
    struct stat st;
    int from_fd = work->sources != NULL ? *work->sources++ : mounts_open_source(step);
    if (from_fd < 0 || fstat(from_fd, &st) < 0)
        return fail(work->failure, PLAN_STAGE_MOUNT, step->a);
    int to_fd = S_ISDIR(st.st_mode) ? open_mount_point(work, step) : open_file_place(work, step);
    return attach(work, step, from_fd, to_fd);
}

static bool is_same_node(int dir_fd, const char *name, const struct plan_step *step)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (step->op == PLAN_OP_SYMLINK)
        return S_ISLNK(st.st_mode);
    return (st.st_mode & S_IFMT) == (step->mode & S_IFMT) && st.st_rdev == (dev_t)step->dev;
}

/* Nobody may make a device in a user namespace: the host's own is bound, if it is the same. */
static int bind_device(struct mount_work *work, const struct plan_step *step)
{
    struct stat st;
    int from_fd = sys_open_tree(AT_FDCWD, step->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (from_fd < 0 || fstat(from_fd, &st) < 0)
        return -1;
    errno = EPERM;
    if ((st.st_mode & S_IFMT) != (step->mode & S_IFMT) || st.st_rdev != (dev_t)step->dev)
        return -1;
    int to_fd = open_file_place(work, step);
    if (to_fd < 0 || mount_move(from_fd, to_fd) < 0)
        return -1;
    close(from_fd);
    close(to_fd);
    return 0;
}

/* The parent of devices and links is opened, confined; the last component is made in it. What a root
 * directory has already, and that is what is wanted, stays. */
static int make_node(struct mount_work *work, const struct plan_step *step)
{
    const char *name, *path = step->path;
    int base_fd = base_of(work, &path), fd = make_parent_in_root(base_fd, path, &name);
    if (fd < 0)
        return step_failed(work, PLAN_STAGE_DEVICE, step);
    int made = step->op == PLAN_OP_SYMLINK ? symlinkat(step->a, fd, name)
                                           : mknodat(fd, name, (mode_t)step->mode, (dev_t)step->dev);
    if (made < 0 && errno == EPERM && step->op == PLAN_OP_MKNOD &&
        (work->plan->header.flags & PLAN_USER_NAMESPACE) != 0) {
        close(fd);
        return bind_device(work, step) < 0 ? step_failed(work, PLAN_STAGE_DEVICE, step) : 0;
    }
    if (made < 0 && (errno != EEXIST || !is_same_node(fd, name, step)))
        return step_failed(work, PLAN_STAGE_DEVICE, step);
    if (made == 0 && (step->uid != 0 || step->gid != 0) &&
        fchownat(fd, name, step->uid, step->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return step_failed(work, PLAN_STAGE_DEVICE, step);
    close(fd);
    return 0;
}

/* One empty read-only tmpfs serves every masked directory: the first gets it, the others get clones of it. It
 * is cloned where it is mounted, since open_tree(2) refuses detached mounts before Linux 6.15. */
static int empty_directory(struct mount_work *work)
{
    if (work->empty_fd >= 0)
        return sys_open_tree(work->empty_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    work->empty_fd = filesystem_open(&(struct plan_step){
        .flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, .a = "tmpfs", .b = "size=0", .c = ""});
    return work->empty_fd;
}

/* Files are hidden by the host's /dev/null: the container's own could be anything by now. */
static int mask(struct mount_work *work, const struct plan_step *step)
{
    int to_fd = open_place(work, step, O_PATH);
    if (to_fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : step_failed(work, PLAN_STAGE_MASK, step);
    struct stat st;
    int from_fd = -1;
    if (fstat(to_fd, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            from_fd = DEFENDED(HOST_NULL)
                          ? sys_open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
                          : sys_open_tree(work->root_fd, "dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        else
            from_fd = empty_directory(work);
    }
    if (from_fd < 0 || mount_move(from_fd, to_fd) < 0)
        return step_failed(work, PLAN_STAGE_MASK, step);
    if (from_fd != work->empty_fd)
        close(from_fd);
    hold(work, step, -1, to_fd);
    close(to_fd);
    return 0;
}

static int make_read_only(struct mount_work *work, const struct plan_step *step)
{
    int to_fd = open_place(work, step, O_PATH);
    if (to_fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : step_failed(work, PLAN_STAGE_MASK, step);
    int from_fd =
        sys_open_tree(to_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
    if (from_fd < 0 || set_read_only(from_fd) < 0 || mount_move(from_fd, to_fd) < 0)
        return step_failed(work, PLAN_STAGE_MASK, step);
    hold(work, step, from_fd, to_fd);
    close(to_fd);
    return 0;
}

static int make_cgroup_directory(struct mount_work *work, const struct plan_step *step)
{
    errno = E2BIG;
    int fd = work->n_cgroups < MOUNTS_MAX_CGROUPS ? open_mount_point(work, step) : -1;
    if (fd < 0)
        return step_failed(work, PLAN_STAGE_MOUNT, step);
    work->cgroup_fds[work->n_cgroups++] = fd;
    return 0;
}

int mounts_show_cgroups(struct mount_work *work)
{
    struct plan_step step;
    size_t cursor = 0, i = 0;
    while (plan_next_step(work->plan, &cursor, &step)) {
        if (step.op != PLAN_OP_CGROUP)
            continue;
        int to_fd = work->cgroup_fds[i++];
        if (to_fd < 0)
            continue;
        int from_fd = filesystem_open(&step);
        if (from_fd < 0 || mount_move(from_fd, to_fd) < 0)
            return step_failed(work, PLAN_STAGE_MOUNT, &step);
        close(from_fd);
        close(to_fd);
    }
    return 0;
}

static int apply_step(struct mount_work *work, const struct plan_step *step)
{
    switch (step->op) {
    case PLAN_OP_OVERLAY_ROOT:
    case PLAN_OP_BIND_ROOT:
        return make_root(work, step);
    case PLAN_OP_MOUNT:
        return mount_filesystem(work, step);
    case PLAN_OP_COPY_UP:
        return mount_with_copy(work, step);
    case PLAN_OP_BIND:
        return bind(work, step);
    case PLAN_OP_ATTRIBUTES:
        return change_mount(work, step);
    case PLAN_OP_MKNOD:
    case PLAN_OP_SYMLINK:
        return make_node(work, step);
    case PLAN_OP_CGROUP:
        return make_cgroup_directory(work, step);
    case PLAN_OP_MASK:
        return mask(work, step);
    case PLAN_OP_READ_ONLY:
        return make_read_only(work, step);
    case PLAN_OPS:
        break;
    }
    errno = EINVAL;
    return step_failed(work, PLAN_STAGE_PLAN, step);
}

int mounts_make(struct mount_work *work)
{
    /* Modes of directories and devices are meant as they are written. */
    umask(0);
    struct plan_step step;
    size_t cursor = 0;
    while (plan_next_step(work->plan, &cursor, &step)) {
        bool first = work->root_fd < 0;
        if (apply_step(work, &step) < 0)
            return -1;
        /* The way to the root is for the user that came; what is mounted there belongs to the container's. */
        if (first && (work->plan->header.flags & PLAN_USER_NAMESPACE) != 0 &&
            process_become_namespace_root(work->failure) < 0)
            return -1;
    }
    if (work->empty_fd >= 0)
        close(work->empty_fd);
    work->empty_fd = -1;
    for (size_t i = 0; i < MOUNTS_HELD; i++)
        let_go(&work->held[i]);
    return 0;
}

/* pivot_root(2) with the old root on top of the new one, from where it is detached. It is made a slave
 * before, so that unmounting does not spread to whoever shares mounts with us. */
static int pivot(int root_fd)
{
    int old_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old_fd < 0 || fchdir(root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || fchdir(old_fd) < 0 ||
        mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0)
        return -1;
    close(old_fd);
    return chdir("/");
}

static int move_and_chroot(int root_fd, bool on_host)
{
    if (fchdir(root_fd) < 0 || (!on_host && mount(".", "/", NULL, MS_MOVE, NULL) < 0) || chroot(".") < 0)
        return -1;
    return chdir("/");
}

/* The working directory is made before the root may become read-only, and entered through a descriptor that
 * cannot lead out of the root, whatever links the image has. */
int mounts_enter(struct mount_work *work)
{
    const struct plan_header *header = &work->plan->header;
    bool on_host = (header->flags & PLAN_HOST_MOUNTS) != 0;
    bool no_pivot = on_host || (header->flags & PLAN_NO_PIVOT) != 0;
    int workdir_fd = open_directory_in_root(work->root_fd, work->plan->workdir);
    if (workdir_fd < 0)
        return fail(work->failure, PLAN_STAGE_WORKDIR, work->plan->workdir);
    if ((no_pivot ? move_and_chroot(work->root_fd, on_host) : pivot(work->root_fd)) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, no_pivot ? "chroot" : "pivot_root");
    if (header->final_propagation != 0 && mount(NULL, "/", NULL, header->final_propagation, NULL) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, "propagation");
    if ((header->flags & PLAN_READ_ONLY_ROOT) != 0 && set_read_only(work->root_fd) < 0)
        return fail(work->failure, PLAN_STAGE_ROOT, "/");
    if (fchdir(workdir_fd) < 0)
        return fail(work->failure, PLAN_STAGE_WORKDIR, work->plan->workdir);
    close(workdir_fd);
    close(work->root_fd);
    work->root_fd = -1;
    return 0;
}
