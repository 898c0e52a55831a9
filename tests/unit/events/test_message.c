/* SPDX-License-Identifier: Apache-2.0 */
/* The codec: what is written comes back, and what is wrong is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "events/message.h"

#define ID "0190f5fe-7c00-7a00-8000-000000000001"
#define ENVELOPE                                                                                             \
    "\"specversion\":\"1.0\",\"id\":\"" ID "\",\"source\":\"/wharf/writer\",\"time\":"                       \
    "\"2026-01-02T03:04:05.000000006Z\",\"datacontenttype\":\"application/json\",\"node\":\"n1\","           \
    "\"actor\":\"unix:uid=0\",\"correlationid\":\"" ID "\""
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define CHAIN "\"subject\":\"x\",\"streamversion\":1,\"nodeseq\":1,\"epoch\":1,\"prevhash\":\"" ZEROS "\""

static void assert_command_refused(const char *text, const char *expected)
{
    struct command command;
    struct err err = ERR_INIT;
    assert_int_equal(command_decode(&command, text, strlen(text), &err), -1);
    if (strstr(err.message, expected) == NULL)
        fail_msg("expected '%s' in '%s'", expected, err.message);
}

static void every_command_round_trips(void **state)
{
    (void)state;
    const char *text =
        "{" ENVELOPE ",\"type\":\"wharf.container.run.v1\",\"subject\":\"abc\",\"ifversion\":3,\"data\":{"
        "\"name\":\"web\",\"image\":\"busybox:latest\",\"command\":[\"sh\",\"-c\",\"true\"],"
        "\"env\":[\"A=1\"],\"labels\":{\"tier\":\"front\"},\"memory\":8388608,\"auto_remove\":true}}";
    struct command command;
    struct err err = ERR_INIT;
    assert_int_equal(command_decode(&command, text, strlen(text), &err), 0);
    assert_int_equal(command.type, COMMAND_CONTAINER_RUN);
    assert_string_equal(command.data.spec.name, "web");
    assert_int_equal(command.data.spec.command.n, 3);
    assert_string_equal(string_map_get(&command.data.spec.labels, "tier"), "front");
    assert_int_equal(command.data.spec.memory, 8388608);
    assert_int_equal(command.data.spec.cpu_millis, SCHEMA_ABSENT);
    assert_true(command.data.spec.auto_remove);
    assert_int_equal(command.envelope.ifversion, 3);
    size_t size;
    auto_free char *again = command_encode(&command, &size, &err);
    struct command second;
    assert_int_equal(command_decode(&second, again, size, &err), 0);
    auto_free char *third = command_encode(&second, &size, &err);
    assert_string_equal(again, third);
    command_release(&command);
    command_release(&second);
}

static void every_event_type_round_trips_empty_members(void **state)
{
    (void)state;
    for (int type = 0; type < EVENT_TYPES; type++) {
        const struct schema *schema = event_types[type].schema();
        for (size_t i = 0; i < schema->n_fields; i++) {
            assert_non_null(schema->fields[i].doc);
            assert_true(schema->fields[i].offset < schema->size);
        }
    }
}

static void refusals_name_the_field(void **state)
{
    (void)state;
    assert_command_refused("", "not valid JSON");
    assert_command_refused("[]", "must be an object");
    assert_command_refused("{}", "'/data' is missing");
    assert_command_refused("{\"data\":{}}", "'/specversion' is missing");
    assert_command_refused("{" ENVELOPE ",\"type\":\"x\",\"data\":{}}",
                           "'/type' names no known command: 'x'");
    assert_command_refused("{" ENVELOPE ",\"type\":\"x\",\"colour\":1,\"data\":{}}",
                           "'/colour' is not known");
#define RUN(data) "{" ENVELOPE ",\"type\":\"wharf.container.run.v1\",\"data\":" data "}"
    assert_command_refused(RUN("{}"), "'/data/image' is missing in container.run");
    assert_command_refused(RUN("{\"image\":7}"), "'/data/image' must be a string");
    assert_command_refused(RUN("{\"image\":\"b\",\"memory\":1}"), "'/data/memory' must be at least 4194304");
    assert_command_refused(RUN("{\"image\":\"b\",\"memory\":\"1m\"}"), "'/data/memory' must be an integer");
    assert_command_refused(RUN("{\"image\":\"b\",\"env\":[\"A=1\",\"B\"]}"),
                           "'/data/env/1' must be KEY=VALUE");
    assert_command_refused(RUN("{\"image\":\"b\",\"labels\":{\"a/b~c\":1}}"),
                           "'/data/labels/a~1b~0c' must be");
    assert_command_refused(RUN("{\"image\":\"b\",\"labels\":{\"a b\":\"\"}}"), "has a bad key");
    assert_command_refused(RUN("{\"image\":\"b\",\"name\":\"-x\"}"), "'/data/name' must be");
    assert_command_refused(RUN("{\"image\":\"b\",\"image\":\"c\"}"), "duplicate");
}

static void an_event_needs_its_chain(void **state)
{
    (void)state;
    struct event event;
    struct err err = ERR_INIT;
    const char *bare = "{" ENVELOPE ",\"type\":\"wharf.container.restart_canceled.v1\",\"data\":{}}";
    assert_int_equal(event_decode(&event, bare, strlen(bare), &err), -1);
    assert_string_equal(err.message, "'/streamversion' is missing in an event");
    const char *whole =
        "{" ENVELOPE "," CHAIN ",\"type\":\"wharf.container.restart_canceled.v1\",\"data\":{}}";
    assert_int_equal(event_decode(&event, whole, strlen(whole), &err), 0);
    event_release(&event);
}

static void signals_have_names_and_numbers(void **state)
{
    (void)state;
    assert_int_equal(signal_by_name("TERM"), 15);
    assert_int_equal(signal_by_name("sigkill"), 9);
    assert_int_equal(signal_by_name("1"), 1);
    assert_int_equal(signal_by_name("RTMIN+3"), 37);
    assert_int_equal(signal_by_name("0"), -1);
    assert_int_equal(signal_by_name("65"), -1);
    assert_int_equal(signal_by_name("9x"), -1);
    assert_int_equal(signal_by_name(""), -1);
    assert_int_equal(signal_by_name("RTMIN+"), -1);
    char name[16];
    for (int i = 1; i <= 64; i++) {
        signal_format(name, i);
        assert_int_equal(signal_by_name(name), i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_round_trips),
        cmocka_unit_test(every_event_type_round_trips_empty_members),
        cmocka_unit_test(refusals_name_the_field),
        cmocka_unit_test(an_event_needs_its_chain),
        cmocka_unit_test(signals_have_names_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
