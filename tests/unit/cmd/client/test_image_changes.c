/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "cmd/client/image_changes.h"

static void a_change_is_a_line_of_a_dockerfile(void **state)
{
    static const struct {
        const char *text, *expected; /* NULL: refused */
    } ROWS[] = {
        {"CMD [\"a\", \"b c\"]", "{\"command\":[\"a\",\"b c\"]}"},
        {"cmd  echo $HOME  ", "{\"command\":[\"/bin/sh\",\"-c\",\"echo $HOME\"]}"},
        {"CMD []", "{\"command\":[\"\"]}"},
        {"ENTRYPOINT [\"x\"]", "{\"entrypoint\":[\"x\"]}"},
        {"ENV A=1", "{\"env\":[\"A=1\"]}"},
        {"ENV A=1 B=\"two words\" C='it is' D=a\\ b E=",
         "{\"env\":[\"A=1\",\"B=two words\",\"C=it is\",\"D=a b\",\"E=\"]}"},
        {"ENV A the rest = all", "{\"env\":[\"A=the rest = all\"]}"},
        {"USER guest:guest", "{\"user\":\"guest:guest\"}"},
        {"\tworkdir /srv", "{\"workdir\":\"/srv\"}"},
        {"STOPSIGNAL SIGQUIT", "{\"stop_signal\":\"SIGQUIT\"}"},
        {"LABEL a=b \"c d\"=\"e f\"", "{\"labels\":{\"a\":\"b\",\"c d\":\"e f\"}}"},
        {"LABEL a the rest", "{\"labels\":{\"a\":\"the rest\"}}"},
        {"LABEL \"a b\"=\"c d\" e=f", "{\"labels\":{\"a b\":\"c d\",\"e\":\"f\"}}"},
        {"LABEL \"a b\" \"c d\" e", "{\"labels\":{\"a b\":\"c d e\"}}"},
        {"ENV A \"open", NULL},
        {"HEALTHCHECK CMD test -e /up", "{\"health_command\":[\"/bin/sh\",\"-c\",\"test -e /up\"]}"},
        {"healthcheck --interval=1m30s --retries=2 --timeout=0s cmd [\"test\", \"-e\", \"/up\"]",
         "{\"health_interval_ms\":90000,\"health_retries\":2,\"health_command\":[\"test\",\"-e\",\"/up\"]}"},
        {"HEALTHCHECK none", "{\"health_command\":[\"\"]}"},
        {"HEALTHCHECK", NULL},
        {"HEALTHCHECK test", NULL},
        {"HEALTHCHECK CMD", NULL},
        {"HEALTHCHECK CMD []", NULL},
        {"HEALTHCHECK --interval=soon CMD x", NULL},
        {"HEALTHCHECK --colour=red CMD x", NULL},
        {"HEALTHCHECK --interval=\"1s CMD x", NULL},
        {"LABEL a", NULL},
        {"LABEL =b", NULL},
        {"LABEL a=\xff", NULL},
        {"ENV A", NULL},
        {"ENV =x", NULL},
        {"ENV A=1 B", NULL},
        {"ENV A=\"open", NULL},
        {"CMD", NULL},
        {"CMD [1]", NULL},
        {"CMD [\"a\"", NULL},
        {"EXPOSE 80", NULL},
        {"CMDX y", NULL},
        {"", NULL},
        {"USER \xff", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct err err = ERR_INIT;
        json_auto_t *data = json_object();
        int result = image_change(data, ROWS[i].text, &err);
        if (ROWS[i].expected == NULL) {
            assert_int_equal(result, -1);
            assert_true(err.message[0] != '\0');
            continue;
        }
        auto_free char *text = json_dumps(data, JSON_COMPACT);
        assert_int_equal(result, 0);
        assert_string_equal(text, ROWS[i].expected);
    }
}

static void the_last_one_counts(void **state)
{
    (void)state;
    json_auto_t *data = json_object();
    static const char *const changes[] = {"USER a",        "ENV A=1 B=2",
                                          "USER b",        "ENV A=3",
                                          "LABEL a=1 b=2", "HEALTHCHECK --retries=9 CMD x",
                                          "LABEL a=3",     "HEALTHCHECK CMD [\"y\"]"};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        assert_int_equal(image_change(data, changes[i], NULL), 0);
    auto_free char *text = json_dumps(data, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        text, "{\"env\":[\"A=3\",\"B=2\"],\"health_command\":[\"y\"],\"labels\":{\"a\":\"3\",\"b\":\"2\"},"
              "\"user\":\"b\"}");
}

static void what_is_not_there_is_named(void **state)
{
    (void)state;
    json_auto_t *data = json_object();
    struct err err = ERR_INIT;
    assert_int_equal(image_change(data, "VOLUME /x", &err), -1);
    assert_non_null(strstr(err.message, "'VOLUME'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_a_line_of_a_dockerfile),
        cmocka_unit_test(the_last_one_counts),
        cmocka_unit_test(what_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
