/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/stopping.h"

static int restart(struct client *client, const void *values, int argc, char **argv)
{
    return stopping_execute(client, "container.restart", "restart", values, argc, argv);
}

const struct verb verb_restart = {
    .name = "restart",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "stop containers that run, then start them",
    .description = "A container that does not run is started.",
    .operands = "container",
    .options = stopping_rows,
    .options_size = sizeof(struct stopping_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = restart,
};
