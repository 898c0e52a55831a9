/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/listing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/timestamp.h"
#include "cmd/client/api.h"
#include "cmd/client/http.h"
#include "cmd/client/table.h"

#define COMMAND_WIDTH 20

int listing_format(const char *text, enum listing_format otherwise, enum listing_format *ret, struct err *err)
{
    static const char *const names[] = {
        [LISTING_TABLE] = "table", [LISTING_WIDE] = "wide", [LISTING_JSON] = "json"};
    *ret = otherwise;
    if (text == NULL)
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum listing_format)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "'%s' is no format: give table, wide or json", text);
}

int listing_output_init(struct listing_output *ret, const char *text, const struct template_field *fields,
                        struct err *err)
{
    *ret = (struct listing_output){.format = LISTING_TEMPLATE};
    if (template_is(text))
        return template_parse(&ret->template, text, fields, err);
    if (listing_format(text, LISTING_TABLE, &ret->format, NULL) == 0)
        return 0;
    if (fields == NULL)
        return err_set(err, ERR_INVALID, "'%s' is no format: give json, or a template such as '{{.name}}'",
                       text);
    return err_set(err, ERR_INVALID,
                   "'%s' is no format: give table, wide, json, or a template such as '{{.%s}}'", text,
                   fields[0].name);
}

void listing_output_release(struct listing_output *output)
{
    template_release(&output->template);
}

static int unknown_filter(const char *text, const struct listing_filter *filters, struct err *err)
{
    err_set(err, ERR_INVALID, "'%s' is no filter: give", text);
    for (const struct listing_filter *filter = filters; err != NULL && filter->key != NULL; filter++) {
        size_t used = strlen(err->message);
        const char *glue = filter == filters ? " " : filter[1].key == NULL ? " or " : ", ";
        snprintf(err->message + used, sizeof(err->message) - used, "%s%s=...", glue, filter->key);
    }
    return -1;
}

int listing_add_filters(struct buf *target, const struct option_list *list,
                        const struct listing_filter *filters, struct err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->items[i];
        const char *equals = strchr(text, '=');
        const struct listing_filter *filter = filters;
        size_t size = equals != NULL ? (size_t)(equals - text) : 0;
        while (filter->key != NULL && (strlen(filter->key) != size || memcmp(filter->key, text, size) != 0))
            filter++;
        if (equals == NULL || filter->key == NULL)
            return unknown_filter(text, filters, err);
        buf_printf(target, "&%s=", filter->parameter);
        http_add_encoded(target, equals + 1);
    }
    return target->failed ? err_nomem(err, "making a request") : 0;
}

bool listing_has_label(const json_t *object, const char *label)
{
    size_t size = strcspn(label, "=");
    auto_free char *key = strndup(label, size);
    const json_t *value = key == NULL ? NULL : json_object_get(json_object_get(object, "labels"), key);
    return value != NULL && (label[size] == '\0' || strcmp(json_string_value(value), label + size + 1) == 0);
}

int listing_print_json(const json_t *value, struct err *err)
{
    if (json_dumpf(value, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF)
        return err_sys(err, errno, "cannot write");
    return 0;
}

int listing_print_inspected(const json_t *found, const struct listing_output *output, struct err *err)
{
    size_t i;
    const json_t *each;
    if (output->format == LISTING_TEMPLATE)
        return template_print(&output->template, found, &(struct template_look){.now_ns = 0}, stdout, err);
    if (output->format == LISTING_JSON) {
        json_array_foreach(found, i, each) if (listing_print_json(each, err) < 0) return -1;
        return 0;
    }
    if (json_dumpf(found, stdout, JSON_INDENT(4)) < 0 || putchar('\n') == EOF)
        return err_set(err, ERR_SYSTEM, "cannot write");
    return 0;
}

/* "5 minutes" since the member's time; "" when it is absent. */
static void since(char *ret, size_t size, const json_t *object, const char *member, int64_t now_ns)
{
    int64_t time_ns = 0;
    const char *text = json_text(object, member, "");
    if (size > 0)
        ret[0] = '\0';
    if (text[0] != '\0' && timestamp_parse(text, &time_ns, NULL) == 0)
        duration_format(ret, size, now_ns - time_ns);
}

void listing_age(char *ret, size_t size, const json_t *object, const char *member, int64_t now_ns)
{
    char duration[64];
    since(duration, sizeof(duration), object, member, now_ns);
    snprintf(ret, size, "%s%s", duration, duration[0] != '\0' ? " ago" : "");
}

/* As docker writes it, behind the time that it is up. */
static void add_health(char *ret, size_t size, const json_t *container)
{
    const char *health = json_text(container, "health", "");
    size_t used = strlen(ret);
    if (health[0] != '\0')
        snprintf(ret + used, size - used, " (%s%s)", strcmp(health, "starting") == 0 ? "health: " : "",
                 health);
}

static void status(char *ret, size_t size, const json_t *container, int64_t now_ns)
{
    const char *state = json_text(container, "state", "");
    const json_t *code = json_object_get(container, "exit_code");
    char text[64], started[64], finished[72];
    since(started, sizeof(started), container, "started_at", now_ns);
    listing_age(finished, sizeof(finished), container, "finished_at", now_ns);
    snprintf(text, sizeof(text), "?");
    if (json_is_integer(code))
        snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(code));
    const char *gap = finished[0] != '\0' ? " " : "";
    if (strcmp(state, "running") == 0) {
        snprintf(ret, size, "Up%s%s", started[0] != '\0' ? " " : "", started);
        add_health(ret, size, container);
    } else if (strcmp(state, "stopping") == 0) {
        snprintf(ret, size, "Up%s%s (stopping)", started[0] != '\0' ? " " : "", started);
    } else if (strcmp(state, "paused") == 0) {
        snprintf(ret, size, "Up%s%s (Paused)", started[0] != '\0' ? " " : "", started);
    } else if (strcmp(state, "exited") == 0) {
        snprintf(ret, size, "Exited (%s)%s%s", text, gap, finished);
    } else if (strcmp(state, "restarting") == 0) {
        snprintf(ret, size, "Restarting (%s)%s%s", text, gap, finished);
    } else {
        snprintf(ret, size, "%s", strcmp(state, "created") == 0 ? "Created" : state);
    }
}

void listing_status(char *ret, size_t size, const json_t *container, int64_t now_ns)
{
    status(ret, size, container, now_ns);
    size_t used = strlen(ret);
    if (json_is_true(json_object_get(json_object_get(container, "spec"), "privileged")))
        snprintf(ret + used, size - used, " PRIVILEGED");
}

static void add_words(struct buf *text, const json_t *words)
{
    size_t i;
    const json_t *word;
    json_array_foreach(words, i, word)
    {
        const char *value = json_string_value(word);
        if (value != NULL && value[0] != '\0')
            buf_printf(text, "%s%s", text->size > 0 ? " " : "", value);
    }
}

char *listing_command(const json_t *container, bool whole)
{
    const json_t *spec = json_object_get(container, "spec");
    auto_buf struct buf text = BUF_INIT;
    auto_buf struct buf quoted = BUF_INIT;
    add_words(&text, json_object_get(spec, "entrypoint"));
    add_words(&text, json_object_get(spec, "command"));
    if (text.failed)
        return NULL;
    if (text.size == 0)
        return strdup("");
    char shortened[COMMAND_WIDTH * 4 + 8];
    text_shorten(shortened, sizeof(shortened), text.data, COMMAND_WIDTH);
    buf_printf(&quoted, "\"%s\"", whole ? text.data : shortened);
    return buf_take(&quoted, NULL);
}

struct order {
    const char *member, *then;
    bool newest_first;
};

static int compare_rows(const void *a, const void *b, void *data)
{
    const struct order *order = data;
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int compared = strcmp(json_text(x, order->member, ""), json_text(y, order->member, ""));
    if (compared != 0)
        return order->newest_first ? -compared : compared;
    return strcmp(json_text(x, order->then, ""), json_text(y, order->then, ""));
}

int listing_sort(json_t *rows, const char *member, bool newest_first, const char *then, struct err *err)
{
    struct order order = {member, then, newest_first};
    size_t n = json_array_size(rows);
    auto_free json_t **items = calloc(n + 1, sizeof(json_t *));
    if (items == NULL)
        return err_nomem(err, "sorting a listing");
    for (size_t i = 0; i < n; i++)
        items[i] = json_incref(json_array_get(rows, i));
    qsort_r(items, n, sizeof(json_t *), compare_rows, &order);
    int result = 0;
    for (size_t i = 0; i < n; i++)
        result |= json_array_set_new(rows, i, items[i]);
    return result < 0 ? err_nomem(err, "sorting a listing") : 0;
}

bool listing_has_several_nodes(const json_t *rows)
{
    const char *first = NULL;
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *node = json_text(row, "node", "");
        if (first != NULL && strcmp(first, node) != 0)
            return true;
        first = node;
    }
    return false;
}
