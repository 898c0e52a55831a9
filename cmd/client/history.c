/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/say.h"
#include "cmd/client/listing.h"
#include "cmd/client/reading.h"
#include "cmd/client/table.h"

struct history_options {
    const char *format;
};

static const struct option_row rows[] = {{.name = "format",
                                          .argument = "FORMAT",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct history_options, format),
                                          .help = "table, or json: the stored envelopes, one a line",
                                          .words = "table json"},
                                         OPTION_END};

static int print(const json_t *history, bool json, struct err *err)
{
    size_t i;
    const json_t *envelope;
    json_array_foreach(json_object_get(history, "events"), i, envelope)
    {
        if (!json)
            reading_print_event(envelope, false);
        else if (listing_print_json(envelope, err) < 0)
            return -1;
    }
    return 0;
}

static int history(struct client *client, const void *values, int argc, char **argv)
{
    const struct history_options *options = values;
    struct err err = ERR_INIT;
    enum listing_format format;
    int code = 0;
    if (listing_format(options->format, is_terminal(stdout) ? LISTING_TABLE : LISTING_JSON, &format, &err) <
        0) {
        say_error("%s", err.message);
        return 1;
    }
    for (int i = 0; i < argc; i++) {
        json_auto_t *found = NULL;
        err_clear(&err);
        if (reading_history(client, argv[i], &found, &err) < 0 ||
            print(found, format == LISTING_JSON, &err) < 0) {
            say_error("%s", err.message);
            code = 1;
        }
    }
    return code;
}

const struct verb verb_history = {
    .name = "history",
    .group = VERB_HISTORY,
    .synopsis = "CONTAINER...",
    .summary = "show everything that ever happened to containers",
    .description =
        "Also of containers that were removed. A table on a terminal, else the stored envelopes, one a line.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct history_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = history,
};
