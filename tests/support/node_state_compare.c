/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/node_state_compare.h"

#include <stdlib.h>
#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same(const struct schema *schema, const void *a, const void *b)
{
    json_t *left = schema_encode(schema, a);
    json_t *right = schema_encode(schema, b);
    bool equal = left != NULL && right != NULL && json_equal(left, right);
    json_decref(left);
    json_decref(right);
    return equal;
}

#define SAME(member)                                                                                         \
    if (a->member != b->member)                                                                              \
        return #member;
#define SAME_TEXT(member)                                                                                    \
    if (!same_text(a->member, b->member))                                                                    \
        return #member;

static const char *container_difference(const struct container *a, const struct container *b)
{
    SAME_TEXT(id)
    SAME_TEXT(name)
    SAME_TEXT(image_digest)
    SAME(state)
    SAME(version)
    SAME(incarnation)
    SAME(pid)
    SAME(shim_pid)
    SAME(created_at_ns)
    SAME(started_at_ns)
    SAME(finished_at_ns)
    SAME(exit_code)
    SAME(stopped_by_user)
    SAME(just_exited)
    SAME(restarts)
    SAME(restart_attempt)
    SAME_TEXT(created_by)
    SAME_TEXT(last_event_id)
    SAME_TEXT(correlationid)
    SAME(restart_due_ns)
    SAME(n_execs)
    SAME(boot)
    SAME(health)
    SAME(interrupted_by)
    return same(&container_spec_schema, &a->spec, &b->spec) ? NULL : "spec";
}

static const char *image_difference(const struct image *a, const struct image *b)
{
    SAME_TEXT(reference)
    SAME_TEXT(digest)
    SAME(size_bytes)
    SAME(imported_at_ns)
    return same(&image_config_schema, &a->config, &b->config) ? NULL : "an image's configuration";
}

static const char *volume_difference(const struct volume *a, const struct volume *b)
{
    SAME_TEXT(name)
    SAME(found)
    SAME(created_at_ns)
    SAME_TEXT(owner)
    SAME(doomed)
    if (a->labels.n != b->labels.n)
        return "a volume's labels";
    for (size_t i = 0; i < a->labels.n; i++)
        if (!same_text(a->labels.items[i].value, string_map_get(&b->labels, a->labels.items[i].key)))
            return "a volume's labels";
    return NULL;
}

static const char *volumes_difference(const struct node_state *a, const struct node_state *b)
{
    if (HASH_COUNT(a->volumes) != HASH_COUNT(b->volumes))
        return "the number of volumes";
    for (const struct volume *each = a->volumes; each != NULL; each = each->hh.next) {
        const struct volume *other = node_state_volume(b, each->name);
        const char *difference = other == NULL ? "a volume is missing" : volume_difference(each, other);
        if (difference != NULL)
            return difference;
    }
    return NULL;
}

static const char *exec_difference(const struct exec *a, const struct exec *b)
{
    SAME_TEXT(container_id)
    SAME(incarnation)
    SAME(boot)
    SAME(pid)
    SAME(shim_pid)
    SAME(attach)
    SAME(interactive)
    SAME(tty)
    SAME_TEXT(started_event_id)
    SAME_TEXT(correlationid)
    return NULL;
}

static const char *execs_difference(const struct node_state *a, const struct node_state *b)
{
    if (HASH_COUNT(a->execs) != HASH_COUNT(b->execs))
        return "the number of execs";
    for (const struct exec *each = a->execs; each != NULL; each = each->hh.next) {
        const struct exec *other = node_state_exec(b, each->id);
        const char *difference = other == NULL ? "an exec is missing" : exec_difference(each, other);
        if (difference != NULL)
            return difference;
    }
    return NULL;
}

static const char *answers_difference(const struct node_state *left, const struct node_state *right)
{
    const struct answer *a = left->answers, *b = right->answers;
    for (; a != NULL && b != NULL; a = a->hh.next, b = b->hh.next) {
        SAME_TEXT(command_id)
        SAME(command_offset)
    }
    if (a != NULL || b != NULL || HASH_COUNT(left->answered) != HASH_COUNT(right->answered))
        return "number of answers";
    for (const struct answered_offset *each = left->answered; each != NULL; each = each->hh.next) {
        const struct answered_offset *found = NULL;
        HASH_FIND(hh, right->answered, &each->offset, sizeof(each->offset), found);
        if (found == NULL)
            return "answered offsets";
    }
    return NULL;
}

static const char *contents_difference(const struct node_state *a, const struct node_state *b)
{
    const struct container *left = a->containers, *right = b->containers;
    const struct image *image = a->images, *other = b->images;
    const char *difference = NULL;
    for (; difference == NULL && left != NULL && right != NULL;
         left = left->hh.next, right = right->hh.next) {
        difference = container_difference(left, right);
        if (difference == NULL && node_state_by_name(b, left->name) != right)
            difference = "names";
    }
    for (; difference == NULL && image != NULL && other != NULL;
         image = image->hh.next, other = other->hh.next)
        difference = image_difference(image, other);
    if (difference == NULL && (left != NULL || right != NULL || image != NULL || other != NULL))
        difference = "number of containers or images";
    return difference;
}

const char *node_state_difference(const struct node_state *a, const struct node_state *b)
{
    SAME_TEXT(name)
    SAME(partition)
    SAME_TEXT(boot_id)
    SAME(boots)
    SAME(epoch)
    SAME(nodeseq)
    SAME(newest.size)
    SAME(events_applied)
    SAME(events_fenced)
    SAME(events_illegal)
    SAME(answered_through)
    if (a->newest.size > 0 && memcmp(a->newest.data, b->newest.data, a->newest.size) != 0)
        return "newest";
    const char *difference = contents_difference(a, b);
    if (difference == NULL)
        difference = volumes_difference(a, b);
    if (difference == NULL)
        difference = execs_difference(a, b);
    return difference != NULL ? difference : answers_difference(a, b);
}
