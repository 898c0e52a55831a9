/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "runtime/shim/record.h"

static void round_trip(void **state)
{
    (void)state;
    char bytes[RECORD_BYTES];
    struct shim_record shim = {7, 11, 12, 13, UINT64_MAX, 1700000000123456789, "8e26-boot"}, shim_back;
    shim_record_format(bytes, &shim);
    assert_true(shim_record_parse(&shim_back, bytes, sizeof(bytes)));
    assert_int_equal(shim_back.incarnation, 7);
    assert_int_equal(shim_back.shim_pid, 11);
    assert_int_equal(shim_back.shim_start, 12);
    assert_int_equal(shim_back.pid, 13);
    assert_true(shim_back.pid_start == UINT64_MAX);
    assert_int_equal(shim_back.started_at_ns, 1700000000123456789);
    assert_string_equal(shim_back.boot_id, "8e26-boot");
    struct exit_record exit = {3, 137, 9, true, 42, 5, 10, 11, 12}, exit_back;
    exit_record_format(bytes, &exit);
    assert_true(exit_record_parse(&exit_back, bytes, sizeof(bytes)));
    assert_int_equal(exit_back.incarnation, 3);
    assert_int_equal(exit_back.exit_code, 137);
    assert_int_equal(exit_back.signal, 9);
    assert_true(exit_back.oom_killed);
    assert_int_equal(exit_back.finished_at_ns, 42);
    assert_int_equal(exit_back.log_lost_bytes, 5);
    assert_int_equal(exit_back.shim_pid, 10);
    assert_int_equal(exit_back.pid, 11);
    assert_int_equal(exit_back.started_at_ns, 12);
    assert_false(shim_record_parse(&shim_back, bytes, sizeof(bytes))); /* of the other kind */
}

/* Every truncation and every changed byte of the text is noticed. */
static void damage_is_noticed(void **state)
{
    (void)state;
    char bytes[RECORD_BYTES], torn[RECORD_BYTES];
    struct exit_record record = {1, 0, 0, false, 1700000000123456789, 0, 2, 3, 1700000000000000000}, back;
    exit_record_format(bytes, &record);
    size_t length = strlen(bytes);
    for (size_t size = 0; size < length; size++) {
        memset(torn, 0, sizeof(torn));
        memcpy(torn, bytes, size);
        assert_false(exit_record_parse(&back, torn, sizeof(torn)));
        assert_false(exit_record_parse(&back, bytes, size));
    }
    for (size_t i = 0; i < length; i++) {
        memcpy(torn, bytes, sizeof(torn));
        torn[i] ^= 1;
        assert_false(exit_record_parse(&back, torn, sizeof(torn)));
    }
    assert_false(exit_record_parse(&back, torn, RECORD_BYTES + 1));
}

static void records_of_any_build_tell_their_version(void **state)
{
    (void)state;
    char bytes[RECORD_BYTES];
    const struct shim_record shim = {.incarnation = 1, .shim_pid = 2, .pid = 3, .boot_id = "b"};
    const struct exit_record exit = {.incarnation = 1};
    /* as a later build might write it */
    static const char newer[] = "wharf-exit 2 ended=1 sum=3874cd88\n";
    shim_record_format(bytes, &shim);
    assert_int_equal(record_version(bytes, sizeof(bytes)), RECORD_VERSION);
    exit_record_format(bytes, &exit);
    assert_int_equal(record_version(bytes, sizeof(bytes)), RECORD_VERSION);
    assert_int_equal(record_version(newer, sizeof(newer) - 1), 2);
    struct exit_record back;
    assert_false(exit_record_parse(&back, newer, sizeof(newer) - 1));
    assert_int_equal(record_version(newer, sizeof(newer) - 2), 0);
    assert_int_equal(record_version("", 0), 0);
}

/* Shims of earlier builds did not repeat there what their own record says. */
static void exit_records_without_process_ids_are_read(void **state)
{
    (void)state;
    static const char text[] = "wharf-exit 1 incarnation=3 exit_code=7 signal=0 oom_killed=0 finished_at=42 "
                               "log_lost=5 sum=e64ca834\n";
    struct exit_record back;
    assert_true(exit_record_parse(&back, text, sizeof(text) - 1));
    assert_int_equal(back.exit_code, 7);
    assert_int_equal(back.log_lost_bytes, 5);
    assert_int_equal(back.pid, 0);
    assert_int_equal(back.started_at_ns, 0);
}

static void start_times_are_found_behind_any_name(void **state)
{
    (void)state;
    uint64_t ticks = 0;
    assert_true(proc_stat_start(
        "9459 (cat) R 9450 9450 4288 0 -1 4194304 98 0 0 0 0 0 0 0 20 0 1 0 262791 3133440 396", &ticks));
    assert_int_equal(ticks, 262791);
    assert_true(
        proc_stat_start("1 (a) b) 1 2 3 R 4) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 1", &ticks));
    assert_int_equal(ticks, 777);
    assert_false(proc_stat_start("1 (cat) R 1 2 3", &ticks));
    assert_false(proc_stat_start("", &ticks));
    assert_false(proc_stat_start("1 (cat) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x", &ticks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(records_of_any_build_tell_their_version),
        cmocka_unit_test(exit_records_without_process_ids_are_read),
        cmocka_unit_test(start_times_are_found_behind_any_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
