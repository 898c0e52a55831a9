/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiting.h - follows a container's events until it has ended, for 'wait' and for 'kill'.
 */
#ifndef WHARF_CMD_CLIENT_WAITING_H
#define WHARF_CMD_CLIENT_WAITING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmd/client/api.h"

enum condition { NOT_RUNNING, NEXT_EXIT, REMOVED };

struct waiting {
    enum condition condition;
    bool exited; /* an exit was seen that may yet be answered by a restart */
    bool done;
    int64_t exit_code; /* -1: nobody knows */
};

/* Whether an envelope is the container's event of this name, such as "exited". */
bool waiting_type_is(const json_t *envelope, const char *name);

/* The member exit_code; -1 if there is none. */
int64_t waiting_exit_code(const json_t *object);

/* From behind what the state was read from (`offsets`, or ""), in every partition: an exit of before is none
 * that is waited for. Without `done` afterwards it has exited, and its state tells whether a restart follows.
 */
int waiting_follow(const struct client *client, const char *id, const char *offsets, struct waiting *waiting,
                   struct err *err);

#endif
