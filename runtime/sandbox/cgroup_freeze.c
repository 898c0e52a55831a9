/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspending what is in a cgroup: v1's freezer controller
 * (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst) and v2's cgroup.freeze (cgroup-v2.rst). Neither
 * tells a waiter that is no inotify: the state is asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/sandbox/cgroup.h"

#define FREEZE_ATTEMPTS 2000
#define FREEZE_PAUSE_MS 5

/* The cgroup's directory where it can be frozen; -1 with errno ENOENT (no such cgroup) or ENOTSUP. */
static int open_freezer(const struct cgroup_layout *layout, const char *name)
{
    for (size_t i = 0; i < layout->n; i++)
        if (layout->v2 || (layout->hierarchies[i].controllers & CGROUP_FREEZER) != 0)
            return openat(layout->hierarchies[i].parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    errno = ENOTSUP;
    return -1;
}

static int set_frozen(bool v2, int dir_fd, bool frozen)
{
    auto_fd int fd = openat(dir_fd, v2 ? "cgroup.freeze" : "freezer.state", O_WRONLY | O_CLOEXEC);
    const char *value = v2 ? (frozen ? "1" : "0") : frozen ? "FROZEN" : "THAWED";
    return fd >= 0 && write(fd, value, strlen(value)) > 0 ? 0 : -1;
}

static bool is_frozen(bool v2, int dir_fd)
{
    char text[256];
    auto_fd int fd = openat(dir_fd, v2 ? "cgroup.events" : "freezer.state", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return strstr(text, v2 ? "frozen 1" : "FROZEN") != NULL;
}

int cgroup_freeze(const struct cgroup_layout *layout, const char *name, bool frozen, struct err *err)
{
    auto_fd int fd = open_freezer(layout, name);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "the container's cgroup is gone");
    if (fd < 0 && errno == ENOTSUP)
        return err_set(err, ERR_INVALID, "this host has no cgroup freezer: mount the v1 hierarchy 'freezer'");
    if (fd < 0)
        return err_sys(err, errno, "cannot open the container's cgroup");
    for (int i = 0; i < FREEZE_ATTEMPTS; i++) {
        /* v1 has to be told again: what was in uninterruptible sleep is frozen later. */
        if ((i == 0 || !layout->v2) && set_frozen(layout->v2, fd, frozen) < 0)
            return err_sys(err, errno, "cannot %s the container's cgroup", frozen ? "freeze" : "thaw");
        if (is_frozen(layout->v2, fd) == frozen)
            return 0;
        poll(NULL, 0, i < 10 ? 1 : FREEZE_PAUSE_MS);
    }
    if (frozen)
        set_frozen(layout->v2, fd, false);
    return err_set(err, ERR_TIMEOUT, "the container's processes could not be %s in %d seconds",
                   frozen ? "suspended" : "let go", FREEZE_ATTEMPTS * FREEZE_PAUSE_MS / 1000);
}

void cgroup_thaw(const struct cgroup_layout *layout, const char *name)
{
    auto_fd int fd = open_freezer(layout, name);
    if (fd >= 0)
        set_frozen(layout->v2, fd, false); /* fails only where there is nothing to thaw */
}

bool cgroup_is_frozen(const struct cgroup_layout *layout, const char *name)
{
    auto_fd int fd = open_freezer(layout, name);
    return fd >= 0 && is_frozen(layout->v2, fd);
}
