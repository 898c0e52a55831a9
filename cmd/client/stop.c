/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/stopping.h"

static int stop(struct client *client, const void *values, int argc, char **argv)
{
    return stopping_execute(client, "container.stop", "stop", values, argc, argv);
}

const struct verb verb_stop = {
    .name = "stop",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "stop containers: ask them to end, kill them if they do not in time",
    .description = "Sends the container's stop signal and, when the time is over, SIGKILL. A container that "
                   "was stopped is not started again by its restart policy.",
    .operands = "running",
    .options = stopping_rows,
    .options_size = sizeof(struct stopping_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = stop,
};
