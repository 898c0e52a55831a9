/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/api.h"

static json_t *make_data(const char *container, const void *options)
{
    (void)options;
    return json_pack("{s:s}", "container", container);
}

static int pause_each(struct client *client, const void *options, int argc, char **argv)
{
    const struct api_each each = {
        .type = "container.pause", .verb = "pause", .make_data = make_data, .options = options};
    return api_for_each(client, &each, argc, argv);
}

static int unpause_each(struct client *client, const void *options, int argc, char **argv)
{
    const struct api_each each = {
        .type = "container.unpause", .verb = "unpause", .make_data = make_data, .options = options};
    return api_for_each(client, &each, argc, argv);
}

const struct verb verb_pause = {
    .name = "pause",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "suspend all processes of containers",
    .description =
        "They keep their memory and do nothing until 'wharf unpause'. To stop, kill or remove a paused "
        "container ends it as it would any other.",
    .operands = "running",
    .min_operands = 1,
    .max_operands = -1,
    .execute = pause_each,
};

const struct verb verb_unpause = {
    .name = "unpause",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "let paused containers go on",
    .operands = "running",
    .min_operands = 1,
    .max_operands = -1,
    .execute = unpause_each,
};
