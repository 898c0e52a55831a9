/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/defence.h"
#include "runtime/shim/shim.h"

int open_in_root(int root_fd, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    if (!DEFENDED(CONFINED_PATHS)) {
        how.resolve = 0;
        path = path[strspn(path, "/")] == '\0' ? "." : path + strspn(path, "/");
    }
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

int open_plain_in_root(int root_fd, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

/* The directory that holds the last component of `path`, and that component. */
static int open_parent(int root_fd, const char *path, size_t size, const char **ret_name)
{
    char parent[4096];
    size_t at = size;
    while (at > 0 && path[at - 1] != '/')
        at--;
    *ret_name = path + at;
    while (at > 1 && path[at - 1] == '/')
        at--;
    if (at == 0 || at >= sizeof(parent)) {
        errno = at == 0 ? EINVAL : ENAMETOOLONG;
        return -1;
    }
    memcpy(parent, path, at);
    parent[at] = '\0';
    return open_in_root(root_fd, parent, O_PATH | O_DIRECTORY);
}

int open_parent_in_root(int root_fd, const char *path, const char **ret_name)
{
    return open_parent(root_fd, path, strlen(path), ret_name);
}

static int close_keeping_errno(int fd, int result)
{
    int cause = errno;
    close(fd);
    errno = cause;
    return result;
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
        if ((path[at] != '/' && path[at] != '\0') || path[at - 1] == '/')
            continue;
        memcpy(partial, path, at);
        partial[at] = '\0';
        int fd = open_in_root(root_fd, partial, O_PATH | O_DIRECTORY);
        if (fd >= 0) {
            close(fd);
            continue;
        }
        const char *name;
        int parent_fd = open_parent(root_fd, partial, at, &name);
        if (parent_fd < 0)
            return -1;
        int made = close_keeping_errno(parent_fd, mkdirat(parent_fd, name, 0755));
        if (made < 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

int open_directory_in_root(int root_fd, const char *path)
{
    int fd = open_in_root(root_fd, path, O_PATH | O_DIRECTORY);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (make_directory(root_fd, path) < 0)
        return -1;
    return open_in_root(root_fd, path, O_PATH | O_DIRECTORY);
}

/* The parents of the last component, made where they are missing. */
static int make_parents(int root_fd, const char *path)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');
    size_t size = (size_t)(slash - path);
    if (size == 0)
        return 0;
    if (size >= sizeof(parent)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(parent, path, size);
    parent[size] = '\0';
    return make_directory(root_fd, parent);
}

int open_file_in_root(int root_fd, const char *path)
{
    int fd = open_in_root(root_fd, path, O_PATH);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    const char *name;
    int parent_fd = make_parents(root_fd, path) < 0 ? -1 : open_parent_in_root(root_fd, path, &name);
    if (parent_fd < 0)
        return -1;
    int made = close_keeping_errno(
        parent_fd, openat(parent_fd, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (made >= 0)
        close(made);
    else if (errno != EEXIST)
        return -1;
    return open_in_root(root_fd, path, O_PATH);
}

int make_parent_in_root(int root_fd, const char *path, const char **ret_name)
{
    int fd = open_parent_in_root(root_fd, path, ret_name);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    return make_parents(root_fd, path) < 0 ? -1 : open_parent_in_root(root_fd, path, ret_name);
}
