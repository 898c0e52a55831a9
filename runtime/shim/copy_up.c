/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a directory of the image, for a tmpfs that is mounted over it. Nothing is looked up by more
 * than one name at a time, and no link is followed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/shim/shim.h"

#define MAX_DEPTH 64 /* each level has two descriptors and a frame */

static int copy_directory(int from_fd, int to_fd, int depth);

static int close_all(const int *fds, size_t n, int result)
{
    int cause = errno;
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    errno = cause;
    return result;
}

/* The mode last: a change of owner takes set-id bits away. */
static int copy_metadata(int to_fd, const struct stat *st)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (fchown(to_fd, st->st_uid, st->st_gid) < 0 || fchmod(to_fd, st->st_mode & 07777) < 0)
        return -1;
    return futimens(to_fd, times);
}

static int copy_file(int from_dir_fd, int to_dir_fd, const char *name, const struct stat *st)
{
    int fds[2] = {openat(from_dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC),
                  openat(to_dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    ssize_t n = fds[0] < 0 || fds[1] < 0 ? -1 : 1;
    while (n > 0)
        n = sendfile(fds[1], fds[0], NULL, 1 << 20);
    return close_all(fds, 2, n < 0 ? -1 : copy_metadata(fds[1], st));
}

static int copy_link(int from_dir_fd, int to_dir_fd, const char *name, const struct stat *st)
{
    char target[4096];
    ssize_t n = readlinkat(from_dir_fd, name, target, sizeof(target) - 1);
    if (n < 0)
        return -1;
    target[n] = '\0';
    if (symlinkat(target, to_dir_fd, name) < 0)
        return -1;
    return fchownat(to_dir_fd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
}

static int copy_below(int from_dir_fd, int to_dir_fd, const char *name, int depth)
{
    if (mkdirat(to_dir_fd, name, 0700) < 0)
        return -1;
    int fds[2] = {openat(from_dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                  openat(to_dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    return close_all(fds, 2, fds[0] < 0 || fds[1] < 0 ? -1 : copy_directory(fds[0], fds[1], depth + 1));
}

static int copy_entry(int from_fd, int to_fd, const char *name, int depth)
{
    struct stat st;
    if (fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (S_ISDIR(st.st_mode))
        return copy_below(from_fd, to_fd, name, depth);
    if (S_ISLNK(st.st_mode))
        return copy_link(from_fd, to_fd, name, &st);
    if (S_ISREG(st.st_mode))
        return copy_file(from_fd, to_fd, name, &st);
    if (mknodat(to_fd, name, st.st_mode, st.st_rdev) < 0)
        return -1;
    return fchownat(to_fd, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
}

static int copy_directory(int from_fd, int to_fd, int depth)
{
    struct stat st;
    const struct dirent *entry;
    errno = ELOOP;
    int fd = depth > MAX_DEPTH ? -1 : openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return close_all(&fd, 1, -1);
    int result = 0;
    while (result == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (name[0] != '.' || (name[1] != '\0' && (name[1] != '.' || name[2] != '\0')))
            result = copy_entry(from_fd, to_fd, name, depth);
    }
    if (result == 0 && (errno != 0 || fstat(from_fd, &st) < 0 || copy_metadata(to_fd, &st) < 0))
        result = -1;
    int cause = errno;
    closedir(dir);
    errno = cause;
    return result;
}

/* The descriptors may be for paths only. */
int copy_up(int from_fd, int to_fd)
{
    int fds[2] = {openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                  openat(to_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    return close_all(fds, 2, fds[0] < 0 || fds[1] < 0 ? -1 : copy_directory(fds[0], fds[1], 0));
}
