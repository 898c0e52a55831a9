/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/api.h"

struct kill_options {
    const char *signal;
};

static const struct option_row rows[] = {{.letter = 's',
                                          .name = "signal",
                                          .argument = "SIGNAL",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct kill_options, signal),
                                          .help = "name or number of the signal; KILL by default",
                                          .words = "HUP INT QUIT USR1 USR2 TERM KILL STOP CONT"},
                                         OPTION_END};

static json_t *make_data(const char *container, const void *values)
{
    const struct kill_options *options = values;
    return json_pack("{s:s, s:s*}", "container", container, "signal", options->signal);
}

static int send_signal(struct client *client, const void *options, int argc, char **argv)
{
    const struct api_each each = {
        .type = "container.kill", .verb = "kill", .make_data = make_data, .options = options};
    return api_for_each(client, &each, argc, argv);
}

const struct verb verb_kill = {
    .name = "kill",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "send a signal to containers",
    .operands = "running",
    .options = rows,
    .options_size = sizeof(struct kill_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = send_signal,
};
