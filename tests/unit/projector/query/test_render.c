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
        cmocka_unit_test(an_event_becomes_one_line),
        cmocka_unit_test(cursors_come_back_and_others_do_not),
        cmocka_unit_test(positions_and_numbers_are_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
