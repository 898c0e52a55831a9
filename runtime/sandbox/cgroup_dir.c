/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/cgroup_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define PROCS_LIMIT (16u << 20)
#define DESTROY_ATTEMPTS 1000
#define DESTROY_PAUSE_MS 10

int cgroup_dir_write(int dir_fd, const char *file, const char *value)
{
    auto_fd int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    return write(fd, value, strlen(value)) == (ssize_t)strlen(value) ? 0 : -1;
}

/* One at a time: the kernel takes all or none. */
void cgroup_dir_enable(int dir_fd, const char *names)
{
    char value[64];
    for (const char *at = names; *at != '\0';) {
        size_t size = strcspn(at, " ,\n");
        snprintf(value, sizeof(value), "+%.*s", (int)size, at);
        if (size > 0)
            cgroup_dir_write(dir_fd, "cgroup.subtree_control", value);
        at += size;
        at += strspn(at, " ,\n");
    }
}

static void each_member(int dir_fd, void (*found)(pid_t pid, void *data), void *data)
{
    auto_free char *text = NULL;
    if (fs_read_file(dir_fd, "cgroup.procs", PROCS_LIMIT, &text, NULL, NULL) < 0)
        return;
    char *end = NULL;
    for (const char *at = text; *at != '\0'; at = end + strspn(end, "\n")) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            return;
        if (pid > 0)
            found((pid_t)pid, data);
    }
}

static DIR *open_dir(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? NULL : fdopendir(fd);
}

void cgroup_dir_each(int dir_fd, void (*found)(pid_t pid, void *data), void *data)
{
    each_member(dir_fd, found, data);
    auto_dir DIR *dir = open_dir(dir_fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        auto_fd int below_fd = entry->d_type != DT_DIR || entry->d_name[0] == '.'
                                   ? -1
                                   : openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (below_fd >= 0)
            cgroup_dir_each(below_fd, found, data);
    }
}

static void kill_one(pid_t pid, void *data)
{
    (void)data;
    kill(pid, SIGKILL);
}

void cgroup_dir_kill(int dir_fd)
{
    if (cgroup_dir_write(dir_fd, "cgroup.kill", "1") < 0)
        cgroup_dir_each(dir_fd, kill_one, NULL);
}

/* Children first. A cgroup's own files are no obstacle to rmdir(2). */
static int remove_tree(int parent_fd, const char *name)
{
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY && errno != ENOTEMPTY)
        return -1;
    auto_fd int dir_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return errno == ENOENT ? 0 : -1;
    auto_dir DIR *dir = open_dir(dir_fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && remove_tree(dir_fd, entry->d_name) < 0)
            return -1;
    }
    return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int cgroup_dir_destroy(int parent_fd, const char *name)
{
    for (int i = 0; i < DESTROY_ATTEMPTS; i++) {
        if (remove_tree(parent_fd, name) == 0)
            return 0;
        if (errno != EBUSY)
            return -1;
        auto_fd int dir_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd >= 0)
            cgroup_dir_kill(dir_fd);
        poll(NULL, 0, i == 0 ? 1 : DESTROY_PAUSE_MS);
    }
    errno = EBUSY;
    return -1;
}
