/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - listings as aligned text, one line a row, columns three blanks apart.
 *
 * Cells are copied. Control characters in them are shown as '?', so that what a container was named cannot
 * steer the terminal. Memory trouble is remembered and reported by table_print.
 */
#ifndef WHARF_CMD_CLIENT_TABLE_H
#define WHARF_CMD_CLIENT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

struct table {
    size_t columns;
    char **cells; /* row after row; owned */
    size_t n;
    size_t capacity;
    bool failed;
};

void table_init(struct table *table, size_t columns);
void table_release(struct table *table);

/* Adds the next cell of the current row. */
void table_add(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int table_print(const struct table *table, FILE *out, struct err *err);

/* Columns a UTF-8 text takes on a terminal, counting one for each character. */
size_t text_width(const char *text);

/* Copies at most `width` characters of `text`, with an ellipsis when something was cut. */
void text_shorten(char *ret, size_t size, const char *text, size_t width);

/* True when a person is looking: the stream is a terminal. */
bool is_terminal(FILE *out);

#endif
