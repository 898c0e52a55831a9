/* SPDX-License-Identifier: Apache-2.0 */
/* The array of descriptors to wait for: the socket, the input, then the peers. */
#include "runtime/shim/streams.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define BACKLOG 8

int streams_listen(struct streams *streams, int dir_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" STREAMS_SOCKET, dir_fd);
    unlinkat(dir_fd, STREAMS_SOCKET, 0);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int cause = errno;
        if (fd >= 0)
            close(fd);
        errno = cause;
        return -1;
    }
    streams->listen_fd = fd;
    return 0;
}

static bool has_pending(const struct streams *streams)
{
    return streams->pending_at < streams->pending_size;
}

/* Peers are heard while there is room for what they say: one that left is noticed at the latest then. */
size_t streams_prepare(const struct streams *streams, struct pollfd *ret)
{
    bool full = streams->n_peers == STREAMS_PEERS_MAX;
    bool writes = has_pending(streams) && streams->input_fd >= 0;
    ret[0] = (struct pollfd){.fd = full ? -1 : streams->listen_fd, .events = POLLIN};
    ret[1] = (struct pollfd){.fd = writes ? streams->input_fd : -1, .events = POLLOUT};
    for (size_t i = 0; i < streams->n_peers; i++)
        ret[2 + i] = (struct pollfd){.fd = writes ? -1 : streams->peers[i], .events = POLLIN};
    return 2 + streams->n_peers;
}

static void accept_peer(struct streams *streams)
{
    static const char hello[STREAMS_HEADER_SIZE + 1] = {STREAMS_HELLO, 0, 0, 0, STREAMS_VERSION};
    int fd = accept4(streams->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (send(fd, hello, sizeof(hello), MSG_NOSIGNAL) != (ssize_t)sizeof(hello)) {
        close(fd);
        return;
    }
    streams->peers[streams->n_peers++] = fd;
}

static void drop_peer(struct streams *streams, size_t i)
{
    close(streams->peers[i]);
    streams->peers[i] = streams->peers[--streams->n_peers];
}

/* A terminal's master is the output too: only pipes are closed here. */
void streams_close_input(struct streams *streams)
{
    if (streams->input_fd >= 0 && !streams->terminal)
        close(streams->input_fd);
    streams->input_fd = -1;
    streams->pending_at = streams->pending_size = 0;
}

/* What nobody will read any more is dropped: the process has closed its input. */
static void write_pending(struct streams *streams)
{
    while (has_pending(streams) && streams->input_fd >= 0) {
        ssize_t n = write(streams->input_fd, streams->pending + streams->pending_at,
                          streams->pending_size - streams->pending_at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            streams_close_input(streams);
        else
            streams->pending_at += (size_t)n;
    }
    streams->pending_at = streams->pending_size = 0;
    if (streams->input_ends && !streams->terminal)
        streams_close_input(streams);
}

static void resize(const struct streams *streams, const void *payload, size_t size)
{
    struct streams_size wanted;
    if (size != sizeof(wanted) || !streams->terminal || streams->input_fd < 0)
        return;
    memcpy(&wanted, payload, sizeof(wanted));
    struct winsize window = {.ws_row = wanted.rows, .ws_col = wanted.columns};
    ioctl(streams->input_fd, TIOCSWINSZ, &window); /* fails only on what is no terminal */
}

/* One packet. False when the peer is gone or talks nonsense. */
static bool hear(struct streams *streams, int fd)
{
    ssize_t n = recv(fd, streams->pending, sizeof(streams->pending), MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n < STREAMS_HEADER_SIZE || n > (ssize_t)sizeof(streams->pending))
        return false;
    switch ((unsigned char)streams->pending[0]) {
    case STREAMS_INPUT:
        streams->pending_at = STREAMS_HEADER_SIZE;
        streams->pending_size = (size_t)n;
        write_pending(streams);
        return true;
    case STREAMS_INPUT_END:
        streams->input_ends = true;
        write_pending(streams);
        return true;
    case STREAMS_RESIZE:
        resize(streams, streams->pending + STREAMS_HEADER_SIZE, (size_t)n - STREAMS_HEADER_SIZE);
        return true;
    default:
        return false;
    }
}

void streams_react(struct streams *streams, const struct pollfd *found)
{
    size_t n = streams->n_peers;
    if (found[1].revents != 0)
        write_pending(streams);
    for (size_t i = n; i-- > 0 && !has_pending(streams);)
        if (found[2 + i].revents != 0 && !hear(streams, streams->peers[i]))
            drop_peer(streams, i);
    if (found[0].revents != 0 && streams->n_peers < STREAMS_PEERS_MAX)
        accept_peer(streams);
}
