/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/client/detach_keys.h"

static void test_parse(void **state)
{
    (void)state;
    struct detach_keys keys = {0};
    struct err err = ERR_INIT;
    assert_int_equal(detach_keys_parse(&keys, "ctrl-p,ctrl-q", &err), 0);
    assert_int_equal(keys.n, 2);
    assert_memory_equal(keys.keys, "\x10\x11", 2);
    assert_int_equal(detach_keys_parse(&keys, "a,ctrl-@,ctrl-[,ctrl-_,Z", &err), 0);
    assert_int_equal(keys.n, 5);
    assert_memory_equal(keys.keys, "a\0\x1b\x1fZ", 5);
    assert_int_equal(detach_keys_parse(&keys, "", &err), 0);
    assert_int_equal(keys.n, 0);
    static const char *const bad[] = {"ctrl-", "ctrl-1", "ctrl-pp", "ab",
                                      ",a",    "a,",     "a,,b",    "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err_clear(&err);
        assert_int_equal(detach_keys_parse(&keys, bad[i], &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

/* What goes out of `typed`, given in pieces of `piece` bytes; a '!' at the end where it detached. */
static void check(const char *sequence, const char *typed, const char *expected)
{
    for (size_t piece = 1; piece <= strlen(typed); piece++) {
        struct detach_keys keys = {0};
        char out[256], all[512] = "";
        bool detached = false;
        assert_int_equal(detach_keys_parse(&keys, sequence, NULL), 0);
        for (size_t at = 0; at < strlen(typed) && !detached; at += piece) {
            size_t size = strlen(typed) - at < piece ? strlen(typed) - at : piece;
            size_t n = detach_keys_filter(&keys, typed + at, size, out, &detached);
            strncat(all, out, n);
        }
        if (detached)
            strcat(all, "!");
        assert_string_equal(all, expected);
    }
}

static void test_filter(void **state)
{
    (void)state;
    check("a,b", "xxaby", "xx!");
    check("a,b", "xaxbab", "xaxb!");
    check("a,b", "aab", "a!");
    check("a,a,b", "aaab", "a!");
    check("a,b,a,c", "ababac", "ab!");
    check("a,b", "xa", "x"); /* held back */
    check("q", "pq", "p!");
    check("", "abc", "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_filter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
