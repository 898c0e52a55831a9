/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/table.h"
#include "cmd/client/values.h"

#define PAGE 1000

struct ps_options {
    bool all;
    bool quiet;
    bool no_trunc;
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
    ROW('f', "filter", "KEY=VALUE", OPTION_LIST, filters, "state, label, name, node or image equal to VALUE"),
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct ps_options, format),
     .help = "table, wide or json (one object a line)",
     .words = "table wide json"},
    ROW('l', "latest", NULL, OPTION_FLAG, latest, "the newest one, whatever its state"),
    {.letter = 's',
     .name = "size",
     .kind = OPTION_UNSUPPORTED,
     .help = "what containers wrote is not measured yet"},
    ROW('n', "last", "N", OPTION_STRING, last, "the N newest, whatever their state"),
    OPTION_END};

static const struct listing_filter filters[] = {
    {"state", "state"}, {"status", "state"}, {"label", "label"},    {"name", "name"},
    {"node", "node"},   {"image", "image"},  {"ancestor", "image"}, {NULL, NULL}};

static bool filters_by_state(const struct option_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (strncmp(list->items[i], "state=", 6) == 0 || strncmp(list->items[i], "status=", 7) == 0)
            return true;
    return false;
}

/* All pages, or as many as `limit` containers need. */
static int fetch(const struct client *client, const char *query, int64_t limit, json_t *ret, struct err *err)
{
    auto_free char *cursor = NULL;
    do {
        int64_t left = limit - (int64_t)json_array_size(ret);
        auto_buf struct buf target = BUF_INIT;
        buf_printf(&target, "/v1/containers?consistent=1&limit=%lld%s",
                   (long long)(left < PAGE ? left : PAGE), query);
        if (cursor != NULL) {
            buf_add_string(&target, "&cursor=");
            http_add_encoded(&target, cursor);
        }
        if (target.failed)
            return err_nomem(err, "making a request");
        json_auto_t *page = NULL;
        if (api_get(client, API_QUERY, target.data, &page, NULL, err) < 0)
            return -1;
        if (json_array_extend(ret, json_object_get(page, "containers")) < 0)
            return err_set(err, ERR_PROTOCOL, "the query service's answer has no containers");
        free(cursor);
        const char *next = json_text(page, "next_cursor", NULL);
        cursor = next != NULL ? strdup(next) : NULL;
    } while (cursor != NULL && (int64_t)json_array_size(ret) < limit);
    return 0;
}

static int print_table(const json_t *containers, bool whole, bool with_node, struct err *err)
{
    struct table table;
    table_init(&table, with_node ? 7 : 6);
    static const char *const titles[] = {"CONTAINER ID", "IMAGE", "COMMAND", "CREATED",
                                         "STATUS",       "NAMES", "NODE"};
    for (size_t i = 0; i < table.columns; i++)
        table_add(&table, "%s", titles[i]);
    int64_t now_ns = clock_realtime_ns();
    size_t i;
    const json_t *row;
    json_array_foreach(containers, i, row)
    {
        char age[72], status[160];
        auto_free char *command = listing_command(row, whole);
        listing_age(age, sizeof(age), row, "created_at", now_ns);
        listing_status(status, sizeof(status), row, now_ns);
        table_add(&table, "%.*s", whole ? 64 : 12, json_text(row, "id", ""));
        table_add(&table, "%s", json_text(row, "image", ""));
        table_add(&table, "%s", command != NULL ? command : "");
        table_add(&table, "%s", age);
        table_add(&table, "%s", status);
        table_add(&table, "%s", json_text(row, "name", ""));
        if (with_node)
            table_add(&table, "%s", json_text(row, "node", ""));
    }
    int rc = table_print(&table, stdout, err);
    table_release(&table);
    return rc;
}

static int print(const json_t *containers, const struct ps_options *options, struct err *err)
{
    enum listing_format format;
    if (listing_format(options->format, LISTING_TABLE, &format, err) < 0)
        return -1;
    if (!options->quiet && format != LISTING_JSON)
        return print_table(containers, options->no_trunc,
                           format == LISTING_WIDE || listing_has_several_nodes(containers), err);
    size_t i;
    const json_t *row;
    json_array_foreach(containers, i, row)
    {
        if (options->quiet)
            printf("%.*s\n", options->no_trunc ? 64 : 12, json_text(row, "id", ""));
        else if (listing_print_json(row, err) < 0)
            return -1;
    }
    return 0;
}

static int list(struct client *client, const struct ps_options *options, struct err *err)
{
    int64_t limit = INT64_MAX;
    enum listing_format format;
    auto_buf struct buf query = BUF_INIT;
    if (listing_format(options->format, LISTING_TABLE, &format, err) < 0)
        return -1;
    if (options->last != NULL &&
        value_int(options->last, "number of containers", 1, 1000000, &limit, err) < 0)
        return -1;
    if (options->latest && options->last == NULL)
        limit = 1;
    buf_add_string(&query, "");
    if (!options->all && limit == INT64_MAX && !filters_by_state(&options->filters))
        buf_add_string(&query, "&state=running&state=paused&state=stopping&state=restarting");
    if (listing_add_filters(&query, &options->filters, filters, err) < 0)
        return -1;
    json_auto_t *containers = json_array();
    if (containers == NULL)
        return err_nomem(err, "listing containers");
    if (fetch(client, query.data, limit, containers, err) < 0)
        return -1;
    return print(containers, options, err);
}

static int ps(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct err err = ERR_INIT;
    if (list(client, values, &err) == 0)
        return 0;
    say_error("%s", err.message);
    return 1;
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
