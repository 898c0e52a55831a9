/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/values.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/timestamp.h"

/* Digits with an optional fraction as an exact number of millionths: floating point would make 1.1g a
 * surprise. */
static const char *take_decimal(const char *text, int64_t *ret_micros)
{
    const char *at = text;
    int64_t whole = 0, fraction = 0, unit = 100000;
    int digits = 0;
    for (; isdigit((unsigned char)*at); at++, digits++) {
        if (whole > INT64_MAX / 10000000 / 10)
            return NULL;
        whole = whole * 10 + (*at - '0');
    }
    if (*at == '.')
        for (at++; isdigit((unsigned char)*at); at++, digits++, unit /= 10)
            fraction += (*at - '0') * unit;
    *ret_micros = whole * 1000000 + fraction;
    return digits > 0 ? at : NULL;
}

static int unit_shift(const char *unit)
{
    static const char letters[] = "bkmgt";
    if (*unit == '\0')
        return 0;
    const char *found = strchr(letters, tolower((unsigned char)*unit));
    if (found == NULL)
        return -1;
    const char *rest = unit + 1;
    bool bytes = found == letters;
    if (*rest != '\0' && (bytes || (strcasecmp(rest, "b") != 0 && strcasecmp(rest, "ib") != 0)))
        return -1;
    return (int)(found - letters) * 10;
}

int value_memory(const char *text, int64_t *ret_bytes, struct err *err)
{
    int64_t micros = 0;
    const char *unit = take_decimal(text, &micros);
    int shift = unit != NULL ? unit_shift(unit) : -1;
    if (shift < 0)
        return err_set(err, ERR_INVALID,
                       "'%s' is no size: give bytes, or a number with k, m, g or t, such as 512m", text);
    __extension__ __int128 bytes = ((__int128)micros << shift) / 1000000;
    if (bytes > INT64_MAX)
        return err_set(err, ERR_INVALID, "size '%s' is too large", text);
    *ret_bytes = (int64_t)bytes;
    return 0;
}

int value_cpus(const char *text, int64_t *ret_millis, struct err *err)
{
    int64_t micros = 0;
    const char *end = take_decimal(text, &micros);
    if (end == NULL || *end != '\0' || micros < 1000)
        return err_set(err, ERR_INVALID,
                       "'%s' is no number of cpus: give one such as 0.5 or 2, at least 0.001", text);
    *ret_millis = micros / 1000;
    return 0;
}

int value_int(const char *text, const char *what, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool number = (isdigit((unsigned char)text[0]) || text[0] == '-') && *end == '\0' && errno == 0;
    if (!number || value < min || value > max)
        return err_set(err, ERR_INVALID, "%s '%s' is not a whole number from %lld to %lld", what, text,
                       (long long)min, (long long)max);
    *ret = value;
    return 0;
}

/* Microseconds in the unit that `text` begins with; 0 for none. *ret_end is behind it. */
static int64_t duration_unit(const char *text, const char **ret_end)
{
    static const struct {
        const char *name;
        int64_t micros;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t size = strlen(units[i].name);
        if (strncmp(text, units[i].name, size) != 0)
            continue;
        *ret_end = text + size;
        return units[i].micros;
    }
    return 0;
}

int value_duration(const char *text, const char *what, int64_t *ret_ms, struct err *err)
{
    const int64_t day_micros = INT64_C(86400000000);
    int64_t total = 0;
    const char *at = text;
    bool zero = strcmp(text, "0") == 0;
    while (!zero && at != NULL && *at != '\0') {
        int64_t number = 0, unit = 0;
        at = take_decimal(at, &number);
        if (at != NULL)
            unit = duration_unit(at, &at);
        __extension__ __int128 sum = (__int128)number * unit / 1000000 + total;
        if (unit == 0 || sum > day_micros)
            at = NULL;
        else
            total = (int64_t)sum;
    }
    if (text[0] == '\0' || at == NULL || (total > 0 && total < 1000))
        return err_set(err, ERR_INVALID,
                       "'%s' is no %s: give a duration such as 500ms or 1m30s, of a day at most", text, what);
    *ret_ms = total / 1000;
    return 0;
}

/* A time that says nothing of its zone: the rest of the text is its fraction, if there is a second. */
static bool take_local_time(const char *text, int64_t *ret_ns)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *rest = strptime(text, formats[i], &tm);
        int64_t micros = 0;
        if (rest != NULL && i == 0 && *rest == '.')
            rest = take_decimal(rest, &micros);
        int day = tm.tm_mday;
        if (rest == NULL || *rest != '\0' || micros >= 1000000)
            continue;
        *ret_ns = (int64_t)mktime(&tm) * 1000000000 + micros * 1000;
        return tm.tm_mday == day; /* 31 February would be a day in March */
    }
    return false;
}

int value_time(const char *text, int64_t now_ns, int64_t *ret_ns, struct err *err)
{
    if (take_local_time(text, ret_ns) || timestamp_parse_user(text, now_ns, ret_ns, NULL) == 0)
        return 0;
    return err_set(
        err, ERR_INVALID,
        "'%s' is not a time: give RFC 3339 (2026-01-02T03:04:05Z), local time without a zone, Unix "
        "seconds, or an age such as 10m",
        text);
}

int value_switch(const char *text, const char *what, bool otherwise, bool *ret, struct err *err)
{
    if (text != NULL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return err_set(err, ERR_INVALID, "option '--%s' is true or false, not '%s'", what, text);
    *ret = text == NULL ? otherwise : strcmp(text, "true") == 0;
    return 0;
}

int value_restart(const char *text, const char **ret_policy, int64_t *ret_max, struct err *err)
{
    static const char *const policies[] = {"no", "on-failure", "always", "unless-stopped"};
    const char *colon = strchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : strlen(text);
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (strlen(policies[i]) != size || memcmp(policies[i], text, size) != 0)
            continue;
        if (colon != NULL && strcmp(policies[i], "on-failure") != 0)
            return err_set(err, ERR_INVALID, "restart policy '%s' takes no number: only on-failure does",
                           policies[i]);
        *ret_max = 0;
        if (colon != NULL && value_int(colon + 1, "number of restarts", 0, 1000000, ret_max, err) < 0)
            return -1;
        *ret_policy = policies[i];
        return 0;
    }
    return err_set(err, ERR_INVALID,
                   "'%s' is no restart policy: give no, on-failure, on-failure:N, always or unless-stopped",
                   text);
}

static int parse_json_words(const char *text, const char *what, json_t **ret, struct err *err)
{
    json_error_t why;
    json_t *list = json_loads(text, 0, &why);
    size_t i;
    json_t *item;
    bool ok = json_is_array(list);
    json_array_foreach(list, i, item) ok = ok && json_is_string(item);
    if (!ok) {
        json_decref(list);
        return err_set(err, ERR_INVALID, "%s '%s' is no JSON array of strings", what, text);
    }
    *ret = list;
    return 0;
}

int value_words(const char *text, const char *what, json_t **ret, struct err *err)
{
    if (text[strspn(text, " ")] == '[')
        return parse_json_words(text, what, ret, err);
    json_auto_t *list = json_array();
    for (const char *at = text + strspn(text, " \t"); *at != '\0'; at += strspn(at, " \t")) {
        size_t size = strcspn(at, " \t");
        json_t *word = json_stringn(at, size);
        if (word == NULL)
            return err_set(err, ERR_INVALID, "%s '%s' is not UTF-8", what, text);
        if (json_array_append_new(list, word) < 0)
            return err_nomem(err, "reading the options");
        at += size;
    }
    if (list == NULL)
        return err_nomem(err, "reading the options");
    *ret = json_incref(list);
    return 0;
}

int value_add_env(json_t *list, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    size_t key_size = equals != NULL ? (size_t)(equals - text) : strlen(text);
    if (key_size == 0)
        return err_set(err, ERR_INVALID, "environment entry '%s' has no name: give KEY=VALUE or KEY", text);
    auto_free char *whole = NULL;
    if (equals == NULL) {
        const char *own = getenv(text);
        if (own == NULL)
            return 0;
        if (asprintf(&whole, "%s=%s", text, own) < 0)
            return err_nomem(err, "reading the environment");
        text = whole;
    }
    json_t *entry = json_string(text);
    if (entry == NULL)
        return err_set(err, ERR_INVALID, "environment entry '%.*s' is not UTF-8", (int)key_size, text);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *old = json_string_value(item);
        if (strncmp(old, text, key_size) == 0 && old[key_size] == '=')
            return json_array_set_new(list, i, entry) < 0 ? err_nomem(err, "reading the environment") : 0;
    }
    return json_array_append_new(list, entry) < 0 ? err_nomem(err, "reading the environment") : 0;
}

int value_read_env_file(json_t *list, const char *path, struct err *err)
{
    auto_file FILE *file = fopen(path, "re");
    if (file == NULL)
        return err_sys(err, errno, "cannot read the environment file '%s'", path);
    auto_free char *line = NULL;
    size_t capacity = 0;
    for (int number = 1;; number++) {
        errno = 0;
        ssize_t size = getline(&line, &capacity, file);
        if (size < 0 && errno != 0)
            return err_sys(err, errno, "cannot read the environment file '%s'", path);
        if (size < 0)
            return 0;
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            line[--size] = '\0';
        const char *text = line + strspn(line, " \t");
        if (*text == '\0' || *text == '#')
            continue;
        if (value_add_env(list, text, err) < 0)
            return err_wrap(err, "'%s' line %d", path, number);
    }
}

int value_add_label(json_t *labels, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    size_t key_size = equals != NULL ? (size_t)(equals - text) : strlen(text);
    auto_free char *key = strndup(text, key_size);
    if (key == NULL)
        return err_nomem(err, "reading the labels");
    if (key_size == 0)
        return err_set(err, ERR_INVALID, "label '%s' has no key: give KEY=VALUE", text);
    json_t *value = json_string(equals != NULL ? equals + 1 : "");
    if (value == NULL || json_object_set_new(labels, key, value) < 0)
        return err_set(err, ERR_INVALID, "label '%s' is not UTF-8", text);
    return 0;
}

void value_format_size(char ret[32], int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    snprintf(ret, 32, "%.3g%s", value, units[unit]);
}
