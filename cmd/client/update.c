/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/values.h"

struct update_options {
    const char *memory;
    const char *memory_swap;
    const char *memory_reservation;
    const char *cpus;
    const char *cpu_shares;
    const char *pids_limit;
    const char *restart;
};

static const struct option_row rows[] = {
    OPTION_ROW(update_options, memory, 'm', "memory", "SIZE", OPTION_STRING,
               "memory limit, such as 512m or 1.5g"),
    OPTION_ROW(update_options, memory_swap, 0, "memory-swap", "SIZE", OPTION_STRING,
               "limit on memory and swap together; -1 for none"),
    OPTION_ROW(update_options, memory_reservation, 0, "memory-reservation", "SIZE", OPTION_STRING,
               "memory that is left to it when memory gets scarce"),
    OPTION_ROW(update_options, cpus, 0, "cpus", "N", OPTION_STRING, "cpu limit, such as 1.5; 0 for none"),
    OPTION_ROW(update_options, cpu_shares, 0, "cpu-shares", "N", OPTION_STRING,
               "share of the cpus among containers that compete"),
    OPTION_ROW(update_options, pids_limit, 0, "pids-limit", "N", OPTION_STRING,
               "limit on processes and threads; -1 for none"),
    {.name = "restart",
     .argument = "POLICY",
     .kind = OPTION_STRING,
     .offset = offsetof(struct update_options, restart),
     .help = "no, on-failure[:N], always or unless-stopped",
     .words = "no on-failure always unless-stopped"},
    OPTION_END};

static int set(json_t *data, const char *member, json_t *value, struct err *err)
{
    return json_object_set_new(data, member, value) < 0 ? err_nomem(err, "making a command") : 0;
}

static int set_size(json_t *data, const char *member, const char *text, struct err *err)
{
    int64_t value = 0;
    if (text == NULL)
        return 0;
    return value_memory(text, &value, err) < 0 ? -1 : set(data, member, json_integer(value), err);
}

static int set_cpu(json_t *data, const struct update_options *options, struct err *err)
{
    int64_t value = 0;
    bool unlimited = options->cpus != NULL && strcmp(options->cpus, "0") == 0;
    if (options->cpus != NULL && !unlimited && value_cpus(options->cpus, &value, err) < 0)
        return -1;
    if (options->cpus != NULL && set(data, "cpu_millis", json_integer(value), err) < 0)
        return -1;
    if (options->cpu_shares == NULL)
        return 0;
    return value_int(options->cpu_shares, "cpu shares", 2, 262144, &value, err) < 0
               ? -1
               : set(data, "cpu_shares", json_integer(value), err);
}

static int set_pids(json_t *data, const char *text, struct err *err)
{
    int64_t value = 0;
    if (text == NULL)
        return 0;
    if (strcmp(text, "-1") != 0 && value_int(text, "pids limit", 0, 4194304, &value, err) < 0)
        return -1;
    return set(data, "pids_limit", json_integer(value), err);
}

/* A policy is replaced as a whole. */
static int set_restart(json_t *data, const char *text, struct err *err)
{
    const char *policy = NULL;
    int64_t max = 0;
    if (text == NULL)
        return 0;
    if (value_restart(text, &policy, &max, err) < 0 || set(data, "restart", json_string(policy), err) < 0)
        return -1;
    return set(data, "restart_max", json_integer(max), err);
}

static int read_options(json_t *data, const struct update_options *options, struct err *err)
{
    bool any_swap = options->memory_swap != NULL && strcmp(options->memory_swap, "-1") == 0;
    if (any_swap && set(data, "memory_swap", json_integer(-1), err) < 0)
        return -1;
    if (set_size(data, "memory", options->memory, err) < 0 ||
        set_size(data, "memory_swap", any_swap ? NULL : options->memory_swap, err) < 0 ||
        set_size(data, "memory_reservation", options->memory_reservation, err) < 0 ||
        set_cpu(data, options, err) < 0 || set_pids(data, options->pids_limit, err) < 0 ||
        set_restart(data, options->restart, err) < 0)
        return -1;
    return json_object_size(data) > 0
               ? 0
               : err_set(err, ERR_INVALID, "say what is to change; 'wharf update --help' shows what can");
}

/* `options` is the object of what changes. */
static json_t *make_data(const char *container, const void *options)
{
    json_t *data = json_copy((json_t *)(uintptr_t)options);
    if (data != NULL && json_object_set_new(data, "container", json_string(container)) < 0) {
        json_decref(data);
        return NULL;
    }
    return data;
}

static int update(struct client *client, const void *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    json_auto_t *data = json_object();
    if (data == NULL || read_options(data, options, &err) < 0) {
        say_error("%s", data == NULL ? "out of memory" : err.message);
        return 1;
    }
    const struct api_each each = {
        .type = "container.update", .verb = "update", .make_data = make_data, .options = data};
    return api_for_each(client, &each, argc, argv);
}

const struct verb verb_update = {
    .name = "update",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "change limits and the restart policy of containers",
    .description =
        "Limits of one that runs hold at once, and all of it for every start from now on. What is not "
        "given stays as it is.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct update_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = update,
};
