/* SPDX-License-Identifier: Apache-2.0 */
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/values.h"

struct stop_options {
    const char *time;
};

static const struct option_row rows[] = {
    OPTION_ROW(stop_options, time, 't', "time", "SECONDS", OPTION_STRING, "seconds until SIGKILL"),
    OPTION_END};

/* `options` points to the number of seconds; -1 leaves it to the container. */
static json_t *make_data(const char *container, const void *options)
{
    const int64_t *seconds = options;
    if (*seconds < 0)
        return json_pack("{s:s}", "container", container);
    return json_pack("{s:s, s:I}", "container", container, "timeout_s", (json_int_t)*seconds);
}

static int stop(struct client *client, const void *values, int argc, char **argv)
{
    const struct stop_options *options = values;
    struct err err = ERR_INIT;
    int64_t seconds = -1;
    if (options->time != NULL && value_int(options->time, "time", 0, 86400, &seconds, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    const struct api_each each = {
        .type = "container.stop", .verb = "stop", .make_data = make_data, .options = &seconds};
    return api_for_each(client, &each, argc, argv);
}

const struct verb verb_stop = {
    .name = "stop",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "stop containers: ask them to end, kill them if they do not in time",
    .description = "Sends the container's stop signal and, when the time is over, SIGKILL. A container that "
                   "was stopped is not started again by its restart policy.",
    .operands = "running",
    .options = rows,
    .options_size = sizeof(struct stop_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = stop,
};
