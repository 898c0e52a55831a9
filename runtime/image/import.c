/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image/import.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "runtime/image/confine.h"
#include "runtime/image/tree_digest.h"

#define READ_BLOCK_BYTES 65536
/* What an import leaves free for everybody else. */
#define RESERVE_BYTES (64ll << 20)
#define ENTRY_PATH_MAX 4000

struct import {
    const char *source;
    int source_fd;
    bool is_directory;
    int store_fd;
    char temporary[40]; /* in the store */
    int root_fd;
    struct archive *reader;
    struct archive *writer;
    import_whole_cb is_whole; /* of a stream; NULL otherwise */
    void *data;
    struct err *err;
};

int image_entry_path(const char *path, char *ret, size_t size, struct err *err)
{
    size_t used = 0;
    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(at, "/");
        if (length == 2 && strncmp(at, "..", 2) == 0)
            return err_set(err, ERR_INVALID, "the path '%s' leads out of the image", path);
        if (length > 0 && !(length == 1 && at[0] == '.')) {
            if (used + length + 2 > size)
                return err_set(err, ERR_INVALID, "the path '%.64s...' is too long", path);
            if (used > 0)
                ret[used++] = '/';
            memcpy(ret + used, at, length);
            used += length;
        }
        at += length + (at[length] == '/');
    }
    if (used == 0)
        ret[used++] = '.';
    ret[used] = '\0';
    return 0;
}

/* --- least privilege --- */

static int confine(struct import *import)
{
    if (unshare(CLONE_NEWNET) < 0)
        return err_sys(import->err, errno, "cannot leave the network");
    if (fchdir(import->root_fd) < 0 || (!import->is_directory && chroot(".") < 0))
        return err_sys(import->err, errno, "cannot enter the temporary directory");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_capabilities(CONFINE_WRITES) < 0 ||
        confine_calls() < 0)
        return err_sys(import->err, errno, "cannot drop privileges");
    return 0;
}

/* --- the store --- */

static int open_source(struct import *import)
{
    struct stat st;
    import->source_fd = open(import->source, O_RDONLY | O_CLOEXEC);
    if (import->source_fd < 0) {
        err_sys(import->err, errno, "cannot read '%s'", import->source);
        if (import->err != NULL && errno == ENOENT)
            import->err->code = ERR_NOT_FOUND;
        return -1;
    }
    if (fstat(import->source_fd, &st) < 0 || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)))
        return err_set(import->err, ERR_INVALID, "'%s' is neither a directory nor a tar archive",
                       import->source);
    import->is_directory = S_ISDIR(st.st_mode);
    return 0;
}

static int open_store(struct import *import, const char *store)
{
    import->store_fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (import->store_fd < 0)
        return err_sys(import->err, errno, "cannot open the image store '%s'", store);
    snprintf(import->temporary, sizeof(import->temporary), ".import-%d", (int)getpid());
    if (fs_remove_tree(import->store_fd, import->temporary, import->err) < 0)
        return -1;
    if (mkdirat(import->store_fd, import->temporary, 0700) < 0)
        return err_sys(import->err, errno, "cannot write to the image store '%s'", store);
    auto_fd int dir_fd = openat(import->store_fd, import->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0 || mkdirat(dir_fd, "rootfs", 0755) < 0)
        return err_sys(import->err, errno, "cannot write to the image store '%s'", store);
    import->root_fd = openat(dir_fd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (import->root_fd < 0 || fchmod(import->root_fd, 0755) < 0)
        return err_sys(import->err, errno, "cannot write to the image store '%s'", store);
    return 0;
}

/* Durable before it appears: an image's contents are nowhere else. */
static int put_in_place(struct import *import, const char *hex)
{
    FAULT_POINT(IMAGE_UNPACKED);
    if (syncfs(import->store_fd) < 0)
        return err_sys(import->err, errno, "cannot sync the image store");
    FAULT_POINT(IMAGE_BEFORE_RENAME);
    if (renameat(import->store_fd, import->temporary, import->store_fd, hex) == 0)
        return fsync(import->store_fd) < 0 ? err_sys(import->err, errno, "cannot sync the image store") : 0;
    if (errno != EEXIST && errno != ENOTEMPTY)
        return err_sys(import->err, errno, "cannot put the image in place");
    return fs_remove_tree(import->store_fd, import->temporary, import->err); /* it is there already */
}

/* --- entries --- */

static int archive_trouble(struct import *import, struct archive *archive, const char *path)
{
    const char *why = archive_error_string(archive);
    bool full = archive_errno(archive) == ENOSPC;
    return err_set(import->err, full ? ERR_TOO_LARGE : ERR_INVALID, "cannot unpack '%s' of '%s': %s", path,
                   import->source, why == NULL ? "unknown error" : why);
}

static int check_space(struct import *import, int64_t size_bytes)
{
    struct statvfs st;
    if (fstatvfs(import->root_fd, &st) < 0)
        return err_sys(import->err, errno, "cannot ask for the free space of the image store");
    int64_t available = (int64_t)(st.f_bavail * st.f_frsize);
    if (size_bytes > available - RESERVE_BYTES)
        return err_set(
            import->err, ERR_TOO_LARGE,
            "'%s' does not fit: the image store has %lld MiB free, of which %lld stay in reserve: make room",
            import->source, (long long)(available >> 20), (long long)(RESERVE_BYTES >> 20));
    return 0;
}

/* trusted.* in particular must not come from outside: overlayfs believes it. */
void image_filter_xattrs(struct archive_entry *entry)
{
    const char *name;
    const void *value;
    size_t size;
    struct archive_entry *copy = archive_entry_clone(entry);
    archive_entry_xattr_clear(entry);
    if (copy == NULL)
        return;
    archive_entry_xattr_reset(copy);
    while (archive_entry_xattr_next(copy, &name, &value, &size) == ARCHIVE_OK) {
        if (image_keeps_xattr(name))
            archive_entry_xattr_add_entry(entry, name, value, size);
    }
    archive_entry_free(copy);
}

/* The directory's own path is cut off what libarchive found below it. */
static const char *relative_path(const struct import *import, const char *path)
{
    size_t size = strlen(import->source);
    return import->is_directory && strncmp(path, import->source, size) == 0 ? path + size : path;
}

static int sanitize(struct import *import, struct archive_entry *entry)
{
    char path[ENTRY_PATH_MAX], link[ENTRY_PATH_MAX];
    const char *from = archive_entry_pathname(entry);
    if (from == NULL)
        return err_set(import->err, ERR_INVALID, "an entry of '%s' has no path", import->source);
    if (image_entry_path(relative_path(import, from), path, sizeof(path), import->err) < 0)
        return -1;
    archive_entry_set_pathname(entry, path);
    const char *hard = archive_entry_hardlink(entry);
    if (hard != NULL) {
        if (image_entry_path(relative_path(import, hard), link, sizeof(link), import->err) < 0)
            return -1;
        archive_entry_set_hardlink(entry, link);
    }
    if (archive_entry_filetype(entry) == AE_IFSOCK)
        return 1; /* nobody listens on a socket in an image */
    image_filter_xattrs(entry);
    return 0;
}

static int copy_data(struct import *import, const char *path)
{
    const void *block;
    size_t size;
    la_int64_t offset;
    int64_t since_check = 0;
    for (;;) {
        int result = archive_read_data_block(import->reader, &block, &size, &offset);
        if (result == ARCHIVE_EOF)
            return 0;
        if (result < ARCHIVE_WARN)
            return archive_trouble(import, import->reader, path);
        if (archive_write_data_block(import->writer, block, size, offset) < ARCHIVE_OK)
            return archive_trouble(import, import->writer, path);
        since_check += (int64_t)size;
        if (since_check > RESERVE_BYTES / 4 && check_space(import, 0) < 0)
            return -1;
        since_check %= RESERVE_BYTES / 4;
    }
}

static int copy_entry(struct import *import, struct archive_entry *entry)
{
    int skip = sanitize(import, entry);
    if (skip != 0)
        return skip < 0 ? -1 : 0;
    const char *path = archive_entry_pathname(entry);
    if (check_space(import, archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0) < 0)
        return -1;
    if (archive_write_header(import->writer, entry) < ARCHIVE_OK)
        return archive_trouble(import, import->writer, path);
    if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0 && copy_data(import, path) < 0)
        return -1;
    if (archive_write_finish_entry(import->writer) < ARCHIVE_OK)
        return archive_trouble(import, import->writer, path);
    return 0;
}

static int copy_entries(struct import *import)
{
    struct archive_entry *entry;
    size_t n = 0;
    for (;;) {
        int result = archive_read_next_header(import->reader, &entry);
        if (result == ARCHIVE_EOF)
            break;
        if (result < ARCHIVE_WARN) {
            if (n == 0 && !import->is_directory)
                return err_set(import->err, ERR_INVALID,
                               "'%s' is not a tar archive (plain, or compressed by gzip, bzip2, xz or zstd)",
                               import->source);
            return archive_trouble(import, import->reader, "the next entry");
        }
        if (copy_entry(import, entry) < 0)
            return -1;
        if (import->is_directory)
            archive_read_disk_descend(import->reader);
        n++;
    }
    if (n == 0)
        return err_set(import->err, ERR_INVALID, "'%s' is empty", import->source);
    if (archive_write_close(import->writer) < ARCHIVE_OK) /* modes and times of directories are set here */
        return archive_trouble(import, import->writer, "directories");
    return 0;
}

static int open_reader(struct import *import)
{
    if (import->is_directory) {
        import->reader = archive_read_disk_new();
        if (import->reader == NULL)
            return err_nomem(import->err, "opening a directory");
        archive_read_disk_set_symlink_physical(import->reader);
        archive_read_disk_set_behavior(import->reader, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS);
        if (archive_read_disk_open(import->reader, import->source) != ARCHIVE_OK)
            return archive_trouble(import, import->reader, ".");
        return 0;
    }
    import->reader = archive_read_new();
    if (import->reader == NULL)
        return err_nomem(import->err, "opening an archive");
    archive_read_support_format_tar(import->reader);
    archive_read_support_filter_gzip(import->reader);
    archive_read_support_filter_bzip2(import->reader);
    archive_read_support_filter_xz(import->reader);
    archive_read_support_filter_zstd(import->reader);
    if (archive_read_open_fd(import->reader, import->source_fd, READ_BLOCK_BYTES) != ARCHIVE_OK)
        return err_set(import->err, ERR_INVALID,
                       "'%s' is not a tar archive (plain, or compressed by gzip, bzip2, xz or zstd)",
                       import->source);
    return 0;
}

static int unpack(struct import *import)
{
    if (open_reader(import) < 0)
        return -1;
    import->writer = archive_write_disk_new();
    if (import->writer == NULL)
        return err_nomem(import->err, "unpacking");
    /* NOABSOLUTEPATHS, NODOTDOT and SYMLINKS repeat what sanitize and chroot ensure: a second wall costs
     * nothing. */
    archive_write_disk_set_options(
        import->writer, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
                            ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_UNLINK | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                            ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
    FAULT_POINT(IMAGE_BEGUN);
    return copy_entries(import);
}

/* Whoever wrote the stream may have failed, whatever the archive looks like: then that is the reason, unless
 * it only could not go on because we did not. What follows the archive's end is padding, which is not to fail
 * the writer. */
static int check_whole(struct import *import, int unpacked)
{
    struct err why = ERR_INIT;
    char rest[4096];
    if (import->is_whole == NULL)
        return unpacked;
    while (unpacked == 0 && read(import->source_fd, rest, sizeof(rest)) > 0)
        ;
    close(steal_fd(&import->source_fd));
    if (import->is_whole(import->data, &why) == 0 || (unpacked < 0 && why.code == ERR_UNAVAILABLE))
        return unpacked;
    err_clear(import->err);
    return err_set(import->err, why.code, "%s", why.message);
}

static int import_all(struct import *import, const char *store, struct imported *ret)
{
    struct rlimit files;
    char hex[SHA256_HEX_SIZE];
    /* The tree is walked with a descriptor for each level. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    umask(0);
    if ((import->source_fd < 0 && open_source(import) < 0) || open_store(import, store) < 0 ||
        confine(import) < 0 || check_whole(import, unpack(import)) < 0 ||
        tree_digest(import->root_fd, hex, &ret->size_bytes, import->err) < 0 || put_in_place(import, hex) < 0)
        return -1;
    FAULT_POINT(IMAGE_AFTER_RENAME);
    snprintf(ret->digest, sizeof(ret->digest), "sha256:%s", hex);
    return 0;
}

static int import_and_release(struct import *import, const char *store, struct imported *ret)
{
    int result = import_all(import, store, ret);
    archive_read_free(import->reader);
    archive_write_free(import->writer);
    if (result < 0 && import->store_fd >= 0)
        fs_remove_tree(import->store_fd, import->temporary, NULL);
    const int fds[] = {import->source_fd, import->store_fd, import->root_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    return result;
}

int image_import(const char *source, const char *store, struct imported *ret, struct err *err)
{
    struct import import = {.source_fd = -1, .store_fd = -1, .root_fd = -1, .err = err};
    auto_free char *absolute = realpath(source, NULL); /* the working directory changes */
    if (absolute == NULL) {
        err_sys(err, errno, "cannot read '%s'", source);
        if (err != NULL && errno == ENOENT)
            err->code = ERR_NOT_FOUND;
        return -1;
    }
    import.source = absolute;
    return import_and_release(&import, store, ret);
}

int image_import_stream(int source_fd_take, const char *name, import_whole_cb is_whole, void *data,
                        const char *store, struct imported *ret, struct err *err)
{
    struct import import = {.source = name,
                            .source_fd = source_fd_take,
                            .store_fd = -1,
                            .root_fd = -1,
                            .is_whole = is_whole,
                            .data = data,
                            .err = err};
    return import_and_release(&import, store, ret);
}
