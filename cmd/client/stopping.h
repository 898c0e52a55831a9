/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stopping.h - what `wharf stop` and `wharf restart` have in common: ending containers, by a signal and with
 * a time after which they are killed.
 */
#ifndef WHARF_CMD_CLIENT_STOPPING_H
#define WHARF_CMD_CLIENT_STOPPING_H

#include "cmd/client/verb.h"

struct stopping_options {
    const char *time;
    const char *signal;
};

extern const struct option_row stopping_rows[];

/* Sends a command of `type` ("container.stop") for each container and waits for the outcomes; `verb` is for
 * messages. Returns the exit code. */
int stopping_execute(struct client *client, const char *type, const char *verb,
                     const struct stopping_options *options, int argc, char **argv);

#endif
