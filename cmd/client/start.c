/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/api.h"

static json_t *make_data(const char *container, const void *options)
{
    (void)options;
    return json_pack("{s:s}", "container", container);
}

static int start(struct client *client, const void *options, int argc, char **argv)
{
    const struct api_each each = {
        .type = "container.start", .verb = "start", .make_data = make_data, .options = options};
    return api_for_each(client, &each, argc, argv);
}

const struct verb verb_start = {
    .name = "start",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "start containers that do not run",
    .operands = "container",
    .min_operands = 1,
    .max_operands = -1,
    .execute = start,
};
