/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/ps_filters.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/client/listing.h"
#include "cmd/client/reading.h"

/* The query service's, by its parameters. It takes one name, node and image only, and of a name no pattern.
 */
static const struct listing_filter asked[] = {{"state", "state"},    {"status", "state"}, {"label", "label"},
                                              {"name", "name"},      {"node", "node"},    {"image", "image"},
                                              {"ancestor", "image"}, {NULL, NULL}};

enum own {
    OWN_ID,
    OWN_EXITED,
    OWN_VOLUME,
    OWN_NETWORK,
    OWN_HEALTH,
    OWN_BEFORE,
    OWN_SINCE,
    OWN_ONLY, /* so many are never the query service's */
    OWN_NAME = OWN_ONLY,
    OWN_NODE,
    OWN_IMAGE,
    OWN_FILTERS
};

static const char *const own_keys[OWN_FILTERS] = {
    [OWN_ID] = "id",         [OWN_EXITED] = "exited", [OWN_VOLUME] = "volume", [OWN_NETWORK] = "network",
    [OWN_HEALTH] = "health", [OWN_BEFORE] = "before", [OWN_SINCE] = "since",   [OWN_NAME] = "name",
    [OWN_NODE] = "node",     [OWN_IMAGE] = "image"};

static bool key_is(const char *text, const char *key)
{
    size_t size = strlen(key);
    return strncmp(text, key, size) == 0 && text[size] == '=';
}

static enum own own_by_key(const char *text)
{
    int which = 0;
    while (which < OWN_FILTERS && !key_is(text, own_keys[which]))
        which++;
    return key_is(text, "ancestor") ? OWN_IMAGE : (enum own)which;
}

static bool is_plain_name(const char *value)
{
    while (isalnum((unsigned char)*value) || (*value != '\0' && strchr("_.-", *value) != NULL))
        value++;
    return *value == '\0';
}

/* OWN_FILTERS if it is the query service's. */
static enum own own_by_text(const struct option_list *list, const char *text)
{
    enum own which = own_by_key(text);
    size_t same = 0;
    for (size_t i = 0; i < list->n; i++)
        same += own_by_key(list->items[i]) == which;
    bool asked_for = which >= OWN_ONLY && same < 2;
    return asked_for && (which != OWN_NAME || is_plain_name(strchr(text, '=') + 1)) ? OWN_FILTERS : which;
}

static int unknown(const char *text, struct err *err)
{
    err_set(err, ERR_INVALID, "'%.64s' is no filter: give", text);
    for (size_t i = 0; err != NULL && asked[i].key != NULL; i++) {
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof(err->message) - used, "%s%s=...", i == 0 ? " " : ", ",
                 asked[i].key);
    }
    for (size_t i = 0; err != NULL && i < OWN_ONLY; i++) {
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof(err->message) - used, "%s%s=...",
                 i + 1 == OWN_ONLY ? " or " : ", ", own_keys[i]);
    }
    return -1;
}

static int check_value(enum own which, const char *value, struct err *err)
{
    regex_t pattern;
    if (which == OWN_NAME && regcomp(&pattern, value, REG_EXTENDED | REG_NOSUB) != 0)
        return err_set(err, ERR_INVALID, "the filter name='%s' must be a name, or a regular expression",
                       value);
    if (which == OWN_NAME)
        regfree(&pattern);
    return value[0] != '\0' ? 0 : err_set(err, ERR_INVALID, "the filter %s= is empty", own_keys[which]);
}

static int check_own(enum own which, const char *value, struct err *err)
{
    static const char *const healths[] = {"starting", "healthy", "unhealthy", "none"};
    if (which == OWN_EXITED) {
        char *end;
        long code = strtol(value, &end, 10);
        if (value[0] == '\0' || *end != '\0' || code < 0 || code > 255)
            return err_set(err, ERR_INVALID, "the filter exited='%s' must be an exit code from 0 to 255",
                           value);
    }
    for (size_t i = 0; which == OWN_HEALTH && i < sizeof(healths) / sizeof(healths[0]); i++)
        if (strcmp(value, healths[i]) == 0)
            return 0;
    if (which == OWN_HEALTH)
        return err_set(err, ERR_INVALID,
                       "the filter health='%s' must be starting, healthy, unhealthy or none", value);
    return check_value(which, value, err);
}

int ps_filters_init(struct ps_filters *ret, const struct option_list *list, struct err *err)
{
    *ret = (struct ps_filters){.list = list};
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->items[i];
        enum own which = own_by_text(list, text);
        size_t at = 0;
        while (asked[at].key != NULL && !key_is(text, asked[at].key))
            at++;
        if (which == OWN_FILTERS && asked[at].key == NULL)
            return unknown(text, err);
        ret->own = ret->own || which != OWN_FILTERS;
        if (which != OWN_FILTERS && check_own(which, strchr(text, '=') + 1, err) < 0)
            return -1;
    }
    return 0;
}

bool ps_filters_tell_state(const struct option_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (key_is(list->items[i], "state") || key_is(list->items[i], "status") ||
            key_is(list->items[i], "exited"))
            return true;
    return false;
}

/* The order of creation, as text: RFC 3339 sorts so, and the id decides between two of one moment. */
static void place_of(char ret[128], const json_t *row)
{
    snprintf(ret, 128, "%s %s", json_text(row, "created_at", ""), json_text(row, "id", ""));
}

int ps_filters_resolve(struct ps_filters *filters, const struct client *client, struct err *err)
{
    for (size_t i = 0; i < filters->list->n; i++) {
        const char *text = filters->list->items[i];
        enum own which = own_by_text(filters->list, text);
        json_auto_t *row = NULL;
        if (which != OWN_BEFORE && which != OWN_SINCE)
            continue;
        if (reading_container(client, strchr(text, '=') + 1, &row, NULL, err) < 0)
            return -1;
        place_of(which == OWN_BEFORE ? filters->before : filters->since, row);
    }
    return 0;
}

int ps_filters_add(const struct ps_filters *filters, struct buf *target, struct err *err)
{
    for (size_t i = 0; i < filters->list->n; i++) {
        const struct option_list one = {.items = filters->list->items + i, .n = 1};
        if (own_by_text(filters->list, one.items[0]) == OWN_FILTERS &&
            listing_add_filters(target, &one, asked, err) < 0)
            return -1;
    }
    return 0;
}

/* By a volume's name, the path it is mounted on, or the directory that is bound. */
static bool has_mount(const json_t *row, const char *value)
{
    size_t i;
    const json_t *mount;
    json_array_foreach(json_object_get(json_object_get(row, "spec"), "mounts"), i, mount)
    {
        if (strcmp(json_text(mount, "source", ""), value) == 0 ||
            strcmp(json_text(mount, "target", ""), value) == 0)
            return true;
    }
    return false;
}

static bool has_exited(const json_t *row, const char *value)
{
    const json_t *code = json_object_get(row, "exit_code");
    return strcmp(json_text(row, "state", ""), "exited") == 0 && json_is_integer(code) &&
           json_integer_value(code) == strtol(value, NULL, 10);
}

/* As docker has it: the pattern may be meant for the name with a slash before it. */
static bool matches_name(const char *name, const char *value)
{
    regex_t pattern;
    char with_slash[160]; /* a name has 128 characters at most */
    if (regcomp(&pattern, value, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    snprintf(with_slash, sizeof(with_slash), "/%s", name);
    bool found = regexec(&pattern, name, 0, NULL, 0) == 0 || regexec(&pattern, with_slash, 0, NULL, 0) == 0;
    regfree(&pattern);
    return found;
}

/* A reference without a tag stands for the latest. */
static bool matches_image(const char *image, const char *value)
{
    size_t size = strlen(value);
    return strncmp(image, value, size) == 0 && (image[size] == '\0' || strcmp(image + size, ":latest") == 0);
}

static bool matches(const struct ps_filters *filters, enum own which, const char *value, const json_t *row)
{
    char place[128];
    place_of(place, row);
    switch (which) {
    case OWN_ID:
        return strncmp(json_text(row, "id", ""), value, strlen(value)) == 0;
    case OWN_EXITED:
        return has_exited(row, value);
    case OWN_VOLUME:
        return has_mount(row, value);
    case OWN_NETWORK:
        return strcmp(json_text(json_object_get(row, "spec"), "network", "none"), value) == 0;
    case OWN_HEALTH: {
        const char *health = json_text(row, "health", "");
        return strcmp(health[0] != '\0' ? health : "none", value) == 0;
    }
    case OWN_BEFORE:
        return strcmp(place, filters->before) < 0;
    case OWN_SINCE:
        return strcmp(place, filters->since) > 0;
    case OWN_NAME:
        return matches_name(json_text(row, "name", ""), value);
    case OWN_NODE:
        return strcmp(json_text(row, "node", ""), value) == 0;
    case OWN_IMAGE:
        return matches_image(json_text(row, "image", ""), value);
    case OWN_FILTERS:
        break;
    }
    return true;
}

bool ps_filters_match(const struct ps_filters *filters, const json_t *row)
{
    bool given[OWN_FILTERS] = {false}, matched[OWN_FILTERS] = {false};
    for (size_t i = 0; i < filters->list->n; i++) {
        const char *text = filters->list->items[i];
        enum own which = own_by_text(filters->list, text);
        if (which == OWN_FILTERS)
            continue;
        given[which] = true;
        matched[which] = matched[which] || matches(filters, which, strchr(text, '=') + 1, row);
    }
    for (size_t i = 0; i < OWN_FILTERS; i++)
        if (given[i] && !matched[i])
            return false;
    return true;
}
