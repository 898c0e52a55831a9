/* SPDX-License-Identifier: Apache-2.0 */
/* The connection against a real redis-server that is killed and comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/redis.h"
#include "tests/support/redis_server.h"

struct fixture {
    struct redis_server server;
    uv_loop_t loop;
    struct redis *redis;
    int n_up, n_down, n_replies, n_failed, n_messages;
    char text[ERR_MESSAGE_SIZE];
    bool closed;
};

static void on_up(void *data)
{
    ((struct fixture *)data)->n_up++;
}

static void on_down(const struct err *err, void *data)
{
    struct fixture *f = data;
    f->n_down++;
    snprintf(f->text, sizeof(f->text), "%s", err->message);
}

static const struct redis_events events = {.on_up = on_up, .on_down = on_down};

static void on_closed(void *data)
{
    ((struct fixture *)data)->closed = true;
}

static void on_reply(const redisReply *reply, const struct err *err, void *data)
{
    struct fixture *f = data;
    f->n_replies++;
    if (reply == NULL)
        f->n_failed++;
    assert_true((reply == NULL) == (err != NULL));
    if (reply != NULL && reply->str != NULL)
        snprintf(f->text, sizeof(f->text), "%s", reply->str);
}

static void run_until(struct fixture *f, const int *counter, int wanted)
{
    while (*counter < wanted)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    redis_server_start(&f->server);
    uv_loop_init(&f->loop);
    assert_int_equal(redis_open(&f->redis, &f->loop, f->server.url, &events, f, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    redis_close(f->redis, on_closed, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    redis_server_stop(&f->server);
    free(f);
    return 0;
}

static void commands_are_pipelined_and_answered_in_order(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    assert_false(redis_is_up(f->redis));
    assert_int_equal(redis_commandf(f->redis, on_reply, f, &err, "PING"), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    run_until(f, &f->n_up, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(redis_commandf(f->redis, NULL, NULL, NULL, "RPUSH list %d", i), 0);
    const char raw[] = "*3\r\n$6\r\nLINDEX\r\n$4\r\nlist\r\n$2\r\n42\r\n";
    assert_int_equal(redis_command_formatted(f->redis, on_reply, f, NULL, raw, sizeof(raw) - 1), 0);
    const char *argv[] = {"ECHO", "a\0b"};
    const size_t sizes[] = {4, 3};
    run_until(f, &f->n_replies, 1);
    assert_string_equal(f->text, "42");
    assert_int_equal(redis_command(f->redis, on_reply, f, NULL, 2, argv, sizes), 0);
    run_until(f, &f->n_replies, 2);
    assert_int_equal(f->n_failed, 0);
}

static void a_lost_server_fails_what_is_under_way_and_comes_back(void **state)
{
    struct fixture *f = *state;
    run_until(f, &f->n_up, 1);
    assert_int_equal(redis_commandf(f->redis, on_reply, f, NULL, "BLPOP nothing 0"), 0);
    assert_int_equal(redis_commandf(f->redis, on_reply, f, NULL, "GET x"), 0);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    redis_server_kill(&f->server);
    run_until(f, &f->n_down, 1);
    assert_int_equal(f->n_replies, 2);
    assert_int_equal(f->n_failed, 2);
    run_until(f, &f->n_down, 3); /* attempts go on while it is away */
    redis_server_restart(&f->server);
    run_until(f, &f->n_up, 2);
    assert_int_equal(redis_commandf(f->redis, on_reply, f, NULL, "ECHO again"), 0);
    run_until(f, &f->n_replies, 3);
    assert_string_equal(f->text, "again");
}

static void on_message(const char *channel, const char *payload, void *data)
{
    struct fixture *f = data;
    f->n_messages++;
    snprintf(f->text, sizeof(f->text), "%s=%s", channel != NULL ? channel : "-",
             payload != NULL ? payload : "-");
}

static void a_subscription_delivers_from_its_confirmation_on(void **state)
{
    struct fixture *f = *state;
    run_until(f, &f->n_up, 1);
    assert_int_equal(redis_psubscribe(f->redis, "a:{*}:b", on_message, f, NULL), 0);
    run_until(f, &f->n_messages, 1);
    assert_string_equal(f->text, "-=-");
    redisContext *other = redis_server_connect(&f->server);
    auto_free char *n = redis_server_ask(other, "PUBLISH a:{7}:b hello");
    assert_string_equal(n, "1");
    run_until(f, &f->n_messages, 2);
    assert_string_equal(f->text, "a:{7}:b=hello");
    redisFree(other);
}

static void an_absent_server_and_a_bad_url_are_told(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct redis *other = NULL;
    assert_int_equal(redis_open(&other, &f->loop, "http://x", &events, f, &err), -1);
    assert_non_null(strstr(err.message, "bad Redis URL 'http://x'"));
    assert_int_equal(redis_open(&other, &f->loop, "redis://h:99999", &events, f, &err), -1);
    assert_int_equal(redis_open(&other, &f->loop, "unix:/nonexistent/redis.sock", &events, f, &err), 0);
    run_until(f, &f->n_down, 1);
    assert_non_null(strstr(f->text, "No such file"));
    redis_close(other, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands_are_pipelined_and_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_server_fails_what_is_under_way_and_comes_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_subscription_delivers_from_its_confirmation_on, setup, teardown),
        cmocka_unit_test_setup_teardown(an_absent_server_and_a_bad_url_are_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
