/* SPDX-License-Identifier: Apache-2.0 */
/* `wharf volume ACTION`: one function an action; listings are the query service's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/table.h"
#include "cmd/client/values.h"
#include "events/message.h"

struct volume_options {
    bool quiet;
    bool force;
    struct option_list labels;
    struct option_list filters;
    const char *format;
    const char *node;
};

static const struct option_row rows[] = {
    OPTION_ROW(volume_options, labels, 'l', "label", "KEY=VALUE", OPTION_LIST, "create: label it"),
    OPTION_ROW(volume_options, quiet, 'q', "quiet", NULL, OPTION_FLAG, "ls: print names only"),
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct volume_options, format),
     .help =
         "ls: table, wide, json (one object a line), or a template such as '{{.Name}}'; inspect: json, or a "
         "template of its members such as '{{.labels}}'",
     .words = "table wide json"},
    OPTION_ROW(volume_options, filters, 0, "filter", "KEY=VALUE", OPTION_LIST,
               "ls: name containing VALUE, or label=KEY[=VALUE]"),
    OPTION_ROW(volume_options, force, 'f', "force", NULL, OPTION_FLAG,
               "rm: one that is not there is fine; ls, inspect: -f is --filter, --format"),
    OPTION_ROW(volume_options, node, 0, "node", "NODE", OPTION_STRING, "the node it is on"),
    OPTION_END};

static int fail(const struct err *err)
{
    say_error("%s", err->message);
    return 1;
}

/* Carries the command out and waits for its outcome. */
static int carry_out(struct client *client, const char *type, const char *node, json_t *data, struct err *err)
{
    struct api_command command = {.call = HTTP_CALL_INIT};
    struct api_result result = {0};
    if (data == NULL)
        return err_set(err, ERR_INVALID, "it is not UTF-8");
    int rc = api_command_begin(&command, client, type, node, data, true, err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, err);
    api_command_release(&command);
    return rc == 0 && !result.ok ? err_set(err, ERR_CONFLICT, "%s", result.message) : rc;
}

/* All volumes of the node, or of all nodes; a new reference. */
static json_t *fetch(struct client *client, const char *node, struct err *err)
{
    json_auto_t *answer = NULL;
    if (api_get(client, API_QUERY, "/v1/volumes?consistent=1", &answer, NULL, err) < 0)
        return NULL;
    json_t *found = json_array();
    size_t i;
    json_t *volume;
    json_array_foreach(json_object_get(answer, "volumes"), i, volume)
    {
        if (node != NULL && strcmp(json_text(volume, "node", ""), node) != 0)
            continue;
        if (json_array_append(found, volume) < 0) {
            json_decref(found);
            err_nomem(err, "listing volumes");
            return NULL;
        }
    }
    return found;
}

/* --- create --- */

static int create(struct client *client, const struct volume_options *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    char name[129];
    uint8_t random[CONTAINER_ID_BYTES];
    json_auto_t *labels = json_object();
    for (size_t i = 0; i < options->labels.n; i++)
        if (value_add_label(labels, options->labels.items[i], &err) < 0)
            return fail(&err);
    if (argc > 0 && check_volume_name(argv[0]) != NULL) {
        say_error("the volume's name '%s' %s", argv[0], check_volume_name(argv[0]));
        return 1;
    }
    if (random_bytes(random, sizeof(random), &err) < 0)
        return fail(&err);
    container_id_format(name, random); /* as docker's names of volumes */
    if (argc > 0)
        snprintf(name, sizeof(name), "%s", argv[0]);
    if (carry_out(client, "volume.create", options->node,
                  json_pack("{s:s, s:O}", "name", name, "labels", labels), &err) < 0)
        return fail(&err);
    puts(name);
    return 0;
}

/* --- ls, inspect --- */

static int print_table(const json_t *volumes, bool with_node, struct err *err)
{
    static const char *const titles[] = {"VOLUME NAME", "CREATED", "FOUND", "NODE"};
    struct table table;
    int64_t now_ns = clock_realtime_ns();
    table_init(&table, with_node ? 4 : 3);
    for (size_t i = 0; i < table.columns; i++)
        table_add(&table, "%s", titles[i]);
    size_t i;
    const json_t *volume;
    json_array_foreach(volumes, i, volume)
    {
        char age[72];
        listing_age(age, sizeof(age), volume, "created_at", now_ns);
        table_add(&table, "%s", json_text(volume, "name", ""));
        table_add(&table, "%s", age);
        table_add(&table, "%s", json_object_get(volume, "found") != NULL ? "yes" : "");
        if (with_node)
            table_add(&table, "%s", json_text(volume, "node", ""));
    }
    int rc = table_print(&table, stdout, err);
    table_release(&table);
    return rc;
}

static void add_labels(struct buf *ret, const json_t *row, const char *argument,
                       const struct template_look *look)
{
    (void)look;
    template_add_labels(ret, json_object_get(row, "labels"), argument);
}

static void add_created(struct buf *ret, const json_t *row, const char *argument,
                        const struct template_look *look)
{
    (void)argument;
    (void)look;
    template_add_time(ret, row, "created_at");
}

static void add_driver(struct buf *ret, const json_t *row, const char *argument,
                       const struct template_look *look)
{
    (void)row;
    (void)argument;
    (void)look;
    buf_add_string(ret, "local");
}

static const struct template_field fields[] = {
    {.name = "Name", .title = "VOLUME NAME", .member = "name"},
    {.name = "Driver", .title = "DRIVER", .value = add_driver},
    {.name = "CreatedAt", .title = "CREATED AT", .value = add_created},
    {.name = "Labels", .title = "LABELS", .value = add_labels},
    {.name = "Label", .title = "LABEL", .value = add_labels, .takes_argument = true},
    {.name = "Node", .title = "NODE", .member = "node"},
    {.name = NULL},
};

/* Takes out what does not match. */
static int filter(json_t *volumes, const struct option_list *filters, struct err *err)
{
    for (size_t i = 0; i < filters->n; i++) {
        const char *text = filters->items[i];
        bool name = strncmp(text, "name=", 5) == 0;
        if (!name && strncmp(text, "label=", 6) != 0)
            return err_set(err, ERR_INVALID, "'%.64s' is no filter: give name=... or label=...", text);
        for (size_t at = json_array_size(volumes); at-- > 0;) {
            const json_t *volume = json_array_get(volumes, at);
            bool match = name ? strstr(json_text(volume, "name", ""), text + 5) != NULL
                              : listing_has_label(volume, text + 6);
            if (!match && json_array_remove(volumes, at) < 0)
                return err_nomem(err, "listing volumes");
        }
    }
    return 0;
}

static int print(const json_t *volumes, const struct volume_options *options,
                 const struct listing_output *output, struct err *err)
{
    const struct template_look look = {clock_realtime_ns(), true};
    size_t i;
    const json_t *volume;
    if (!options->quiet && output->format == LISTING_TEMPLATE)
        return template_print(&output->template, volumes, &look, stdout, err);
    if (!options->quiet && output->format != LISTING_JSON)
        return print_table(volumes, output->format == LISTING_WIDE || listing_has_several_nodes(volumes),
                           err);
    json_array_foreach(volumes, i, volume)
    {
        if (options->quiet)
            puts(json_text(volume, "name", ""));
        else if (listing_print_json(volume, err) < 0)
            return -1;
    }
    return 0;
}

static int ls(struct client *client, const struct volume_options *options, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct err err = ERR_INIT;
    struct listing_output output;
    json_auto_t *volumes = NULL;
    int rc = listing_output_init(&output, options->format, fields, &err);
    if (rc == 0 && (volumes = fetch(client, options->node, &err)) == NULL)
        rc = -1;
    if (rc == 0)
        rc = filter(volumes, &options->filters, &err);
    if (rc == 0)
        rc = listing_sort(volumes, "name", false, "node", &err);
    if (rc == 0)
        rc = print(volumes, options, &output, &err);
    listing_output_release(&output);
    return rc < 0 ? fail(&err) : 0;
}

static int inspect(struct client *client, const struct volume_options *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct listing_output output;
    json_auto_t *volumes = NULL, *found = json_array();
    int code = 0;
    if (listing_output_init(&output, options->format, NULL, &err) < 0 ||
        (volumes = fetch(client, options->node, &err)) == NULL) {
        listing_output_release(&output);
        return fail(&err);
    }
    for (int i = 0; i < argc; i++) {
        size_t at, before = json_array_size(found);
        json_t *volume;
        json_array_foreach(volumes, at, volume)
        {
            if (strcmp(json_text(volume, "name", ""), argv[i]) == 0 && json_array_append(found, volume) < 0)
                code = 1;
        }
        if (json_array_size(found) == before) {
            say_error("no volume '%s'", argv[i]);
            code = 1;
        }
    }
    int rc = listing_print_inspected(found, &output, &err);
    listing_output_release(&output);
    return rc < 0 ? fail(&err) : code;
}

/* --- rm, prune --- */

static int rm(struct client *client, const struct volume_options *options, int argc, char **argv)
{
    int code = 0;
    for (int i = 0; i < argc; i++) {
        struct err err = ERR_INIT;
        json_t *data = json_pack("{s:s, s:b}", "volume", argv[i], "force", (int)options->force);
        if (carry_out(client, "volume.remove", options->node, data, &err) < 0) {
            say_error("cannot remove the volume '%s': %s", argv[i], err.message);
            code = 1;
        } else {
            puts(argv[i]);
        }
    }
    return code;
}

/* The names that containers use, as "NODE/NAME" members of an object. */
static json_t *fetch_used(struct client *client, struct err *err)
{
    json_t *used = json_object();
    auto_buf struct buf cursor = BUF_INIT;
    do {
        auto_buf struct buf target = BUF_INIT;
        json_auto_t *page = NULL;
        size_t i, j;
        json_t *container, *mount;
        buf_add_string(&target, "/v1/containers?consistent=1&limit=1000");
        buf_printf(&target, "%s%s", cursor.size > 0 ? "&cursor=" : "", cursor.size > 0 ? cursor.data : "");
        if (target.failed || api_get(client, API_QUERY, target.data, &page, NULL, err) < 0) {
            json_decref(used);
            return NULL;
        }
        json_array_foreach(json_object_get(page, "containers"), i, container)
        {
            json_array_foreach(json_object_get(json_object_get(container, "spec"), "mounts"), j, mount)
            {
                auto_buf struct buf key = BUF_INIT;
                buf_printf(&key, "%s/%s", json_text(container, "node", ""), json_text(mount, "source", ""));
                if (!key.failed)
                    json_object_set_new(used, key.data, json_true());
            }
        }
        buf_reset(&cursor);
        if (json_text(page, "next_cursor", NULL) != NULL)
            http_add_encoded(&cursor, json_text(page, "next_cursor", NULL));
    } while (cursor.size > 0);
    return used;
}

/* What has come into use meanwhile is refused by the node, and stays. */
static int prune(struct client *client, const struct volume_options *options, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct err err = ERR_INIT;
    json_auto_t *volumes = fetch(client, options->node, &err);
    json_auto_t *used = volumes == NULL ? NULL : fetch_used(client, &err);
    if (used == NULL)
        return fail(&err);
    size_t i;
    const json_t *volume;
    int code = 0;
    json_array_foreach(volumes, i, volume)
    {
        const char *name = json_text(volume, "name", ""), *node = json_text(volume, "node", "");
        auto_buf struct buf key = BUF_INIT;
        buf_printf(&key, "%s/%s", node, name);
        if (key.failed || json_object_get(used, key.data) != NULL)
            continue;
        err_clear(&err);
        if (carry_out(client, "volume.remove", node, json_pack("{s:s}", "volume", name), &err) < 0) {
            say_error("cannot remove the volume '%s': %s", name, err.message);
            code = 1;
        } else {
            puts(name);
        }
    }
    return code;
}

/* --- all --- */

static const struct action {
    const char *name;
    int min_operands, max_operands;
    bool labels, listing, format, force;
    int (*execute)(struct client *client, const struct volume_options *options, int argc, char **argv);
} actions[] = {
    {"create", 0, 1, true, false, false, false, create},    {"ls", 0, 0, false, true, true, false, ls},
    {"inspect", 1, -1, false, false, true, false, inspect}, {"rm", 1, -1, false, false, false, true, rm},
    {"prune", 0, 0, false, false, false, true, prune}, /* which never asks */
};

/* "-f" is short for an option that each action has of its own, as in docker. */
static void prepare(int argc, char **argv)
{
    static char filter[] = "--filter", format[] = "--format";
    char *meant = argc == 0                         ? NULL
                  : strcmp(argv[0], "ls") == 0      ? filter
                  : strcmp(argv[0], "inspect") == 0 ? format
                                                    : NULL;
    for (int i = 1; meant != NULL && i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "-f") == 0)
            argv[i] = meant;
}

/* An option of another action is a mistake, not a wish. */
static const char *stray_option(const struct action *action, const struct volume_options *options)
{
    if (options->labels.n > 0 && !action->labels)
        return "--label";
    if (options->format != NULL && !action->format)
        return "--format";
    if (options->quiet && !action->listing)
        return "--quiet";
    if (options->filters.n > 0 && !action->listing)
        return "--filter";
    return options->force && !action->force ? "--force" : NULL;
}

static int volume(struct client *client, const void *values, int argc, char **argv)
{
    const struct action *action = NULL;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, argv[0]) == 0)
            action = &actions[i];
    if (action == NULL) {
        say_error("'wharf volume' has no '%s': give create, ls, inspect, rm or prune", argv[0]);
        return 1;
    }
    const char *stray = stray_option(action, values);
    int n = argc - 1;
    if (stray != NULL || n < action->min_operands ||
        (action->max_operands >= 0 && n > action->max_operands)) {
        say_error("'wharf volume %s' %s%s", action->name,
                  stray != NULL              ? "has no option "
                  : n < action->min_operands ? "needs the name of a volume"
                                             : "takes fewer names",
                  stray != NULL ? stray : "");
        return 1;
    }
    return action->execute(client, values, n, argv + 1);
}

const struct verb verb_volume = {
    .name = "volume",
    .group = VERB_IMAGES,
    .prepare = prepare,
    .synopsis = "create [NAME] | ls | inspect NAME... | rm NAME... | prune",
    .summary = "make, list and remove volumes",
    .description = "A volume is a directory of the node that outlives containers: 'wharf run -v NAME:PATH' "
                   "mounts it, and makes "
                   "it if need be; a new one gets the files that the image has at PATH. One that a container "
                   "uses cannot be "
                   "removed; 'prune' removes all that none uses.",
    .options = rows,
    .options_size = sizeof(struct volume_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = volume,
};
