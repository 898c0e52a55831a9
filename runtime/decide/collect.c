/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image contents that nothing refers to any more. A digest that lost a reference, or that recovery found in
 * the store, is noted -> once what was decided is durable, so that no crash leaves a reference without its
 * contents, the noted ones that are still unwanted are deleted -> a crash before that leaves them to the next
 * recovery.
 *
 * Imports and deletions do not overlap: an import of equal contents could find them there and lose them
 * before its reference is made. While one kind is under way the other waits.
 */
#include <string.h>

#include "runtime/decide/core.h"

static bool is_wanted(const struct core *core, const char *digest)
{
    for (const struct image *each = core->state.images; each != NULL; each = each->hh.next)
        if (strcmp(each->digest, digest) == 0)
            return true;
    for (const struct container *each = core->state.containers; each != NULL; each = each->hh.next)
        if (strcmp(each->image_digest, digest) == 0)
            return true;
    return false;
}

static void ask_if_noted(struct core *core, struct decision *ret)
{
    if (core->collection.noted.n == 0 || core->collection.asked)
        return;
    struct effect *timer = add_effect(core, ret, EFFECT_TIMER, "");
    if (timer == NULL)
        return;
    timer->timer = TIMER_COLLECT;
    core->collection.asked = true;
}

void collect_image(struct core *core, const char *digest, struct decision *ret)
{
    struct strings *noted = &core->collection.noted;
    if (is_wanted(core, digest))
        return;
    for (size_t i = 0; i < noted->n; i++)
        if (strcmp(noted->items[i], digest) == 0)
            return;
    if (strings_add(noted, digest) < 0)
        core->failed = true;
    ask_if_noted(core, ret);
}

void core_collect(struct core *core, const struct strings *digests, struct decision *ret)
{
    for (size_t i = 0; i < digests->n; i++)
        collect_image(core, digests->items[i], ret);
}

void collect_due(struct core *core, struct decision *ret)
{
    struct collection *collection = &core->collection;
    collection->asked = false;
    if (core->image_operations != NULL)
        return; /* the end of the last of them asks again */
    for (size_t i = 0; i < collection->noted.n; i++) {
        if (is_wanted(core, collection->noted.items[i]))
            continue;
        struct effect *effect = add_effect(core, ret, EFFECT_IMAGE_REMOVE, "");
        if (effect == NULL)
            return;
        effect->digest = core_strdup(core, collection->noted.items[i]);
        collection->n_deleting++;
    }
    strings_release(&collection->noted);
}

void collect_deleted(struct core *core, struct decision *ret)
{
    if (--core->collection.n_deleting == 0)
        image_operations_begin(core, ret);
}

void collect_import_ended(struct core *core, struct decision *ret)
{
    if (core->image_operations == NULL)
        ask_if_noted(core, ret);
}
