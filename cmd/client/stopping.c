/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/stopping.h"

#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/values.h"

#define STOP_TIME_MAX_S 86400

const struct option_row stopping_rows[] = {
    OPTION_ROW(stopping_options, time, 't', "time", "SECONDS", OPTION_STRING, "seconds until SIGKILL"),
    OPTION_END};

/* `options` points to the number of seconds; -1 leaves it to the container. */
static json_t *make_data(const char *container, const void *options)
{
    const int64_t *seconds = options;
    if (*seconds < 0)
        return json_pack("{s:s}", "container", container);
    return json_pack("{s:s, s:I}", "container", container, "timeout_s", (json_int_t)*seconds);
}

int stopping_execute(struct client *client, const char *type, const char *verb,
                     const struct stopping_options *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    int64_t seconds = -1;
    if (options->time != NULL && value_int(options->time, "time", 0, STOP_TIME_MAX_S, &seconds, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    const struct api_each each = {.type = type, .verb = verb, .make_data = make_data, .options = &seconds};
    return api_for_each(client, &each, argc, argv);
}
