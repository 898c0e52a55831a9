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
#include "cmd/client/template.h"
#include "cmd/client/values.h"

#define INTERVAL_MS 1000

struct stats_options {
    bool all;
    bool no_stream;
    bool no_trunc;
    const char *format;
};

static const struct option_row rows[] = {
    OPTION_ROW(stats_options, all, 'a', "all", NULL, OPTION_FLAG, "also those that do not run"),
    OPTION_ROW(stats_options, no_trunc, 0, "no-trunc", NULL, OPTION_FLAG, "do not shorten ids"),
    OPTION_ROW(stats_options, no_stream, 0, "no-stream", NULL, OPTION_FLAG, "print once and end"),
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct stats_options, format),
     .help = "table, json (one object a line), or a template such as '{{.Name}} {{.CPUPerc}}'",
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

static void add_pair(struct buf *ret, int64_t first, int64_t second)
{
    char one[32], other[32];
    format_size(one, first);
    format_size(other, second);
    buf_printf(ret, "%s / %s", one, other);
}

/* --- docker's fields, which are the table's columns, too --- */

#define FIELD_VALUE(name_)                                                                                   \
    static void name_(struct buf *ret, const json_t *row, const char *argument,                              \
                      const struct template_look *look)

FIELD_VALUE(add_id)
{
    (void)argument;
    buf_printf(ret, "%.*s", look->whole ? 64 : 12, json_text(row, "id", ""));
}

FIELD_VALUE(add_cpu)
{
    (void)argument;
    (void)look;
    const json_t *percent = json_object_get(row, "cpu_percent");
    buf_printf(ret, json_is_real(percent) ? "%.2f%%" : "--", json_real_value(percent));
}

FIELD_VALUE(add_memory)
{
    (void)argument;
    (void)look;
    add_pair(ret, number(row, "memory_bytes"), number(row, "memory_limit_bytes"));
}

FIELD_VALUE(add_memory_percent)
{
    (void)argument;
    (void)look;
    int64_t memory = number(row, "memory_bytes"), limit = number(row, "memory_limit_bytes");
    buf_printf(ret, memory >= 0 && limit > 0 ? "%.2f%%" : "--", 100.0 * (double)memory / (double)limit);
}

FIELD_VALUE(add_network)
{
    (void)argument;
    (void)look;
    add_pair(ret, number(row, "net_received_bytes"), number(row, "net_sent_bytes"));
}

FIELD_VALUE(add_disks)
{
    (void)argument;
    (void)look;
    add_pair(ret, number(row, "io_read_bytes"), number(row, "io_write_bytes"));
}

FIELD_VALUE(add_processes)
{
    (void)argument;
    (void)look;
    int64_t n = number(row, "pids");
    buf_printf(ret, n >= 0 ? "%lld" : "--", (long long)n);
}

static const struct template_field fields[] = {
    {.name = "ID", .title = "CONTAINER ID", .value = add_id},
    {.name = "Container", .title = "CONTAINER", .value = add_id},
    {.name = "Name", .title = "NAME", .member = "name"},
    {.name = "CPUPerc", .title = "CPU %", .value = add_cpu},
    {.name = "MemUsage", .title = "MEM USAGE / LIMIT", .value = add_memory},
    {.name = "MemPerc", .title = "MEM %", .value = add_memory_percent},
    {.name = "NetIO", .title = "NET I/O", .value = add_network},
    {.name = "BlockIO", .title = "BLOCK I/O", .value = add_disks},
    {.name = "PIDs", .title = "PIDS", .value = add_processes},
    {.name = NULL},
};

static const char columns[] =
    "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t"
    "{{.BlockIO}}\t{{.PIDs}}";

/* --- readings --- */

/* Each container's share of a processor since the reading before. */
static int add_shares(const json_t *before, json_t *now, struct err *err)
{
    size_t i;
    json_t *each;
    json_array_foreach(now, i, each)
    {
        double cpu = cpu_percent(find(before, json_text(each, "id", "")), each);
        if (json_object_set_new(each, "cpu_percent", cpu >= 0 ? json_real(cpu) : json_null()) < 0)
            return err_nomem(err, "reading usage");
    }
    return 0;
}

static int print(const json_t *now, const struct stats_options *options, const struct listing_output *output,
                 struct err *err)
{
    const struct template_look look = {.whole = options->no_trunc};
    size_t i;
    const json_t *each;
    if (output->format == LISTING_TEMPLATE)
        return template_print(&output->template, now, &look, stdout, err);
    json_array_foreach(now, i, each)
    {
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

/* Those that do not run have a name and nothing that they use. */
static int add_stopped(const struct client *client, json_t *containers, struct err *err)
{
    json_auto_t *answer = NULL;
    size_t i;
    const json_t *row;
    if (api_get(client, API_QUERY, "/v1/containers?limit=100000", &answer, NULL, err) < 0)
        return -1;
    json_array_foreach(json_object_get(answer, "containers"), i, row)
    {
        const char *id = json_text(row, "id", ""), *name = json_text(row, "name", "");
        if (find(containers, id) == NULL &&
            json_array_append_new(containers, json_pack("{s:s, s:s}", "id", id, "name", name)) < 0)
            return err_nomem(err, "listing containers");
    }
    return 0;
}

static int read_usage(const struct client *client, bool all, char *const *ids, size_t n_ids, json_t **ret,
                      struct err *err)
{
    json_auto_t *answer = NULL;
    if (api_get(client, API_RUNTIME, "/v1/usage", &answer, NULL, err) < 0)
        return -1;
    json_t *containers = json_object_get(answer, "containers");
    if (all && add_stopped(client, containers, err) < 0)
        return -1;
    if (choose(containers, ids, n_ids) < 0)
        return err_nomem(err, "choosing containers");
    *ret = json_incref(containers);
    return 0;
}

/* Every second until nobody reads it any more, or none of what was asked for runs. */
static int watch(const struct client *client, const struct stats_options *options,
                 const struct listing_output *output, char *const *ids, size_t n_ids, struct err *err)
{
    bool screen = !options->no_stream && output->format == LISTING_TEMPLATE && output->template.table;
    json_auto_t *before = NULL;
    int rc = read_usage(client, options->all, ids, n_ids, &before, err);
    bool go_on = rc == 0;
    while (go_on) {
        json_t *now = NULL;
        poll(NULL, 0, INTERVAL_MS);
        rc = read_usage(client, options->all, ids, n_ids, &now, err);
        if (rc == 0 && screen && is_terminal(stdout))
            printf("\033[H\033[J"); /* the top of an empty screen */
        if (rc == 0)
            rc = add_shares(before, now, err);
        if (rc == 0)
            rc = print(now, options, output, err);
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

static int show(struct client *client, const struct stats_options *options, int argc, char **argv,
                struct err *err)
{
    bool table = options->format == NULL || strcmp(options->format, "table") == 0;
    struct listing_output output;
    char **ids = calloc((size_t)argc + 1, sizeof(*ids));
    int rc = listing_output_init(&output, table ? columns : options->format, fields, err);
    if (rc == 0 && output.format == LISTING_WIDE)
        rc = err_set(err, ERR_INVALID, "'wide' is no format here: give table or json");
    if (rc == 0)
        rc = ids != NULL ? resolve_all(client, argc, argv, ids, err) : err_nomem(err, "reading usage");
    if (rc == 0)
        rc = watch(client, options, &output, ids, (size_t)argc, err);
    for (int i = 0; ids != NULL && i < argc; i++)
        free(ids[i]);
    free(ids);
    listing_output_release(&output);
    return rc;
}

static int stats(struct client *client, const void *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    if (show(client, options, argc, argv, &err) == 0)
        return 0;
    say_error("%s", err.message);
    return 1;
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
