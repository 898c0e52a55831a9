/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <string.h>

#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/table.h"
#include "cmd/client/values.h"

struct images_options {
    bool quiet;
    bool no_trunc;
    struct option_list filters;
    const char *format;
};

static const struct option_row rows[] = {
    OPTION_ROW(images_options, quiet, 'q', "quiet", NULL, OPTION_FLAG, "print digests only"),
    OPTION_ROW(images_options, no_trunc, 0, "no-trunc", NULL, OPTION_FLAG, "do not shorten digests"),
    OPTION_ROW(images_options, filters, 'f', "filter", "KEY=VALUE", OPTION_LIST,
               "reference (as 'a*', with a tag or without), label or node"),
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct images_options, format),
     .help = "table, wide, json (one object a line), or a template such as '{{.Repository}}:{{.Tag}}'",
     .words = "table wide json"},
    OPTION_END};

/* "sha256:0123..." as the 12 digits people know, or whole. */
static void shorten_digest(char ret[80], const char *digest, bool whole)
{
    const char *colon = strchr(digest, ':');
    snprintf(ret, 80, "%.*s", whole ? 79 : 12, !whole && colon != NULL ? colon + 1 : digest);
}

/* The colon before the tag; NULL without one. */
static const char *tag_of(const char *reference)
{
    const char *colon = strrchr(reference, ':');
    return colon != NULL && strchr(colon, '/') == NULL ? colon : NULL;
}

static void add_row(struct table *table, const json_t *image, bool whole, bool with_node, int64_t now_ns)
{
    const char *reference = json_text(image, "reference", "");
    const char *colon = tag_of(reference);
    char digest[80], age[72], size[32];
    shorten_digest(digest, json_text(image, "digest", ""), whole);
    listing_age(age, sizeof(age), image, "imported_at", now_ns);
    value_format_size(size, json_integer_value(json_object_get(image, "size_bytes")));
    table_add(table, "%.*s", colon != NULL ? (int)(colon - reference) : (int)strlen(reference), reference);
    table_add(table, "%s", colon != NULL ? colon + 1 : "");
    table_add(table, "%s", digest);
    table_add(table, "%s", age);
    table_add(table, "%s", size);
    if (with_node)
        table_add(table, "%s", json_text(image, "node", ""));
}

static int print_table(const json_t *images, bool whole, bool with_node, struct err *err)
{
    static const char *const titles[] = {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "NODE"};
    struct table table;
    table_init(&table, with_node ? 6 : 5);
    for (size_t i = 0; i < table.columns; i++)
        table_add(&table, "%s", titles[i]);
    size_t i;
    const json_t *image;
    int64_t now_ns = clock_realtime_ns();
    json_array_foreach(images, i, image) add_row(&table, image, whole, with_node, now_ns);
    int rc = table_print(&table, stdout, err);
    table_release(&table);
    return rc;
}

/* --- docker's fields --- */

static void add_id(struct buf *ret, const json_t *row, const char *argument, const struct template_look *look)
{
    (void)argument;
    char digest[80];
    shorten_digest(digest, json_text(row, "digest", ""), look->whole);
    buf_add_string(ret, digest);
}

static void add_repository(struct buf *ret, const json_t *row, const char *argument,
                           const struct template_look *look)
{
    (void)argument;
    (void)look;
    const char *reference = json_text(row, "reference", "");
    const char *colon = tag_of(reference);
    buf_add(ret, reference, colon != NULL ? (size_t)(colon - reference) : strlen(reference));
}

static void add_tag(struct buf *ret, const json_t *row, const char *argument,
                    const struct template_look *look)
{
    (void)argument;
    (void)look;
    const char *colon = tag_of(json_text(row, "reference", ""));
    buf_add_string(ret, colon != NULL ? colon + 1 : "");
}

static void add_age(struct buf *ret, const json_t *row, const char *argument,
                    const struct template_look *look)
{
    (void)argument;
    char age[72];
    listing_age(age, sizeof(age), row, "imported_at", look->now_ns);
    buf_add_string(ret, age);
}

static void add_created(struct buf *ret, const json_t *row, const char *argument,
                        const struct template_look *look)
{
    (void)argument;
    (void)look;
    template_add_time(ret, row, "imported_at");
}

static void add_size(struct buf *ret, const json_t *row, const char *argument,
                     const struct template_look *look)
{
    (void)argument;
    (void)look;
    char size[32];
    value_format_size(size, json_integer_value(json_object_get(row, "size_bytes")));
    buf_add_string(ret, size);
}

static const struct template_field fields[] = {
    {.name = "ID", .title = "IMAGE ID", .value = add_id},
    {.name = "Repository", .title = "REPOSITORY", .value = add_repository},
    {.name = "Tag", .title = "TAG", .value = add_tag},
    {.name = "Digest", .title = "DIGEST", .member = "digest"},
    {.name = "CreatedSince", .title = "CREATED", .value = add_age},
    {.name = "CreatedAt", .title = "CREATED AT", .value = add_created},
    {.name = "Size", .title = "SIZE", .value = add_size},
    {.name = "Node", .title = "NODE", .member = "node"},
    {.name = NULL},
};

/* The pattern is of the shell's kind, for the name with its tag or without. */
static bool matches_reference(const json_t *image, const char *pattern)
{
    char name[512];
    const char *reference = json_text(image, "reference", ""), *colon = tag_of(reference);
    size_t size = colon != NULL ? (size_t)(colon - reference) : strlen(reference);
    snprintf(name, sizeof(name), "%.*s", (int)size, reference);
    return fnmatch(pattern, reference, FNM_PATHNAME) == 0 || fnmatch(pattern, name, FNM_PATHNAME) == 0;
}

static bool matches_label(const json_t *image, const char *label)
{
    return listing_has_label(json_object_get(image, "config"), label);
}

static bool matches_node(const json_t *image, const char *node)
{
    return strcmp(json_text(image, "node", ""), node) == 0;
}

/* The service lists all images; there are few, so they are filtered here. */
static int matches(const json_t *image, const struct option_list *list, struct err *err)
{
    static const struct {
        const char *key;
        bool (*matches)(const json_t *image, const char *value);
    } FILTERS[] = {{"reference=", matches_reference}, {"label=", matches_label}, {"node=", matches_node}};
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->items[i];
        size_t at = 0, n = sizeof(FILTERS) / sizeof(FILTERS[0]);
        while (at < n && strncmp(text, FILTERS[at].key, strlen(FILTERS[at].key)) != 0)
            at++;
        if (at == n)
            return err_set(err, ERR_INVALID, "'%s' is no filter: give reference=..., label=... or node=...",
                           text);
        if (!FILTERS[at].matches(image, text + strlen(FILTERS[at].key)))
            return 0;
    }
    return 1;
}

static int fetch(struct client *client, const struct images_options *options, json_t *ret, struct err *err)
{
    json_auto_t *answer = NULL;
    if (matches(NULL, &options->filters, err) < 0 ||
        api_get(client, API_QUERY, "/v1/images?consistent=1", &answer, NULL, err) < 0)
        return -1;
    size_t i;
    json_t *image;
    json_array_foreach(json_object_get(answer, "images"), i, image)
    {
        int match = matches(image, &options->filters, err);
        if (match < 0)
            return -1;
        if (match > 0 && json_array_append(ret, image) < 0)
            return err_nomem(err, "listing images");
    }
    return listing_sort(ret, "imported_at", true, "reference", err);
}

static int list(struct client *client, const struct images_options *options,
                const struct listing_output *output, struct err *err)
{
    const struct template_look look = {clock_realtime_ns(), options->no_trunc};
    json_auto_t *images = json_array();
    if (images == NULL)
        return err_nomem(err, "listing images");
    if (fetch(client, options, images, err) < 0)
        return -1;
    if (!options->quiet && output->format == LISTING_TEMPLATE)
        return template_print(&output->template, images, &look, stdout, err);
    if (!options->quiet && output->format != LISTING_JSON)
        return print_table(images, options->no_trunc,
                           output->format == LISTING_WIDE || listing_has_several_nodes(images), err);
    size_t i;
    const json_t *image;
    json_array_foreach(images, i, image)
    {
        char digest[80];
        shorten_digest(digest, json_text(image, "digest", ""), options->no_trunc);
        if (options->quiet)
            printf("%s\n", digest);
        else if (listing_print_json(image, err) < 0)
            return -1;
    }
    return 0;
}

static int images(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct images_options *options = values;
    struct err err = ERR_INIT;
    struct listing_output output;
    int rc = listing_output_init(&output, options->format, fields, &err);
    if (rc == 0)
        rc = list(client, options, &output, &err);
    listing_output_release(&output);
    if (rc < 0)
        say_error("%s", err.message);
    return rc < 0 ? 1 : 0;
}

const struct verb verb_images = {
    .name = "images",
    .group = VERB_IMAGES,
    .synopsis = "",
    .summary = "list images",
    .options = rows,
    .options_size = sizeof(struct images_options),
    .execute = images,
};
