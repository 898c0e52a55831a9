/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/timestamp.h"
#include "cmd/client/table.h"

static void test_table(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct table table;
    table_init(&table, 3);
    static const char *const cells[] = {"NAME", "X", "LAST", "größe", "1", "a\x1b[31m", "c", "long cell", ""};
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        table_add(&table, "%s", cells[i]);
    assert_int_equal(table_print(&table, out, NULL), 0);
    fclose(out);
    assert_string_equal(text, "NAME    X           LAST\n"
                              "größe   1           a?[31m\n"
                              "c       long cell   \n");
    free(text);
    table_release(&table);
}

static void test_shorten(void **state)
{
    (void)state;
    char ret[64];
    text_shorten(ret, sizeof(ret), "sleep 1000", 20);
    assert_string_equal(ret, "sleep 1000");
    text_shorten(ret, sizeof(ret), "äöüäöü", 4);
    assert_string_equal(ret, "äöü…");
}

static void check_status(const char *json, const char *expected)
{
    int64_t now_ns = 0;
    char text[160];
    json_t *container = json_loads(json, 0, NULL);
    assert_int_equal(timestamp_parse("2026-01-02T03:00:00Z", &now_ns, NULL), 0);
    listing_status(text, sizeof(text), container, now_ns);
    assert_string_equal(text, expected);
    json_decref(container);
}

static void test_status(void **state)
{
    (void)state;
    check_status("{\"state\":\"running\",\"started_at\":\"2026-01-02T02:55:00Z\"}", "Up 5 minutes");
    check_status("{\"state\":\"exited\",\"exit_code\":137,\"finished_at\":\"2026-01-02T00:00:00Z\"}",
                 "Exited (137) 3 hours ago");
    check_status("{\"state\":\"exited\",\"exit_code\":null,\"finished_at\":\"\"}", "Exited (?)");
    check_status("{\"state\":\"created\"}", "Created");
    check_status("{\"state\":\"restarting\",\"exit_code\":1,\"finished_at\":\"2026-01-02T02:59:59Z\"}",
                 "Restarting (1) 1 second ago");
    check_status("{\"state\":\"stopping\",\"started_at\":\"2026-01-01T03:00:00Z\"}", "Up 1 day (stopping)");
    check_status("{}", "");
}

static void test_command(void **state)
{
    (void)state;
    json_t *container = json_loads(
        "{\"spec\":{\"entrypoint\":[\"\"],\"command\":[\"sleep\",\"100000000000000000\"]}}", 0, NULL);
    char *text = listing_command(container, false);
    assert_string_equal(text, "\"sleep 1000000000000…\"");
    free(text);
    text = listing_command(container, true);
    assert_string_equal(text, "\"sleep 100000000000000000\"");
    free(text);
    json_decref(container);
}

static void test_filters(void **state)
{
    (void)state;
    static const struct listing_filter filters[] = {
        {"state", "state"}, {"status", "state"}, {"label", "label"}, {NULL, NULL}};
    const char *good[] = {"status=running", "label=a=b c"};
    const char *bad[] = {"colour=red"};
    struct option_list list = {good, 2};
    struct buf target = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(listing_add_filters(&target, &list, filters, &err), 0);
    assert_string_equal(target.data, "&state=running&label=a%3Db%20c");
    list = (struct option_list){bad, 1};
    assert_int_equal(listing_add_filters(&target, &list, filters, &err), -1);
    assert_string_equal(err.message, "'colour=red' is no filter: give state=..., status=... or label=...");
    buf_release(&target);
    enum listing_format format;
    assert_int_equal(listing_format("json", LISTING_TABLE, &format, NULL), 0);
    assert_int_equal(format, LISTING_JSON);
    assert_int_equal(listing_format("{{.ID}}", LISTING_TABLE, &format, NULL), -1);
}

static void check_order(const char *member, bool newest_first, const char *expected)
{
    static const char rows[] =
        "[{\"n\":\"b\",\"t\":\"1\"},{\"n\":\"c\",\"t\":\"2\"},{\"n\":\"a\",\"t\":\"1\"}]";
    json_t *list = json_loads(rows, 0, NULL);
    char order[8] = "";
    size_t i;
    const json_t *row;
    assert_int_equal(listing_sort(list, member, newest_first, "n", NULL), 0);
    json_array_foreach(list, i, row) strcat(order, json_string_value(json_object_get(row, "n")));
    assert_string_equal(order, expected);
    json_decref(list);
}

static void test_order(void **state)
{
    (void)state;
    check_order("n", false, "abc");
    check_order("t", true, "cab");
    check_order("none", false, "abc");
    json_t *empty = json_array();
    assert_int_equal(listing_sort(empty, "n", false, "t", NULL), 0);
    json_decref(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table),   cmocka_unit_test(test_shorten),
                                       cmocka_unit_test(test_status),  cmocka_unit_test(test_command),
                                       cmocka_unit_test(test_filters), cmocka_unit_test(test_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
