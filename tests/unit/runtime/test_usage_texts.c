/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of /proc and cgroupfs that usage is read from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/proc_text.h"
#include "runtime/sandbox/cgroup_usage.h"

static void stat_is_read_behind_any_name(void **state)
{
    (void)state;
    struct proc_stat stat;
    assert_true(
        proc_stat_parse("7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 555 1000000 77 "
                        "18446744073709551615",
                        &stat));
    assert_int_equal(stat.state, 'S');
    assert_int_equal(stat.parent_pid, 1);
    assert_int_equal(stat.cpu_ticks, 11 + 22 + 33 + 44);
    assert_int_equal(stat.started_ticks, 555);
    assert_int_equal(stat.resident_pages, 77);
    assert_false(proc_stat_parse("", &stat));
    assert_false(proc_stat_parse("7 (a)", &stat));
    assert_false(proc_stat_parse("7 (a) S 1 2 3", &stat));
}

static void loopback_does_not_count(void **state)
{
    (void)state;
    int64_t received, sent;
    proc_net_dev_sum("Inter-|   Receive                                                |  Transmit\n"
                     " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
                     "    lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0\n"
                     "  eth0: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n"
                     "  lo1:300 1 0 0 0 0 0 0 400 1 0 0 0 0 0 0\n",
                     &received, &sent);
    assert_int_equal(received, 310);
    assert_int_equal(sent, 420);
    proc_net_dev_sum("eth0:", &received, &sent);
    assert_int_equal(received, 0);
}

static void numbers_are_found_by_their_keys(void **state)
{
    (void)state;
    assert_int_equal(proc_keyed_number("Name:\tx\nUid:\t1000\t0\t0\t0\n", "Uid", ':'), 1000);
    assert_int_equal(proc_keyed_number("rchar: 1\nread_bytes: 4096\n", "read_bytes", ':'), 4096);
    assert_int_equal(proc_keyed_number("rchar: 1\n", "read_bytes", ':'), -1);
    assert_int_equal(proc_keyed_number("active_file 7\ninactive_file 12\n", "inactive_file", ' '), 12);
    assert_int_equal(proc_keyed_number("total_inactive_file 12\n", "inactive_file", ' '), -1);
    assert_int_equal(proc_keyed_number("", "x", ' '), -1);
    assert_int_equal(
        cgroup_summed_number("8:0 rbytes=5 wbytes=6 rios=1\n8:16 rbytes=50 wbytes=60\n", " rbytes="), 55);
    assert_int_equal(cgroup_summed_number("", " rbytes="), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stat_is_read_behind_any_name),
        cmocka_unit_test(loopback_does_not_count),
        cmocka_unit_test(numbers_are_found_by_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
