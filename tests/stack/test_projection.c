/* SPDX-License-Identifier: Apache-2.0 */
/* The projector as a process between a real log and a real Redis, each of which is killed, emptied and
 * brought back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "tests/stack/read_fixture.h"

static void the_view_equals_the_fold_and_garbage_is_parked_once(void **state)
{
    struct read_fixture *f = *state;
    read_start_projector(f);
    read_feed(f, 3000, 250);
    read_wait(f);
    read_assert_view_is_fold(f);
    int status = read_end(&f->projector, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    read_feed(f, 500, 100);
    read_start_projector(f); /* reloads what it knew from Redis, and goes on */
    read_wait(f);
    read_assert_view_is_fold(f);
}

static void killed_in_the_middle_it_repeats_and_skips_nothing(void **state)
{
    struct read_fixture *f = *state;
    read_feed(f, 20000, 3001);
    for (int64_t offset = 2000; offset <= 14000; offset += 6000) {
        read_start_projector(f);
        read_wait_for(f, offset);
        read_end(&f->projector, SIGKILL);
    }
    read_start_projector(f);
    read_wait(f);
    read_assert_view_is_fold(f);
}

static void a_flushed_redis_is_filled_again(void **state)
{
    struct read_fixture *f = *state;
    read_feed(f, 2000, 700);
    read_start_projector(f);
    read_wait(f);
    redisContext *redis = redis_server_connect(&f->redis);
    auto_free char *ok = redis_server_ask(redis, "FLUSHALL");
    assert_string_equal(ok, "OK");
    redisFree(redis);
    read_wait(f); /* without a new event */
    read_assert_view_is_fold(f);
    read_feed(f, 100, 0);
    read_wait(f);
    read_assert_view_is_fold(f);
}

static void a_redis_that_comes_back_empty_is_filled_again(void **state)
{
    struct read_fixture *f = *state;
    read_feed(f, 2000, 0);
    read_start_projector(f);
    read_wait(f);
    redis_server_kill(&f->redis);
    read_feed(f, 1000, 300);
    redis_server_restart(&f->redis);
    read_wait(f);
    read_assert_view_is_fold(f);
}

static void a_redis_that_is_not_there_at_the_start_is_waited_for(void **state)
{
    struct read_fixture *f = *state;
    redis_server_kill(&f->redis);
    read_feed(f, 1000, 0);
    read_start_projector(f);
    redis_server_restart(&f->redis);
    read_wait(f);
    read_assert_view_is_fold(f);
}

/* Redis may outlive the log: its offset exists in the new one, but it is not the same record. */
static void a_view_of_another_log_is_made_anew(void **state)
{
    static const size_t sizes[] = {300, 1000, 2000};
    struct read_fixture *f = *state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (i > 0)
            read_replace_log(f);
        read_feed(f, sizes[i], 0);
        read_start_projector(f);
        read_wait(f);
        read_assert_view_is_fold(f);
        read_end(&f->projector, SIGTERM);
    }
}

/* As after a rebalance that one of them has not noticed: the guard refuses whoever comes second. */
static void two_projectors_of_one_partition_do_no_harm(void **state)
{
    struct read_fixture *f = *state;
    read_start_projector(f);
    pid_t other = read_spawn(f, "wharf-projector", NULL, -1);
    for (int i = 0; i < 20; i++)
        read_feed(f, 100, 0);
    read_wait(f);
    read_assert_view_is_fold(f);
    read_end(&other, SIGKILL);
    read_feed(f, 100, 0);
    read_wait(f);
    read_assert_view_is_fold(f);
}

static void rebuild_repairs_what_verify_finds(void **state)
{
    static const char *const verify[] = {"--rebuild", "--verify", NULL}, *const rebuild[] = {"--rebuild",
                                                                                             NULL};
    struct read_fixture *f = *state;
    read_feed(f, 5000, 900);
    read_start_projector(f);
    read_wait(f);
    auto_free char *before = NULL, *during = NULL, *rebuilt = NULL, *after = NULL;
    assert_int_equal(read_run_projector(f, verify, &before), 0);
    assert_non_null(strstr(before, ": 0 differences"));

    redisContext *redis = redis_server_connect(&f->redis);
    const char *id = f->fold.containers->id;
    auto_free char *set = redis_server_ask(redis, "HSET wharf:v1:{0}:container:%s node elsewhere", id);
    auto_free char *added = redis_server_ask(redis, "SADD wharf:v1:{0}:label:no=such %s", id);
    auto_free char *forged = redis_server_ask(redis, "HSET wharf:v1:{0}:json %s {}", id);
    assert_int_equal(read_run_projector(f, verify, &during), 1);
    assert_non_null(strstr(during, "'node' is 'elsewhere', but the log says 'n1'"));
    assert_non_null(strstr(during, ": 3 differences"));

    assert_int_equal(read_run_projector(f, rebuild, &rebuilt), 0);
    assert_non_null(strstr(rebuilt, "swapped in"));
    assert_int_equal(read_run_projector(f, verify, &after), 0);
    read_feed(f, 500, 0); /* the projector goes on upon the rebuilt view */
    read_wait(f);
    read_assert_view_is_fold(f);
    auto_free char *left = redis_server_ask(redis, "KEYS wharf:v1-*");
    assert_string_equal(left, "");
    redisFree(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_view_equals_the_fold_and_garbage_is_parked_once, read_setup,
                                        read_teardown),
        cmocka_unit_test_setup_teardown(killed_in_the_middle_it_repeats_and_skips_nothing, read_setup,
                                        read_teardown),
        cmocka_unit_test_setup_teardown(a_flushed_redis_is_filled_again, read_setup, read_teardown),
        cmocka_unit_test_setup_teardown(a_redis_that_comes_back_empty_is_filled_again, read_setup,
                                        read_teardown),
        cmocka_unit_test_setup_teardown(a_redis_that_is_not_there_at_the_start_is_waited_for, read_setup,
                                        read_teardown),
        cmocka_unit_test_setup_teardown(a_view_of_another_log_is_made_anew, read_setup, read_teardown),
        cmocka_unit_test_setup_teardown(two_projectors_of_one_partition_do_no_harm, read_setup,
                                        read_teardown),
        cmocka_unit_test_setup_teardown(rebuild_repairs_what_verify_finds, read_setup, read_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
