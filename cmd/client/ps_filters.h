/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ps_filters.h - the filters of `wharf ps`: some are the query service's, the rest are about what is in a
 * row.
 *
 * Of several for one key a container has to match any, but for labels all; keys are all to be matched. A name
 * is a part of the container's, or a regular expression as docker's. Only ps_filters_resolve asks anybody.
 */
#ifndef WHARF_CMD_CLIENT_PS_FILTERS_H
#define WHARF_CMD_CLIENT_PS_FILTERS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/client/api.h"
#include "cmd/client/options.h"

struct ps_filters {
    const struct option_list *list;
    bool own;                     /* there are some that are not the query service's */
    char before[128], since[128]; /* places in the order of creation; "" without such a filter */
};

/* Checks KEY=VALUE of each; ERR_INVALID says what is wrong. The list is borrowed. */
int ps_filters_init(struct ps_filters *ret, const struct option_list *list, struct err *err);

/* True if they say which states are wanted: nothing is left out by itself then. */
bool ps_filters_tell_state(const struct option_list *list);

/* Looks up the containers of before= and since=. */
int ps_filters_resolve(struct ps_filters *filters, const struct client *client, struct err *err);

/* Adds the query service's part to a target. */
int ps_filters_add(const struct ps_filters *filters, struct buf *target, struct err *err);

/* The rest. */
bool ps_filters_match(const struct ps_filters *filters, const json_t *row);

#endif
