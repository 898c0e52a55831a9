/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/listing.h"
#include "cmd/client/reading.h"

struct diff_options {
    const char *format;
};

static const struct option_row rows[] = {{.name = "format",
                                          .argument = "FORMAT",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct diff_options, format),
                                          .help = "table (a line each) or json",
                                          .words = "table json"},
                                         OPTION_END};

static int show(const struct client *client, const struct diff_options *options, const char *ref,
                struct err *err)
{
    enum listing_format format;
    char id[CONTAINER_ID_SIZE], target[128];
    json_auto_t *answer = NULL;
    if (listing_format(options->format, LISTING_TABLE, &format, err) < 0 ||
        reading_resolve(client, ref, id, err) < 0)
        return -1;
    snprintf(target, sizeof(target), "/v1/containers/%s/changes", id);
    if (api_get(client, API_RUNTIME, target, &answer, NULL, err) < 0)
        return -1;
    size_t i;
    const json_t *change;
    json_array_foreach(json_object_get(answer, "changes"), i, change)
    {
        const char *kind = json_text(change, "kind", "changed");
        if (format != LISTING_JSON)
            printf("%c %s\n",
                   kind[0] == 'a'   ? 'A'
                   : kind[0] == 'd' ? 'D'
                                    : 'C',
                   json_text(change, "path", ""));
        else if (listing_print_json(change, err) < 0)
            return -1;
    }
    return 0;
}

static int diff(struct client *client, const void *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    (void)argc;
    if (show(client, options, argv[0], &err) == 0)
        return 0;
    say_error("%s", err.message);
    return 1;
}

const struct verb verb_diff = {
    .name = "diff",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER",
    .summary = "show what a container has changed of its image's files",
    .description =
        "A is added, C changed, D deleted. What is in volumes and other mounts is not the container's.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct diff_options),
    .min_operands = 1,
    .max_operands = 1,
    .execute = diff,
};
