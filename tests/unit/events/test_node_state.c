/* SPDX-License-Identifier: Apache-2.0 */
/* The fold: legal histories, fenced and illegal events, the watermark of settled commands, the chain's head.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "events/node_state.h"

#define UUID "0190f5fe-7c00-7a00-8000-000000000001"

static enum apply_result apply(struct node_state *state, enum event_type type, const char *subject,
                               int64_t epoch, int64_t nodeseq, int64_t settles, const char *data)
{
    char text[2048], prevhash[SHA256_HEX_SIZE], outcome[128] = "";
    node_state_prevhash(state, prevhash);
    if (settles >= 0)
        snprintf(outcome, sizeof(outcome),
                 ",\"outcome\":\"ok\",\"commandoffset\":%" PRId64
                 ",\"causationid\":\"0190f5fe-7c00-7a00-8000-%012" PRId64 "\"",
                 settles, settles);
    snprintf(
        text, sizeof(text),
        "{\"specversion\":\"1.0\",\"id\":\"" UUID
        "\",\"source\":\"s\",\"type\":\"%s\",\"subject\":\"%s\",\"time\":"
        "\"2026-01-01T00:00:00Z\",\"datacontenttype\":\"application/json\",\"node\":\"n1\",\"actor\":\"a\","
        "\"correlationid\":\"" UUID "\",\"streamversion\":1,\"nodeseq\":%" PRId64 ",\"epoch\":%" PRId64
        ",\"prevhash\":\"%s\"%s,\"data\":%s}",
        event_types[type].log_name, subject, nodeseq, epoch, prevhash, outcome, data);
    struct event event;
    struct err err = ERR_INIT;
    if (event_decode(&event, text, strlen(text), &err) < 0)
        fail_msg("%s", err.message);
    enum apply_result result = node_state_apply(state, &event, text, strlen(text));
    event_release(&event);
    return result;
}

#define DIGEST "sha256:" ID
#define ID "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define CREATED "{\"name\":\"web\",\"image_digest\":\"" DIGEST "\",\"spec\":{\"image\":\"b\"}}"
#define EXITED "{\"incarnation\":1,\"reason\":\"exited\",\"exit_code\":0}"

static void lower_epochs_are_fenced(void **unused)
{
    struct node_state state;
    (void)unused;
    assert_int_equal(node_state_init(&state, "n1"), 0);
    assert_int_equal(apply(&state, EVENT_CONTAINER_CREATED, ID, 2, 1, -1, CREATED), APPLY_DONE);
    char before[SHA256_HEX_SIZE], after[SHA256_HEX_SIZE];
    node_state_prevhash(&state, before);
    assert_int_equal(apply(&state, EVENT_CONTAINER_REMOVED, ID, 1, 2, -1, "{\"name\":\"web\"}"),
                     APPLY_FENCED);
    node_state_prevhash(&state, after);
    assert_string_equal(before, after);
    assert_non_null(node_state_container(&state, ID));
    assert_int_equal(state.events_fenced, 1);
    node_state_release(&state);
}

static void impossible_moves_change_nothing_but_the_chain(void **unused)
{
    struct node_state state;
    (void)unused;
    assert_int_equal(node_state_init(&state, "n1"), 0);
    assert_int_equal(apply(&state, EVENT_CONTAINER_EXITED, ID, 1, 1, -1, EXITED), APPLY_ILLEGAL);
    assert_int_equal(apply(&state, EVENT_CONTAINER_CREATED, ID, 1, 2, -1, CREATED), APPLY_DONE);
    assert_int_equal(apply(&state, EVENT_CONTAINER_EXITED, ID, 1, 3, -1, EXITED), APPLY_ILLEGAL);
    assert_int_equal(apply(&state, EVENT_CONTAINER_CREATED, ID, 1, 4, -1, CREATED), APPLY_ILLEGAL);
    assert_int_equal(apply(&state, EVENT_CONTAINER_CREATED, ID, 1, 4, -1, CREATED), APPLY_ILLEGAL);
    assert_int_equal(node_state_container(&state, ID)->state, CONTAINER_CREATED);
    assert_int_equal(state.nodeseq, 4);
    assert_int_equal(state.events_illegal, 4);
    node_state_release(&state);
}

static void the_watermark_waits_for_the_oldest_command(void **unused)
{
    struct node_state state;
    const char *done = "{\"message\":\"m\"}";
    (void)unused;
    assert_int_equal(node_state_init(&state, "n1"), 0);
    apply(&state, EVENT_COMMAND_DONE, "x", 1, 1, 2, done);
    apply(&state, EVENT_COMMAND_DONE, "x", 1, 2, 1, done);
    assert_int_equal(state.answered_through, -1);
    assert_true(node_state_is_answered(&state, 2, "unknown"));
    assert_false(node_state_is_answered(&state, 0, "unknown"));
    assert_true(node_state_is_answered(&state, 99, "0190f5fe-7c00-7a00-8000-000000000002"));
    apply(&state, EVENT_COMMAND_DONE, "x", 1, 3, 0, done);
    assert_int_equal(state.answered_through, 2);
    assert_null(state.answered);
    assert_int_equal(node_state_skip_offset(&state, 3), 0);
    assert_int_equal(state.answered_through, 3);
    node_state_release(&state);
}

static void references_resolve_like_dockers(void **unused)
{
    struct node_state state;
    struct err err = ERR_INIT;
    (void)unused;
    assert_int_equal(node_state_init(&state, "n1"), 0);
    apply(&state, EVENT_CONTAINER_CREATED, ID, 1, 1, -1, CREATED);
    apply(&state, EVENT_CONTAINER_CREATED, "ba00000000000000000000000000000000000000000000000000000000000000",
          1, 2, -1, "{\"name\":\"ba7\",\"image_digest\":\"" DIGEST "\",\"spec\":{\"image\":\"b\"}}");
    assert_string_equal(node_state_resolve(&state, "web", &err)->id, ID);
    assert_string_equal(node_state_resolve(&state, "ba78", &err)->id, ID);
    assert_string_equal(node_state_resolve(&state, "ba7", &err)->name, "ba7"); /* names before prefixes */
    assert_null(node_state_resolve(&state, "ba", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_null(node_state_resolve(&state, "nope", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    char reference[64];
    assert_int_equal(image_reference_normalize("host:5000/a/b", reference, sizeof(reference)), 0);
    assert_string_equal(reference, "host:5000/a/b:latest");
    assert_int_equal(image_reference_normalize("b:1", reference, sizeof(reference)), 0);
    assert_string_equal(reference, "b:1");
    assert_int_equal(image_reference_normalize("b:1", reference, 3), -1);
    node_state_release(&state);
}

static void every_state_can_be_left(void **unused)
{
    (void)unused;
    for (int from = 0; from < CONTAINER_STATES; from++) {
        int moves = 0;
        for (int event = 0; event < EVENT_TYPES; event++) {
            enum container_state to;
            moves += container_state_next((enum container_state)from, (enum event_type)event, &to) &&
                     to != (enum container_state)from;
        }
        assert_true(moves > 0);
        assert_int_equal(container_state_by_name(container_state_name((enum container_state)from)), from);
    }
}

/* WHARF_TRANSCRIPT_WRITE=1 writes the picture anew. */
static void the_picture_is_the_table(void **unused)
{
    static const char path[] = "docs/container-states.dot";
    (void)unused;
    auto_buf struct buf dot = BUF_INIT;
    container_state_dot(&dot);
    assert_false(dot.failed);
    if (getenv("WHARF_TRANSCRIPT_WRITE") != NULL)
        assert_int_equal(fs_write_file(AT_FDCWD, path, 0644, dot.data, dot.size, false, NULL), 0);
    auto_free char *drawn = NULL;
    size_t size;
    assert_int_equal(fs_read_file(AT_FDCWD, path, 1 << 20, &drawn, &size, NULL), 0);
    assert_string_equal(drawn, dot.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lower_epochs_are_fenced),
        cmocka_unit_test(impossible_moves_change_nothing_but_the_chain),
        cmocka_unit_test(the_watermark_waits_for_the_oldest_command),
        cmocka_unit_test(references_resolve_like_dockers),
        cmocka_unit_test(every_state_can_be_left),
        cmocka_unit_test(the_picture_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
