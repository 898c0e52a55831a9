/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/api.h"

struct rm_options {
    bool force;
    bool volumes;
};

static const struct option_row rows[] = {
    OPTION_ROW(rm_options, force, 'f', "force", NULL, OPTION_FLAG, "kill containers that run"),
    OPTION_ROW(rm_options, volumes, 'v', "volumes", NULL, OPTION_FLAG,
               "remove their volumes with made-up names, too"),
    {.letter = 'l',
     .name = "link",
     .kind = OPTION_UNSUPPORTED,
     .help = "there are no links between containers"},
    OPTION_END};

static json_t *make_data(const char *container, const void *values)
{
    const struct rm_options *options = values;
    return json_pack("{s:s, s:b, s:b}", "container", container, "force", (int)options->force, "volumes",
                     (int)options->volumes);
}

static int rm(struct client *client, const void *options, int argc, char **argv)
{
    const struct api_each each = {
        .type = "container.remove", .verb = "remove", .make_data = make_data, .options = options};
    return api_for_each(client, &each, argc, argv);
}

const struct verb verb_rm = {
    .name = "rm",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "remove containers and what they wrote",
    .description = "What happened to them stays in their history.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct rm_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = rm,
};
