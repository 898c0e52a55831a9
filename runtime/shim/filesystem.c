/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New file systems of the kernel's own, through fsopen(2) and its relatives: what comes out is a descriptor
 * of the mount, with which its attributes are set, files are copied into it and paths in it are resolved.
 * After mount(2) it would have to be looked for by its name.
 */
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/stat.h> /* musl has no statx(2) of its own */
#include <stdbool.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { OPTION_SIZE = 256 }; /* as long as fsconfig(2) takes a key and a value */

bool filesystem_is_virtual(const char *type)
{
    static const char *const TYPES[] = {"proc", "sysfs", "tmpfs", "devpts", "mqueue"};
    for (size_t i = 0; i < COUNT(TYPES); i++) {
        if (strcmp(type, TYPES[i]) == 0)
            return true;
    }
    return false;
}

static int set_option(int fs_fd, unsigned command, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, fs_fd, command, key, value, 0);
}

/* Flags of the whole file system, where mount(2) has one argument for both kinds. */
static int set_flags(int fs_fd, uint64_t flags)
{
    static const struct {
        uint64_t flag;
        const char *name;
    } FLAGS[] = {{MS_RDONLY, "ro"},
                 {MS_SYNCHRONOUS, "sync"},
                 {MS_DIRSYNC, "dirsync"},
                 {MS_MANDLOCK, "mand"},
                 {MS_LAZYTIME, "lazytime"}};
    for (size_t i = 0; i < COUNT(FLAGS); i++) {
        if ((flags & FLAGS[i].flag) != 0 && set_option(fs_fd, FSCONFIG_SET_FLAG, FLAGS[i].name, NULL) < 0)
            return -1;
    }
    return 0;
}

/* And those of the mount. */
static unsigned mount_attributes(uint64_t flags)
{
    static const struct {
        uint64_t flag;
        unsigned attribute;
    } ATTRIBUTES[] = {{MS_RDONLY, MOUNT_ATTR_RDONLY},         {MS_NOSUID, MOUNT_ATTR_NOSUID},
                      {MS_NODEV, MOUNT_ATTR_NODEV},           {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
                      {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW}};
    /* neither of the two is "relatime", and "strictatime" wins over "noatime", as in mount(2) */
    unsigned attributes = (flags & MS_STRICTATIME) != 0 ? MOUNT_ATTR_STRICTATIME
                          : (flags & MS_NOATIME) != 0   ? MOUNT_ATTR_NOATIME
                                                        : MOUNT_ATTR_RELATIME;
    for (size_t i = 0; i < COUNT(ATTRIBUTES); i++)
        attributes |= (flags & ATTRIBUTES[i].flag) != 0 ? ATTRIBUTES[i].attribute : 0;
    return attributes;
}

/* How long the first option is. A label of SELinux may have commas between quotes, and the numbers of a
 * tmpfs's "mpol=bind:0,2" have them as well (mm/shmem.c): no option begins with a digit. */
static size_t option_size(const char *options)
{
    bool quoted = false;
    size_t size = 0;
    for (; options[size] != '\0'; size++) {
        quoted ^= options[size] == '"';
        if (options[size] == ',' && !quoted && (options[size + 1] < '0' || options[size + 1] > '9'))
            break;
    }
    return size;
}

static int copy_option(char ret[OPTION_SIZE], const char *text, size_t size)
{
    errno = EINVAL;
    if (size >= OPTION_SIZE)
        return -1;
    memcpy(ret, text, size);
    ret[size] = '\0';
    return 0;
}

/* One option, "key" or "key=value", the value perhaps in quotes. */
static int take_option(int fs_fd, const char *option, size_t size)
{
    char key[OPTION_SIZE], value[OPTION_SIZE];
    const char *equals = memchr(option, '=', size);
    size_t key_size = equals != NULL ? (size_t)(equals - option) : size;
    if (size == 0)
        return 0;
    if (copy_option(key, option, key_size) < 0)
        return -1;
    if (equals == NULL)
        return set_option(fs_fd, FSCONFIG_SET_FLAG, key, NULL);
    const char *begin = equals + 1, *end = option + size;
    if (end - begin >= 2 && begin[0] == '"' && end[-1] == '"') {
        begin++;
        end--;
    }
    if (copy_option(value, begin, (size_t)(end - begin)) < 0)
        return -1;
    return set_option(fs_fd, FSCONFIG_SET_STRING, key, value);
}

static int take_options(int fs_fd, const char *options)
{
    while (*options != '\0') {
        size_t size = option_size(options);
        if (take_option(fs_fd, options, size) < 0)
            return -1;
        options += size + (options[size] == ',' ? 1 : 0);
    }
    return 0;
}

static int configure(int fs_fd, const struct plan_step *step)
{
    if ((step->c[0] != '\0' && set_option(fs_fd, FSCONFIG_SET_STRING, "source", step->c) < 0) ||
        set_flags(fs_fd, step->flags) < 0 || take_options(fs_fd, step->b) < 0)
        return -1;
    return set_option(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL);
}

int filesystem_open(const struct plan_step *step)
{
    int fs_fd = (int)syscall(SYS_fsopen, step->a, FSOPEN_CLOEXEC);
    if (fs_fd < 0)
        return -1;
    int fd = configure(fs_fd, step) < 0
                 ? -1
                 : (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, mount_attributes(step->flags));
    int cause = errno;
    close(fs_fd);
    errno = cause;
    return fd;
}

bool filesystem_is_the_kernels(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC);
}

bool mount_place_of(int fd, struct mount_place *ret)
{
    struct statx st;
    const unsigned wanted = STATX_MNT_ID | STATX_INO;
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, wanted, &st) < 0 || (st.stx_mask & wanted) != wanted)
        return false;
    *ret = (struct mount_place){.mount = st.stx_mnt_id, .inode = st.stx_ino};
    return true;
}
