/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct sample {
    bool all;
    bool detach;
    bool silent;
    const char *name;
    struct option_list env;
};

static const struct option_row rows[] = {
    OPTION_ROW(sample, all, 'a', "all", NULL, OPTION_FLAG, "all of them"),
    OPTION_ROW(sample, detach, 'd', "detach", NULL, OPTION_FLAG, "in the background"),
    OPTION_ROW(sample, silent, 's', "sound", NULL, OPTION_ON, "with sound"),
    OPTION_ROW(sample, name, 'n', "name", "NAME", OPTION_STRING, "its name"),
    OPTION_ROW(sample, env, 'e', "env", "KEY=VALUE", OPTION_LIST, "environment"),
    {.letter = 't', .name = "tty", .kind = OPTION_UNSUPPORTED, .help = "there is no terminal yet"},
    OPTION_END};

static int parse(struct sample *ret, bool stop, const char *text, int *argc, char **argv, struct err *err)
{
    static char copy[256];
    snprintf(copy, sizeof(copy), "%s", text);
    *argc = 0;
    *ret = (struct sample){0};
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[(*argc)++] = word;
    const struct option_target target = {rows, ret};
    return options_parse(&target, 1, stop, argc, argv, err);
}

static void test_spellings(void **state)
{
    (void)state;
    static const char *const texts[] = {"--name x -a one two", "--name=x --all one two",
                                        "one -nx -a two",      "-n=x one two --all=true",
                                        "-an x one two",       "-anx one -- two"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sample sample;
        char *argv[16];
        int argc;
        assert_int_equal(parse(&sample, false, texts[i], &argc, argv, NULL), 0);
        assert_string_equal(sample.name, "x");
        assert_true(sample.all);
        assert_false(sample.detach);
        assert_int_equal(argc, 2);
        assert_string_equal(argv[0], "one");
        assert_string_equal(argv[1], "two");
    }
}

static void test_lists_and_values_with_equals(void **state)
{
    (void)state;
    struct sample sample;
    char *argv[16];
    int argc;
    assert_int_equal(parse(&sample, false, "-e A=1 --env=B=2 -eC=3 --env D=4", &argc, argv, NULL), 0);
    assert_int_equal(sample.env.n, 4);
    static const char *const expected[] = {"A=1", "B=2", "C=3", "D=4"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(sample.env.items[i], expected[i]);
    options_release(rows, &sample);
    assert_int_equal(sample.env.n, 0);
}

static void test_stop_at_operand(void **state)
{
    (void)state;
    struct sample sample;
    char *argv[16];
    int argc;
    assert_int_equal(parse(&sample, true, "-d image sh -c --all -n -- x", &argc, argv, NULL), 0);
    assert_true(sample.detach);
    assert_false(sample.all);
    assert_int_equal(argc, 7);
    assert_string_equal(argv[5], "--");
    assert_int_equal(parse(&sample, true, "-d -- -image -n", &argc, argv, NULL), 0);
    assert_int_equal(argc, 2);
    assert_string_equal(argv[0], "-image");
}

static void test_false_and_dash(void **state)
{
    (void)state;
    struct sample sample;
    char *argv[16];
    int argc;
    assert_int_equal(parse(&sample, false, "-a --all=false - x", &argc, argv, NULL), 0);
    assert_false(sample.all);
    assert_int_equal(argc, 2);
    assert_string_equal(argv[0], "-");
    assert_false(sample.silent);
    assert_int_equal(parse(&sample, false, "-s --sound=true", &argc, argv, NULL), 0);
    assert_false(sample.silent);
    assert_int_equal(parse(&sample, false, "-s --sound=false", &argc, argv, NULL), 0);
    assert_true(sample.silent);
    assert_int_equal(parse(&sample, false, "-s=false", &argc, argv, NULL), 0);
    assert_true(sample.silent);
    assert_int_equal(parse(&sample, false, "--sound=no", &argc, argv, NULL), -1);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"--nam x", "unknown option '--nam'"},
        {"-x", "unknown option '-x'"},
        {"-ax", "unknown option '-x' in '-ax'"},
        {"--name", "option '--name' needs a value: NAME"},
        {"-an", "option '--name' needs a value: NAME"},
        {"--all=maybe", "option '--all' is a switch: 'maybe' is neither true nor false"},
        {"-dt", "option '-t, --tty' is not supported: there is no terminal yet"},
        {"--tty", "option '-t, --tty' is not supported: there is no terminal yet"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample sample;
        struct err err = ERR_INIT;
        char *argv[16];
        int argc;
        assert_int_equal(parse(&sample, false, cases[i].text, &argc, argv, &err), -1);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(err.code, ERR_INVALID);
        options_release(rows, &sample);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_spellings),
                                       cmocka_unit_test(test_lists_and_values_with_equals),
                                       cmocka_unit_test(test_stop_at_operand),
                                       cmocka_unit_test(test_false_and_dash), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
