/* SPDX-License-Identifier: Apache-2.0 */
/* What each event does to Redis, as a transcript; and the view against the fold of the same events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "events/node_state.h"
#include "projector/past.h"
#include "projector/project.h"
#include "tests/support/event_writer.h"

#define ID "00000000000000000000000000000000000000000000000000000000000000aa"
#define ID_B "00000000000000000000000000000000000000000000000000000000000000bb"
#define ID_C "00000000000000000000000000000000000000000000000000000000000000cc"
#define T0 "2026-01-01T00:00:00.001000003Z"

struct fixture {
    struct event_writer writer;
    struct view view;
    struct ops ops;
    int64_t offset;
    struct buf transcript;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    event_writer_init(&f->writer, "n1", 1, 20);
    view_init(&f->view);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    event_writer_release(&f->writer);
    view_release(&f->view);
    ops_release(&f->ops);
    buf_release(&f->transcript);
    free(f);
    return 0;
}

static void print_ops(struct fixture *f)
{
    for (size_t i = 0; i < f->ops.n_ops; i++) {
        const struct op *op = &f->ops.ops[i];
        buf_printf(&f->transcript, "%s %s%s", op_verb_name(op->verb), view_keys[op->view].suffix,
                   ops_text(&f->ops, op, 0));
        for (size_t a = 1; a < op->n_args; a++) {
            const char *text = ops_text(&f->ops, op, a);
            buf_printf(&f->transcript, " %s", text[0] != '\0' ? text : "''");
        }
        buf_add_string(&f->transcript, "\n");
    }
}

static enum project_result project_bytes(struct fixture *f, const char *text, size_t size)
{
    struct event event;
    struct err err = ERR_INIT;
    if (event_decode(&event, text, size, &err) < 0)
        fail_msg("%s", err.message);
    ops_reset(&f->ops);
    enum project_result result = project_event(&f->view, &event, f->offset++, &f->ops);
    event_release(&event);
    return result;
}

static enum project_result project_one(struct fixture *f, struct event *event, const char *subject,
                                       int64_t version)
{
    size_t size;
    auto_free char *text = event_writer_encode(&f->writer, event, subject, version, &size);
    return project_bytes(f, text, size);
}

static void assert_transcript(struct fixture *f, struct event *event, int64_t version, const char *expected)
{
    assert_int_equal(project_one(f, event, ID, version), PROJECT_DONE);
    buf_reset(&f->transcript);
    print_ops(f);
    assert_string_equal(f->transcript.data, expected);
}

static void create(struct fixture *f, struct event *event)
{
    (void)f;
    event_init(event, EVENT_CONTAINER_CREATED);
    event->data.container_created.name = strdup("web");
    event->data.container_created.image_digest = strdup("sha256:" ID);
    event->data.container_created.spec.image = strdup("busybox");
    struct string_map *labels = &event->data.container_created.spec.labels;
    labels->items = calloc(1, sizeof(*labels->items));
    labels->items[labels->n++] = (struct string_pair){strdup("tier"), strdup("front")};
}

static void a_container_from_creation_to_removal(void **state)
{
    struct fixture *f = *state;
    struct event event;
    create(f, &event);
    assert_transcript(
        f, &event, 1,
        "HSET container:" ID " id " ID
        " name web node n1 image busybox:latest state created pid '' exit_code '' "
        "reason '' created_at " T0 " started_at '' finished_at '' version 1 health '' restarts 0 ip '' "
        "labels {\"tier\":\"front\"} spec {\"image\":\"busybox\",\"labels\":{\"tier\":\"front\"}}\n"
        "ZADD containers 1767225600001000 " ID "\nZADD ids 0 " ID "\nSADD state:created " ID "\n"
        "SADD image:busybox:latest " ID "\nHSET names n1/web " ID "\nSADD label:tier=front " ID "\n"
        "SADD label:tier " ID "\nRPUSH history:" ID " 0\n"
        "XADD changes MAXLEN ~ 10000 0-1 id " ID " type container.created offset 0 state created\n");

    event_init(&event, EVENT_CONTAINER_STARTED);
    event.data.container_started = (struct container_started_event){
        .incarnation = 1, .pid = 77, .shim_pid = 76, .started_at = strdup("2026-01-01T01:00:00.5+01:00")};
    assert_transcript(
        f, &event, 2,
        "HSET container:" ID " state running version 2 pid 77 started_at 2026-01-01T00:00:00.500000000Z\n"
        "SMOVE state:created running " ID "\nRPUSH history:" ID " 1\n"
        "XADD changes MAXLEN ~ 10000 1-1 id " ID " type container.started offset 1 state running\n");

    event_init(&event, EVENT_CONTAINER_EXITED);
    event.data.container_exited.incarnation = 1;
    event.data.container_exited.reason = strdup("host-restart");
    assert_transcript(f, &event, 3,
                      "HSET container:" ID
                      " state exited version 3 pid '' exit_code '' reason host-restart finished_at ''\n"
                      "SMOVE state:running exited " ID "\nRPUSH history:" ID " 2\n"
                      "XADD changes MAXLEN ~ 10000 2-1 id " ID
                      " type container.exited offset 2 state exited\n");

    event_init(&event, EVENT_CONTAINER_REMOVED);
    event.data.container_removed.name = strdup("web");
    assert_transcript(f, &event, 4,
                      "DEL container:" ID "\nHDEL json " ID "\nZREM containers " ID "\nSREM state:exited " ID
                      "\nSREM image:busybox:latest " ID "\n"
                      "HDEL names n1/web\nSREM label:tier=front " ID "\nSREM label:tier " ID "\n"
                      "RPUSH past " ID " n1/web\nHSET pastnames n1/web " ID "\n"
                      "RPUSH history:" ID " 3\n"
                      "XADD changes MAXLEN ~ 10000 3-1 id " ID
                      " type container.removed offset 3 state removed\n");
    assert_int_equal(HASH_COUNT(f->view.containers), 0);
}

static void a_batch_writes_one_text_of_each_container_that_is_there(void **state)
{
    struct fixture *f = *state;
    struct event event;
    create(f, &event);
    assert_int_equal(project_one(f, &event, ID, 1), PROJECT_DONE);
    event_init(&event, EVENT_CONTAINER_STARTED);
    event.data.container_started = (struct container_started_event){
        .incarnation = 1, .pid = 77, .shim_pid = 76, .started_at = strdup("2026-01-01T00:00:00Z")};
    assert_int_equal(project_one(f, &event, ID, 2), PROJECT_DONE);
    ops_reset(&f->ops);
    assert_int_equal(project_flush(&f->view, 0, &f->ops), 0);
    print_ops(f);
    static const char expected[] =
        "HSET json " ID " {\"id\":\"" ID "\",\"name\":\"web\",\"node\":\"n1\",\"image\":\"busybox:latest\","
        "\"state\":\"running\",\"pid\":77,\"exit_code\":null,\"reason\":\"\",\"created_at\":\"" T0
        "\",\"started_at\":\"2026-01-01T00:00:00.000000000Z\",\"finished_at\":null,\"version\":2,"
        "\"health\":\"\",\"restarts\":0,\"ip\":\"\",\"labels\":{\"tier\":\"front\"},"
        "\"spec\":{\"image\":\"busybox\",\"labels\":{\"tier\":\"front\"}}}\nHSET nodes ";
    assert_memory_equal(f->transcript.data, expected, sizeof(expected) - 1);
    ops_reset(&f->ops);
    assert_int_equal(project_flush(&f->view, 0, &f->ops), 0);
    assert_int_equal(f->ops.n_ops, 1); /* the position alone: nothing changed */
    event_init(&event, EVENT_CONTAINER_EXITED);
    event.data.container_exited.incarnation = 1;
    event.data.container_exited.reason = strdup("exited");
    assert_int_equal(project_one(f, &event, ID, 3), PROJECT_DONE);
    event_init(&event, EVENT_CONTAINER_REMOVED);
    event.data.container_removed.name = strdup("web");
    assert_int_equal(project_one(f, &event, ID, 4), PROJECT_DONE);
    ops_reset(&f->ops);
    assert_int_equal(project_flush(&f->view, 0, &f->ops), 0);
    assert_int_equal(f->ops.n_ops, 2); /* node and position: what is gone is not written again */
}

static void what_is_stale_fenced_or_illegal_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct event event;
    size_t size;
    create(f, &event);
    auto_free char *created = event_writer_encode(&f->writer, &event, ID, 1, &size);
    assert_int_equal(project_bytes(f, created, size), PROJECT_DONE);
    assert_int_equal(project_bytes(f, created, size), PROJECT_STALE); /* the same event at a later offset */
    assert_int_equal(f->ops.n_ops, 0);
    event_init(&event, EVENT_CONTAINER_RESTART_CANCELED);
    assert_int_equal(project_one(f, &event, ID, 2), PROJECT_ILLEGAL);
    create(f, &event); /* the name is taken */
    assert_int_equal(project_one(f, &event, "bb", 1), PROJECT_ILLEGAL);
    f->writer.epoch = 3;
    event_init(&event, EVENT_NODE_JOINED);
    event.data.node_joined.partition = 0;
    assert_int_equal(project_one(f, &event, "n1", 1), PROJECT_DONE);
    f->writer.epoch = 2;
    event_init(&event, EVENT_CONTAINER_REMOVED);
    event.data.container_removed.name = strdup("web");
    assert_int_equal(project_one(f, &event, ID, 2), PROJECT_FENCED);
    assert_int_equal(f->ops.n_ops, 0);
    f->writer.epoch = 3;
    event_init(&event, EVENT_CONTAINER_REMOVED);
    event.data.container_removed.name = strdup("web");
    assert_int_equal(project_one(f, &event, ID, 1), PROJECT_STALE); /* its streamversion is known */
    f->offset = 2;
    event_init(&event, EVENT_CONTAINER_REMOVED);
    event.data.container_removed.name = strdup("web");
    assert_int_equal(project_one(f, &event, ID, 2), PROJECT_STALE); /* its offset is known */
    assert_int_equal(f->view.fenced, 1);
    assert_int_equal(f->view.ignored, 4);
    assert_int_equal(f->view.events, 7);
    assert_int_equal(f->view.offset, 6);
    assert_int_equal(HASH_COUNT(f->view.containers), 1);
}

static void a_batch_ends_with_nodes_and_position(void **state)
{
    struct fixture *f = *state;
    struct event event;
    event_init(&event, EVENT_NODE_JOINED);
    event.data.node_joined.partition = 0;
    assert_int_equal(project_one(f, &event, "n1", 1), PROJECT_DONE);
    project_parked(&f->view, f->offset++);
    assert_int_equal(project_flush(&f->view, 1767225600000000000LL, &f->ops), 0);
    print_ops(f);
    assert_string_equal(f->transcript.data,
                        "HSET nodes n1 {\"name\":\"n1\",\"partition\":0,\"epoch\":1,\"nodeseq\":1,"
                        "\"joined_at\":\"" T0 "\",\"started_at\":null}\n"
                        "HSET meta offset 1 digest '' events 1 parked 1 fenced 0 ignored 0 "
                        "updated_at 2026-01-01T00:00:00.000000000Z schema 4\n");
    ops_reset(&f->ops);
    assert_int_equal(project_flush(&f->view, 0, &f->ops), 0);
    assert_int_equal(f->ops.n_ops, 1); /* the node did not move */
}

static void a_command_about_a_container_that_never_was_has_a_history(void **state)
{
    struct fixture *f = *state;
    struct event event;
    event_init(&event, EVENT_COMMAND_REFUSED);
    event.data.command_refused.command = strdup("container.run");
    event.data.command_refused.code = strdup("unknown-image");
    event.data.command_refused.message = strdup("no image 'x'");
    assert_transcript(f, &event, 1, "ZADD ids 0 " ID "\nRPUSH past " ID " \nRPUSH history:" ID " 0\n");
}

static void volumes_are_listed_by_node_and_name(void **state)
{
    struct fixture *f = *state;
    struct event event;
    event_init(&event, EVENT_VOLUME_CREATED);
    event.data.volume_created.name = strdup("data");
    event.data.volume_created.found = strdup("a directory");
    assert_int_equal(project_one(f, &event, "volume/data", 1), PROJECT_DONE);
    print_ops(f);
    assert_non_null(strstr(f->transcript.data, "HSET volumes n1/data {\"name\":\"data\",\"node\":\"n1\","));
    assert_non_null(strstr(f->transcript.data, "\"labels\":{},\"found\":\"a directory\"}"));
    event_init(&event, EVENT_VOLUME_REMOVED);
    event.data.volume_removed.name = strdup("data");
    assert_transcript(f, &event, 1, "HDEL volumes n1/data\n");
}

static void refuse(struct event *event, const char *command)
{
    event_init(event, EVENT_COMMAND_REFUSED);
    event->data.command_refused.command = strdup(command);
    event->data.command_refused.code = strdup("unknown-container");
    event->data.command_refused.message = strdup("there is none");
}

static void create_and_remove(struct fixture *f, const char *id)
{
    struct event event;
    create(f, &event);
    assert_int_equal(project_one(f, &event, id, 1), PROJECT_DONE);
    event_init(&event, EVENT_CONTAINER_REMOVED);
    event.data.container_removed.name = strdup("web");
    assert_int_equal(project_one(f, &event, id, 2), PROJECT_DONE);
}

static void the_oldest_removed_containers_are_forgotten(void **state)
{
    static const char *const ids[] = {ID, ID_B, ID_C};
    struct fixture *f = *state;
    struct event event;
    f->view.past_kept = 2;
    create_and_remove(f, ids[0]);
    create_and_remove(f, ids[1]);
    assert_true(past_has(&f->view, ids[0]));
    refuse(&event, "container.remove");
    assert_transcript(f, &event, 3, "RPUSH history:" ID " 4\n");
    create_and_remove(f, ids[2]);
    buf_reset(&f->transcript);
    print_ops(f);
    const char *forgetting = strstr(f->transcript.data, "LPOP");
    assert_non_null(forgetting); /* and "web" goes on to mean the newest of that name */
    assert_memory_equal(forgetting, "LPOP past\nDEL history:" ID "\nZREM ids " ID "\nRPUSH",
                        strlen("LPOP past\nDEL history:" ID "\nZREM ids " ID "\nRPUSH"));
    assert_false(past_has(&f->view, ids[0]));
    /* a part of its history would hide that the log has all of it */
    refuse(&event, "container.remove");
    assert_transcript(f, &event, 3, "");
}

static void assert_same_container(const struct view *view, const struct container *container)
{
    const struct view_container *mine = view_container(view, container->id);
    assert_non_null(mine);
    assert_int_equal(mine->state, container->state);
    assert_int_equal(mine->version, container->version);
    assert_int_equal(mine->restarts, container->restarts);
    assert_string_equal(mine->qualified_name + strlen("n1/"), container->name);
}

/* Random legal histories with events repeated, dropped and out of order: both folds ignore the same ones. */
static void the_view_equals_the_fold(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct node_state fold;
        assert_int_equal(node_state_init(&fold, "n1"), 0);
        event_writer_release(&f->writer);
        event_writer_init(&f->writer, "n1", seed, 20);
        view_release(&f->view);
        for (int i = 0; i < 2000; i++) {
            size_t size;
            auto_free char *text = event_writer_next(&f->writer, &size);
            for (int copies = i % 17 == 0 ? 2 : i % 101 == 100 ? 0 : 1; copies > 0; copies--) {
                struct event event;
                assert_int_equal(event_decode(&event, text, size, NULL), 0);
                enum apply_result expected = node_state_apply(&fold, &event, text, size);
                event_release(&event);
                f->offset = f->view.offset + 1;
                enum project_result result = project_bytes(f, text, size);
                assert_int_equal(result == PROJECT_DONE, expected == APPLY_DONE);
            }
        }
        assert_int_equal(HASH_COUNT(fold.containers), HASH_COUNT(f->view.containers));
        for (struct container *c = fold.containers; c != NULL; c = c->hh.next)
            assert_same_container(&f->view, c);
        node_state_release(&fold);
    }
}

static void operations_become_resp_under_a_prefix(void **state)
{
    struct fixture *f = *state;
    size_t sizes[2];
    auto_buf struct buf text = BUF_INIT;
    ops_add(&f->ops, OP_SMOVE, VIEW_STATE, "a", "b", "x", NULL);
    ops_add(&f->ops, OP_HDEL, VIEW_NAMES, "", "n/1", NULL);
    ops_format(&f->ops, "w:{0}:", &text, sizes);
    assert_string_equal(text.data,
                        "*4\r\n$5\r\nSMOVE\r\n$13\r\nw:{0}:state:a\r\n$13\r\nw:{0}:state:b\r\n$1\r\nx\r\n"
                        "*3\r\n$4\r\nHDEL\r\n$11\r\nw:{0}:names\r\n$3\r\nn/1\r\n");
    assert_int_equal(sizes[0] + sizes[1], text.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_container_from_creation_to_removal, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_writes_one_text_of_each_container_that_is_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_stale_fenced_or_illegal_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_ends_with_nodes_and_position, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_about_a_container_that_never_was_has_a_history, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_oldest_removed_containers_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(volumes_are_listed_by_node_and_name, setup, teardown),
        cmocka_unit_test_setup_teardown(the_view_equals_the_fold, setup, teardown),
        cmocka_unit_test_setup_teardown(operations_become_resp_under_a_prefix, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
