/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "events/log/log_codec.h"

static void test_text_is_utf8_without_nul(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "x\xe2\x82\xacy"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(log_is_text(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(log_is_text(bad[i], strlen(bad[i])));
    assert_false(log_is_text("a\0b", 3));
}

static void test_the_checksum_is_what_b2sum_prints(void **state)
{
    (void)state;
    char checksum[LOG_CHECKSUM_SIZE];
    log_checksum(checksum, "abc", 3); /* printf abc | b2sum -l 128 */
    assert_string_equal(checksum, "cf4ab791c62b8d2b2109c90275287816");
    log_checksum(checksum, NULL, 0);
    assert_string_equal(checksum, "cae66941d9efbd404e4d88758ea67670");
}

static void test_headers_come_back(void **state)
{
    (void)state;
    static const struct log_header headers[] = {{"content-type", "application/json"},
                                                {"odd \"\\\n", "\x01\xc3\xbc"}};
    for (size_t n = 0; n <= 2; n++) {
        struct log_entry entry = {.value = "abc", .value_size = 3, .headers = headers, .n_headers = n};
        auto_buf struct buf text = BUF_INIT;
        log_headers_encode(&text, &entry);
        assert_false(text.failed);
        struct log_headers got = {.n = 0};
        assert_int_equal(log_headers_decode(&got, text.data, text.size), 0);
        assert_int_equal(got.n, n);
        for (size_t i = 0; i < n; i++) {
            assert_string_equal(got.items[i].name, headers[i].name);
            assert_string_equal(got.items[i].value, headers[i].value);
        }
        assert_string_equal(got.checksum, "cf4ab791c62b8d2b2109c90275287816");
        log_headers_release(&got);
    }
}

static void test_what_others_wrote_is_understood_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int n; /* headers, or -1 */
    } cases[] = {
        {"{}", 0},
        {" { \"a\" : \"b\" } ", 1},
        {"{\"a\":\"b\",\"c\":\"d\"}", 2},
        {"{\"a\":\"\\u0041\"}", 1},
        {"{\"blake2b\":\"00\"}", 0},
        {"", -1},
        {"{", -1},
        {"[]", -1},
        {"null", -1},
        {"{\"a\":1}", -1},
        {"{\"a\":\"b\",}", -1},
        {"{\"a\":\"b\"}x", -1},
        {"{\"a\"\"b\"}", -1},
        {"{\"a\":\"b", -1},
        {"{\"a\":{\"b\":\"c\"}}", -1},
        {"{\"a\":\"\xff\"}", -1},
    };
    struct log_headers got = {.n = 0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int rc = log_headers_decode(&got, cases[i].text, strlen(cases[i].text));
        if ((rc == 0 ? (int)got.n : -1) != cases[i].n)
            fail_msg("'%s' gives %d and %zu headers", cases[i].text, rc, got.n);
    }
    log_headers_release(&got);
}

/* Every text of a few characters that matter to the parser; the sanitizers watch. */
static void test_garbage_does_no_harm(void **state)
{
    (void)state;
    static const char alphabet[] = "{}\":,\\au0 \xff";
    struct log_headers got = {.n = 0};
    srand(1);
    for (int round = 0; round < 200000; round++) {
        size_t size = (size_t)rand() % 24;
        char *text = malloc(size + 1); /* exactly as long as it says, so that a read too far is seen */
        assert_non_null(text);
        for (size_t i = 0; i < size; i++)
            text[i] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
        char *exact = realloc(text, size > 0 ? size : 1);
        assert_non_null(exact);
        int rc = log_headers_decode(&got, exact, size);
        assert_true(rc == 0 || (rc == -1 && got.n == 0 && got.checksum == NULL));
        free(exact);
    }
    log_headers_release(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_utf8_without_nul),
        cmocka_unit_test(test_the_checksum_is_what_b2sum_prints),
        cmocka_unit_test(test_headers_come_back),
        cmocka_unit_test(test_what_others_wrote_is_understood_or_refused),
        cmocka_unit_test(test_garbage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
