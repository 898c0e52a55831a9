/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/say.h"
#include "base/timestamp.h"
#include "cmd/client/listing.h"
#include "cmd/client/reading.h"
#include "cmd/client/table.h"
#include "cmd/client/values.h"

struct events_options {
    bool follow;
    const char *since;
    const char *from_offset;
    const char *partition;
    struct option_list filters;
    const char *format;
};

static const struct option_row rows[] = {
    OPTION_ROW(events_options, follow, 'f', "follow", NULL, OPTION_FLAG,
               "go on with what happens from now on"),
    OPTION_ROW(events_options, since, 0, "since", "TIME", OPTION_STRING,
               "only events since a time, such as 10m or 2026-01-02T03:04:05Z"),
    OPTION_ROW(events_options, from_offset, 0, "from-offset", "N", OPTION_STRING,
               "begin at this offset of the log"),
    OPTION_ROW(events_options, partition, 0, "partition", "N", OPTION_STRING,
               "only this partition of the log"),
    OPTION_ROW(events_options, filters, 0, "filter", "KEY=VALUE", OPTION_LIST,
               "container or type equal to VALUE"),
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct events_options, format),
     .help = "table, or json: the stored envelopes, one a line",
     .words = "table json"},
    OPTION_END};

static int on_line(const char *line, size_t size, void *data, struct err *err)
{
    const bool *json = data;
    if (*json) {
        fwrite(line, 1, size, stdout);
        return putchar('\n') == EOF ? err_set(err, ERR_SYSTEM, "cannot write") : 0;
    }
    json_auto_t *envelope = json_loadb(line, size, 0, NULL);
    if (envelope == NULL)
        return err_set(err, ERR_PROTOCOL, "the query service sent a line that is no JSON");
    reading_print_event(envelope, true);
    return 0;
}

/* A container is given as a reference, but asked for by its id. */
static int add_filter(struct buf *target, const struct client *client, const char *text, struct err *err)
{
    char id[CONTAINER_ID_SIZE];
    if (strncmp(text, "container=", 10) == 0) {
        if (reading_resolve(client, text + 10, id, err) < 0)
            return -1;
        buf_printf(target, "&container=%s", id);
        return 0;
    }
    if (strncmp(text, "type=", 5) != 0)
        return err_set(err, ERR_INVALID, "'%s' is no filter: give container=... or type=...", text);
    buf_add_string(target, "&type=");
    http_add_encoded(target, text + 5);
    return 0;
}

static int make_target(struct buf *target, const struct client *client, const struct events_options *options,
                       struct err *err)
{
    int64_t value = 0;
    buf_printf(target, "/v1/events?follow=%d", options->follow ? 1 : 0);
    if (options->since != NULL) {
        char time[TIMESTAMP_SIZE];
        if (value_time(options->since, clock_realtime_ns(), &value, err) < 0)
            return -1;
        timestamp_format(time, value);
        buf_add_string(target, "&since=");
        http_add_encoded(target, time);
    }
    if (options->from_offset != NULL) {
        if (value_int(options->from_offset, "offset", 0, INT64_MAX, &value, err) < 0)
            return -1;
        buf_printf(target, "&from_offset=%lld", (long long)value);
    }
    if (options->partition != NULL) {
        if (value_int(options->partition, "partition", 0, 1000000, &value, err) < 0)
            return -1;
        buf_printf(target, "&partition=%lld", (long long)value);
    }
    for (size_t i = 0; i < options->filters.n; i++)
        if (add_filter(target, client, options->filters.items[i], err) < 0)
            return -1;
    return target->failed ? err_nomem(err, "making a request") : 0;
}

static int events(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct events_options *options = values;
    struct err err = ERR_INIT;
    enum listing_format format;
    auto_buf struct buf target = BUF_INIT;
    int rc =
        listing_format(options->format, is_terminal(stdout) ? LISTING_TABLE : LISTING_JSON, &format, &err);
    bool json = format == LISTING_JSON;
    if (rc == 0)
        rc = make_target(&target, client, options, &err);
    if (rc == 0)
        rc = reading_lines(client, target.data, on_line, &json, &err);
    if (rc < 0)
        say_error("%s", err.message);
    return rc < 0 ? 1 : 0;
}

const struct verb verb_events = {
    .name = "events",
    .group = VERB_HISTORY,
    .synopsis = "",
    .summary = "show the log of events, and follow it",
    .description = "A table on a terminal, else the stored envelopes, one a line, with the members "
                   "_partition and _offset "
                   "added, so that a reader can go on with --from-offset.",
    .options = rows,
    .options_size = sizeof(struct events_options),
    .execute = events,
};
