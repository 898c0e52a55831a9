/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.h - what listings have in common: filters, formats, and containers described in words.
 *
 * Pure apart from memory and listing_print_json.
 */
#ifndef WHARF_CMD_CLIENT_LISTING_H
#define WHARF_CMD_CLIENT_LISTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/client/options.h"
#include "cmd/client/template.h"

enum listing_format { LISTING_TABLE, LISTING_WIDE, LISTING_JSON, LISTING_TEMPLATE };

/* "table", "wide", "json", and nothing else; `text` NULL gives `otherwise`. */
int listing_format(const char *text, enum listing_format otherwise, enum listing_format *ret,
                   struct err *err);

/* A --format that may be a template, too. */
struct listing_output {
    enum listing_format format;
    struct template template; /* of LISTING_TEMPLATE */
};

/* To be released whatever the answer. */
int listing_output_init(struct listing_output *ret, const char *text, const struct template_field *fields,
                        struct err *err);
void listing_output_release(struct listing_output *output);

/* A --filter key and the query parameter it becomes. */
struct listing_filter {
    const char *key;
    const char *parameter;
};

/* Adds "&parameter=value" for each KEY=VALUE of `list`. `filters` ends with a NULL key. */
int listing_add_filters(struct buf *target, const struct option_list *list,
                        const struct listing_filter *filters, struct err *err);

/* True if the object's "labels" have the one that is written KEY or KEY=VALUE. */
bool listing_has_label(const json_t *object, const char *label);

/* One line of JSON on stdout. */
int listing_print_json(const json_t *value, struct err *err);
/* All that is known of some things: an indented array, a line of JSON each, or the template of their members.
 */
int listing_print_inspected(const json_t *found, const struct listing_output *output, struct err *err);

/* "Up 5 minutes", "Exited (0) 3 hours ago", ... of a container's row. */
void listing_status(char *ret, size_t size, const json_t *container, int64_t now_ns);

/* The command as docker lists it: entrypoint and arguments in quotes, shortened unless `whole`. The caller
 * frees; NULL when out of memory. */
char *listing_command(const json_t *container, bool whole);

/* "5 minutes ago" for an RFC 3339 member, "" without one. */
void listing_age(char *ret, size_t size, const json_t *object, const char *member, int64_t now_ns);

/* Sorts rows by the text of a member, falling if `newest_first`; where that is the same by that of another.
 */
int listing_sort(json_t *rows, const char *member, bool newest_first, const char *then, struct err *err);

/* True if the rows' "node" members are not all the same. */
bool listing_has_several_nodes(const json_t *rows);

#endif
