/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of the host for containers with a user namespace of their own: the lowest range of the pool that no
 * container of the node has, from its creation to its removal. The pool may change between two starts of a
 * runtime; what was given stays.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "runtime/decide/core.h"

/* Marks the slots of the pool that the container's ids reach into. */
static void mark(const struct id_pool *pool, const struct container_spec *spec, bool *taken, int64_t n)
{
    if (spec->id_base == SCHEMA_ABSENT || spec->id_size == SCHEMA_ABSENT)
        return;
    int64_t from = spec->id_base - pool->base, to = from + spec->id_size;
    for (int64_t i = from < 0 ? 0 : from / ID_RANGE_SIZE; i < n && i * ID_RANGE_SIZE < to; i++)
        taken[i] = true;
}

/* The first id of a free range, -1 if there is none, -2 when memory runs out. */
static int64_t find_free(const struct core *core)
{
    const struct id_pool *pool = &core->id_pool;
    int64_t n = pool->size / ID_RANGE_SIZE;
    auto_free bool *taken = calloc((size_t)n + 1, sizeof(*taken));
    if (taken == NULL)
        return -2;
    for (const struct container *each = core->state.containers; each != NULL; each = each->hh.next)
        mark(pool, &each->spec, taken, n);
    for (int64_t i = 0; i < n; i++)
        if (!taken[i])
            return pool->base + i * ID_RANGE_SIZE;
    return -1;
}

const char *id_range_refusal(const struct core *core, const struct container_spec *spec, struct err *ret_why)
{
    if (spec->id_base != SCHEMA_ABSENT || spec->id_size != SCHEMA_ABSENT) {
        err_set(ret_why, ERR_INVALID,
                "the ids of a container are chosen by its node: leave out id_base and "
                "id_size");
        return "bad-spec";
    }
    if (!container_spec_maps_ids(spec) || find_free(core) != -1)
        return NULL;
    err_set(
        ret_why, ERR_CONFLICT,
        "no range of %d ids is free on node '%s': remove containers with a user namespace of their own, or "
        "give the runtime a larger --userns-pool",
        ID_RANGE_SIZE, core->state.name);
    return "no-ids";
}

void id_range_give(struct core *core, struct container_spec *spec)
{
    if (!container_spec_maps_ids(spec))
        return;
    spec->id_base = find_free(core);
    spec->id_size = ID_RANGE_SIZE;
    core->failed = core->failed || spec->id_base < 0;
}
