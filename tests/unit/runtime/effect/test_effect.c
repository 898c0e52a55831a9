/* SPDX-License-Identifier: Apache-2.0 */
/* Effects of a worker that has no log and no host: those that need neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/effect/effect.h"
#include "runtime/worker_impl.h"

/* Runs the effect of a restart that is due in a minute. */
static void ask_for_a_restart(struct worker *worker)
{
    struct effect effect = {.kind = EFFECT_TIMER,
                            .timer = TIMER_RESTART_DUE,
                            .incarnation = 1,
                            .due_ns = clock_realtime_ns() + INT64_C(60000000000)};
    struct decision decision = {.effects = &effect, .n_effects = 1};
    memset(effect.container_id, 'a', sizeof(effect.container_id) - 1);
    effects_run(worker, &decision);
}

static void timers_are_ended_with_the_worker(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct worker worker = {.loop = &loop, .phase = WORKER_SERVING};
    ask_for_a_restart(&worker);
    assert_non_null(worker.timers);
    effects_close(&worker);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_null(worker.timers);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* An exit that is told while the worker closes may lead to one: nobody would end it, and the end would wait
 * for it, up to a minute of back-off. */
static void a_closing_worker_makes_no_timer(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct worker worker = {.loop = &loop, .phase = WORKER_CLOSING};
    effects_close(&worker);
    ask_for_a_restart(&worker);
    assert_null(worker.timers);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_are_ended_with_the_worker),
        cmocka_unit_test(a_closing_worker_makes_no_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
