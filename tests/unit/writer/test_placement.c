/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and containers come and go, and commands find their node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "writer/placement.h"

#define A "aaaa000000000000000000000000000000000000000000000000000000000000"
#define B "bbbb000000000000000000000000000000000000000000000000000000000000"
#define C "bbcc000000000000000000000000000000000000000000000000000000000000"

static bool apply_of(struct placement *placement, int64_t epoch, int64_t nodeseq, enum event_type type,
                     const char *node, const char *subject, const char *name, int64_t partition)
{
    struct event event;
    bool counts = false;
    struct err err = ERR_INIT;
    event_init(&event, type);
    event.envelope.epoch = epoch;
    event.envelope.nodeseq = nodeseq;
    event.envelope.node = (char *)(uintptr_t)node;
    event.envelope.subject = (char *)(uintptr_t)subject;
    if (type == EVENT_NODE_JOINED)
        event.data.node_joined.partition = partition;
    if (type == EVENT_CONTAINER_CREATED)
        event.data.container_created.name = (char *)(uintptr_t)name;
    assert_int_equal(placement_apply(placement, &event, &counts, &err), 0);
    return counts;
}

static void apply(struct placement *placement, enum event_type type, const char *node, const char *subject,
                  const char *name, int64_t partition)
{
    static int64_t nodeseq;
    assert_true(apply_of(placement, 1, ++nodeseq, type, node, subject, name, partition));
}

static void joined(struct placement *placement, const char *node, int64_t partition)
{
    apply(placement, EVENT_NODE_JOINED, node, node, NULL, partition);
}

/* "NODE", "?" for unknown, "!" for ambiguous, "-" for none. */
static const char *choose(const struct placement *placement, enum command_type type, const char *node,
                          const char *subject)
{
    struct command command;
    const struct placement_node *chosen = NULL;
    command_init(&command, type);
    command.envelope.node = (char *)(uintptr_t)node;
    command.envelope.subject = (char *)(uintptr_t)subject;
    switch (placement_choose(placement, &command, &chosen)) {
    case PLACEMENT_OK:
        return chosen->name;
    case PLACEMENT_NO_NODE:
        return "-";
    case PLACEMENT_UNKNOWN:
        return "?";
    case PLACEMENT_AMBIGUOUS:
        return "!";
    }
    return NULL;
}

static void test_one_node(void **state)
{
    (void)state;
    struct placement placement = PLACEMENT_INIT;
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_RUN, NULL, A), "-");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_RUN, "n1", A), "-");
    joined(&placement, "n1", 3);
    joined(&placement, "n1", 4);
    assert_int_equal(placement.nodes->partition, 3);
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_RUN, NULL, A), "n1");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, NULL, "nothing-known"), "n1");
    assert_string_equal(choose(&placement, COMMAND_IMAGE_IMPORT, NULL, "x:1"), "n1");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_RUN, "n2", A), "?");
    placement_release(&placement);
}

static void test_several_nodes(void **state)
{
    (void)state;
    struct placement placement = PLACEMENT_INIT;
    joined(&placement, "n2", 1);
    joined(&placement, "n1", 0);
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_RUN, NULL, A), "n1");
    apply(&placement, EVENT_CONTAINER_CREATED, "n1", A, "web", 0);
    apply(&placement, EVENT_CONTAINER_CREATED, "n1", A, "web", 0); /* again: still one */
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_CREATE, NULL, B), "n2");
    apply(&placement, EVENT_CONTAINER_CREATED, "n2", B, "db", 0);
    apply(&placement, EVENT_CONTAINER_CREATED, "n2", C, "web", 0);
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_RUN, NULL, A), "n1");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_RUN, "n2", A), "n2");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, NULL, A), "n1");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, NULL, "aa"), "n1");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, NULL, "db"), "n2");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, NULL, "bb"),
                        "n2"); /* two, but of one node */
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, NULL, "web"), "!");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, NULL, "nope"), "!");
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, "n1", "web"), "n1");
    assert_string_equal(choose(&placement, COMMAND_IMAGE_IMPORT, NULL, "x:1"), "!");
    apply(&placement, EVENT_CONTAINER_REMOVED, "n2", C, NULL, 0);
    apply(&placement, EVENT_CONTAINER_REMOVED, "n2", C, NULL, 0);
    assert_string_equal(choose(&placement, COMMAND_CONTAINER_STOP, NULL, "web"), "n1");
    apply(&placement, EVENT_CONTAINER_CREATED, "n9", C, "of-unknown-node", 0);
    assert_int_equal(HASH_COUNT(placement.containers), 2);
    placement_release(&placement);
}

static void test_fenced(void **state)
{
    (void)state;
    struct placement placement = PLACEMENT_INIT;
    assert_true(apply_of(&placement, 1, 1, EVENT_NODE_JOINED, "n1", "n1", NULL, 0));
    assert_true(apply_of(&placement, 2, 2, EVENT_NODE_STARTED, "n1", "n1", NULL, 0));
    assert_false(apply_of(&placement, 1, 2, EVENT_CONTAINER_CREATED, "n1", A, "late", 0));
    assert_false(
        apply_of(&placement, 3, 2, EVENT_NODE_STARTED, "n1", "n1", NULL, 0)); /* its place is taken */
    assert_true(apply_of(&placement, 2, 3, EVENT_CONTAINER_CREATED, "n1", B, "web", 0));
    assert_int_equal(placement.nodes->n_containers, 1);
    placement_release(&placement);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_node), cmocka_unit_test(test_several_nodes),
                                       cmocka_unit_test(test_fenced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
