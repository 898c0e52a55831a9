/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/timestamp.h"

#define S 1000000000LL

static void formats_and_parses_back(void **state)
{
    static const int64_t times[] = {0, 1, -1, 1700000000LL * S + 123456789, 4102444799LL * S, -86400LL * S};
    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char text[TIMESTAMP_SIZE];
        int64_t again;
        timestamp_format(text, times[i]);
        assert_int_equal(strlen(text), TIMESTAMP_SIZE - 1);
        assert_int_equal(timestamp_parse(text, &again, NULL), 0);
        assert_int_equal(again, times[i]);
    }
    char epoch[TIMESTAMP_SIZE];
    timestamp_format(epoch, 1700000000LL * S + 5);
    assert_string_equal(epoch, "2023-11-14T22:13:20.000000005Z");
}

static void accepts_what_rfc_3339_has(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},       {"1970-01-01t00:00:01z", S},
        {"1970-01-01T01:00:00+01:00", 0},  {"1969-12-31T23:30:00-00:30", 0},
        {"1970-01-01T00:00:00.5Z", S / 2}, {"2024-02-29T00:00:00Z", 1709164800LL * S},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ns = -7;
        if (timestamp_parse(rows[i].text, &ns, NULL) < 0 || ns != rows[i].ns)
            fail_msg("%s gave %lld", rows[i].text, (long long)ns);
    }
}

static void refuses_the_rest(void **state)
{
    static const char *const texts[] = {
        "",
        "now",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01T00:00:00Zx",
        "2024-01-01T00:00:00+1:00",
        "9999-01-01T00:00:00Z",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t ns;
        if (timestamp_parse(texts[i], &ns, NULL) == 0)
            fail_msg("'%s' was accepted", texts[i]);
    }
}

static void users_may_give_ages_and_seconds(void **state)
{
    int64_t ns;
    (void)state;
    assert_int_equal(timestamp_parse_user("90s", 100 * S, &ns, NULL), 0);
    assert_int_equal(ns, 10 * S);
    assert_int_equal(timestamp_parse_user("1h30m", 5400 * S, &ns, NULL), 0);
    assert_int_equal(ns, 0);
    assert_int_equal(timestamp_parse_user("1700000000.5", 0, &ns, NULL), 0);
    assert_int_equal(ns, 1700000000LL * S + S / 2);
    assert_int_equal(timestamp_parse_user("99999999999999999999d", 0, &ns, NULL), -1);
    assert_int_equal(timestamp_parse_user("1.5s", 100 * S, &ns, NULL), 0);
    assert_true(ns == 98 * S + S / 2);
    assert_int_equal(timestamp_parse_user("2m500ms", 200 * S, &ns, NULL), 0);
    assert_true(ns == 80 * S - S / 2);
    assert_int_equal(timestamp_parse_user("1.s", 0, &ns, NULL), -1);
    assert_int_equal(timestamp_parse_user("5x", 0, &ns, NULL), -1);
    assert_int_equal(timestamp_parse_user("", 0, &ns, NULL), -1);
    char age[32];
    duration_format(age, sizeof(age), 61 * S);
    assert_string_equal(age, "1 minute");
    duration_format(age, sizeof(age), 2 * 86400 * S);
    assert_string_equal(age, "2 days");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_and_parses_back),
        cmocka_unit_test(accepts_what_rfc_3339_has),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(users_may_give_ages_and_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
