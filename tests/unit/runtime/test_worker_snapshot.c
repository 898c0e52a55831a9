/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker writes into a snapshot, over a host that only keeps the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "runtime/worker_impl.h"

static struct buf written = BUF_INIT;

int host_snapshot_write(struct host *host, const void *bytes, size_t size, host_done_cb cb, void *data,
                        struct err *err)
{
    (void)host;
    (void)err;
    buf_reset(&written);
    buf_add(&written, bytes, size);
    cb(NULL, data);
    return 0;
}

int host_snapshot_read(struct host *host, struct buf *ret, struct err *err)
{
    (void)host;
    (void)ret;
    return err_set(err, ERR_NOT_FOUND, "there is none");
}

int host_snapshot_put_aside(struct host *host, struct err *err)
{
    (void)host;
    (void)err;
    return 0;
}

/* A late record of a dead runtime is read behind the newest event of the snapshot: the replay from there
 * reads it again, and counts it then. */
static void a_fenced_record_behind_it_is_not_counted(void **state)
{
    (void)state;
    static const uint8_t seed[DECIDE_SEED_SIZE] = {1};
    const struct core_identity identity = {
        .partition = 0, .boot_id = "boot", .kernel = "6.1", .version = "1", .pid = 7};
    uv_loop_t loop;
    struct worker worker = {.loop = &loop, .options.snapshot_every = 10};
    struct decision decision = {0};
    struct node_state back;
    struct err err = ERR_INIT;
    int64_t next_offset = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &worker.ask_again);
    assert_int_equal(core_init(&worker.core, "n", seed), 0);
    core_begin(&worker.core, 1700000000000000000, &identity, &decision);
    assert_int_equal(decision.n_events, 2);
    worker_snapshot_decided(&worker, decision.n_events);
    worker.core.state.events_fenced = 3; /* read before it */
    worker_snapshot_seen(&worker, 3);
    worker_snapshot_seen(&worker, 4);
    worker.core.state.events_fenced = 4; /* and one behind it */
    worker_snapshot_close(&worker, true);
    assert_true(worker_snapshot_finished(&worker));
    assert_int_equal(snapshot_decode(&back, &next_offset, "n", written.data, written.size, &err), 0);
    assert_int_equal(next_offset, 5);
    assert_int_equal(back.events_fenced, 3);
    node_state_release(&back);
    decision_release(&decision);
    core_release(&worker.core);
    uv_close((uv_handle_t *)&worker.ask_again, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    buf_release(&written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fenced_record_behind_it_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
