/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/spec_options.h"

static int create(struct client *client, const void *values, int argc, char **argv)
{
    const struct spec_options *options = values;
    struct err err = ERR_INIT;
    json_t *spec = NULL;
    if (spec_make(options, argc, argv, false, &spec, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    struct api_command command;
    struct api_result result = {0};
    int rc = api_command_begin(&command, client, "container.create", options->node, spec, true, &err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, &err);
    api_command_release(&command);
    if (rc == 0 && !result.ok)
        rc = err_set(&err, ERR_CONFLICT, "%s", result.message);
    if (rc < 0) {
        say_error("%s", err.message);
        return 1;
    }
    puts(result.container);
    return 0;
}

const struct verb verb_create = {
    .name = "create",
    .group = VERB_CONTAINERS,
    .flags = VERB_STOP_AT_OPERAND,
    .synopsis = "IMAGE [COMMAND [ARG...]]",
    .summary = "create a container without starting it",
    .description =
        "Prints the container's id; 'wharf start' starts it. What follows IMAGE belongs to the command.",
    .operands = "image",
    .options = create_option_rows,
    .options_size = sizeof(struct spec_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = create,
};
