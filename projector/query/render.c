/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/query/render.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

void render_string(struct buf *ret, const char *text, size_t size)
{
    buf_add(ret, "\"", 1);
    for (size_t i = 0; i < size;) {
        size_t plain = i;
        while (plain < size && is_plain((unsigned char)text[plain]))
            plain++;
        buf_add(ret, text + i, plain - i);
        i = plain;
        if (i == size)
            break;
        if (text[i] == '"' || text[i] == '\\')
            buf_printf(ret, "\\%c", text[i]);
        else
            buf_printf(ret, "\\u%04x", (unsigned char)text[i]);
        i++;
    }
    buf_add(ret, "\"", 1);
}

enum member_kind {
    MEMBER_TEXT,
    MEMBER_TIME,   /* null when there is none */
    MEMBER_NUMBER, /* null when there is none */
    MEMBER_JSON,   /* stored as JSON text; {} when there is none */
};

/* In the order of the hash in DESIGN.md, section 7. */
#define MEMBERS(ROW)                                                                                         \
    ROW(id, TEXT)                                                                                            \
    ROW(name, TEXT)                                                                                          \
    ROW(node, TEXT)                                                                                          \
    ROW(image, TEXT)                                                                                         \
    ROW(state, TEXT)                                                                                         \
    ROW(pid, NUMBER)                                                                                         \
    ROW(exit_code, NUMBER)                                                                                   \
    ROW(reason, TEXT)                                                                                        \
    ROW(created_at, TIME)                                                                                    \
    ROW(started_at, TIME)                                                                                    \
    ROW(finished_at, TIME)                                                                                   \
    ROW(version, NUMBER)                                                                                     \
    ROW(health, TEXT)                                                                                        \
    ROW(restarts, NUMBER)                                                                                    \
    ROW(ip, TEXT)                                                                                            \
    ROW(labels, JSON)                                                                                        \
    ROW(spec, JSON)

/* clang-format off: one row is one line */
#define NAME_ROW(name, kind) #name,
const char *const render_container_fields[] = {MEMBERS(NAME_ROW) NULL};
#define KEY_ROW(name, kind) {",\"" #name "\":", sizeof(",\"" #name "\":") - 1, MEMBER_##kind},
/* clang-format on */

static const struct {
    const char *key; /* with the comma before it */
    size_t key_size;
    enum member_kind kind;
} members[RENDER_CONTAINER_FIELDS] = {MEMBERS(KEY_ROW)};

static void render_member(struct buf *ret, enum member_kind kind, const struct render_value *value)
{
    bool empty = value->data == NULL || value->size == 0;
    switch (kind) {
    case MEMBER_TIME:
    case MEMBER_NUMBER:
        if (empty)
            buf_add(ret, "null", 4);
        else if (kind == MEMBER_NUMBER)
            buf_add(ret, value->data, value->size);
        else
            render_string(ret, value->data, value->size);
        break;
    case MEMBER_JSON:
        buf_add(ret, empty ? "{}" : value->data, empty ? 2 : value->size);
        break;
    case MEMBER_TEXT:
        render_string(ret, value->data, empty ? 0 : value->size);
        break;
    }
}

void render_container(struct buf *ret, const struct render_value values[RENDER_CONTAINER_FIELDS])
{
    for (size_t i = 0; i < RENDER_CONTAINER_FIELDS; i++) {
        buf_add(ret, i == 0 ? "{" : ",", 1);
        buf_add(ret, members[i].key + 1, members[i].key_size - 1);
        render_member(ret, members[i].kind, &values[i]);
    }
    buf_add(ret, "}", 1);
}

void render_event_line(struct buf *ret, const char *bytes, size_t size, uint32_t partition, int64_t offset)
{
    while (size > 0 && bytes[size - 1] != '}')
        size--;
    if (size == 0)
        return;
    size_t start = ret->size;
    buf_add(ret, bytes, size - 1);
    /* A line feed can only stand between tokens: inside strings JSON has it escaped. */
    for (char *at = ret->data + start; !ret->failed && (at = strpbrk(at, "\r\n")) != NULL; at++)
        *at = ' ';
    buf_printf(ret, ",\"_partition\":%" PRIu32 ",\"_offset\":%" PRId64 "}\n", partition, offset);
}

int number_parse(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    char *end;
    errno = 0;
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return -1;
    int64_t number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < min || number > max)
        return -1;
    *ret = number;
    return 0;
}

void cursor_format(char ret[CURSOR_TEXT_SIZE], const struct cursor *cursor)
{
    snprintf(ret, CURSOR_TEXT_SIZE, "%" PRId64 "-%s", cursor->created_us, cursor->id);
}

int cursor_parse(struct cursor *ret, const char *text)
{
    const char *dash = strchr(text, '-');
    char number[24];
    if (dash == NULL || (size_t)(dash - text) >= sizeof(number) || !container_id_is_valid(dash + 1))
        return -1;
    memcpy(number, text, (size_t)(dash - text));
    number[dash - text] = '\0';
    if (number_parse(number, 0, INT64_MAX, &ret->created_us) < 0)
        return -1;
    memcpy(ret->id, dash + 1, sizeof(ret->id));
    return 0;
}

int position_parse(const char *text, uint32_t *ret_partition, int64_t *ret_offset)
{
    const char *colon = strchr(text, ':');
    char number[16];
    int64_t partition, offset;
    if (colon == NULL || (size_t)(colon - text) >= sizeof(number))
        return -1;
    memcpy(number, text, (size_t)(colon - text));
    number[colon - text] = '\0';
    if (number_parse(number, 0, UINT32_MAX, &partition) < 0 ||
        number_parse(colon + 1, 0, INT64_MAX, &offset) < 0)
        return -1;
    *ret_partition = (uint32_t)partition;
    *ret_offset = offset;
    return 0;
}
