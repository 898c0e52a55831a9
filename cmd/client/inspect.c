/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/reading.h"
#include "events/message.h"

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

/* By name or by the beginning of its digest, as people write it. */
static bool is_image(const json_t *image, const char *ref)
{
    char reference[512];
    const char *digest = json_text(image, "digest", ""), *hex = strchr(digest, ':');
    if (image_reference_normalize(ref, reference, sizeof(reference)) == 0 &&
        strcmp(json_text(image, "reference", ""), reference) == 0)
        return true;
    return strncmp(digest, ref, strlen(ref)) == 0 ||
           (hex != NULL && strlen(ref) >= 4 && strncmp(hex + 1, ref, strlen(ref)) == 0);
}

/* Appends the images that the name stands for, on any node; how many. */
static int find_images(const struct client *client, const char *ref, json_t *found, struct err *err)
{
    json_auto_t *answer = NULL;
    size_t i;
    json_t *image;
    int n = 0;
    if (api_get(client, API_QUERY, "/v1/images?consistent=1", &answer, NULL, err) < 0)
        return -1;
    json_array_foreach(json_object_get(answer, "images"), i, image)
    {
        if (!is_image(image, ref))
            continue;
        if (json_array_append(found, image) < 0)
            return err_nomem(err, "inspecting");
        n++;
    }
    return n;
}

/* A container, or else images, as docker looks for them. */
static int find(const struct client *client, const char *ref, json_t *found, struct err *err)
{
    json_t *container = NULL;
    struct err why = ERR_INIT;
    if (reading_container(client, ref, &container, NULL, &why) == 0)
        return json_array_append_new(found, container) < 0 ? err_nomem(err, "inspecting") : 0;
    int n = why.code == ERR_NOT_FOUND ? find_images(client, ref, found, err) : 0;
    return n == 0 ? err_set(err, why.code, "%s", why.message) : n < 0 ? -1 : 0;
}

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
        err_clear(&err);
        if (find(client, argv[i], found, &err) < 0) {
            say_error("%s", err.message);
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
    .synopsis = "CONTAINER|IMAGE...",
    .summary = "show all that is known of containers or images",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct inspect_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = inspect,
};
