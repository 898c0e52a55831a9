/* SPDX-License-Identifier: Apache-2.0 */
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/reading.h"

struct inspect_options {
    const char *format;
};

static const struct option_row rows[] = {{.name = "format",
                                          .argument = "FORMAT",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct inspect_options, format),
                                          .help = "json: one object a line instead of an indented array",
                                          .words = "json"},
                                         OPTION_END};

static int print(const json_t *found, bool lines, struct err *err)
{
    size_t i;
    const json_t *container;
    if (!lines && json_dumpf(found, stdout, JSON_INDENT(4)) < 0)
        return err_set(err, ERR_SYSTEM, "cannot write");
    if (!lines)
        putchar('\n');
    if (lines)
        json_array_foreach(found, i, container) if (listing_print_json(container, err) < 0) return -1;
    return 0;
}

static int inspect(struct client *client, const void *values, int argc, char **argv)
{
    const struct inspect_options *options = values;
    struct err err = ERR_INIT;
    enum listing_format format;
    json_auto_t *found = json_array();
    int code = 0;
    if (listing_format(options->format, LISTING_TABLE, &format, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    for (int i = 0; i < argc; i++) {
        json_t *container = NULL;
        err_clear(&err);
        if (reading_container(client, argv[i], &container, NULL, &err) < 0) {
            say_error("%s", err.message);
            code = 1;
        } else if (json_array_append_new(found, container) < 0) {
            say_error("out of memory");
            code = 1;
        }
    }
    if (print(found, format == LISTING_JSON, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    return code;
}

const struct verb verb_inspect = {
    .name = "inspect",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "show all that is known of containers",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct inspect_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = inspect,
};
