/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_state_compare.h - whether two folds are the same, member by member, so that a member that a snapshot
 * forgets is noticed.
 */
#ifndef WHARF_TESTS_SUPPORT_NODE_STATE_COMPARE_H
#define WHARF_TESTS_SUPPORT_NODE_STATE_COMPARE_H

#include "events/node_state.h"

/* NULL if they are equal, else what differs first. The orders of containers, images and answers count. */
const char *node_state_difference(const struct node_state *a, const struct node_state *b);

#endif
