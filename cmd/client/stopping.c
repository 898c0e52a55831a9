/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/stopping.h"

#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/values.h"
#include "events/message.h"

#define STOP_TIME_MAX_S 86400

const struct option_row stopping_rows[] = {
    OPTION_ROW(stopping_options, time, 't', "time", "SECONDS", OPTION_STRING, "seconds until SIGKILL"),
    OPTION_ROW(stopping_options, time, 0, "timeout", "SECONDS", OPTION_STRING, "the same"),
    {.letter = 's',
     .name = "signal",
     .argument = "SIGNAL",
     .kind = OPTION_STRING,
     .offset = offsetof(struct stopping_options, signal),
     .help = "signal that asks them to end, by name or number; their own by default",
     .words = "HUP INT QUIT USR1 USR2 TERM KILL"},
    OPTION_END};

struct asked {
    int64_t seconds; /* -1 leaves it to the container */
    const char *signal;
};

static json_t *make_data(const char *container, const void *options)
{
    const struct asked *asked = options;
    json_t *seconds = asked->seconds < 0 ? NULL : json_integer(asked->seconds);
    return json_pack("{s:s, s:o*, s:s*}", "container", container, "timeout_s", seconds, "signal",
                     asked->signal);
}

static int read_options(const struct stopping_options *options, struct asked *ret, struct err *err)
{
    *ret = (struct asked){.seconds = -1, .signal = options->signal};
    if (options->signal != NULL && signal_by_name(options->signal) < 0)
        return err_set(err, ERR_INVALID, "'%s' is no signal: give a name such as TERM, or a number",
                       options->signal);
    return options->time == NULL ? 0
                                 : value_int(options->time, "time", 0, STOP_TIME_MAX_S, &ret->seconds, err);
}

int stopping_execute(struct client *client, const char *type, const char *verb,
                     const struct stopping_options *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct asked asked;
    if (read_options(options, &asked, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    const struct api_each each = {.type = type, .verb = verb, .make_data = make_data, .options = &asked};
    return api_for_each(client, &each, argc, argv);
}
