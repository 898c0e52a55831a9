/* SPDX-License-Identifier: Apache-2.0 */
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/values.h"

struct restart_options {
    const char *time;
};

static const struct option_row rows[] = {
    OPTION_ROW(restart_options, time, 't', "time", "SECONDS", OPTION_STRING, "seconds until SIGKILL"),
    OPTION_END};

/* `options` points to the number of seconds; -1 leaves it to the container. */
static json_t *make_data(const char *container, const void *options)
{
    const int64_t *seconds = options;
    if (*seconds < 0)
        return json_pack("{s:s}", "container", container);
    return json_pack("{s:s, s:I}", "container", container, "timeout_s", (json_int_t)*seconds);
}

static int restart(struct client *client, const void *values, int argc, char **argv)
{
    const struct restart_options *options = values;
    struct err err = ERR_INIT;
    int64_t seconds = -1;
    if (options->time != NULL && value_int(options->time, "time", 0, 86400, &seconds, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    const struct api_each each = {
        .type = "container.restart", .verb = "restart", .make_data = make_data, .options = &seconds};
    return api_for_each(client, &each, argc, argv);
}

const struct verb verb_restart = {
    .name = "restart",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "stop containers that run, then start them",
    .description = "A container that does not run is started.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct restart_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = restart,
};
