/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.h - the part of docker's `--format` templates that listings need:
 *
 *     {{.FIELD}}  {{.Label "KEY"}}  {{json .FIELD}}  {{json .}}  text, with \t and \n in it
 *
 * and "table TEMPLATE" for aligned columns under titles, which are divided by \t. A listing names its fields;
 * what is not among them, and what else Go's templates have, is refused. Without a list of fields the names
 * are those of the row's members, also of members below, and by a key in quotes:
 *
 *     {{.state}}  {{.spec.image}}  {{json .spec.labels}}  {{index .spec.labels "KEY"}}
 *
 * Control characters in values are shown as '?', as in table.h.
 *
 * Pure apart from memory and template_print.
 */
#ifndef WHARF_CMD_CLIENT_TEMPLATE_H
#define WHARF_CMD_CLIENT_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

/* What values depend on beside the row. */
struct template_look {
    int64_t now_ns;
    bool whole; /* --no-trunc */
};

/* Appends the value of a row's field. `argument` is the text in quotes, or NULL. */
typedef void (*template_value)(struct buf *ret, const json_t *row, const char *argument,
                               const struct template_look *look);

struct template_field {
    const char *name;  /* "ID"; NULL ends the table */
    const char *title; /* of its column */
    template_value value;
    const char *member; /* without `value`: the row's text or number of that name */
    bool takes_argument;
};

struct template_part; /* text, or what is between braces */

struct template
{
    bool table;
    struct template_part *parts;
    size_t n;
};

/* True for what is to be a template, and not a format's name. */
bool template_is(const char *format);

/* `fields` must outlive the template; NULL: the row's members. ERR_INVALID says what is not understood. */
int template_parse(struct template *ret, const char *text, const struct template_field *fields,
                   struct err *err);
void template_release(struct template *template);

/* True if the field is in it. */
bool template_has(const struct template *template, const char *field);

/* Appends one row, without a line end. */
void template_add_row(const struct template *template, const json_t *row, const struct template_look *look,
                      struct buf *ret);

/* Prints an array of rows, a line each. */
int template_print(const struct template *template, const json_t *rows, const struct template_look *look,
                   FILE *out, struct err *err);

/* --- values that several listings have --- */

/* A text or number as it is; nothing for anything else. */
void template_add_member(struct buf *ret, const json_t *row, const char *member);
/* docker's way of writing a time: "2026-01-02 03:04:05 +0000 UTC". */
void template_add_time(struct buf *ret, const json_t *row, const char *member);
/* "KEY=VALUE,..." of the labels, or the value of one. */
void template_add_labels(struct buf *ret, const json_t *labels, const char *key);

#endif
