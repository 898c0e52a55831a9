/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, ending and failing containers on the real kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/root/host_fixture.h"

static void runs_a_command_to_its_exit_code(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("echo hello; echo oops >&2; exit 3");
    int64_t before = clock_realtime_ns();
    fixture_launch(f, id, 1, &spec);
    if (!f->result.ok)
        fail_msg("%s", f->result.message);
    assert_true(f->result.pid > 1);
    assert_true(f->result.shim_pid > 1);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.container_id, id);
    assert_int_equal(f->exit.incarnation, 1);
    assert_string_equal(f->exit.reason, "exited");
    assert_int_equal(f->exit.exit_code, 3);
    assert_int_equal(f->exit.signal, 0);
    assert_true(f->result.started_at_ns >= before);
    assert_true(f->exit.finished_at_ns >= f->result.started_at_ns);
    assert_true(f->exit.finished_at_ns <= clock_realtime_ns());
    auto_free char *log = fixture_log(f, id);
    assert_true(strcmp(log, "hello\noops\n") == 0 || strcmp(log, "oops\nhello\n") == 0);
    fixture_remove(f, id);
    spec_release(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_a_command_to_its_exit_code, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
