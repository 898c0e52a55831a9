/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DEPTH_MAX 256
#define CHUNK (16u << 20)

/* A file system without extended attributes has none to copy; one that does not take them is an error. */
static int copy_xattrs(int from_fd, int to_fd)
{
    char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
    ssize_t size = flistxattr(from_fd, names, sizeof(names));
    if (size < 0)
        return errno == ENOTSUP ? 0 : -1;
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        ssize_t n = fgetxattr(from_fd, name, value, sizeof(value));
        if (n < 0 || fsetxattr(to_fd, name, value, (size_t)n, 0) < 0)
            return -1;
    }
    return 0;
}

/* Changing the owner takes set-user-id bits and capabilities away: it comes first. */
static int copy_attributes(int from_fd, int to_fd, const struct stat *st)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (fchown(to_fd, st->st_uid, st->st_gid) < 0 || copy_xattrs(from_fd, to_fd) < 0 ||
        fchmod(to_fd, st->st_mode & 07777) < 0)
        return -1;
    return futimens(to_fd, times);
}

static int copy_bytes(int from_fd, int to_fd)
{
    for (;;) {
        ssize_t n = copy_file_range(from_fd, NULL, to_fd, NULL, CHUNK, 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
            return -1;
        if (n < 0)
            break;
    }
    /* Between these two file systems the kernel does not copy by itself. */
    char chunk[65536];
    ssize_t n;
    while ((n = read(from_fd, chunk, sizeof(chunk))) > 0) {
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(to_fd, chunk + done, (size_t)(n - done));
            if (written < 0)
                return -1;
            done += written;
        }
    }
    return n < 0 ? -1 : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
    auto_fd int from_fd = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    auto_fd int to_fd =
        from_fd < 0 ? -1 : openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to_fd < 0 || copy_bytes(from_fd, to_fd) < 0)
        return -1;
    return copy_attributes(from_fd, to_fd, st);
}

static int copy_link(int from_dir, int to_dir, const char *name)
{
    char target[PATH_MAX];
    ssize_t size = readlinkat(from_dir, name, target, sizeof(target) - 1);
    if (size < 0)
        return -1;
    target[size] = '\0';
    return symlinkat(target, to_dir, name);
}

/* Links, devices and the like have no descriptor to work on. */
static int copy_special(int from_dir, int to_dir, const char *name, const struct stat *st)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    int made = S_ISLNK(st->st_mode) ? copy_link(from_dir, to_dir, name)
                                    : mknodat(to_dir, name, st->st_mode, st->st_rdev);
    if (made < 0 || fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (!S_ISLNK(st->st_mode) && fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0)
        return -1;
    return utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW);
}

static int copy_directory(int from_fd, int to_fd, int depth, struct err *err);

static int copy_entry(int from_dir, int to_dir, const char *name, int depth, struct err *err)
{
    struct stat st;
    int result = fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW);
    if (result == 0 && S_ISDIR(st.st_mode)) {
        auto_fd int from_fd = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (from_fd >= 0 && mkdirat(to_dir, name, 0700) == 0) {
            auto_fd int to_fd = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (to_fd >= 0)
                return copy_directory(from_fd, to_fd, depth + 1, err);
        }
        result = -1;
    } else if (result == 0) {
        result = S_ISREG(st.st_mode) ? copy_file(from_dir, to_dir, name, &st)
                                     : copy_special(from_dir, to_dir, name, &st);
    }
    return result < 0 ? err_sys(err, errno, "cannot copy '%s'", name) : 0;
}

static int copy_directory(int from_fd, int to_fd, int depth, struct err *err)
{
    struct stat st;
    int list_fd = depth > DEPTH_MAX ? -1 : openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    const struct dirent *entry;
    if (dir == NULL)
        return err_sys(err, depth > DEPTH_MAX ? ELOOP : errno, "cannot copy a directory");
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            copy_entry(from_fd, to_fd, entry->d_name, depth, err) < 0)
            return -1;
    }
    /* Times last: what was made in it has changed them. */
    if (fstat(from_fd, &st) < 0 || copy_attributes(from_fd, to_fd, &st) < 0)
        return err_sys(err, errno, "cannot copy a directory's attributes");
    return 0;
}

int fs_copy_tree(int from_fd, int to_fd, struct err *err)
{
    return copy_directory(from_fd, to_fd, 0, err);
}
