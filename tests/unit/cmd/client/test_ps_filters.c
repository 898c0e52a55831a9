/* SPDX-License-Identifier: Apache-2.0 */
/* The filters of `wharf ps` that are about what is in a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cmd/client/ps_filters.h"

static const char ROW[] = "{\"id\":\"abc123\",\"name\":\"web1\",\"node\":\"n1\",\"image\":\"busybox:latest\","
                          "\"state\":\"exited\",\"exit_code\":3,\"health\":\"unhealthy\","
                          "\"created_at\":\"2026-01-02\","
                          "\"spec\":{\"network\":\"host\",\"mounts\":[{\"type\":\"volume\",\"source\":"
                          "\"data\",\"target\":\"/d\"}]}}";

/* Whether the row is let through by the filters, which are divided by blanks. */
static bool match(const char *words)
{
    char text[256];
    const char *items[8];
    struct option_list list = {.items = items};
    struct ps_filters filters;
    struct err err = ERR_INIT;
    json_auto_t *row = json_loads(ROW, 0, NULL);
    snprintf(text, sizeof(text), "%s", words);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "))
        items[list.n++] = word;
    if (ps_filters_init(&filters, &list, &err) < 0)
        fail_msg("'%s': %s", words, err.message);
    strcpy(filters.before, "2026-01-03 x"); /* as if before= and since= had been looked up */
    strcpy(filters.since, "2026-01-02 abc123");
    return ps_filters_match(&filters, row);
}

static void rows_that_match(void **state)
{
    (void)state;
    static const char *const fine[] = {"",
                                       "id=abc",
                                       "exited=3",
                                       "exited=1 exited=3",
                                       "volume=data",
                                       "volume=/d network=host",
                                       "health=unhealthy",
                                       "before=x",
                                       "label=none state=running",
                                       "name=db name=eb",
                                       "name=^web[0-9]$",
                                       "name=^/web1$",
                                       "node=n2 node=n1",
                                       "image=other ancestor=busybox"};
    static const char *const others[] = {"id=bc",
                                         "exited=0",
                                         "exited=3 id=b",
                                         "volume=other",
                                         "network=none",
                                         "health=none",
                                         "since=x",
                                         "before=x health=healthy",
                                         "name=db name=api",
                                         "name=^eb",
                                         "node=n2 node=n3",
                                         "image=other image=busybox:1"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        if (!match(fine[i]))
            fail_msg("'%s' should match", fine[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (match(others[i]))
            fail_msg("'%s' should not match", others[i]);
}

static void what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"nope=1", "'nope=1' is no filter: give state=..., "},
        {"id", "'id' is no filter"},
        {"exited=x", "an exit code from 0 to 255"},
        {"exited=256", "an exit code"},
        {"exited=", "an exit code"},
        {"health=ill", "starting, healthy"},
        {"volume=", "the filter volume= is empty"},
        {"name=[", "the filter name='[' must be a name, or a regular expression"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *items[] = {rows[i].text};
        struct option_list list = {.items = items, .n = 1};
        struct ps_filters filters;
        struct err err = ERR_INIT;
        assert_int_equal(ps_filters_init(&filters, &list, &err), -1);
        if (strstr(err.message, rows[i].why) == NULL)
            fail_msg("'%s': %s", rows[i].text, err.message);
    }
}

static void what_the_service_is_asked(void **state)
{
    (void)state;
    const char *items[] = {"ancestor=busybox", "exited=1", "label=a=b c", "name=we.b-1"};
    struct option_list list = {.items = items, .n = 4};
    struct ps_filters filters;
    struct err err = ERR_INIT;
    auto_buf struct buf target = BUF_INIT;
    assert_int_equal(ps_filters_init(&filters, &list, &err), 0);
    assert_true(filters.own);
    assert_int_equal(ps_filters_add(&filters, &target, &err), 0);
    assert_string_equal(target.data, "&image=busybox&label=a%3Db%20c&name=we.b-1");
    assert_true(ps_filters_tell_state(&list));
    list.n = 1;
    assert_false(ps_filters_tell_state(&list));
    assert_int_equal(ps_filters_init(&filters, &list, &err), 0);
    assert_false(filters.own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_match),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test(what_the_service_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
