/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void test_memory(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } cases[] = {{"4096", 4096},
                 {"512m", 512LL << 20},
                 {"512M", 512LL << 20},
                 {"512mb", 512LL << 20},
                 {"64MiB", 64LL << 20},
                 {"1.5g", 3LL << 29},
                 {"0.1k", 102},
                 {"2t", 2LL << 40},
                 {"7b", 7},
                 {"", -1},
                 {"m", -1},
                 {"12x", -1},
                 {"-1m", -1},
                 {"1 m", -1},
                 {"1mm", -1},
                 {"7bb", -1},
                 {"99999999999999999999999t", -1},
                 {"9999999999t", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t bytes = -1;
        struct err err = ERR_INIT;
        int rc = value_memory(cases[i].text, &bytes, &err);
        assert_int_equal(rc, cases[i].bytes < 0 ? -1 : 0);
        assert_int_equal(bytes, cases[i].bytes);
        assert_int_equal(err.code, rc < 0 ? ERR_INVALID : ERR_NONE);
    }
}

static void test_cpus(void **state)
{
    (void)state;
    int64_t millis = 0;
    assert_int_equal(value_cpus("1.5", &millis, NULL), 0);
    assert_int_equal(millis, 1500);
    assert_int_equal(value_cpus("0.001", &millis, NULL), 0);
    assert_int_equal(millis, 1);
    assert_int_equal(value_cpus("2", &millis, NULL), 0);
    assert_int_equal(millis, 2000);
    static const char *const bad[] = {"", "0", "-1", "1.5x", "two", "0.0001", "."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(value_cpus(bad[i], &millis, NULL), -1);
}

static void test_durations(void **state)
{
    (void)state;
    int64_t ms = 0;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"0", 0},          {"0s", 0},         {"500ms", 500},      {"1m30s", 90000},
                {"1.5h", 5400000}, {"24h", 86400000}, {"1h1m1s", 3661000}, {"1500us", 1}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(value_duration(good[i].text, "interval", &ms, NULL), 0);
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {
        "", "5", "s", "-1s", "1d", "24h1ms", "100us", "1s2", "99999999999999999999h"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(value_duration(bad[i], "interval", &ms, NULL), -1);
}

static void test_restart(void **state)
{
    (void)state;
    const char *policy = NULL;
    int64_t max = -1;
    assert_int_equal(value_restart("on-failure:3", &policy, &max, NULL), 0);
    assert_string_equal(policy, "on-failure");
    assert_int_equal(max, 3);
    assert_int_equal(value_restart("unless-stopped", &policy, &max, NULL), 0);
    assert_string_equal(policy, "unless-stopped");
    assert_int_equal(max, 0);
    static const char *const bad[] = {
        "", "sometimes", "always:3", "on-failure:", "on-failure:x", "on-failure:-1", "no:1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(value_restart(bad[i], &policy, &max, NULL), -1);
}

static void check_json(json_t *value, const char *expected)
{
    char *text = json_dumps(value, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void test_words(void **state)
{
    (void)state;
    json_t *words = NULL;
    assert_int_equal(value_words(" sh  -c ls ", "command", &words, NULL), 0);
    check_json(words, "[\"sh\",\"-c\",\"ls\"]");
    assert_int_equal(value_words("[\"sh\", \"-c\", \"echo a b\"]", "command", &words, NULL), 0);
    check_json(words, "[\"sh\",\"-c\",\"echo a b\"]");
    assert_int_equal(value_words("", "command", &words, NULL), 0);
    check_json(words, "[]");
    assert_int_equal(value_words("[1]", "command", &words, NULL), -1);
    assert_int_equal(value_words("[\"a\"", "command", &words, NULL), -1);
}

static void test_env(void **state)
{
    (void)state;
    json_t *list = json_array();
    setenv("WHARF_TEST_SET", "own", 1);
    unsetenv("WHARF_TEST_UNSET");
    assert_int_equal(value_add_env(list, "A=1", NULL), 0);
    assert_int_equal(value_add_env(list, "AB=2", NULL), 0);
    assert_int_equal(value_add_env(list, "A=3=4", NULL), 0);
    assert_int_equal(value_add_env(list, "WHARF_TEST_SET", NULL), 0);
    assert_int_equal(value_add_env(list, "WHARF_TEST_UNSET", NULL), 0);
    assert_int_equal(value_add_env(list, "EMPTY=", NULL), 0);
    assert_int_equal(value_add_env(list, "=x", NULL), -1);
    assert_int_equal(value_add_env(list, "", NULL), -1);
    check_json(list, "[\"A=3=4\",\"AB=2\",\"WHARF_TEST_SET=own\",\"EMPTY=\"]");
}

static void test_env_file(void **state)
{
    (void)state;
    char path[] = "/tmp/test-env-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "# a comment\n\nA=1\r\n  B=two words \n=broken\n";
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    json_t *list = json_array();
    struct err err = ERR_INIT;
    assert_int_equal(value_read_env_file(list, path, &err), -1);
    assert_non_null(strstr(err.message, "line 5"));
    check_json(list, "[\"A=1\",\"B=two words \"]");
    unlink(path);
    list = json_array();
    assert_int_equal(value_read_env_file(list, path, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    json_decref(list);
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds, ns;
    } fine[] = {{"2026-01-02T03:04:05Z", 1767323045, 0},
                {"2026-01-02T03:04:05", 1767315845, 0},
                {"2026-01-02T03:04", 1767315840, 0},
                {"2026-01-02", 1767304800, 0},
                {"2026-01-02T03:04:05.25", 1767315845, 250000000},
                {"1767323045", 1767323045, 0},
                {"10s", 90, 0}};
    static const char *const bad[] = {
        "", "2026-02-31", "2026-01-02T", "2026-01-02T03:04:05.", "2026-01-02T03:04.5", "yesterday"};
    int64_t ns;
    setenv("TZ", "EET-2", 1); /* two hours before UTC */
    tzset();
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        if (value_time(fine[i].text, INT64_C(100000000000), &ns, NULL) < 0 ||
            ns != fine[i].seconds * 1000000000 + fine[i].ns)
            fail_msg("'%s' is %lld", fine[i].text, (long long)ns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (value_time(bad[i], 0, &ns, NULL) == 0)
            fail_msg("'%s' was accepted", bad[i]);
    unsetenv("TZ");
    tzset();
}

static void test_labels_and_sizes(void **state)
{
    (void)state;
    json_t *labels = json_object();
    assert_int_equal(value_add_label(labels, "tier=web", NULL), 0);
    assert_int_equal(value_add_label(labels, "flag", NULL), 0);
    assert_int_equal(value_add_label(labels, "=x", NULL), -1);
    check_json(labels, "{\"tier\":\"web\",\"flag\":\"\"}");
    char text[32];
    static const struct {
        int64_t bytes;
        const char *text;
    } sizes[] = {{0, "0B"},           {999, "999B"},   {1000, "1kB"},
                 {4310000, "4.31MB"}, {999600, "1MB"}, {123456789012, "123GB"}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        value_format_size(text, sizes[i].bytes);
        assert_string_equal(text, sizes[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory),          cmocka_unit_test(test_cpus),
                                       cmocka_unit_test(test_durations),       cmocka_unit_test(test_restart),
                                       cmocka_unit_test(test_words),           cmocka_unit_test(test_env),
                                       cmocka_unit_test(test_env_file),        cmocka_unit_test(test_times),
                                       cmocka_unit_test(test_labels_and_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
