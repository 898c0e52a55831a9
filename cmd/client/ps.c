/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/ps_fields.h"
#include "cmd/client/ps_filters.h"
#include "cmd/client/values.h"

#define PAGE 1000

struct ps_options {
    bool all;
    bool quiet;
    bool no_trunc;
    bool size;
    struct option_list filters;
    const char *format;
    const char *last;
    bool latest;
};

#define ROW(letter_, name_, argument_, kind_, member_, help_)                                                \
    OPTION_ROW(ps_options, member_, letter_, name_, argument_, kind_, help_)

static const struct option_row rows[] = {
    ROW('a', "all", NULL, OPTION_FLAG, all, "also those that do not run"),
    ROW('q', "quiet", NULL, OPTION_FLAG, quiet, "print ids only"),
    ROW(0, "no-trunc", NULL, OPTION_FLAG, no_trunc, "do not shorten ids and commands"),
    ROW('f', "filter", "KEY=VALUE", OPTION_LIST, filters,
        "state, label, name, node, image, id, exited, volume, network, health; before, since a container"),
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct ps_options, format),
     .help = "table, wide, json (one object a line), or a template such as '{{.ID}} {{.Names}}'",
     .words = "table wide json"},
    ROW('l', "latest", NULL, OPTION_FLAG, latest, "the newest one, whatever its state"),
    ROW('s', "size", NULL, OPTION_FLAG, size, "what containers have written, and with their images"),
    ROW('n', "last", "N", OPTION_STRING, last, "the N newest, whatever their state"),
    OPTION_END};

static int take(json_t *ret, const json_t *page, const struct ps_filters *filters, int64_t limit,
                struct err *err)
{
    const json_t *containers = json_object_get(page, "containers");
    size_t i;
    json_t *row;
    if (!json_is_array(containers))
        return err_set(err, ERR_PROTOCOL, "the query service's answer has no containers");
    json_array_foreach(containers, i, row)
    {
        if ((int64_t)json_array_size(ret) < limit && ps_filters_match(filters, row) &&
            json_array_append(ret, row) < 0)
            return err_nomem(err, "listing containers");
    }
    return 0;
}

/* All pages, or as many as `limit` containers need. */
static int fetch(const struct client *client, const char *query, const struct ps_filters *filters,
                 int64_t limit, json_t *ret, struct err *err)
{
    auto_free char *cursor = NULL;
    do {
        int64_t left = limit - (int64_t)json_array_size(ret);
        auto_buf struct buf target = BUF_INIT;
        buf_printf(&target, "/v1/containers?consistent=1&limit=%lld%s",
                   (long long)(left < PAGE && !filters->own ? left : PAGE), query);
        if (cursor != NULL) {
            buf_add_string(&target, "&cursor=");
            http_add_encoded(&target, cursor);
        }
        if (target.failed)
            return err_nomem(err, "making a request");
        json_auto_t *page = NULL;
        if (api_get(client, API_QUERY, target.data, &page, NULL, err) < 0)
            return -1;
        if (take(ret, page, filters, limit, err) < 0)
            return -1;
        free(cursor);
        const char *next = json_text(page, "next_cursor", NULL);
        cursor = next != NULL ? strdup(next) : NULL;
    } while (cursor != NULL && (int64_t)json_array_size(ret) < limit);
    return 0;
}

/* Adds what the node's runtime has measured to the rows; those of other nodes are not measured. */
static int add_sizes(const struct client *client, json_t *containers, struct err *err)
{
    json_auto_t *answer = NULL;
    json_auto_t *by_id = json_object();
    size_t i;
    json_t *each;
    if (api_get(client, API_RUNTIME, "/v1/sizes", &answer, NULL, err) < 0)
        return -1;
    int rc = 0;
    json_array_foreach(json_object_get(answer, "containers"), i, each) rc |=
        json_object_set(by_id, json_text(each, "id", ""), each);
    json_array_foreach(containers, i, each)
    {
        json_t *size = json_object_get(by_id, json_text(each, "id", ""));
        rc |= size != NULL ? json_object_update_missing(each, size) : 0;
    }
    return rc == 0 ? 0 : err_nomem(err, "listing containers");
}

/* The usual columns, and those that were asked for, as a template. */
static int print_table(const json_t *containers, const struct template_look *look, bool size, bool with_node,
                       struct err *err)
{
    char text[256];
    struct template template;
    snprintf(text, sizeof(text),
             "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}%s%s",
             size ? "\t{{.Size}}" : "", with_node ? "\t{{.Node}}" : "");
    if (template_parse(&template, text, ps_fields, err) < 0)
        return -1;
    int rc = template_print(&template, containers, look, stdout, err);
    template_release(&template);
    return rc;
}

static int print(const json_t *containers, const struct ps_options *options,
                 const struct listing_output *output, struct err *err)
{
    const struct template_look look = {clock_realtime_ns(), options->no_trunc};
    size_t i;
    const json_t *row;
    if (!options->quiet && output->format == LISTING_TEMPLATE)
        return template_print(&output->template, containers, &look, stdout, err);
    if (!options->quiet && output->format != LISTING_JSON)
        return print_table(containers, &look, options->size,
                           output->format == LISTING_WIDE || listing_has_several_nodes(containers), err);
    json_array_foreach(containers, i, row)
    {
        if (options->quiet)
            printf("%.*s\n", options->no_trunc ? 64 : 12, json_text(row, "id", ""));
        else if (listing_print_json(row, err) < 0)
            return -1;
    }
    return 0;
}

/* Measuring takes a while: only for who asks. */
static bool wants_sizes(const struct ps_options *options, const struct listing_output *output)
{
    bool asks = output->format == LISTING_TEMPLATE && template_has(&output->template, "Size");
    return !options->quiet && (options->size || asks);
}

static int read_limit(const struct ps_options *options, int64_t *ret, struct err *err)
{
    *ret = options->latest ? 1 : INT64_MAX;
    if (options->last == NULL)
        return 0;
    if (value_int(options->last, "number of containers", -1, 1000000, ret, err) < 0)
        return -1;
    if (*ret == 0)
        return err_set(err, ERR_INVALID, "the number of containers must be 1 or more, or -1 for all");
    *ret = *ret < 0 ? INT64_MAX : *ret;
    return 0;
}

static int list(struct client *client, const struct ps_options *options, const struct listing_output *output,
                struct err *err)
{
    int64_t limit;
    struct ps_filters filters;
    auto_buf struct buf query = BUF_INIT;
    if (read_limit(options, &limit, err) < 0 || ps_filters_init(&filters, &options->filters, err) < 0)
        return -1;
    buf_add_string(&query, "");
    if (!options->all && limit == INT64_MAX && !ps_filters_tell_state(&options->filters))
        buf_add_string(&query, "&state=running&state=paused&state=stopping&state=restarting");
    json_auto_t *containers = json_array();
    if (containers == NULL)
        return err_nomem(err, "listing containers");
    if (ps_filters_add(&filters, &query, err) < 0 || ps_filters_resolve(&filters, client, err) < 0 ||
        fetch(client, query.data, &filters, limit, containers, err) < 0 ||
        (wants_sizes(options, output) && add_sizes(client, containers, err) < 0))
        return -1;
    return print(containers, options, output, err);
}

static int ps(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct ps_options *options = values;
    struct err err = ERR_INIT;
    struct listing_output output;
    int rc = listing_output_init(&output, options->format, ps_fields, &err);
    if (rc == 0)
        rc = list(client, options, &output, &err);
    listing_output_release(&output);
    if (rc < 0)
        say_error("%s", err.message);
    return rc < 0 ? 1 : 0;
}

const struct verb verb_ps = {
    .name = "ps",
    .group = VERB_CONTAINERS,
    .synopsis = "",
    .summary = "list containers",
    .description =
        "Lists what runs, newest first. The answer contains everything that was on the log when it was asked "
        "for. With --format json each line carries the fields of the container's Redis hash.",
    .options = rows,
    .options_size = sizeof(struct ps_options),
    .execute = ps,
};
