/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of commands: their records, their outcomes, in either order, and only so many of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "writer/pending.h"

static const char *id_of(int i)
{
    static char id[UUID_TEXT_SIZE];
    snprintf(id, sizeof(id), "0190f5fe-7c00-7a00-8000-%012d", i);
    return id;
}

static struct pending_command *settle_of(struct pending *pending, int64_t epoch, int i, enum outcome outcome,
                                         const char *bytes)
{
    struct event event;
    struct err err = ERR_INIT;
    event_init(&event, EVENT_COMMAND_DONE);
    event.envelope.node = (char *)(uintptr_t) "n1";
    event.envelope.epoch = epoch;
    event.envelope.outcome = outcome;
    event.envelope.commandoffset = 40 + i;
    snprintf(event.envelope.causationid, UUID_TEXT_SIZE, "%s", id_of(i));
    struct pending_command *entry = pending_settle(pending, &event, 2, 100 + i, bytes, strlen(bytes), &err);
    assert_int_equal(err.code, ERR_NONE);
    return entry;
}

static struct pending_command *settle(struct pending *pending, int i, enum outcome outcome, const char *bytes)
{
    return settle_of(pending, 1, i, outcome, bytes);
}

static void fill(struct pending *pending, int i, int64_t offset)
{
    struct command command;
    struct err err = ERR_INIT;
    command_init(&command, COMMAND_CONTAINER_KILL);
    command.envelope.node = (char *)(uintptr_t) "n1";
    command.envelope.subject = (char *)(uintptr_t) "web";
    command.data.container_kill.container = (char *)(uintptr_t) "web";
    assert_int_equal(pending_fill(pending_note(pending, id_of(i)), &command, 2, offset, &err), 0);
}

static void test_outcome_after_record(void **state)
{
    (void)state;
    struct pending pending;
    pending_init(&pending, 10, 1000);
    fill(&pending, 1, 41);
    struct pending_command *entry = pending_find(&pending, id_of(1));
    assert_int_equal(entry->outcome, OUTCOME_NONE);
    assert_ptr_equal(settle(&pending, 1, OUTCOME_REFUSED, "{1}"), entry);
    assert_int_equal(entry->outcome, OUTCOME_REFUSED);
    assert_string_equal(entry->event, "{1}");
    settle(&pending, 1, OUTCOME_OK, "{second}"); /* the first stands */
    assert_int_equal(entry->outcome, OUTCOME_REFUSED);
    assert_string_equal(entry->event, "{1}");
    assert_int_equal(pending.event_bytes, 3);
    settle_of(&pending, 2, 1, OUTCOME_OK, "{newer}"); /* the first was fenced */
    assert_int_equal(entry->outcome, OUTCOME_OK);
    assert_string_equal(entry->event, "{newer}");
    assert_int_equal(pending.event_bytes, 7);
    assert_null(settle(&pending, 2, OUTCOME_NONE, "{}"));
    assert_null(pending_find(&pending, id_of(2)));
    pending_release(&pending);
}

static void test_outcome_before_record(void **state)
{
    (void)state;
    struct pending pending;
    pending_init(&pending, 10, 1000);
    struct pending_command *entry = settle(&pending, 1, OUTCOME_OK, "{1}");
    assert_int_equal(entry->offset, 41);
    assert_int_equal(entry->partition, 2);
    assert_string_equal(entry->node, "n1");
    assert_string_equal(entry->fingerprint, "");
    fill(&pending, 1, 41);
    assert_string_not_equal(entry->fingerprint, "");
    assert_int_equal(entry->outcome, OUTCOME_OK);
    pending_release(&pending);
}

static void test_count_is_bounded(void **state)
{
    (void)state;
    struct pending pending;
    pending_init(&pending, 10, 1000000);
    fill(&pending, 1, 1);
    fill(&pending, 2, 2);
    pending_find(&pending, id_of(1))->appending = true;
    pending_find(&pending, id_of(2))->n_waiting = 1;
    for (int i = 3; i <= 100; i++)
        settle(&pending, i, OUTCOME_OK, "{}");
    assert_int_equal(HASH_COUNT(pending.commands), 10);
    assert_non_null(pending_find(&pending, id_of(1)));
    assert_non_null(pending_find(&pending, id_of(2)));
    assert_null(pending_find(&pending, id_of(92)));
    for (int i = 93; i <= 100; i++)
        assert_non_null(pending_find(&pending, id_of(i)));
    assert_int_equal(pending_oldest_outcome(&pending, 2, 999), 193);
    assert_int_equal(pending_oldest_outcome(&pending, 2, 100), 100);
    assert_int_equal(pending_oldest_outcome(&pending, 1, 999), 999);
    pending_forget(&pending, pending_find(&pending, id_of(2)));
    pending_release(&pending);
    assert_int_equal(pending.event_bytes, 0);
}

static void test_bytes_are_bounded(void **state)
{
    (void)state;
    struct pending pending;
    pending_init(&pending, 1000, 100);
    for (int i = 1; i <= 50; i++)
        settle(&pending, i, OUTCOME_OK, "{1234567890}");
    assert_in_range(pending.event_bytes, 80, 100);
    assert_non_null(pending_find(&pending, id_of(50)));
    assert_null(pending_find(&pending, id_of(1)));
    pending_release(&pending);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcome_after_record), cmocka_unit_test(test_outcome_before_record),
        cmocka_unit_test(test_count_is_bounded), cmocka_unit_test(test_bytes_are_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
