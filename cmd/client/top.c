/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/reading.h"
#include "cmd/client/table.h"
#include "cmd/client/values.h"

#define NS_PER_S INT64_C(1000000000)

struct top_options {
    const char *format;
};

static const struct option_row rows[] = {{.name = "format",
                                          .argument = "FORMAT",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct top_options, format),
                                          .help = "table, or json: one object a line",
                                          .words = "table json"},
                                         OPTION_END};

static int64_t number(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

static void add_row(struct table *table, const json_t *process, int64_t now_ns)
{
    char size[32], age[72];
    int64_t seconds = number(process, "cpu_ns") / NS_PER_S;
    value_format_size(size, number(process, "resident_bytes"));
    listing_age(age, sizeof(age), process, "started_at", now_ns);
    table_add(table, "%" PRId64, number(process, "uid"));
    table_add(table, "%" PRId64, number(process, "pid"));
    table_add(table, "%" PRId64, number(process, "ppid"));
    table_add(table, "%s", json_text(process, "state", "?"));
    table_add(table, "%s", age);
    table_add(table, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600, seconds / 60 % 60,
              seconds % 60);
    table_add(table, "%s", size);
    table_add(table, "%s", json_text(process, "command", ""));
}

static int print(const json_t *processes, bool json, struct err *err)
{
    static const char *const titles[] = {"UID",     "PID",  "PPID",   "STATE",
                                         "STARTED", "TIME", "MEMORY", "COMMAND"};
    struct table table;
    int rc = 0;
    size_t i;
    const json_t *process;
    int64_t now_ns = clock_realtime_ns();
    table_init(&table, sizeof(titles) / sizeof(titles[0]));
    for (i = 0; i < table.columns; i++)
        table_add(&table, "%s", titles[i]);
    json_array_foreach(processes, i, process)
    {
        if (!json)
            add_row(&table, process, now_ns);
        else if (rc == 0)
            rc = listing_print_json(process, err);
    }
    if (!json)
        rc = table_print(&table, stdout, err);
    table_release(&table);
    return rc;
}

static int show(const struct client *client, const struct top_options *options, const char *ref,
                struct err *err)
{
    enum listing_format format;
    char id[CONTAINER_ID_SIZE], target[128];
    json_auto_t *answer = NULL;
    if (listing_format(options->format, LISTING_TABLE, &format, err) < 0 ||
        reading_resolve(client, ref, id, err) < 0)
        return -1;
    snprintf(target, sizeof(target), "/v1/containers/%s/processes", id);
    if (api_get(client, API_RUNTIME, target, &answer, NULL, err) < 0)
        return -1;
    return print(json_object_get(answer, "processes"), format == LISTING_JSON, err);
}

static int top(struct client *client, const void *options, int argc, char **argv)
{
    (void)argc;
    struct err err = ERR_INIT;
    if (show(client, options, argv[0], &err) == 0)
        return 0;
    say_error("%s", err.message);
    return 1;
}

const struct verb verb_top = {
    .name = "top",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER",
    .summary = "show the processes of a container",
    .description = "Process and user ids are the host's.",
    .operands = "running",
    .options = rows,
    .options_size = sizeof(struct top_options),
    .min_operands = 1,
    .max_operands = 1,
    .execute = top,
};
