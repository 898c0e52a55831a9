/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN_CAPACITY 256

void *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->failed)
        return NULL;
    if (size >= SIZE_MAX / 2 - buf->size) {
        buf->failed = true;
        return NULL;
    }
    size_t needed = buf->size + size + 1;
    if (needed > buf->capacity) {
        size_t capacity = buf->capacity < BUF_MIN_CAPACITY ? BUF_MIN_CAPACITY : buf->capacity * 2;
        if (capacity < needed)
            capacity = needed;
        char *data = realloc(buf->data, capacity);
        if (data == NULL) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void buf_add(struct buf *buf, const void *data, size_t size)
{
    char *to = buf_reserve(buf, size);
    if (to == NULL)
        return;
    if (size > 0)
        memcpy(to, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void buf_add_string(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (size < 0) {
        buf->failed = true;
        return;
    }
    char *to = buf_reserve(buf, (size_t)size);
    if (to == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(to, (size_t)size + 1, fmt, args);
    va_end(args);
    buf->size += (size_t)size;
}

void buf_consume(struct buf *buf, size_t size)
{
    if (size >= buf->size) {
        buf->size = 0;
    } else {
        memmove(buf->data, buf->data + size, buf->size - size);
        buf->size -= size;
    }
    if (buf->data != NULL)
        buf->data[buf->size] = '\0';
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->failed = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf)BUF_INIT;
}

char *buf_take(struct buf *buf, size_t *ret_size)
{
    if (buf->data == NULL)
        buf_add(buf, "", 0);
    if (buf->failed) {
        buf_release(buf);
        return NULL;
    }
    char *data = buf->data;
    if (ret_size != NULL)
        *ret_size = buf->size;
    *buf = (struct buf)BUF_INIT;
    return data;
}
