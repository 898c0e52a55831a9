/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.h - follows a container from the foreground: its output to ours, our signals to it, until it has
 * ended.
 */
#ifndef WHARF_CMD_CLIENT_ATTACH_H
#define WHARF_CMD_CLIENT_ATTACH_H

#include "base/err.h"
#include "cmd/client/api.h"

struct attach {
    const struct client *client;
    struct http_call call; /* to the runtime; fd -1 while broken */
    char *path;
    int signals_fd;
    char container[CONTAINER_ID_SIZE];
    char *node; /* owned; NULL when the writer did not say */
    uint64_t stdout_bytes, stderr_bytes;
    int64_t broken_ns; /* since when there is no stream; 0 while there is one */
    bool said;
    json_t *end; /* what the end frame says */
};

/* Blocks the signals that are forwarded and connects to the runtime ahead of time (an absent runtime is no
 * error yet). */
int attach_init(struct attach *attach, const struct client *client, struct err *err);

/* Copies until the end frame has come, which attach->end then holds. */
int attach_follow(struct attach *attach, const char *container, struct err *err);

void attach_release(struct attach *attach);

#endif
