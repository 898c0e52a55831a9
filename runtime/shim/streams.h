/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streams.h - the shim's socket: who is attached to a process writes to its standard input here, and says how
 * large the terminal is.
 *
 * The socket is `streams` in the container's directory, SOCK_SEQPACKET, one message a packet: a kind, three
 * zeros, a payload. The runtime connects and hands the descriptor to its client, so that nothing is between
 * the two, and neither needs the runtime from there on. The shim speaks first, with its version: a shim lives
 * as long as its container, so clients meet those of earlier builds.
 *
 * Input is held back, not stored: while the process does not read, at most one packet is here, and further
 * ones wait in the senders' sockets. Whatever comes over the socket can at worst be wrong input.
 *
 * One thread; no allocation. The kinds are for clients, too.
 */
#ifndef WHARF_RUNTIME_SHIM_STREAMS_H
#define WHARF_RUNTIME_SHIM_STREAMS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAMS_VERSION 1
#define STREAMS_SOCKET "streams"
#define STREAMS_PAYLOAD_MAX 16384
#define STREAMS_HEADER_SIZE 4

enum streams_packet {
    STREAMS_HELLO = 1,     /* from the shim, first: uint8_t, its STREAMS_VERSION */
    STREAMS_INPUT = 2,     /* bytes for standard input */
    STREAMS_INPUT_END = 3, /* nothing follows: standard input is closed, for all who are attached */
    STREAMS_RESIZE = 4,    /* struct streams_size */
};

struct streams_size {
    uint16_t rows;
    uint16_t columns;
};

#define STREAMS_PEERS_MAX 8 /* further ones wait until one leaves */
#define STREAMS_POLL_MAX (STREAMS_PEERS_MAX + 2)

struct streams {
    int listen_fd; /* -1: nobody can attach */
    int input_fd;  /* the process's standard input, or its terminal's master (borrowed); -1 when closed */
    bool terminal;
    bool input_ends; /* once what is pending has been written */
    int peers[STREAMS_PEERS_MAX];
    size_t n_peers;
    size_t pending_at, pending_size;
    char pending[STREAMS_HEADER_SIZE + STREAMS_PAYLOAD_MAX];
};

#define STREAMS_INIT                                                                                         \
    {                                                                                                        \
        .listen_fd = -1, .input_fd = -1                                                                      \
    }

/* Makes the socket in the directory. -1 with errno. */
int streams_listen(struct streams *streams, int dir_fd);

/* Fills in what to wait for: STREAMS_POLL_MAX at most; returns how many. */
size_t streams_prepare(const struct streams *streams, struct pollfd *ret);

/* Does what poll(2) found to be possible, with the same array. */
void streams_react(struct streams *streams, const struct pollfd *found);

/* The terminal is gone, or the process has ended. */
void streams_close_input(struct streams *streams);

#endif
