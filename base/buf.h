/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - a growable byte buffer.
 *
 * Invariant: data[size] is always a NUL once anything was added, so text can be used as a C string. A buf
 * that ran out of memory is marked `failed`, ignores further additions, and is checked once at the end:
 * callers need not test every append.
 *
 * Pure data type; not shared between threads.
 */
#ifndef WHARF_BASE_BUF_H
#define WHARF_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* owned; NULL while empty */
    size_t size;
    size_t capacity;
    bool failed; /* an allocation failed: the contents are incomplete */
};

#define BUF_INIT                                                                                             \
    {                                                                                                        \
        .data = NULL                                                                                         \
    }

void buf_add(struct buf *buf, const void *data, size_t size);
void buf_add_string(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for `size` more bytes and returns where they start, or NULL (and marks failed). The caller adds
 * what it wrote to buf->size itself. */
void *buf_reserve(struct buf *buf, size_t size);

/* Drops the first `size` bytes (at most all). */
void buf_consume(struct buf *buf, size_t size);

/* Empties the buffer but keeps its memory, and clears `failed`. */
void buf_reset(struct buf *buf);

/* Frees the memory; the buf can be used again. */
void buf_release(struct buf *buf);

/* Hands the bytes (NUL-terminated, to be freed by the caller) over and resets; NULL if failed or out of
 * memory. */
char *buf_take(struct buf *buf, size_t *ret_size);

#define auto_buf __attribute__((cleanup(buf_release)))

#endif
