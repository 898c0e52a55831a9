/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/defence.h"
#include "runtime/image/import.h"

#define READ_BLOCK_BYTES 65536
#define LINKS_MAX 40 /* path_resolution(7) */

struct unpacking {
    const struct unpack_place *place;
    const struct unpack_options *options;
    struct archive *reader;
    struct archive *writer;
    char root[256]; /* the archive's; "" before its first entry */
    const char *to; /* what it becomes in the working directory */
    int64_t bytes;
    struct err *err;
};

/* --- the destination --- */

/* What a path that is no directory, or not there, is in, and under which name: behind links, which may lead
 * to what is not there yet. */
static int find_parent(const char *path, struct unpack_place *ret, struct err *err)
{
    char at[PATH_MAX], text[PATH_MAX + 3];
    const char *parent, *name;
    auto_fd int base_fd = -1;
    snprintf(at, sizeof(at), "%s", path);
    for (int i = 0; i < LINKS_MAX; i++) {
        if (copy_path_split(at, text, sizeof(text), &parent, &name) < 0 || strlen(name) >= sizeof(ret->name))
            return err_set(err, ERR_INVALID, "the path '%.64s...' is too long", path);
        int fd = openat(base_fd >= 0 ? base_fd : AT_FDCWD, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
            return err_set(err, ERR_NOT_FOUND, "there is no directory '%s'", parent);
        if (fd < 0)
            return err_sys(err, errno, "cannot open the directory '%s'", parent);
        if (base_fd >= 0)
            close(base_fd);
        base_fd = fd;
        ssize_t size = readlinkat(base_fd, name, at, sizeof(at) - 1);
        if (size < 0) {
            snprintf(ret->name, sizeof(ret->name), "%s", name);
            ret->parent_fd = steal_fd(&base_fd);
            return 0;
        }
        at[size] = '\0';
    }
    return err_sys(err, ELOOP, "cannot follow '%s'", path);
}

int unpack_find(const char *path, struct unpack_place *ret, struct err *err)
{
    struct stat st;
    *ret = (struct unpack_place){.dir_fd = -1, .parent_fd = -1};
    if (path[0] == '\0' || snprintf(ret->path, sizeof(ret->path), "%s", path) >= (int)sizeof(ret->path))
        return err_set(err, ERR_INVALID, "the destination '%.64s' is empty or too long", path);
    ret->target.wants_directory = copy_path_wants_directory(path);
    ret->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ret->dir_fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return err_sys(err, errno, "cannot open '%s'", path);
    ret->target.is_directory = ret->dir_fd >= 0;
    if (ret->dir_fd >= 0) {
        ret->target.exists = true;
        return 0;
    }
    if (find_parent(path, ret, err) < 0)
        return -1;
    ret->target.exists = fstatat(ret->parent_fd, ret->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    return 0;
}

void unpack_place_close(struct unpack_place *place)
{
    if (place->dir_fd >= 0)
        close(place->dir_fd);
    if (place->parent_fd >= 0)
        close(place->parent_fd);
    place->dir_fd = place->parent_fd = -1;
}

/* --- entries --- */

static int trouble(struct unpacking *unpacking, struct archive *archive, const char *path)
{
    const char *why = archive_error_string(archive);
    bool reading = archive == unpacking->reader;
    int cause = archive_errno(archive);
    if (!reading && cause > 0 && cause != EINVAL && cause != EILSEQ) /* which libarchive uses for its own */
        return err_sys(unpacking->err, cause, "cannot write '%s'", path);
    return err_set(unpacking->err, reading ? ERR_INVALID : ERR_SYSTEM, "cannot %s '%s': %s",
                   reading ? "read the archive at" : "write", path, why != NULL ? why : "unknown error");
}

static int no_archive(struct unpacking *unpacking)
{
    return err_set(unpacking->err, ERR_INVALID, "this is not a tar archive%s",
                   unpacking->options->any_archive ? " (plain, or compressed by gzip, bzip2, xz or zstd)"
                                                   : "");
}

/* The first entry says what the archive is of, and so where everything goes. */
static int choose_place(struct unpacking *unpacking, const char *path, bool is_directory)
{
    const struct unpack_place *place = unpacking->place;
    enum copy_place where = COPY_CONTENTS;
    bool contents = strcmp(path, ".") == 0;
    if (unpacking->options->any_archive) {
        snprintf(unpacking->root, sizeof(unpacking->root), ".");
    } else {
        if (strchr(path, '/') != NULL || (contents && !is_directory) ||
            snprintf(unpacking->root, sizeof(unpacking->root), "%s", path) >= (int)sizeof(unpacking->root))
            return err_set(unpacking->err, ERR_INVALID,
                           "the archive is not of a copy: it begins with '%.64s'", path);
        if (copy_rule(&place->target, is_directory, contents, place->path, &where, unpacking->err) < 0)
            return -1;
    }
    unpacking->to = where == COPY_CONTENTS ? "." : where == COPY_AS ? place->name : unpacking->root;
    if (fchdir(where == COPY_AS ? place->parent_fd : place->dir_fd) < 0)
        return err_sys(unpacking->err, errno, "cannot enter '%s'", place->path);
    return 0;
}

static int move_path(struct unpacking *unpacking, const char *from, char *ret, size_t size)
{
    char plain[PATH_MAX];
    if (image_entry_path(from, plain, sizeof(plain), unpacking->err) < 0)
        return -1;
    if (copy_rebase(plain, unpacking->root, unpacking->to, ret, size) < 0)
        return err_set(unpacking->err, ERR_INVALID, "the archive is of '%s', and '%.64s' is not below it",
                       unpacking->root, plain);
    return 0;
}

/* docker's rule: a directory is not replaced by something else, nor something else by a directory. */
static int check_replaced(struct unpacking *unpacking, const char *path, bool is_directory)
{
    struct stat st;
    if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    bool there = S_ISDIR(st.st_mode);
    if (S_ISLNK(st.st_mode) && is_directory && unpacking->options->inside)
        there = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (there == is_directory)
        return 0;
    return err_set(unpacking->err, ERR_CONFLICT,
                   is_directory ? "cannot make the directory '%s': there is something else"
                                : "cannot write '%s': there is a directory",
                   path);
}

/* What a container's files must not bring to where they have power. */
static void disarm(struct archive_entry *entry)
{
    mode_t mode = archive_entry_mode(entry);
    archive_entry_xattr_clear(entry);
    if (!S_ISDIR(mode))
        archive_entry_set_mode(entry, mode & ~(mode_t)(S_ISUID | S_ISGID));
}

/* 1 for an entry that is to be left out. */
static int prepare(struct unpacking *unpacking, struct archive_entry *entry)
{
    char path[PATH_MAX];
    const char *from = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry);
    mode_t type = archive_entry_filetype(entry);
    bool is_directory = hard == NULL && type == AE_IFDIR;
    bool disarms = !unpacking->options->inside && !unpacking->options->keep_owner;
    if (from == NULL)
        return err_set(unpacking->err, ERR_INVALID, "an entry of the archive has no path");
    if (unpacking->root[0] == '\0' && (image_entry_path(from, path, sizeof(path), unpacking->err) < 0 ||
                                       choose_place(unpacking, path, is_directory) < 0))
        return -1;
    if (move_path(unpacking, from, path, sizeof(path)) < 0)
        return -1;
    if (type == AE_IFSOCK || (disarms && (type == AE_IFCHR || type == AE_IFBLK)))
        return 1;
    if (check_replaced(unpacking, path, is_directory) < 0)
        return -1;
    archive_entry_set_pathname(entry, path);
    if (hard != NULL) {
        if (move_path(unpacking, hard, path, sizeof(path)) < 0)
            return -1;
        archive_entry_set_hardlink(entry, path);
    }
    image_filter_xattrs(entry);
    if (disarms)
        disarm(entry);
    return 0;
}

static int copy_data(struct unpacking *unpacking, const char *path)
{
    const void *block;
    size_t size;
    la_int64_t offset;
    for (;;) {
        int result = archive_read_data_block(unpacking->reader, &block, &size, &offset);
        if (result == ARCHIVE_EOF)
            return 0;
        if (result < ARCHIVE_WARN)
            return trouble(unpacking, unpacking->reader, path);
        if (archive_write_data_block(unpacking->writer, block, size, offset) < ARCHIVE_OK)
            return trouble(unpacking, unpacking->writer, path);
        unpacking->bytes += (int64_t)size;
    }
}

static int copy_entry(struct unpacking *unpacking, struct archive_entry *entry)
{
    int skip = prepare(unpacking, entry);
    if (skip != 0)
        return skip < 0 ? -1 : 0;
    const char *path = archive_entry_pathname(entry);
    bool has_data = archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0;
    if (archive_write_header(unpacking->writer, entry) < ARCHIVE_OK)
        return trouble(unpacking, unpacking->writer, path);
    if (has_data && copy_data(unpacking, path) < 0)
        return -1;
    /* Not every file system has extended attributes. */
    if (archive_write_finish_entry(unpacking->writer) < ARCHIVE_OK &&
        archive_errno(unpacking->writer) != ENOTSUP)
        return trouble(unpacking, unpacking->writer, path);
    return 0;
}

static int copy_entries(struct unpacking *unpacking)
{
    struct archive_entry *entry;
    for (;;) {
        int result = archive_read_next_header(unpacking->reader, &entry);
        if (result == ARCHIVE_EOF)
            break;
        if (result < ARCHIVE_WARN && unpacking->root[0] == '\0')
            return no_archive(unpacking);
        if (result < ARCHIVE_WARN)
            return trouble(unpacking, unpacking->reader, "the next entry");
        if (copy_entry(unpacking, entry) < 0)
            return -1;
    }
    if (archive_write_close(unpacking->writer) < ARCHIVE_OK && archive_errno(unpacking->writer) != ENOTSUP)
        return trouble(unpacking, unpacking->writer, "directories");
    if (unpacking->root[0] == '\0' && !unpacking->options->any_archive)
        return err_set(unpacking->err, ERR_INVALID, "the archive is empty");
    return 0;
}

static int open_archives(struct unpacking *unpacking, int from_fd)
{
    int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR |
                ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;
    unpacking->reader = archive_read_new();
    unpacking->writer = archive_write_disk_new();
    if (unpacking->reader == NULL || unpacking->writer == NULL)
        return err_nomem(unpacking->err, "unpacking");
    if (!unpacking->options->inside && DEFENDED(CLOSED_ARCHIVES))
        flags |= ARCHIVE_EXTRACT_SECURE_SYMLINKS;
    if (unpacking->options->keep_owner)
        flags |= ARCHIVE_EXTRACT_OWNER;
    archive_write_disk_set_options(unpacking->writer, flags);
    archive_read_support_format_tar(unpacking->reader);
    if (unpacking->options->any_archive) {
        archive_read_support_format_empty(unpacking->reader);
        archive_read_support_filter_gzip(unpacking->reader);
        archive_read_support_filter_bzip2(unpacking->reader);
        archive_read_support_filter_xz(unpacking->reader);
        archive_read_support_filter_zstd(unpacking->reader);
    }
    if (archive_read_open_fd(unpacking->reader, from_fd, READ_BLOCK_BYTES) != ARCHIVE_OK)
        return no_archive(unpacking);
    return 0;
}

/* What follows the archive's end is padding: whoever writes it is not to fail on it. */
static void drain(int fd)
{
    char block[4096];
    ssize_t n;
    do {
        n = read(fd, block, sizeof(block));
    } while (n > 0 || (n < 0 && errno == EINTR));
}

int unpack(const struct unpack_place *place, const struct unpack_options *options, int from_fd,
           int64_t *ret_bytes, struct err *err)
{
    struct unpacking unpacking = {.place = place, .options = options, .err = err};
    int result = -1;
    if (options->any_archive && place->dir_fd < 0)
        err_set(err, place->target.exists ? ERR_CONFLICT : ERR_NOT_FOUND,
                "'%s' is no directory that an archive could be unpacked into", place->path);
    else if (open_archives(&unpacking, from_fd) == 0)
        result = copy_entries(&unpacking);
    if (result == 0)
        drain(from_fd);
    archive_read_free(unpacking.reader);
    archive_write_free(unpacking.writer);
    *ret_bytes = unpacking.bytes;
    return result;
}
