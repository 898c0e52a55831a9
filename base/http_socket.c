/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PATIENCE_MS 1000
#define PAUSE_MS 10

static int make_address(struct sockaddr_un *ret, const char *path, struct err *err)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(ret->sun_path))
        return err_set(
            err, ERR_INVALID,
            "cannot listen on '%s': a socket's path has 1 to %zu bytes; choose a shorter run directory", path,
            sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, size);
    return 0;
}

/* True if somebody listens. A process that was killed in the moment between fork(2) and execve(2) is survived
 * by a child that has its descriptors, and closes them right away: so a listener is given a while to go. */
static int is_listened_to(const struct sockaddr_un *address, bool *ret, struct err *err)
{
    for (int waited_ms = 0;; waited_ms += PAUSE_MS) {
        auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            return err_sys(err, errno, "cannot make a socket");
        /* EAGAIN: somebody listens, with a full backlog. */
        *ret = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN;
        if (!*ret && errno != ECONNREFUSED)
            return err_sys(err, errno, "cannot tell whether somebody listens on '%s'", address->sun_path);
        if (!*ret || waited_ms >= PATIENCE_MS)
            return 0;
        poll(NULL, 0, PAUSE_MS);
    }
}

/* Removes the socket of a process that is no more. */
static int clear_stale(const struct sockaddr_un *address, struct err *err)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0)
        return 0; /* nothing there, or bind(2) will say why not */
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_EXISTS, "cannot listen on '%s': it exists and is not a socket; remove it",
                       address->sun_path);
    bool listened_to;
    if (is_listened_to(address, &listened_to, err) < 0)
        return -1;
    if (listened_to)
        return err_set(err, ERR_EXISTS, "cannot listen on '%s': another process does; stop it first",
                       address->sun_path);
    if (unlink(address->sun_path) < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot remove the stale socket '%s'", address->sun_path);
    return 0;
}

/* Until listen(2) every connect(2) is refused, so nobody slips in before the permissions stand. */
static int set_access_and_listen(int fd, const char *path, mode_t mode, gid_t gid, struct err *err)
{
    if (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0)
        return err_sys(err, errno, "cannot give '%s' to group %u", path, gid);
    if (chmod(path, mode) < 0)
        return err_sys(err, errno, "cannot set the permissions of '%s'", path);
    if (listen(fd, SOMAXCONN) < 0)
        return err_sys(err, errno, "cannot listen on '%s'", path);
    return 0;
}

int http_socket_listen(const char *path, mode_t mode, gid_t gid, struct err *err)
{
    struct sockaddr_un address;
    if (make_address(&address, path, err) < 0 || clear_stale(&address, err) < 0)
        return -1;
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, errno, "cannot make a socket");
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_sys(err, errno, "cannot listen on '%s'", path);
    if (set_access_and_listen(fd, path, mode, gid, err) < 0) {
        unlink(path);
        return -1;
    }
    return steal_fd(&fd);
}

struct http_peer http_socket_peer(int fd)
{
    struct ucred cred;
    socklen_t size = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return (struct http_peer){.pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1};
    return (struct http_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
}

void http_socket_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit); /* where it fails the lower limit still works */
    }
}
