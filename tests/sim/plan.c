/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/rng.h"

static const struct {
    const char *name;
    unsigned weight;
    const char *doc;
} kinds[ITEM_KINDS] = {
#define ITEM(ENUM, weight, doc) {#ENUM, weight, doc},
#include "tests/sim/items.def"
#undef ITEM
};

static enum item_kind draw_kind(struct rng *rng)
{
    unsigned total = 0;
    for (size_t i = 0; i < ITEM_KINDS; i++)
        total += kinds[i].weight;
    uint64_t drawn = rng_below(rng, total);
    for (size_t i = 0; i < ITEM_KINDS; i++) {
        if (drawn < kinds[i].weight)
            return (enum item_kind)i;
        drawn -= kinds[i].weight;
    }
    return ITEM_RUN;
}

/* True if `keep` names the number, or is NULL. */
static bool keeps(const char *keep, int number)
{
    if (keep == NULL)
        return true;
    for (const char *at = keep; *at != '\0';) {
        char *end;
        if (strtol(at, &end, 10) == number && end != at)
            return true;
        at = *end == ',' ? end + 1 : end + strlen(end);
    }
    return false;
}

static struct setting draw_setting(uint64_t seed)
{
    static const int64_t spacings_ms[] = {3, 20, 100, 400, 1200};
    struct rng rng = rng_make(seed, RNG_SETUP, 0);
    return (struct setting){.partitions = rng_chance(&rng, 70) ? 1 : 2,
                            .kafka = rng_chance(&rng, 50),
                            .cgroup2 = rng_chance(&rng, 50),
                            .touch = rng_chance(&rng, 30),
                            .spacing_ns = spacings_ms[rng_below(&rng, 5)] * 1000000};
}

/* The image comes first: without it nothing runs. */
static struct item draw_item(uint64_t seed, int number, int64_t spacing_ns)
{
    struct rng rng = rng_make(seed, RNG_ITEM, (uint64_t)number);
    struct item item = {.number = number, .kind = ITEM_IMPORT};
    enum item_kind kind = draw_kind(&rng);
    if (number > 0) {
        item.kind = kind;
        item.at_ns = 20000000 + number * spacing_ns + (int64_t)rng_below(&rng, (uint64_t)spacing_ns);
    }
    item.a = rng_next(&rng);
    item.b = rng_next(&rng);
    item.c = rng_next(&rng);
    return item;
}

void plan_draw(struct plan *ret, uint64_t seed, int steps, const char *keep)
{
    ret->seed = seed;
    ret->steps = steps < PLAN_ITEMS_MAX ? steps : PLAN_ITEMS_MAX;
    ret->setting = draw_setting(seed);
    ret->n = 0;
    for (int i = 0; i < ret->steps; i++)
        if (keeps(keep, i))
            ret->items[ret->n++] = draw_item(seed, i, ret->setting.spacing_ns);
}

void plan_describe(const struct plan *plan, struct buf *ret)
{
    const struct setting *setting = &plan->setting;
    buf_printf(ret, "  setting: %u partition(s), %s log, cgroup %s\n", setting->partitions,
               setting->kafka ? "Kafka-like" : "SQLite-like", setting->cgroup2 ? "v2" : "v1");
    for (size_t i = 0; i < plan->n; i++) {
        const struct item *item = &plan->items[i];
        buf_printf(ret, "  %3d  %9.3f s  %-15s %s\n", item->number, (double)item->at_ns / 1e9,
                   kinds[item->kind].name, kinds[item->kind].doc);
    }
}

void plan_keep_list(const struct plan *plan, struct buf *ret)
{
    for (size_t i = 0; i < plan->n; i++)
        buf_printf(ret, "%s%d", i > 0 ? "," : "", plan->items[i].number);
}
