/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/query/render.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
