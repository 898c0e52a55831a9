/* SPDX-License-Identifier: Apache-2.0 */
#include "events/schema_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* --- writing --- */

static void write_escaped(unsigned char c, struct buf *ret)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *pair = short_forms; *pair != '\0'; pair += 2) {
        if ((unsigned char)pair[0] == c) {
            buf_add(ret, "\\", 1);
            buf_add(ret, pair + 1, 1);
            return;
        }
    }
    buf_printf(ret, "\\u%04X", c);
}

void schema_write_string(const char *text, struct buf *ret)
{
    buf_add(ret, "\"", 1);
    while (*text != '\0') {
        const char *plain = text;
        while ((unsigned char)*text >= 0x20 && *text != '"' && *text != '\\')
            text++;
        buf_add(ret, plain, (size_t)(text - plain));
        if (*text != '\0')
            write_escaped((unsigned char)*text++, ret);
    }
    buf_add(ret, "\"", 1);
}

static void write_number(int64_t number, struct buf *ret)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%" PRId64, number);
    buf_add(ret, text, (size_t)size);
}

static void write_strings(const struct strings *strings, struct buf *ret)
{
    for (size_t i = 0; i < strings->n; i++) {
        buf_add(ret, i == 0 ? "[" : ",", 1);
        schema_write_string(strings->items[i], ret);
    }
    buf_add(ret, "]", 1);
}

static void write_map(const struct string_map *map, struct buf *ret)
{
    for (size_t i = 0; i < map->n; i++) {
        buf_add(ret, i == 0 ? "{" : ",", 1);
        schema_write_string(map->items[i].key, ret);
        buf_add(ret, ":", 1);
        schema_write_string(map->items[i].value, ret);
    }
    buf_add(ret, "}", 1);
}

static void write_value(const struct schema_field *field, const void *member, struct buf *ret)
{
    switch (field->kind) {
    case SCHEMA_STRING:
        schema_write_string(*(char *const *)member, ret);
        break;
    case SCHEMA_INT:
        write_number(*(const int64_t *)member, ret);
        break;
    case SCHEMA_BOOL:
        buf_add_string(ret, "true");
        break;
    case SCHEMA_STRINGS:
        write_strings(member, ret);
        break;
    case SCHEMA_MAP:
        write_map(member, ret);
        break;
    case SCHEMA_OBJECT:
        schema_write(field->sub, member, ret);
        break;
    }
}

void schema_write(const struct schema *schema, const void *data, struct buf *ret)
{
    char separator = '{';
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        const void *member = (const char *)data + field->offset;
        if (schema_is_absent(field, member))
            continue;
        buf_add(ret, &separator, 1);
        buf_add(ret, "\"", 1);
        buf_add_string(ret, field->name);
        buf_add(ret, "\":", 2);
        write_value(field, member, ret);
        separator = ',';
    }
    buf_add_string(ret, separator == '{' ? "{}" : "}");
}

/* --- reading --- */

bool text_take_char(const char **at, const char *end, char expected)
{
    if (*at >= end || **at != expected)
        return false;
    (*at)++;
    return true;
}

bool text_take_number(const char **at, const char *end, int64_t *ret)
{
    bool negative = text_take_char(at, end, '-');
    const char *start = *at;
    int64_t number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, **at - '0', &number)) /* downwards, where there is one more */
            return false;
    if (*at == start || (*start == '0' && (*at > start + 1 || negative)) ||
        (!negative && __builtin_sub_overflow(0, number, &number)))
        return false;
    *ret = number;
    return true;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What follows a backslash; the writer's only \u are control characters. 0 if it is none. */
static char take_escape(const char **at, const char *end)
{
    static const char short_forms[] = "\"\"\\\\b\bf\fn\nr\rt\t";
    if (*at >= end)
        return '\0';
    char c = *(*at)++;
    for (const char *pair = short_forms; *pair != '\0'; pair += 2)
        if (pair[0] == c)
            return pair[1];
    if (c != 'u' || end - *at < 4 || (*at)[0] != '0' || (*at)[1] != '0')
        return '\0';
    int high = digit_of((*at)[2]), low = digit_of((*at)[3]);
    *at += 4;
    return high >= 0 && high < 2 && low >= 0 ? (char)(high * 16 + low) : '\0';
}

/* A string with its quotes. 1, 0 if there is none, -1 when memory runs out. */
static int take_string(const char **at, const char *end, char **ret)
{
    if (!text_take_char(at, end, '"'))
        return 0;
    const char *close = *at;
    while (close < end && *close != '"')
        close += *close == '\\' && close + 1 < end ? 2 : 1;
    if (close >= end)
        return 0;
    char *text = malloc((size_t)(close - *at) + 1), *to = text;
    if (text == NULL)
        return -1;
    while (*at < close) {
        char c = *(*at)++;
        if (c == '\\')
            c = take_escape(at, close);
        else if ((unsigned char)c < 0x20)
            c = '\0';
        if (c == '\0') {
            free(text);
            return 0;
        }
        *to++ = c;
    }
    *to = '\0';
    *at = close + 1;
    *ret = text;
    return 1;
}

static int damaged(const struct schema_field *field, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "'/%s' %s", field->name, why);
}

static int read_string(const struct schema_field *field, schema_check check, const char **at, const char *end,
                       char **ret, struct err *err)
{
    int taken = take_string(at, end, ret);
    if (taken < 0)
        return err_nomem(err, "reading stored text");
    if (taken == 0)
        return damaged(field, "must be a string", err);
    const char *why_not = check(*ret);
    return why_not == NULL ? 0 : damaged(field, why_not, err);
}

static int read_number(const struct schema_field *field, const char **at, const char *end, int64_t *ret,
                       struct err *err)
{
    int64_t number;
    if (!text_take_number(at, end, &number))
        return damaged(field, "must be an integer", err);
    if (number < field->min || number > field->max)
        return damaged(field, "is out of range", err);
    *ret = number;
    return 0;
}

static int read_strings(const struct schema_field *field, const char **at, const char *end,
                        struct strings *ret, struct err *err)
{
    char open = '[';
    do {
        if (!text_take_char(at, end, open))
            return damaged(field, "must be an array of strings", err);
        auto_free char *item = NULL;
        if (read_string(field, field->check, at, end, &item, err) < 0)
            return -1;
        if (strings_add(ret, item) < 0)
            return err_nomem(err, "reading stored text");
        open = ',';
    } while (!text_take_char(at, end, ']'));
    return 0;
}

static int read_pair(const struct schema_field *field, const char **at, const char *end,
                     struct string_map *map, struct err *err)
{
    struct string_pair *grown = realloc(map->items, (map->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_nomem(err, "reading stored text");
    map->items = grown;
    struct string_pair *pair = &grown[map->n++]; /* counted first, so that a half is released too */
    *pair = (struct string_pair){0};
    if (read_string(field, field->check, at, end, &pair->key, err) < 0)
        return -1;
    if (!text_take_char(at, end, ':'))
        return damaged(field, "must be an object of strings", err);
    return read_string(field, check_any, at, end, &pair->value, err);
}

static int read_map(const struct schema_field *field, const char **at, const char *end,
                    struct string_map *ret, struct err *err)
{
    char open = '{';
    do {
        if (!text_take_char(at, end, open))
            return damaged(field, "must be an object of strings", err);
        if (read_pair(field, at, end, ret, err) < 0)
            return -1;
        open = ',';
    } while (!text_take_char(at, end, '}'));
    return 0;
}

static int read_true(const struct schema_field *field, const char **at, const char *end, bool *ret,
                     struct err *err)
{
    if (end - *at < 4 || memcmp(*at, "true", 4) != 0)
        return damaged(field, "must be true", err);
    *at += 4;
    *ret = true;
    return 0;
}

static int read_object(const struct schema *schema, const char **at, const char *end, void *ret,
                       struct err *err);

static int read_value(const struct schema_field *field, const char **at, const char *end, void *member,
                      struct err *err)
{
    switch (field->kind) {
    case SCHEMA_STRING:
        return read_string(field, field->check, at, end, member, err);
    case SCHEMA_INT:
        return read_number(field, at, end, member, err);
    case SCHEMA_BOOL:
        return read_true(field, at, end, member, err);
    case SCHEMA_STRINGS:
        return read_strings(field, at, end, member, err);
    case SCHEMA_MAP:
        return read_map(field, at, end, member, err);
    case SCHEMA_OBJECT:
        return read_object(field->sub, at, end, member, err);
    }
    return damaged(field, "has no kind", err);
}

/* `"name":`, if that is what comes next. */
static bool take_name(const char *name, char before, const char **at, const char *end)
{
    size_t size = strlen(name);
    if ((size_t)(end - *at) < size + 4 || (*at)[0] != before || (*at)[1] != '"' ||
        memcmp(*at + 2, name, size) != 0 || (*at)[size + 2] != '"' || (*at)[size + 3] != ':')
        return false;
    *at += size + 4;
    return true;
}

static int read_object(const struct schema *schema, const char **at, const char *end, void *ret,
                       struct err *err)
{
    char before = '{';
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        if (take_name(field->name, before, at, end)) {
            if (read_value(field, at, end, (char *)ret + field->offset, err) < 0)
                return -1;
            before = ',';
        } else if (field->presence == REQUIRED) {
            return damaged(field, "is missing or not in its place", err);
        }
    }
    if ((before == '{' && !text_take_char(at, end, '{')) || !text_take_char(at, end, '}'))
        return err_set(err, ERR_INVALID, "%s does not end where it should", schema->name);
    return 0;
}

int schema_read(const struct schema *schema, const char **at, const char *end, void *ret, struct err *err)
{
    schema_init(schema, ret);
    if (read_object(schema, at, end, ret, err) == 0)
        return 0;
    schema_release(schema, ret);
    return -1;
}
