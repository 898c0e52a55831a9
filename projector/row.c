/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/row.h"

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

void row_string(struct buf *ret, const char *text, size_t size)
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

/* clang-format off: one row is one line */
#define NAME_ROW(ENUM, name, kind) #name,
const char *const row_fields[ROW_FIELDS + 1] = {ROW_MEMBERS(NAME_ROW) NULL};
#define KEY_ROW(ENUM, name, kind) {",\"" #name "\":", sizeof(",\"" #name "\":") - 1, MEMBER_##kind},
/* clang-format on */

static const struct {
    const char *key; /* with the comma before it */
    size_t key_size;
    enum member_kind kind;
} members[ROW_FIELDS] = {ROW_MEMBERS(KEY_ROW)};

static void render_member(struct buf *ret, enum member_kind kind, const struct row_value *value)
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
            row_string(ret, value->data, value->size);
        break;
    case MEMBER_JSON:
        buf_add(ret, empty ? "{}" : value->data, empty ? 2 : value->size);
        break;
    case MEMBER_TEXT:
        row_string(ret, value->data, empty ? 0 : value->size);
        break;
    }
}

void row_render(struct buf *ret, const struct row_value values[ROW_FIELDS])
{
    for (size_t i = 0; i < ROW_FIELDS; i++) {
        buf_add(ret, i == 0 ? "{" : ",", 1);
        buf_add(ret, members[i].key + 1, members[i].key_size - 1);
        render_member(ret, members[i].kind, &values[i]);
    }
    buf_add(ret, "}", 1);
}
