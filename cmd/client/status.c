/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/stack.h"
#include "cmd/client/table.h"

#define PROBE_MS 3000

struct status_options {
    const char *format;
};

static const struct option_row rows[] = {{.name = "format",
                                          .argument = "FORMAT",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct status_options, format),
                                          .help = "table, or json: one object",
                                          .words = "table json"},
                                         OPTION_END};

/* "ready", "not ready: WHY", or "no answer: WHY". */
static json_t *probe(const struct client *client, enum api_service service)
{
    struct err err = ERR_INIT;
    auto_free char *text = NULL;
    int status = 0;
    if (api_get_text(client, service, "/readyz", PROBE_MS, &status, &text, &err) < 0)
        return json_sprintf("no answer: %s", err.message);
    if (status == 200)
        return json_string("ready");
    json_auto_t *problem = json_loads(text, 0, NULL);
    return json_sprintf("not ready: %s", json_text(problem, "detail", "it does not say why"));
}

/* The sum over all labels of a metric in the Prometheus text format; -1 when it is not there. */
static double metric_sum(const char *text, const char *name)
{
    size_t size = strlen(name);
    double sum = -1;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, name, size) != 0 || (line[size] != ' ' && line[size] != '{'))
            continue;
        const char *value = strchr(line, ' ');
        if (value != NULL)
            sum = (sum < 0 ? 0 : sum) + strtod(value, NULL);
    }
    return sum;
}

/* {"state": "up"|"down"|"unsupervised", "pid": N, "parts": [...]} */
static json_t *describe_supervisor(const char *run_dir)
{
    auto_fd int lock_fd = -1;
    pid_t holder = 0;
    struct err err = ERR_INIT;
    json_auto_t *state = stack_read_state(run_dir);
    int rc = stack_lock(run_dir, false, &lock_fd, &holder, &err);
    json_t *ret = json_object();
    json_object_set_new(ret, "state", json_string(rc > 0 ? "up" : "down"));
    if (rc > 0)
        json_object_set_new(ret, "pid", json_integer(holder));
    json_t *parts = json_object_get(state, "parts");
    size_t i;
    json_t *part;
    json_array_foreach(parts, i, part)
    {
        pid_t pid = (pid_t)json_integer_value(json_object_get(part, "pid"));
        uint64_t ticks = (uint64_t)json_integer_value(json_object_get(part, "start_ticks"));
        json_object_set_new(part, "alive", json_boolean(process_is_alive(pid, ticks)));
        json_object_del(part, "start_ticks");
    }
    json_object_set(ret, "parts", parts);
    return ret;
}

static json_t *count_states(const struct client *client)
{
    json_auto_t *answer = NULL;
    if (api_get(client, API_QUERY, "/v1/containers?limit=10000", &answer, NULL, NULL) < 0)
        return json_null();
    json_t *counts = json_object();
    size_t i;
    const json_t *container;
    json_array_foreach(json_object_get(answer, "containers"), i, container)
    {
        const char *state = json_text(container, "state", "unknown");
        json_int_t n = json_integer_value(json_object_get(counts, state));
        json_object_set_new(counts, state, json_integer(n + 1));
    }
    return counts;
}

static json_t *describe(const struct client *client)
{
    json_t *ret = json_object();
    json_object_set_new(ret, "run_dir", json_string(client->config.run_dir));
    json_object_set_new(ret, "supervisor", describe_supervisor(client->config.run_dir));
    json_t *services = json_object();
    json_object_set_new(services, "writer", probe(client, API_WRITER));
    json_object_set_new(services, "runtime", probe(client, API_RUNTIME));
    json_object_set_new(services, "query", probe(client, API_QUERY));
    json_object_set_new(ret, "services", services);
    int status = 0;
    auto_free char *metrics = NULL;
    double lag = -1;
    if (api_get_text(client, API_QUERY, "/metrics", PROBE_MS, &status, &metrics, NULL) == 0 && status == 200)
        lag = metric_sum(metrics, "wharf_projection_lag_events");
    json_object_set_new(ret, "projection_lag_events", lag >= 0 ? json_integer((json_int_t)lag) : json_null());
    json_object_set_new(ret, "containers", count_states(client));
    return ret;
}

static bool all_ready(const json_t *status)
{
    const char *name;
    json_t *state;
    json_object_foreach(json_object_get(status, "services"), name, state)
    {
        if (strcmp(json_string_value(state), "ready") != 0)
            return false;
    }
    return true;
}

static int print_parts(const json_t *supervisor, struct err *err)
{
    static const char *const titles[] = {"PART", "PID", "STATE", "RESTARTS"};
    struct table table;
    table_init(&table, 4);
    for (size_t i = 0; i < table.columns; i++)
        table_add(&table, "%s", titles[i]);
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(supervisor, "parts"), i, part)
    {
        bool alive = json_is_true(json_object_get(part, "alive"));
        bool ready = json_is_true(json_object_get(part, "ready"));
        table_add(&table, "%s", json_text(part, "name", ""));
        table_add(&table, "%lld", (long long)json_integer_value(json_object_get(part, "pid")));
        table_add(&table, "%s", !alive ? "not running" : ready ? "serving" : "starting");
        table_add(&table, "%lld", (long long)json_integer_value(json_object_get(part, "restarts")));
    }
    int rc = table.n > table.columns ? table_print(&table, stdout, err) : 0;
    table_release(&table);
    return rc;
}

static int print(const json_t *status, struct err *err)
{
    json_t *supervisor = json_object_get(status, "supervisor");
    const json_t *pid = json_object_get(supervisor, "pid");
    printf("stack in '%s': ", json_text(status, "run_dir", ""));
    if (pid != NULL)
        printf("up, supervised by process %lld\n", (long long)json_integer_value(pid));
    else
        printf("no 'wharf up' runs here\n");
    if (print_parts(supervisor, err) < 0)
        return -1;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(status, "services"), name, value)
        printf("%s: %s\n", name, json_string_value(value));
    const json_t *lag = json_object_get(status, "projection_lag_events");
    if (json_is_integer(lag))
        printf("projection lag: %lld events\n", (long long)json_integer_value(lag));
    json_t *counts = json_object_get(status, "containers");
    if (!json_is_object(counts))
        return 0;
    printf("containers:");
    json_object_foreach(counts, name, value) printf(" %lld %s", (long long)json_integer_value(value), name);
    puts(json_object_size(counts) == 0 ? " none" : "");
    return 0;
}

static int status(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct status_options *options = values;
    struct err err = ERR_INIT;
    enum listing_format format;
    if (listing_format(options->format, LISTING_TABLE, &format, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    json_auto_t *described = describe(client);
    if (described == NULL)
        err_nomem(&err, "asking for the status");
    else if ((format == LISTING_JSON ? listing_print_json(described, &err) : print(described, &err)) == 0)
        return all_ready(described) ? 0 : 1;
    say_error("%s", err.message);
    return 1;
}

const struct verb verb_status = {
    .name = "status",
    .group = VERB_STACK,
    .synopsis = "",
    .summary = "show the parts of the stack, whether they answer, and how far the view is behind",
    .description = "The exit code is 0 when writer, runtime and query are ready.",
    .options = rows,
    .options_size = sizeof(struct status_options),
    .execute = status,
};
