/* SPDX-License-Identifier: Apache-2.0 */
/* docker's table of where a copy goes, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "runtime/image/copy_rule.h"

enum there { NOTHING, A_FILE, A_DIRECTORY };

static void a_copy_goes_where_dockers_would(void **state)
{
    static const struct {
        bool source_is_directory, contents;
        enum there there;
        const char *path;
        int refused; /* ERR_NONE: it goes to `place` */
        enum copy_place place;
    } ROWS[] = {
        {false, false, NOTHING, "/x", ERR_NONE, COPY_AS},
        {false, false, NOTHING, "/x/", ERR_NOT_FOUND, COPY_AS},
        {false, false, NOTHING, "/x/.", ERR_NOT_FOUND, COPY_AS},
        {false, false, A_FILE, "/x", ERR_NONE, COPY_AS},
        {false, false, A_FILE, "/x/", ERR_CONFLICT, COPY_AS},
        {false, false, A_DIRECTORY, "/x", ERR_NONE, COPY_INTO},
        {false, false, A_DIRECTORY, "/x/", ERR_NONE, COPY_INTO},
        {true, false, NOTHING, "/x", ERR_NONE, COPY_AS},
        {true, false, NOTHING, "/x/", ERR_NONE, COPY_AS},
        {true, false, A_FILE, "/x", ERR_CONFLICT, COPY_AS},
        {true, false, A_DIRECTORY, "/x", ERR_NONE, COPY_INTO},
        {true, true, NOTHING, "/x", ERR_NONE, COPY_AS},
        {true, true, A_FILE, "/x", ERR_CONFLICT, COPY_AS},
        {true, true, A_DIRECTORY, "/x", ERR_NONE, COPY_CONTENTS},
        {true, true, A_DIRECTORY, "/x/", ERR_NONE, COPY_CONTENTS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct err err = ERR_INIT;
        enum copy_place place;
        struct copy_target target = {.exists = ROWS[i].there != NOTHING,
                                     .is_directory = ROWS[i].there == A_DIRECTORY,
                                     .wants_directory = copy_path_wants_directory(ROWS[i].path)};
        int result =
            copy_rule(&target, ROWS[i].source_is_directory, ROWS[i].contents, ROWS[i].path, &place, &err);
        if (result != (ROWS[i].refused == ERR_NONE ? 0 : -1) || (int)err.code != ROWS[i].refused ||
            (result == 0 && place != ROWS[i].place))
            fail_msg("row %zu: %d, %s", i, result, err.message);
    }
}

static void what_a_path_says_of_itself(void **state)
{
    (void)state;
    static const char *const directories[] = {"/", "a/", "a/.", ".", "..", "a/.."};
    static const char *const others[] = {"a", "/a", "a/b", "a.", "..a", ".a"};
    for (size_t i = 0; i < 6; i++) {
        assert_true(copy_path_wants_directory(directories[i]));
        assert_false(copy_path_wants_directory(others[i]));
    }
}

static void a_path_is_split_at_its_last_name(void **state)
{
    static const struct {
        const char *path, *parent, *name;
    } ROWS[] = {
        {"a", ".", "a"}, {"/a", "/", "a"}, {"a/b", "a", "b"}, {"/a/b/", "/a", "b"},      {"a//b//", "a", "b"},
        {"/", "/", ""},  {"//", "/", ""},  {"a/.", "a", "."}, {"/a/../b", "/a/..", "b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char text[32];
        const char *parent, *name;
        assert_int_equal(copy_path_split(ROWS[i].path, text, sizeof(text), &parent, &name), 0);
        assert_string_equal(parent, ROWS[i].parent);
        assert_string_equal(name, ROWS[i].name);
    }
    char small[8];
    const char *parent, *name;
    assert_int_equal(copy_path_split("abcde", small, sizeof(small), &parent, &name), 0);
    assert_int_equal(copy_path_split("abcdef", small, sizeof(small), &parent, &name), -1);
}

static void entries_move_with_their_root(void **state)
{
    static const struct {
        const char *entry, *root, *to, *expected; /* NULL: refused */
    } ROWS[] = {
        {"d", "d", "e", "e"},        {"d/x", "d", "e", "e/x"},   {"d/x/y", "d", "d", "d/x/y"},
        {".", ".", "e", "e"},        {"x/y", ".", "e", "e/x/y"}, {".", ".", ".", "."},
        {"x/y", ".", ".", "x/y"},    {"d/x", "d", ".", "x"},     {"dx", "d", "e", NULL},
        {"other/x", "d", "e", NULL}, {".", "d", "e", NULL},      {"d/123456789", "d", "e", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char text[8];
        int result = copy_rebase(ROWS[i].entry, ROWS[i].root, ROWS[i].to, text, sizeof(text));
        assert_int_equal(result, ROWS[i].expected == NULL ? -1 : 0);
        if (result == 0)
            assert_string_equal(text, ROWS[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_goes_where_dockers_would),
        cmocka_unit_test(what_a_path_says_of_itself),
        cmocka_unit_test(a_path_is_split_at_its_last_name),
        cmocka_unit_test(entries_move_with_their_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
