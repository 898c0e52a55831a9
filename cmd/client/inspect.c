/* SPDX-License-Identifier: Apache-2.0 */
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/reading.h"

struct inspect_options {
    const char *format;
};

static const struct option_row rows[] = {
    {.name = "format",
     .letter = 'f',
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct inspect_options, format),
     .help =
         "json: one object a line instead of an indented array; or a template of its members: '{{.state}}', "
         "'{{.spec.image}}', '{{json .spec.labels}}', '{{index .spec.labels \"KEY\"}}'",
     .words = "json"},
    OPTION_END};

static int inspect(struct client *client, const void *values, int argc, char **argv)
{
    const struct inspect_options *options = values;
    struct err err = ERR_INIT;
    struct listing_output output;
    json_auto_t *found = json_array();
    int code = 0;
    if (listing_output_init(&output, options->format, NULL, &err) < 0) {
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
    if (listing_print_inspected(found, &output, &err) < 0) {
        say_error("%s", err.message);
        code = 1;
    }
    listing_output_release(&output);
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
