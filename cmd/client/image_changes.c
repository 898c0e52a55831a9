/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/image_changes.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cmd/client/values.h"

#define BLANKS " \t"

/* A JSON array is the words as they are; anything else is for the image's shell. */
static int set_words(json_t *data, const char *member, const char *text, struct err *err)
{
    json_t *words = NULL;
    if (text[0] == '[') {
        if (value_words(text, member, &words, err) < 0)
            return -1;
        if (json_array_size(words) == 0) /* none at all, as the command has it */
            json_array_append_new(words, json_string(""));
    } else {
        words = json_pack("[s, s, s]", "/bin/sh", "-c", text);
    }
    if (words == NULL)
        return err_set(err, ERR_INVALID, "'%s' is not UTF-8", text);
    return json_object_set_new(data, member, words) < 0 ? err_nomem(err, "reading changes") : 0;
}

static int set_text(json_t *data, const char *member, const char *text, struct err *err)
{
    json_t *value = json_string(text);
    if (value == NULL)
        return err_set(err, ERR_INVALID, "'%s' is not UTF-8", text);
    return json_object_set_new(data, member, value) < 0 ? err_nomem(err, "reading changes") : 0;
}

/* One KEY=VALUE; quotes keep blanks together, and a backslash is for what follows it. */
static const char *next_word(const char *at, struct buf *ret, struct err *err)
{
    char quote = '\0';
    for (; *at != '\0' && (quote != '\0' || strchr(BLANKS, *at) == NULL); at++) {
        if (*at == '\\' && at[1] != '\0' && quote != '\'') {
            buf_add(ret, ++at, 1);
        } else if (quote == '\0' && (*at == '"' || *at == '\'')) {
            quote = *at;
        } else if (*at == quote) {
            quote = '\0';
        } else {
            buf_add(ret, at, 1);
        }
    }
    if (quote != '\0') {
        err_set(err, ERR_INVALID, "a quote is not closed");
        return NULL;
    }
    return at + strspn(at, BLANKS);
}

/* Puts one KEY=VALUE where it belongs. */
typedef int (*add_pair)(json_t *to, const char *text, struct err *err);

static int add_checked(json_t *to, const char *text, add_pair add, struct err *err)
{
    if (strchr(text, '=') == NULL || text[0] == '=')
        return err_set(err, ERR_INVALID, "'%s' is no KEY=VALUE", text);
    return add(to, text, err);
}

/* The old form, "ENV KEY the rest". */
static int add_one_pair(json_t *to, const char *key, const char *value, add_pair add, struct err *err)
{
    auto_buf struct buf entry = BUF_INIT;
    if (value[0] == '\0')
        return err_set(err, ERR_INVALID, "'%s' has no value", key);
    buf_printf(&entry, "%s=", key);
    while (value != NULL && *value != '\0') {
        value = next_word(value, &entry, err);
        if (value != NULL && *value != '\0')
            buf_add_string(&entry, " ");
    }
    if (value == NULL)
        return -1;
    return entry.failed ? err_nomem(err, "reading changes") : add_checked(to, entry.data, add, err);
}

static int add_pairs(json_t *to, const char *text, add_pair add, struct err *err)
{
    for (bool first = true; *text != '\0'; first = false) {
        auto_buf struct buf word = BUF_INIT;
        text = next_word(text, &word, err);
        if (text == NULL)
            return -1;
        buf_add_string(&word, "");
        if (word.failed)
            return err_nomem(err, "reading changes");
        if (first && strchr(word.data, '=') == NULL)
            return add_one_pair(to, word.data, text, add, err);
        if (add_checked(to, word.data, add, err) < 0)
            return -1;
    }
    return 0;
}

static int set_variables(json_t *data, const char *member, const char *text, struct err *err)
{
    json_t *list = json_object_get(data, member);
    if (list == NULL && json_object_set_new(data, member, list = json_array()) < 0)
        return err_nomem(err, "reading changes");
    return add_pairs(list, text, value_add_env, err);
}

static int set_labels(json_t *data, const char *member, const char *text, struct err *err)
{
    json_t *object = json_object_get(data, member);
    if (object == NULL && json_object_set_new(data, member, object = json_object()) < 0)
        return err_nomem(err, "reading changes");
    return add_pairs(object, text, value_add_label, err);
}

/* "--interval=30s" and the others of HEALTHCHECK; docker's 0 is the default. */
static int set_health_option(json_t *data, const char *text, struct err *err)
{
    static const struct {
        const char *name, *member, *what;
        bool is_count;
    } OPTIONS[] = {{"--interval=", "health_interval_ms", "interval", false},
                   {"--timeout=", "health_timeout_ms", "timeout", false},
                   {"--start-period=", "health_start_period_ms", "start period", false},
                   {"--start-interval=", "health_start_interval_ms", "start interval", false},
                   {"--retries=", "health_retries", "", true}};
    for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(OPTIONS[0]); i++) {
        const char *value = text + strlen(OPTIONS[i].name);
        int64_t number = 0;
        if (strncmp(text, OPTIONS[i].name, strlen(OPTIONS[i].name)) != 0)
            continue;
        if ((OPTIONS[i].is_count ? value_int(value, "number of retries", 0, 1000000, &number, err)
                                 : value_duration(value, OPTIONS[i].what, &number, err)) < 0)
            return -1;
        if (number != 0 && json_object_set_new(data, OPTIONS[i].member, json_integer(number)) < 0)
            return err_nomem(err, "reading changes");
        return 0;
    }
    return err_set(err, ERR_INVALID, "'%s' is no option of HEALTHCHECK", text);
}

static void forget_health(json_t *data)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(data, next, name, value)
    {
        if (strncmp(name, "health_", strlen("health_")) == 0)
            json_object_del(data, name);
    }
}

/* "HEALTHCHECK [--OPTION=VALUE ...] CMD COMMAND", or NONE. */
static int set_health(json_t *data, const char *member, const char *text, struct err *err)
{
    forget_health(data);
    if (strcasecmp(text, "NONE") == 0)
        return set_words(data, member, "[]", err);
    while (strncmp(text, "--", 2) == 0) {
        auto_buf struct buf word = BUF_INIT;
        text = next_word(text, &word, err);
        if (text == NULL || word.failed)
            return text == NULL ? -1 : err_nomem(err, "reading changes");
        if (set_health_option(data, word.data != NULL ? word.data : "", err) < 0)
            return -1;
    }
    size_t size = strcspn(text, BLANKS);
    const char *command = text + size + strspn(text + size, BLANKS);
    if (size != strlen("CMD") || strncasecmp(text, "CMD", size) != 0 || command[0] == '\0' ||
        strcmp(command, "[]") == 0)
        return err_set(err, ERR_INVALID, "it must end with CMD and a command, or be NONE");
    return set_words(data, member, command, err);
}

static const struct {
    const char *name, *member;
    int (*set)(json_t *data, const char *member, const char *text, struct err *err);
} instructions[] = {
    {"CMD", "command", set_words},   {"ENTRYPOINT", "entrypoint", set_words},
    {"ENV", "env", set_variables},   {"HEALTHCHECK", "health_command", set_health},
    {"LABEL", "labels", set_labels}, {"STOPSIGNAL", "stop_signal", set_text},
    {"USER", "user", set_text},      {"WORKDIR", "workdir", set_text},
};

int image_change(json_t *data, const char *text, struct err *err)
{
    const char *name = text + strspn(text, BLANKS);
    size_t size = strcspn(name, BLANKS);
    auto_free char *value = strdup(name + size + strspn(name + size, BLANKS));
    if (value == NULL)
        return err_nomem(err, "reading changes");
    for (size_t end = strlen(value); end > 0 && strchr(BLANKS, value[end - 1]) != NULL; end--)
        value[end - 1] = '\0';
    for (size_t i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
        if (strlen(instructions[i].name) != size || strncasecmp(instructions[i].name, name, size) != 0)
            continue;
        if (value[0] == '\0')
            return err_set(err, ERR_INVALID, "the change '%s' says nothing", text);
        if (instructions[i].set(data, instructions[i].member, value, err) < 0)
            return err_wrap(err, "the change '%s'", text);
        return 0;
    }
    return err_set(err, ERR_INVALID,
                   "the change '%.*s' is not supported: CMD, ENTRYPOINT, ENV, HEALTHCHECK, LABEL, "
                   "STOPSIGNAL, USER and WORKDIR are",
                   (int)size, name);
}
