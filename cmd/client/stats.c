/* SPDX-License-Identifier: Apache-2.0 */
/* A share of a processor is a difference of two readings, so the first line of figures comes after a second.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/reading.h"
#include "cmd/client/table.h"
#include "cmd/client/values.h"

#define INTERVAL_MS 1000

struct stats_options {
    bool no_stream;
    const char *format;
};

static const struct option_row rows[] = {
    OPTION_ROW(stats_options, no_stream, 0, "no-stream", NULL, OPTION_FLAG, "print once and end"),
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct stats_options, format),
     .help = "table, or json: one object a line",
     .words = "table json"},
    OPTION_END};

static int64_t number(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const json_t *find(const json_t *containers, const char *id)
{
    size_t i;
    const json_t *each;
    json_array_foreach(containers, i, each)
    {
        if (strcmp(json_text(each, "id", ""), id) == 0)
            return each;
    }
    return NULL;
}

/* Hundredths of one processor, between two readings; -1 for a container that the first did not have. */
static double cpu_percent(const json_t *before, const json_t *now)
{
    int64_t passed_ns = number(now, "time_ns") - number(before, "time_ns");
    if (before == NULL || passed_ns <= 0)
        return -1;
    int64_t used_ns = number(now, "cpu_ns") - number(before, "cpu_ns");
    return used_ns > 0 ? 100.0 * (double)used_ns / (double)passed_ns : 0;
}

static void format_size(char ret[32], int64_t bytes)
{
    snprintf(ret, 32, "--");
    if (bytes >= 0)
        value_format_size(ret, bytes);
}

static void add_pair(struct table *table, int64_t first, int64_t second)
{
    char one[32], other[32];
    format_size(one, first);
    format_size(other, second);
    table_add(table, "%s / %s", one, other);
}

static void add_row(struct table *table, const json_t *before, const json_t *now)
{
    double cpu = cpu_percent(before, now);
    int64_t memory = number(now, "memory_bytes"), limit = number(now, "memory_limit_bytes");
    table_add(table, "%.12s", json_text(now, "id", ""));
    table_add(table, "%s", json_text(now, "name", ""));
    table_add(table, cpu >= 0 ? "%.2f%%" : "--", cpu);
    add_pair(table, memory, limit);
    table_add(table, "%.2f%%", limit > 0 ? 100.0 * (double)memory / (double)limit : 0);
    add_pair(table, number(now, "net_received_bytes"), number(now, "net_sent_bytes"));
    add_pair(table, number(now, "io_read_bytes"), number(now, "io_write_bytes"));
    table_add(table, "%lld", (long long)number(now, "pids"));
}

static int print_table(const json_t *before, const json_t *now, struct err *err)
{
    static const char *const titles[] = {"CONTAINER ID", "NAME",    "CPU %",     "MEM USAGE / LIMIT",
                                         "MEM %",        "NET I/O", "BLOCK I/O", "PIDS"};
    struct table table;
    size_t i;
    const json_t *each;
    table_init(&table, sizeof(titles) / sizeof(titles[0]));
    for (i = 0; i < table.columns; i++)
        table_add(&table, "%s", titles[i]);
    json_array_foreach(now, i, each) add_row(&table, find(before, json_text(each, "id", "")), each);
    int rc = table_print(&table, stdout, err);
    table_release(&table);
    return rc;
}

static int print_json(const json_t *before, const json_t *now, struct err *err)
{
    size_t i;
    json_t *each;
    json_array_foreach(now, i, each)
    {
        double cpu = cpu_percent(find(before, json_text(each, "id", "")), each);
        if (json_object_set_new(each, "cpu_percent", cpu >= 0 ? json_real(cpu) : json_null()) < 0)
            return err_nomem(err, "printing");
        if (listing_print_json(each, err) < 0)
            return -1;
    }
    return 0;
}

/* Those that were asked for, or all. */
static int choose(json_t *containers, char *const *ids, size_t n_ids)
{
    for (size_t i = json_array_size(containers); n_ids > 0 && i-- > 0;) {
        const char *id = json_text(json_array_get(containers, i), "id", "");
        bool wanted = false;
        for (size_t k = 0; k < n_ids; k++)
            wanted = wanted || strcmp(ids[k], id) == 0;
        if (!wanted && json_array_remove(containers, i) < 0)
            return -1;
    }
    return 0;
}

static int read_usage(const struct client *client, char *const *ids, size_t n_ids, json_t **ret,
                      struct err *err)
{
    json_auto_t *answer = NULL;
    if (api_get(client, API_RUNTIME, "/v1/usage", &answer, NULL, err) < 0)
        return -1;
    json_t *containers = json_object_get(answer, "containers");
    if (choose(containers, ids, n_ids) < 0)
        return err_nomem(err, "choosing containers");
    *ret = json_incref(containers);
    return 0;
}

/* Every second until nobody reads it any more, or none of what was asked for runs. */
static int watch(const struct client *client, const struct stats_options *options, char *const *ids,
                 size_t n_ids, struct err *err)
{
    enum listing_format format;
    if (listing_format(options->format, LISTING_TABLE, &format, err) < 0)
        return -1;
    json_auto_t *before = NULL;
    int rc = read_usage(client, ids, n_ids, &before, err);
    bool go_on = rc == 0;
    while (go_on) {
        json_t *now = NULL;
        poll(NULL, 0, INTERVAL_MS);
        rc = read_usage(client, ids, n_ids, &now, err);
        if (rc == 0 && !options->no_stream && format == LISTING_TABLE && is_terminal(stdout))
            printf("\033[H\033[J"); /* the top of an empty screen */
        if (rc == 0)
            rc = format == LISTING_JSON ? print_json(before, now, err) : print_table(before, now, err);
        if (rc == 0 && fflush(stdout) != 0)
            rc = err_sys(err, errno, "cannot write");
        go_on = rc == 0 && !options->no_stream && (n_ids == 0 || json_array_size(now) > 0);
        json_decref(before);
        before = now;
    }
    return rc;
}

static int resolve_all(const struct client *client, int argc, char **argv, char **ret, struct err *err)
{
    for (int i = 0; i < argc; i++) {
        ret[i] = calloc(1, CONTAINER_ID_SIZE);
        if (ret[i] == NULL)
            return err_nomem(err, "looking containers up");
        if (reading_resolve(client, argv[i], ret[i], err) < 0)
            return -1;
    }
    return 0;
}

static int stats(struct client *client, const void *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    char **ids = calloc((size_t)argc + 1, sizeof(*ids));
    int rc = ids != NULL ? resolve_all(client, argc, argv, ids, &err) : err_nomem(&err, "reading usage");
    if (rc == 0)
        rc = watch(client, options, ids, (size_t)argc, &err);
    for (int i = 0; ids != NULL && i < argc; i++)
        free(ids[i]);
    free(ids);
    if (rc < 0)
        say_error("%s", err.message);
    return rc < 0 ? 1 : 0;
}

const struct verb verb_stats = {
    .name = "stats",
    .group = VERB_CONTAINERS,
    .synopsis = "[CONTAINER...]",
    .summary = "show what running containers use: cpu, memory, network, disks, processes",
    .description =
        "Once a second; of all that run when none is named. What the kernel does not tell is '--', "
        "in JSON null.",
    .operands = "running",
    .options = rows,
    .options_size = sizeof(struct stats_options),
    .max_operands = -1,
    .execute = stats,
};
