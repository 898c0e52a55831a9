/* SPDX-License-Identifier: Apache-2.0 */
/* A container as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "projector/row.h"

#define ID "00000000000000000000000000000000000000000000000000000000000000aa"

static void strings_are_escaped(void **state)
{
    (void)state;
    auto_buf struct buf text = BUF_INIT;
    static const char raw[] = "a\"b\\c\n\x01\xc3\xa9";
    row_string(&text, raw, sizeof(raw) - 1);
    assert_string_equal(text.data, "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"");
    json_auto_t *back = json_loads(text.data, JSON_DECODE_ANY, NULL);
    assert_string_equal(json_string_value(back), raw);
}

static void a_container_has_every_member_with_its_type(void **state)
{
    (void)state;
    static const char *const stored[ROW_FIELDS] = {ID,
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
    struct row_value values[ROW_FIELDS];
    for (size_t i = 0; i < ROW_FIELDS; i++)
        values[i] = (struct row_value){stored[i], stored[i] != NULL ? strlen(stored[i]) : 0};
    auto_buf struct buf text = BUF_INIT;
    row_render(&text, values);
    json_auto_t *object = json_loads(text.data, JSON_REJECT_DUPLICATES, NULL);
    json_auto_t *expected = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:i,s:n,s:s,s:s,s:n,s:n,s:i,s:s,s:i,s:s,s:{s:s},s:{}}", "id", ID, "name",
        "web\"", "node", "n1", "image", "busybox:latest", "state", "running", "pid", 77, "exit_code",
        "reason", "", "created_at", "2026-01-01T00:00:00.000000000Z", "started_at", "finished_at", "version",
        3, "health", "", "restarts", 0, "ip", "", "labels", "a", "b", "spec");
    assert_non_null(expected);
    assert_true(json_equal(object, expected));
    for (size_t i = 0; i < ROW_FIELDS; i++)
        assert_non_null(json_object_get(object, row_fields[i]));
    assert_null(row_fields[ROW_FIELDS]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(a_container_has_every_member_with_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
