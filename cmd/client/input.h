/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input.h - from our standard input to a container's, over the connection to its shim that the runtime hands
 * us (docs/api.md, runtime/shim/streams.h). While the shim holds back, nothing is read.
 */
#ifndef WHARF_CMD_CLIENT_INPUT_H
#define WHARF_CMD_CLIENT_INPUT_H

#include <poll.h>

#include "base/err.h"
#include "cmd/client/api.h"
#include "cmd/client/detach_keys.h"
#include "runtime/shim/streams.h"

struct input {
    int fd;        /* -1: not connected, or the container's end is closed */
    bool reads;    /* standard input is handed on */
    bool ends;     /* and its end, too */
    bool detached; /* the detach keys were typed */
    struct detach_keys keys;
    size_t size; /* of the packet that waits to be sent */
    char packet[STREAMS_HEADER_SIZE + STREAMS_PAYLOAD_MAX];
};

#define INPUT_POLL 2

/* Connects to the shim of a running container, or of an exec ("containers" or "execs"). ERR_CONFLICT or
 * ERR_NOT_FOUND if it takes no input or has just ended. */
int input_connect(struct input *input, const struct client *client, const char *kind, const char *id,
                  struct err *err);

/* What to wait for: always INPUT_POLL entries. */
void input_prepare(const struct input *input, struct pollfd *ret);

/* Reads and sends what poll(2) found to be possible. */
void input_react(struct input *input, const struct pollfd *found);

/* Says how large the terminal is. */
void input_resize(struct input *input);

void input_release(struct input *input);

#endif
