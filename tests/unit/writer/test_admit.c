/* SPDX-License-Identifier: Apache-2.0 */
/* From body to command: what is refused and where, and what is stamped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "writer/admit.h"

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static const struct admit_stamp stamp = {
    .now_ns = 1767323045000000006, .random = {1, 2, 3}, .actor = "unix:uid=7,pid=9", .key_scope = "uid=7"};

struct refusal_row {
    const char *body;
    const char *code;
    const char *pointer; /* NULL: none */
    const char *message; /* part of it */
};

#define RUN(data) "{\"type\":\"container.run\",\"data\":" data "}"

static const struct refusal_row refusals[] = {
    {"", "bad-json", NULL, "not valid JSON"},
    {"{", "bad-json", NULL, "not valid JSON"},
    {"{\"type\":1,\"type\":2}", "bad-json", NULL, "duplicate"},
    {"{} x", "bad-json", NULL, "end of file expected"},
    {"{\"type\":\"a\\u0000b\"}", "bad-json", NULL, "not valid JSON"},
    {"\"\xff\"", "bad-json", NULL, "not valid JSON"},
    {"[]", "wrong-type", "", "a command is a JSON object"},
    {"7", "wrong-type", "", "a command is a JSON object"},
    {"{}", "missing-field", "/type", "'/type' is missing"},
    {"{\"type\":7,\"data\":{}}", "wrong-type", "/type", "must be a string"},
    {"{\"type\":\"container.fly\",\"data\":{}}", "unknown-command", "/type", "no command 'container.fly'"},
    {"{\"type\":\"wharf.container.run.v1\",\"data\":{}}", "unknown-command", "/type", "no command"},
    {"{\"type\":\"container.run\"}", "missing-field", "/data", "'/data' is missing"},
    {RUN("[]"), "wrong-type", "/data", "'/data'"},
    {RUN("{}"), "missing-field", "/data/image", "'/data/image'"},
    {RUN("{\"image\":\"b\",\"colour\":1}"), "unknown-field", "/data/colour", "'/data/colour'"},
    {RUN("{\"image\":7}"), "wrong-type", "/data/image", "'/data/image'"},
    {RUN("{\"image\":\"../x\"}"), "bad-value", "/data/image", "image reference"},
    {RUN("{\"image\":\"b\",\"name\":\"-x\"}"), "bad-value", "/data/name", "'/data/name'"},
    {RUN("{\"image\":\"b\",\"memory\":1}"), "out-of-range", "/data/memory", "'/data/memory'"},
    {RUN("{\"image\":\"b\",\"env\":[\"A=1\",\"=\"]}"), "bad-value", "/data/env/1", "'/data/env/1'"},
    {RUN("{\"image\":\"b\",\"labels\":{\"a\":1}}"), "wrong-type", "/data/labels/a", "'/data/labels/a'"},
    {RUN("{\"image\":\"b\",\"user\":\"\"}"), "bad-value", "/data/user", "'/data/user'"},
    {"{\"type\":\"container.exec\",\"data\":{\"container\":\"web\",\"command\":[]}}", "bad-value",
     "/data/command", "'/data/command' must not be empty"},
    {"{\"type\":\"container.run\",\"data\":{\"image\":\"b\"},\"x/y~z\":1}", "unknown-field", "/x~1y~0z",
     "is unknown"},
    {"{\"type\":\"container.run\",\"data\":{\"image\":\"b\"},\"actor\":\"root\"}", "unknown-field", "/actor",
     "is unknown"},
    {"{\"type\":\"container.run\",\"data\":{\"image\":\"b\"},\"node\":7}", "wrong-type", "/node",
     "must be a string"},
    {"{\"type\":\"container.run\",\"data\":{\"image\":\"b\"},\"node\":\"\"}", "bad-value", "/node",
     "must not be empty"},
    {"{\"type\":\"container.kill\",\"data\":{\"container\":\"c\"},\"if_version\":\"1\"}", "wrong-type",
     "/if_version", "must be an integer"},
    {"{\"type\":\"container.kill\",\"data\":{\"container\":\"c\"},\"if_version\":1.5}", "wrong-type",
     "/if_version", "must be an integer"},
    {"{\"type\":\"container.kill\",\"data\":{\"container\":\"c\"},\"if_version\":0}", "out-of-range",
     "/if_version", "must be 1 or more"},
    {"{\"type\":\"container.stop\",\"data\":{\"container\":\"c\",\"timeout_s\":-1}}", "out-of-range",
     "/data/timeout_s", "'/data/timeout_s'"},
    {"{\"type\":\"container.stop\",\"data\":{\"container\":\"a/b\"}}", "bad-value", "/data/container",
     "'/data/container'"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal_row *row = &refusals[i];
        struct command command;
        struct admit_refusal refusal;
        struct err err = ERR_INIT;
        assert_int_equal(admit(&command, row->body, strlen(row->body), &stamp, &refusal, &err), -1);
        if (strcmp(refusal.code, row->code) != 0 || strstr(err.message, row->message) == NULL)
            print_error("row %zu '%s': %s '%s' %s\n", i, row->body, refusal.code, refusal.pointer,
                        err.message);
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(refusal.code, row->code);
        assert_int_equal(refusal.has_pointer, row->pointer != NULL);
        assert_string_equal(refusal.pointer, row->pointer != NULL ? row->pointer : "");
        assert_non_null(strstr(err.message, row->message));
    }
}

static void admit_ok(struct command *ret, const char *body, const struct admit_stamp *with)
{
    struct admit_refusal refusal;
    struct err err = ERR_INIT;
    int rc = admit(ret, body, strlen(body), with, &refusal, &err);
    if (rc < 0)
        print_error("%s: %s\n", body, err.message);
    assert_int_equal(rc, 0);
}

static void test_stamps(void **state)
{
    (void)state;
    struct command command;
    char container[CONTAINER_ID_SIZE];
    admit_ok(&command, RUN("{\"image\":\"busybox\",\"name\":\"web\"}"), &stamp);
    assert_int_equal(command.type, COMMAND_CONTAINER_RUN);
    assert_true(uuid_is_valid(command.envelope.id));
    assert_int_equal(command.envelope.id[14], '7');
    assert_string_equal(command.envelope.correlationid, command.envelope.id);
    assert_string_equal(command.envelope.causationid, "");
    assert_string_equal(command.envelope.source, "/wharf/writer");
    assert_string_equal(command.envelope.actor, "unix:uid=7,pid=9");
    assert_int_equal(command.envelope.time_ns, stamp.now_ns);
    assert_null(command.envelope.node);
    assert_null(command.envelope.traceparent);
    assert_int_equal(command.envelope.ifversion, SCHEMA_ABSENT);
    container_id_from_command(container, command.envelope.id);
    assert_string_equal(command.envelope.subject, container);
    command_release(&command);
}

static void test_keys(void **state)
{
    (void)state;
    struct admit_stamp keyed = stamp;
    struct command first, second, other;
    struct admit_refusal refusal;
    struct err err = ERR_INIT;
    keyed.idempotency_key = "k 1~";
    admit_ok(&first, RUN("{\"image\":\"busybox\"}"), &keyed);
    keyed.now_ns++;
    keyed.random[0]++;
    admit_ok(&second, RUN("{\"image\":\"busybox\"}"), &keyed);
    keyed.key_scope = "uid=8";
    admit_ok(&other, RUN("{\"image\":\"busybox\"}"), &keyed);
    assert_string_equal(first.envelope.id, second.envelope.id);
    assert_string_equal(first.envelope.subject, second.envelope.subject);
    assert_string_not_equal(first.envelope.id, other.envelope.id);
    command_release(&first);
    command_release(&second);
    command_release(&other);
    char longest[257];
    memset(longest, 'k', 256);
    longest[256] = '\0';
    const char *const bad[] = {"", "a\tb", "gr\xc3\xbc\xc3\x9f", longest};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        keyed.idempotency_key = bad[i];
        assert_int_equal(admit(&first, "{}", 2, &keyed, &refusal, &err), -1);
        assert_string_equal(refusal.code, "bad-value");
        assert_false(refusal.has_pointer);
    }
    longest[255] = '\0';
    keyed.idempotency_key = longest;
    admit_ok(&first, RUN("{\"image\":\"busybox\"}"), &keyed);
    command_release(&first);
}

static void test_subjects(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *subject;
    } rows[] = {
        {"{\"type\":\"container.start\",\"data\":{\"container\":\"web\"}}", "web"},
        {"{\"type\":\"container.stop\",\"data\":{\"container\":\"web\"}}", "web"},
        {"{\"type\":\"container.kill\",\"data\":{\"container\":\"abc\",\"signal\":\"HUP\"}}", "abc"},
        {"{\"type\":\"container.restart\",\"data\":{\"container\":\"web\"}}", "web"},
        {"{\"type\":\"container.remove\",\"data\":{\"container\":\"web\",\"force\":true}}", "web"},
        {"{\"type\":\"image.import\",\"data\":{\"source\":\"/i.tar\",\"reference\":\"x:1\"}}", "x:1"},
        {"{\"type\":\"image.remove\",\"data\":{\"image\":\"x:1\"}}", "x:1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct command command;
        admit_ok(&command, rows[i].body, &stamp);
        assert_string_equal(command.envelope.subject, rows[i].subject);
        command_release(&command);
    }
}

static void test_options(void **state)
{
    (void)state;
    struct command command;
    struct admit_stamp traced = stamp;
    traced.traceparent = TRACE;
    admit_ok(&command,
             "{\"type\":\"container.kill\",\"data\":{\"container\":\"c\"},\"node\":\"n1\",\"if_version\":4}",
             &traced);
    assert_string_equal(command.envelope.node, "n1");
    assert_int_equal(command.envelope.ifversion, 4);
    assert_string_equal(command.envelope.traceparent, TRACE);
    command_release(&command);
    traced.traceparent = "00-x";
    admit_ok(&command,
             "{\"type\":\"container.kill\",\"data\":{\"container\":\"c\"},\"node\":null,\"if_version\":null}",
             &traced);
    assert_null(command.envelope.node);
    assert_null(command.envelope.traceparent);
    command_release(&command);
}

static void test_traceparent(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {TRACE, true},
        {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", true},
        {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
        {TRACE "-x", false},
        {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", false},
        {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false},
        {"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (admit_traceparent_is_valid(rows[i].text) != rows[i].valid)
            print_error("%s\n", rows[i].text);
        assert_int_equal(admit_traceparent_is_valid(rows[i].text), rows[i].valid);
    }
}

static void test_fingerprints(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool same; /* as the first */
    } rows[] = {
        {RUN("{\"image\":\"b\",\"labels\":{\"a\":\"1\"}}"), true},
        {"{ \"node\":\"n\", \"data\" : {\"labels\":{\"a\":\"1\"} "
         ",\"image\":\"b\"},\"type\":\"container.run\"}",
         true},
        {RUN("{\"image\":\"b\",\"labels\":{\"a\":\"1\"},\"read_only\":false}"), true},
        {RUN("{\"image\":\"b\",\"labels\":{\"a\":\"2\"}}"), false},
        {RUN("{\"image\":\"b\"}"), false},
        {"{\"type\":\"container.create\",\"data\":{\"image\":\"b\",\"labels\":{\"a\":\"1\"}}}", false},
        {"{\"type\":\"container.run\",\"data\":{\"image\":\"b\",\"labels\":{\"a\":\"1\"}},\"if_version\":1}",
         false},
    };
    char first[SHA256_HEX_SIZE] = "";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct command command, stored;
        struct err err = ERR_INIT;
        char print[SHA256_HEX_SIZE], again[SHA256_HEX_SIZE];
        admit_ok(&command, rows[i].body, &stamp);
        assert_int_equal(admit_fingerprint(&command, print, &err), 0);
        if (command.envelope.node == NULL)
            command.envelope.node = strdup("n");
        size_t size;
        char *text = command_encode(&command, &size, &err);
        assert_non_null(text);
        assert_int_equal(command_decode(&stored, text, size, &err), 0); /* what the log gives back */
        assert_int_equal(admit_fingerprint(&stored, again, &err), 0);
        assert_string_equal(print, again);
        if (i == 0)
            memcpy(first, print, sizeof(first));
        assert_int_equal(strcmp(first, print) == 0, rows[i].same);
        free(text);
        command_release(&command);
        command_release(&stored);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refusals),    cmocka_unit_test(test_stamps),
                                       cmocka_unit_test(test_keys),        cmocka_unit_test(test_subjects),
                                       cmocka_unit_test(test_options),     cmocka_unit_test(test_traceparent),
                                       cmocka_unit_test(test_fingerprints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
