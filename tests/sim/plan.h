/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - what happens to the stack in one run, drawn from the seed before it begins: a setting and a list
 * of items (commands of clients, faults), each from a generator of its own, so that leaving one out changes
 * no other. Pure.
 */
#ifndef WHARF_TESTS_SIM_PLAN_H
#define WHARF_TESTS_SIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define PLAN_ITEMS_MAX 256
#define PLAN_STEPS_DEFAULT 20

enum item_kind {
#define ITEM(ENUM, weight, doc) ITEM_##ENUM,
#include "tests/sim/items.def"
#undef ITEM
    ITEM_KINDS
};

struct item {
    int number; /* in the whole plan: what KEEP names */
    enum item_kind kind;
    int64_t at_ns;
    /* What the kind makes of them. */
    uint64_t a, b, c;
};

struct setting {
    uint32_t partitions;
    bool kafka;         /* appends of a dead process may arrive late; offsets may have gaps */
    bool cgroup2;       /* the cgroup is made before the shim, not after it */
    bool touch;         /* the projector writes its position every second */
    int64_t spacing_ns; /* between two items, about */
};

struct plan {
    uint64_t seed;
    int steps; /* items drawn */
    struct setting setting;
    struct item items[PLAN_ITEMS_MAX];
    size_t n; /* items kept */
};

/* `keep` is a list of numbers "3,7,9", or NULL for all. */
void plan_draw(struct plan *ret, uint64_t seed, int steps, const char *keep);

/* One line an item, for people. */
void plan_describe(const struct plan *plan, struct buf *ret);

/* "3,7,9" */
void plan_keep_list(const struct plan *plan, struct buf *ret);

#endif
