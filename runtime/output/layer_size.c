/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "runtime/output/layer_size.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

#include "base/cleanup.h"

#define DEPTH_MAX 200 /* as for changes */

/* A file with several links that has been counted. */
struct counted {
    ino_t inode; /* key: the layer is on one file system */
    UT_hash_handle hh;
};

struct counting {
    int64_t bytes;
    struct counted *counted;
    bool failed;
};

static bool is_new(struct counting *counting, const struct stat *st)
{
    struct counted *found;
    if (st->st_nlink == 1)
        return true;
    HASH_FIND(hh, counting->counted, &st->st_ino, sizeof(st->st_ino), found);
    if (found != NULL)
        return false;
    found = calloc(1, sizeof(*found));
    if (found == NULL) {
        counting->failed = true;
        return false;
    }
    found->inode = st->st_ino;
    HASH_ADD(hh, counting->counted, inode, sizeof(found->inode), found);
    if (found->hh.tbl == NULL) {
        free(found);
        counting->failed = true;
    }
    return true;
}

/* What wharf itself puts into the layer. */
static bool is_ours(const char *name)
{
    return strcmp(name, "hosts") == 0 || strcmp(name, "hostname") == 0 || strcmp(name, "resolv.conf") == 0;
}

static void count_directory(struct counting *counting, int dir_fd, const char *name, int depth)
{
    bool etc = depth == 1 && strcmp(name, "etc") == 0;
    int fd = depth == DEPTH_MAX ? -1 : openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (dir == NULL) {
        counting->failed = counting->failed || errno != ENOENT; /* or it has just been removed */
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (etc && is_ours(entry->d_name)) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            count_directory(counting, fd, entry->d_name, depth + 1);
        else if ((S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) && is_new(counting, &st))
            counting->bytes += st.st_size;
    }
}

int64_t layer_size(int dir_fd)
{
    struct counting counting = {.bytes = 0};
    struct counted *each, *next;
    count_directory(&counting, dir_fd, "upper", 0);
    HASH_ITER(hh, counting.counted, each, next)
    {
        HASH_DEL(counting.counted, each);
        free(each);
    }
    return counting.failed ? -1 : counting.bytes;
}
