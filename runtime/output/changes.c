/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/output/changes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf8.h"

#define DEPTH_MAX                                                                                            \
    200 /* beyond any path that a system call takes as a whole, so not beyond any that is used */

struct change {
    char kind; /* 'A', 'C' or 'D' */
    char path[];
};

struct walk {
    struct change **items;
    size_t n;
    struct err *err;
};

static int add(struct walk *walk, char kind, const char *path)
{
    struct change **grown = realloc(walk->items, (walk->n + 1) * sizeof(struct change *));
    struct change *change = malloc(sizeof(*change) + strlen(path) + 1);
    if (grown != NULL)
        walk->items = grown;
    if (grown == NULL || change == NULL) {
        free(change);
        return err_nomem(walk->err, "listing changes");
    }
    change->kind = kind;
    strcpy(change->path, path);
    walk->items[walk->n++] = change;
    return 0;
}

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static bool is_ours(const char *path)
{
    return strcmp(path, "/etc/hosts") == 0 || strcmp(path, "/etc/hostname") == 0 ||
           strcmp(path, "/etc/resolv.conf") == 0;
}

/* Made for what is mounted there, if the image has no such directory. */
static bool is_our_mountpoint(const char *path)
{
    return strcmp(path, "/dev") == 0 || strcmp(path, "/proc") == 0 || strcmp(path, "/sys") == 0;
}

static int open_directory(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int walk_directory(struct walk *walk, int upper_fd, int lower_fd, const char *path, int depth);

/* `lower` is what the image has there; NULL for nothing. A directory counts as changed when something in it
 * has changed, or its owner or mode. */
static int visit_directory(struct walk *walk, int upper_parent, int lower_parent, const char *name,
                           const char *path, const struct stat *upper, const struct stat *lower, int depth)
{
    bool both = lower != NULL && S_ISDIR(lower->st_mode);
    size_t before = walk->n;
    auto_fd int upper_fd = open_directory(upper_parent, name);
    auto_fd int lower_fd = both ? open_directory(lower_parent, name) : -1;
    if (upper_fd < 0)
        return 0; /* it has just been removed */
    bool ours = lower == NULL && is_our_mountpoint(path);
    if (!both && !ours && add(walk, lower != NULL ? 'C' : 'A', path) < 0)
        return -1;
    if (walk_directory(walk, upper_fd, lower_fd, path, depth + 1) < 0)
        return -1;
    bool differs = both && (upper->st_mode != lower->st_mode || upper->st_uid != lower->st_uid ||
                            upper->st_gid != lower->st_gid);
    return both && (walk->n > before || differs) ? add(walk, 'C', path) : 0;
}

static int visit(struct walk *walk, int upper_fd, int lower_fd, const char *name, const char *parent,
                 int depth)
{
    char path[PATH_MAX];
    struct stat upper, lower;
    if (snprintf(path, sizeof(path), "%s/%s", parent, name) >= (int)sizeof(path) || is_ours(path) ||
        fstatat(upper_fd, name, &upper, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    bool was = lower_fd >= 0 && fstatat(lower_fd, name, &lower, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_whiteout(&upper))
        return was ? add(walk, 'D', path) : 0;
    if (S_ISDIR(upper.st_mode))
        return visit_directory(walk, upper_fd, lower_fd, name, path, &upper, was ? &lower : NULL, depth);
    return add(walk, was ? 'C' : 'A', path);
}

static int walk_directory(struct walk *walk, int upper_fd, int lower_fd, const char *path, int depth)
{
    int fd = depth < DEPTH_MAX ? openat(upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return err_sys(walk->err, depth < DEPTH_MAX ? errno : ELOOP, "cannot read '%.200s' of the container",
                       path[0] == '\0' ? "/" : path);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            visit(walk, upper_fd, lower_fd, entry->d_name, path, depth) < 0)
            return -1;
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct change *const *)a)->path, (*(struct change *const *)b)->path);
}

static json_t *path_text(char *path)
{
    utf8_or_ascii(path);
    return json_string(path);
}

static json_t *to_json(struct walk *walk)
{
    json_t *list = json_array();
    if (walk->n > 0)
        qsort(walk->items, walk->n, sizeof(struct change *), by_path);
    for (size_t i = 0; i < walk->n && list != NULL; i++) {
        char kind = walk->items[i]->kind;
        json_t *item = json_pack("{s:s, s:o}", "kind",
                                 kind == 'A'   ? "added"
                                 : kind == 'C' ? "changed"
                                               : "deleted",
                                 "path", path_text(walk->items[i]->path));
        if (json_array_append_new(list, item) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    if (list == NULL)
        err_nomem(walk->err, "listing changes");
    return list;
}

json_t *changes_list(int dir_fd, const char *image_digest, struct err *err)
{
    struct walk walk = {.err = err};
    char image[160];
    const char *hex = strchr(image_digest, ':');
    snprintf(image, sizeof(image), "../../images/%.64s/rootfs", hex != NULL ? hex + 1 : "");
    auto_fd int upper_fd = open_directory(dir_fd, "upper");
    auto_fd int lower_fd = open_directory(dir_fd, image);
    if (upper_fd < 0 && errno == ENOENT)
        return json_array();
    if (lower_fd < 0) {
        err_set(err, ERR_NOT_FOUND, "the contents of the container's image are not on this host");
        return NULL;
    }
    json_t *list = walk_directory(&walk, upper_fd, lower_fd, "", 0) == 0 ? to_json(&walk) : NULL;
    for (size_t i = 0; i < walk.n; i++)
        free(walk.items[i]);
    free(walk.items);
    return list;
}
