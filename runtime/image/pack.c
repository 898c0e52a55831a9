/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/copy_rule.h"
#include "runtime/image/tree_digest.h"

#define DEPTH_MAX 1000
#define BLOCK_BYTES 65536
#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c */

struct packing {
    struct archive *archive;
    struct archive_entry_linkresolver *links;
    char *block;
    int64_t bytes;
    struct err *err;
};

/* --- the source --- */

int pack_find(const char *path, bool follow, struct pack_source *ret, struct err *err)
{
    char text[PATH_MAX + 3];
    const char *parent, *name;
    struct stat st;
    *ret = (struct pack_source){.dir_fd = -1, .follow = follow};
    if (path[0] == '\0')
        return err_set(err, ERR_INVALID, "a path must not be empty");
    if (copy_path_split(path, text, sizeof(text), &parent, &name) < 0 || strlen(name) >= sizeof(ret->name))
        return err_set(err, ERR_INVALID, "the path '%.64s...' is too long", path);
    bool itself = name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    ret->dir_fd = open(itself ? path : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A slash at the end says that a link is to be followed, and that it leads to a directory. */
    bool slash = copy_path_wants_directory(path);
    ret->follow = follow || slash;
    snprintf(ret->name, sizeof(ret->name), "%s", itself ? "." : name);
    snprintf(ret->root, sizeof(ret->root), "%s", ret->name);
    bool found =
        ret->dir_fd >= 0 && fstatat(ret->dir_fd, ret->name, &st, ret->follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0;
    int cause = !found ? errno : slash && !S_ISDIR(st.st_mode) ? ENOTDIR : 0;
    if (cause == 0)
        return 0;
    pack_source_close(ret);
    return cause == ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no '%s'", path)
                           : err_sys(err, cause, "cannot read '%s'", path);
}

void pack_source_close(struct pack_source *source)
{
    if (source->dir_fd >= 0)
        close(source->dir_fd);
    source->dir_fd = -1;
}

/* --- entries --- */

static int write_trouble(struct packing *packing)
{
    int cause = archive_errno(packing->archive);
    const char *why = archive_error_string(packing->archive);
    if (cause == EPIPE || cause == ECONNRESET)
        return err_set(packing->err, ERR_UNAVAILABLE, "nobody reads the archive any more");
    return err_set(packing->err, ERR_SYSTEM, "cannot write the archive: %s",
                   why != NULL ? why : strerror(cause));
}

/* A name that libarchive cannot bring into UTF-8 is stored as it is, with a warning that nobody needs. */
static int write_header(struct packing *packing, struct archive_entry *entry)
{
    return archive_write_header(packing->archive, entry) < ARCHIVE_WARN ? write_trouble(packing) : 0;
}

static void add_xattrs(struct archive_entry *entry, int fd)
{
    char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
    ssize_t size = flistxattr(fd, names, sizeof(names));
    for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        ssize_t n = image_keeps_xattr(name) ? fgetxattr(fd, name, value, sizeof(value)) : -1;
        if (n >= 0)
            archive_entry_xattr_add_entry(entry, name, value, (size_t)n);
    }
}

static int write_data(struct packing *packing, int fd, int64_t size, const char *path)
{
    for (int64_t left = size; left > 0;) {
        ssize_t n = read(fd, packing->block, left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(packing->err, errno, "cannot read '%s'", path);
        if (n == 0) { /* it has shrunk */
            n = left < BLOCK_BYTES ? (ssize_t)left : BLOCK_BYTES;
            memset(packing->block, 0, (size_t)n);
        }
        if (archive_write_data(packing->archive, packing->block, (size_t)n) < 0)
            return write_trouble(packing);
        left -= n;
        packing->bytes += n;
    }
    return 0;
}

static int write_file(struct packing *packing, struct archive_entry *entry, int fd, const struct stat *st,
                      const char *path)
{
    struct archive_entry *linked = entry, *spare = NULL;
    if (st->st_nlink > 1 && S_ISREG(st->st_mode))
        archive_entry_linkify(packing->links, &linked, &spare);
    if (linked == NULL)
        return 0; /* no format of ours holds entries back */
    if (write_header(packing, linked) < 0)
        return -1;
    bool has_data = S_ISREG(st->st_mode) && archive_entry_hardlink(linked) == NULL;
    return has_data ? write_data(packing, fd, st->st_size, path) : 0;
}

static bool is_of_the_kernel(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return false;
    switch ((unsigned long)fs.f_type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case BPF_FS_MAGIC:
    case MQUEUE_MAGIC:
        return true;
    default:
        return false;
    }
}

static int pack_directory(struct packing *packing, int fd, const char *path, int depth);

static struct archive_entry *describe(const struct stat *st, const char *path)
{
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL)
        return NULL;
    archive_entry_copy_stat(entry, st);
    archive_entry_set_pathname(entry, path);
    if (S_ISREG(st->st_mode))
        archive_entry_set_size(entry, st->st_size);
    else
        archive_entry_set_size(entry, 0);
    return entry;
}

/* Opened, it is looked at once more: what is packed is what the descriptor says. */
static int open_source(int dir_fd, const char *name, bool follow, struct stat *st)
{
    if (fstatat(dir_fd, name, st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return -1;
    mode_t type = st->st_mode & S_IFMT;
    int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (fd >= 0 && (fstat(fd, st) < 0 || (st->st_mode & S_IFMT) != type)) {
        close(fd);
        errno = ENOENT;
        return -1;
    }
    return fd;
}

static int pack_entry(struct packing *packing, int dir_fd, const char *name, bool follow, const char *path,
                      int depth)
{
    struct stat st = {0};
    char target[PATH_MAX];
    errno = 0;
    auto_fd int fd = open_source(dir_fd, name, follow, &st);
    bool opens = S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP) && depth > 0)
        return 0; /* it is gone, or something else by now */
    if (fd < 0 && (opens || errno != 0))
        return err_sys(packing->err, errno, "cannot read '%s'", path);
    bool left_out = S_ISSOCK(st.st_mode) || (fd >= 0 && is_of_the_kernel(fd));
    if (left_out && depth == 0)
        return err_set(packing->err, ERR_INVALID, "'%s' is a socket, or on a file system of the kernel's own",
                       path);
    if (left_out)
        return 0;
    ssize_t size = S_ISLNK(st.st_mode) ? readlinkat(dir_fd, name, target, sizeof(target) - 1) : 0;
    if (size < 0)
        return 0;
    struct archive_entry *entry = describe(&st, path);
    if (entry == NULL)
        return err_nomem(packing->err, "packing");
    target[size] = '\0';
    if (S_ISLNK(st.st_mode))
        archive_entry_set_symlink(entry, target);
    if (fd >= 0)
        add_xattrs(entry, fd);
    int result = write_file(packing, entry, fd, &st, path);
    archive_entry_free(entry);
    return result == 0 && S_ISDIR(st.st_mode) ? pack_directory(packing, fd, path, depth) : result;
}

static int pack_directory(struct packing *packing, int fd, const char *path, int depth)
{
    if (depth >= DEPTH_MAX)
        return err_set(packing->err, ERR_TOO_LARGE, "'%.64s...' is nested too deeply", path);
    int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    if (dir == NULL)
        return err_sys(packing->err, errno, "cannot list '%s'", path);
    for (const struct dirent *each; (each = readdir(dir)) != NULL;) {
        auto_free char *below = NULL;
        if (strcmp(each->d_name, ".") == 0 || strcmp(each->d_name, "..") == 0)
            continue;
        if (asprintf(&below, "%s/%s", path, each->d_name) < 0) {
            below = NULL;
            return err_nomem(packing->err, "packing");
        }
        if (pack_entry(packing, fd, each->d_name, false, below, depth + 1) < 0)
            return -1;
    }
    return 0;
}

int pack(const struct pack_source *source, int to_fd, int64_t *ret_bytes, struct err *err)
{
    struct packing packing = {.archive = archive_write_new(),
                              .links = archive_entry_linkresolver_new(),
                              .block = malloc(BLOCK_BYTES),
                              .err = err};
    int result = -1;
    if (packing.archive == NULL || packing.links == NULL || packing.block == NULL) {
        err_nomem(err, "packing");
    } else if (archive_write_set_format_pax_restricted(packing.archive) != ARCHIVE_OK ||
               archive_write_set_bytes_per_block(packing.archive, BLOCK_BYTES) != ARCHIVE_OK ||
               archive_write_set_bytes_in_last_block(packing.archive, 1) != ARCHIVE_OK ||
               archive_write_open_fd(packing.archive, to_fd) != ARCHIVE_OK) {
        write_trouble(&packing);
    } else {
        archive_entry_linkresolver_set_strategy(packing.links, archive_format(packing.archive));
        result = pack_entry(&packing, source->dir_fd, source->name, source->follow, source->root, 0);
        if (result == 0 && archive_write_close(packing.archive) != ARCHIVE_OK)
            result = write_trouble(&packing);
        else if (result < 0)
            archive_write_fail(packing.archive); /* no end that would make a part look like the whole */
    }
    archive_entry_linkresolver_free(packing.links);
    archive_write_free(packing.archive);
    free(packing.block);
    *ret_bytes = packing.bytes;
    return result;
}
