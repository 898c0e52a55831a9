/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GAP 3

void table_init(struct table *table, size_t columns)
{
    *table = (struct table){.columns = columns};
}

void table_release(struct table *table)
{
    for (size_t i = 0; i < table->n; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

static bool make_room(struct table *table)
{
    if (table->n < table->capacity)
        return true;
    size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
    char **cells = realloc(table->cells, capacity * sizeof(*cells));
    if (cells == NULL)
        return false;
    table->cells = cells;
    table->capacity = capacity;
    return true;
}

void table_add(struct table *table, const char *fmt, ...)
{
    char *cell = NULL;
    va_list args;
    va_start(args, fmt);
    int size = vasprintf(&cell, fmt, args);
    va_end(args);
    if (size < 0 || !make_room(table)) {
        if (size >= 0)
            free(cell);
        table->failed = true;
        return;
    }
    for (char *at = cell; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    table->cells[table->n++] = cell;
}

size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        if (((unsigned char)*text & 0xc0) != 0x80)
            width++;
    return width;
}

void text_shorten(char *ret, size_t size, const char *text, size_t width)
{
    if (text_width(text) <= width) {
        snprintf(ret, size, "%s", text);
        return;
    }
    size_t bytes = 0;
    for (size_t characters = 0; text[bytes] != '\0'; bytes++) {
        if (((unsigned char)text[bytes] & 0xc0) != 0x80 && ++characters == width)
            break;
    }
    snprintf(ret, size, "%.*s…", (int)bytes, text);
}

static void print_row(const struct table *table, size_t row, const size_t *widths, FILE *out)
{
    for (size_t c = 0; c < table->columns; c++) {
        const char *cell = table->cells[row * table->columns + c];
        bool last = c + 1 == table->columns;
        fprintf(out, "%s%*s", cell, last ? 0 : (int)(widths[c] - text_width(cell) + GAP), "");
    }
    fputc('\n', out);
}

int table_print(const struct table *table, FILE *out, struct err *err)
{
    size_t *widths = calloc(table->columns, sizeof(*widths));
    if (table->failed || widths == NULL) {
        free(widths);
        return err_nomem(err, "making a table");
    }
    for (size_t i = 0; i < table->n; i++) {
        size_t width = text_width(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t row = 0; row < table->n / table->columns; row++)
        print_row(table, row, widths, out);
    free(widths);
    return ferror(out) ? err_sys(err, errno, "cannot write") : 0;
}

bool is_terminal(FILE *out)
{
    return isatty(fileno(out)) == 1;
}
