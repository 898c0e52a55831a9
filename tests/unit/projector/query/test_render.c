/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of answers, and what is taken as a parameter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "projector/query/render.h"

#define ID "00000000000000000000000000000000000000000000000000000000000000aa"

static void strings_are_escaped(void **state)
{
    (void)state;
    auto_buf struct buf text = BUF_INIT;
    static const char raw[] = "a\"b\\c\n\x01\xc3\xa9";
    render_string(&text, raw, sizeof(raw) - 1);
    assert_string_equal(text.data, "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"");
    json_auto_t *back = json_loads(text.data, JSON_DECODE_ANY, NULL);
    assert_string_equal(json_string_value(back), raw);
}

static void a_container_has_every_member_with_its_type(void **state)
{
    (void)state;
    static const char *const stored[RENDER_CONTAINER_FIELDS] = {ID,
                                                                "web\"",
                                                                "n1",
                                                                "busybox:latest",
                                                                "running",
                                                                "77",
                                                                "",
                                                                "",
                                                                "2026-01-01T00:00:00.000000000Z",
                                                                "",
                                                                NULL,
                                                                "3",
                                                                "",
                                                                "0",
                                                                "",
                                                                "{\"a\":\"b\"}",
                                                                NULL};
    struct render_value values[RENDER_CONTAINER_FIELDS];
    for (size_t i = 0; i < RENDER_CONTAINER_FIELDS; i++)
        values[i] = (struct render_value){stored[i], stored[i] != NULL ? strlen(stored[i]) : 0};
    auto_buf struct buf text = BUF_INIT;
    render_container(&text, values);
    json_auto_t *object = json_loads(text.data, JSON_REJECT_DUPLICATES, NULL);
    json_auto_t *expected = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:i,s:n,s:s,s:s,s:n,s:n,s:i,s:s,s:i,s:s,s:{s:s},s:{}}", "id", ID, "name",
        "web\"", "node", "n1", "image", "busybox:latest", "state", "running", "pid", 77, "exit_code",
        "reason", "", "created_at", "2026-01-01T00:00:00.000000000Z", "started_at", "finished_at", "version",
        3, "health", "", "restarts", 0, "ip", "", "labels", "a", "b", "spec");
    assert_non_null(expected);
    assert_true(json_equal(object, expected));
    for (size_t i = 0; i < RENDER_CONTAINER_FIELDS; i++)
        assert_non_null(json_object_get(object, render_container_fields[i]));
    assert_null(render_container_fields[RENDER_CONTAINER_FIELDS]);
}

static void an_event_becomes_one_line(void **state)
{
    (void)state;
    auto_buf struct buf text = BUF_INIT;
    static const char pretty[] = "{\n \"id\": \"x\\n\"\r\n} \n";
    render_event_line(&text, pretty, sizeof(pretty) - 1, 3, 42);
    assert_string_equal(text.data, "{  \"id\": \"x\\n\"  ,\"_partition\":3,\"_offset\":42}\n");
    buf_reset(&text);
    render_event_line(&text, "[]", 2, 0, 0);
    assert_int_equal(text.size, 0);
}

static void cursors_come_back_and_others_do_not(void **state)
{
    (void)state;
    struct cursor cursor = {.created_us = 1767225600001000, .id = ID}, back;
    char text[CURSOR_TEXT_SIZE];
    cursor_format(text, &cursor);
    assert_int_equal(cursor_parse(&back, text), 0);
    assert_int_equal(back.created_us, cursor.created_us);
    assert_string_equal(back.id, cursor.id);
    static const char *const bad[] = {"",          "-",     "1-",   "-1-" ID,
                                      "1-" ID "a", "x-" ID, "1" ID, "99999999999999999999-" ID,
                                      "0x1-" ID,   " 1-" ID};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(cursor_parse(&back, bad[i]), -1);
}

static void positions_and_numbers_are_strict(void **state)
{
    (void)state;
    uint32_t partition;
    int64_t offset, number;
    assert_int_equal(position_parse("7:1234567890123", &partition, &offset), 0);
    assert_int_equal(partition, 7);
    assert_int_equal(offset, 1234567890123);
    static const char *const bad[] = {"", ":", "1:", ":1", "1:-1", "-1:1", "1:2:3", "4294967296:0", "1:2 "};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(position_parse(bad[i], &partition, &offset), -1);
    assert_int_equal(number_parse("10", 1, 10, &number), 0);
    assert_int_equal(number_parse("11", 1, 10, &number), -1);
    assert_int_equal(number_parse("+1", 1, 10, &number), -1);
    assert_int_equal(number_parse("9223372036854775808", 1, INT64_MAX, &number), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(a_container_has_every_member_with_its_type),
        cmocka_unit_test(an_event_becomes_one_line),
        cmocka_unit_test(cursors_come_back_and_others_do_not),
        cmocka_unit_test(positions_and_numbers_are_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
