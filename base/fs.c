/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define READ_CHUNK_BYTES 4096

int fs_read_file(int dir_fd, const char *path, size_t limit, char **ret, size_t *ret_size, struct err *err)
{
    auto_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int cause = errno;
        err_sys(err, cause, "cannot open '%s'", path);
        if (err != NULL && cause == ENOENT)
            err->code = ERR_NOT_FOUND;
        return -1;
    }
    auto_buf struct buf text = BUF_INIT;
    for (;;) {
        char *to = buf_reserve(&text, READ_CHUNK_BYTES);
        if (to == NULL)
            return err_nomem(err, "reading a file");
        ssize_t n = read(fd, to, READ_CHUNK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "cannot read '%s'", path);
        if (n == 0)
            break;
        text.size += (size_t)n;
        if (text.size > limit)
            return err_set(err, ERR_TOO_LARGE, "'%s' is larger than %zu bytes", path, limit);
    }
    size_t size = text.size;
    buf_add(&text, "", 0); /* the terminating NUL */
    char *data = buf_take(&text, NULL);
    if (data == NULL)
        return err_nomem(err, "reading a file");
    *ret = data;
    if (ret_size != NULL)
        *ret_size = size;
    return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int sync_parent(int dir_fd, const char *path)
{
    auto_free char *parent = strdup(path);
    if (parent == NULL)
        return -1;
    char *slash = strrchr(parent, '/');
    const char *name = ".";
    if (slash == parent) {
        name = "/";
    } else if (slash != NULL) {
        *slash = '\0';
        name = parent;
    }
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

int fs_write_file(int dir_fd, const char *path, mode_t mode, const void *data, size_t size, bool durable,
                  struct err *err)
{
    /* The thread's id keeps two writers of one path apart; what a crash left under the same id is
     * overwritten. */
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof(temporary), "%s.tmp%d", path, (int)gettid());
    if (length < 0 || (size_t)length >= sizeof(temporary))
        return err_sys(err, ENAMETOOLONG, "cannot write '%s'", path);
    auto_fd int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return err_sys(err, errno, "cannot create '%s'", temporary);
    if (fchmod(fd, mode) < 0 || write_all(fd, data, size) < 0 || (durable && fsync(fd) < 0) ||
        renameat(dir_fd, temporary, dir_fd, path) < 0) {
        int cause = errno;
        unlinkat(dir_fd, temporary, 0);
        return err_sys(err, cause, "cannot write '%s'", path);
    }
    if (durable && sync_parent(dir_fd, path) < 0)
        return err_sys(err, errno, "cannot sync the directory of '%s'", path);
    return 0;
}

static bool is_directory(int dir_fd, const char *path)
{
    struct stat st;
    return fstatat(dir_fd, path, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

int fs_mkdirs(int dir_fd, const char *path, mode_t mode, struct err *err)
{
    if (mkdirat(dir_fd, path, mode) == 0 || (errno == EEXIST && is_directory(dir_fd, path)))
        return 0;
    if (errno == EEXIST)
        return err_sys(err, ENOTDIR, "cannot make the directory '%s'", path);
    if (errno != ENOENT)
        return err_sys(err, errno, "cannot make the directory '%s'", path);
    auto_free char *partial = strdup(path);
    if (partial == NULL)
        return err_nomem(err, "making a directory");
    for (char *at = partial + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdirat(dir_fd, partial, mode) < 0 && errno != EEXIST)
            return err_sys(err, errno, "cannot make the directory '%s'", partial);
        *at = '/';
    }
    if (mkdirat(dir_fd, path, mode) < 0 && (errno != EEXIST || !is_directory(dir_fd, path)))
        return err_sys(err, errno == EEXIST ? ENOTDIR : errno, "cannot make the directory '%s'", path);
    return 0;
}

/* Deeper directories are moved up to the top of the tree before they are emptied, so that a tree of any depth
 * takes a bounded number of descriptors and a bounded stack. */
#define REMOVE_DEPTH 32

struct removal {
    int top_fd;
    uint64_t moved;
};

static int empty_directory(struct removal *removal, int fd, unsigned depth);

static int remove_directory(struct removal *removal, int dir_fd, const char *name, unsigned depth)
{
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return -1;
    if (depth >= REMOVE_DEPTH) {
        char moved[40];
        snprintf(moved, sizeof(moved), ".removing-%llx", (unsigned long long)removal->moved++);
        return renameat2(dir_fd, name, removal->top_fd, moved, RENAME_NOREPLACE) == 0 || errno == EEXIST ? 1
                                                                                                         : -1;
    }
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_NO_XDEV};
    int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
    if (fd < 0)
        return -1;
    int result = empty_directory(removal, fd, depth + 1); /* takes fd */
    if (result < 0)
        return -1;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return result > 0 && errno == ENOTEMPTY ? 1 : -1;
    return result;
}

static int remove_entry(struct removal *removal, int dir_fd, const struct dirent *entry, unsigned depth)
{
    if (entry->d_type == DT_DIR)
        return remove_directory(removal, dir_fd, entry->d_name, depth);
    if (unlinkat(dir_fd, entry->d_name, 0) == 0 || errno == ENOENT)
        return 0;
    return errno == EISDIR ? remove_directory(removal, dir_fd, entry->d_name, depth) : -1;
}

/* Takes `fd`. Returns 1 if something was moved to the top, 0 if all is gone, -1 with errno. */
static int empty_directory(struct removal *removal, int fd, unsigned depth)
{
    auto_dir DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return -1;
    }
    int result = 0;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int one = remove_entry(removal, dirfd(dir), entry, depth);
        if (one < 0)
            return -1;
        result |= one;
    }
    return errno != 0 ? -1 : result;
}

static int remove_top(int dir_fd, const char *path)
{
    if (unlinkat(dir_fd, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno == ENOTDIR)
        return unlinkat(dir_fd, path, 0) < 0 && errno != ENOENT ? -1 : 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return -1;
    auto_fd int top_fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top_fd < 0)
        return -1;
    struct removal removal = {.top_fd = top_fd};
    int result;
    do {
        int fd = openat(top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = fd < 0 ? -1 : empty_directory(&removal, fd, 0);
    } while (result > 0);
    if (result < 0)
        return -1;
    return unlinkat(dir_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT ? -1 : 0;
}

int fs_remove_tree(int dir_fd, const char *path, struct err *err)
{
    if (remove_top(dir_fd, path) < 0)
        return err_sys(err, errno, "cannot remove '%s'", path);
    return 0;
}
