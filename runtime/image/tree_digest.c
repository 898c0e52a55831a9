/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image/tree_digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define CHUNK_BYTES 65536
#define XATTR_BYTES 65536

struct walk {
    crypto_hash_sha256_state state;
    int64_t size_bytes;
    struct buf path; /* of the directory under way, relative to the root, with a trailing slash */
    char *chunk;
    struct err *err;
};

bool image_keeps_xattr(const char *name)
{
    return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static void feed(struct walk *walk, const void *data, size_t size)
{
    crypto_hash_sha256_update(&walk->state, data, size);
}

/* With the size in front, no two different sequences of texts feed the same bytes. */
static void feed_sized(struct walk *walk, const void *data, size_t size)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%zu:", size);
    feed(walk, text, (size_t)n);
    feed(walk, data, size);
}

static int trouble(struct walk *walk, const char *name)
{
    return err_sys(walk->err, errno, "cannot read '%s%s'", walk->path.data == NULL ? "" : walk->path.data,
                   name);
}

static int feed_contents(struct walk *walk, int dir_fd, const char *name)
{
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return trouble(walk, name);
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    ssize_t n;
    while ((n = read(fd, walk->chunk, CHUNK_BYTES)) > 0) {
        crypto_hash_sha256_update(&state, (const uint8_t *)walk->chunk, (unsigned long long)n);
        walk->size_bytes += n;
    }
    if (n < 0)
        return trouble(walk, name);
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&state, digest);
    feed(walk, digest, sizeof(digest));
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Attributes are reached by path from the working directory's /proc-less equivalent: the descriptor for files
 * and directories. Links and devices have none that an image keeps. */
static int feed_xattrs(struct walk *walk, int dir_fd, const char *name)
{
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    auto_free char *list = malloc(XATTR_BYTES);
    auto_free char *value = malloc(XATTR_BYTES);
    if (list == NULL || value == NULL)
        return err_nomem(walk->err, "reading attributes");
    ssize_t size = fd < 0 ? -1 : flistxattr(fd, list, XATTR_BYTES);
    if (size < 0)
        return errno == ENOTSUP ? 0 : trouble(walk, name);
    const char *names[256];
    size_t n = 0;
    for (const char *at = list; at < list + size && n < 256; at += strlen(at) + 1) {
        if (image_keeps_xattr(at))
            names[n++] = at;
    }
    qsort(names, n, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < n; i++) {
        ssize_t value_size = fgetxattr(fd, names[i], value, XATTR_BYTES);
        if (value_size < 0)
            return trouble(walk, name);
        feed_sized(walk, names[i], strlen(names[i]));
        feed_sized(walk, value, (size_t)value_size);
    }
    return 0;
}

static int feed_directory(struct walk *walk, int fd);

static int descend(struct walk *walk, int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return trouble(walk, name);
    size_t before = walk->path.size;
    buf_printf(&walk->path, "%s/", name);
    int result = feed_directory(walk, fd);
    if (!walk->path.failed) {
        walk->path.size = before;
        walk->path.data[before] = '\0';
    }
    return result;
}

static int feed_record(struct walk *walk, int dir_fd, const char *name, const struct stat *st)
{
    char text[160];
    bool is_device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
    int n = snprintf(text, sizeof(text), "%o %u:%u %u:%u %lld\n", st->st_mode, st->st_uid, st->st_gid,
                     is_device ? major(st->st_rdev) : 0, is_device ? minor(st->st_rdev) : 0,
                     S_ISREG(st->st_mode) ? (long long)st->st_size : 0);
    feed(walk, text, (size_t)n);
    feed_sized(walk, walk->path.data == NULL ? "" : walk->path.data, walk->path.size);
    feed_sized(walk, name, strlen(name));
    if (S_ISREG(st->st_mode) && feed_contents(walk, dir_fd, name) < 0)
        return -1;
    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
        return feed_xattrs(walk, dir_fd, name);
    if (S_ISLNK(st->st_mode)) {
        ssize_t size = readlinkat(dir_fd, name, walk->chunk, CHUNK_BYTES);
        if (size < 0)
            return trouble(walk, name);
        feed_sized(walk, walk->chunk, (size_t)size);
    }
    return 0;
}

static int feed_entry(struct walk *walk, int dir_fd, const char *name)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return trouble(walk, name);
    if (feed_record(walk, dir_fd, name, &st) < 0)
        return -1;
    return S_ISDIR(st.st_mode) && strcmp(name, ".") != 0 ? descend(walk, dir_fd, name) : 0;
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* bytes, whatever the locale */
}

static int is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Takes `fd`. */
static int feed_directory(struct walk *walk, int fd)
{
    auto_fd int dir_fd = fd;
    struct dirent **entries = NULL;
    int n = scandirat(dir_fd, ".", &entries, is_entry, compare_entries);
    if (n < 0)
        return trouble(walk, "");
    int result = 0;
    for (int i = 0; i < n; i++) {
        if (result == 0)
            result = feed_entry(walk, dir_fd, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return result;
}

int tree_digest(int root_fd, char ret_hex[SHA256_HEX_SIZE], int64_t *ret_size_bytes, struct err *err)
{
    struct walk walk = {.path = BUF_INIT, .err = err};
    auto_free char *chunk = malloc(CHUNK_BYTES);
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (chunk == NULL || fd < 0) {
        if (fd >= 0)
            close(fd);
        return err_nomem(err, "reading the image");
    }
    walk.chunk = chunk;
    crypto_hash_sha256_init(&walk.state);
    int result = feed_entry(&walk, fd, ".");
    if (result == 0)
        result = feed_directory(&walk, fd);
    else
        close(fd);
    bool failed = walk.path.failed;
    buf_release(&walk.path);
    if (result < 0)
        return -1;
    if (failed)
        return err_nomem(err, "reading the image");
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&walk.state, digest);
    hex_format(ret_hex, digest, sizeof(digest));
    *ret_size_bytes = walk.size_bytes;
    return 0;
}
