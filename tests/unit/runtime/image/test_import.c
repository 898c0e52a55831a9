/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "runtime/image/import.h"
#include "runtime/image/tree_digest.h"

static void paths_are_made_plain(void **state)
{
    static const struct {
        const char *path, *expected; /* NULL: refused */
    } CASES[] = {
        {"./bin/sh", "bin/sh"},
        {"/etc/passwd", "etc/passwd"},
        {"a//b/./c/", "a/b/c"},
        {".", "."},
        {"./", "."},
        {"/", "."},
        {"..a/b..", "..a/b.."},
        {"../x", NULL},
        {"a/../b", NULL},
        {"a/..", NULL},
        {"..", NULL},
        {"0123456789/0123456789", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char plain[20];
        struct err err = ERR_INIT;
        int result = image_entry_path(CASES[i].path, plain, sizeof(plain), &err);
        assert_int_equal(result, CASES[i].expected == NULL ? -1 : 0);
        if (result == 0)
            assert_string_equal(plain, CASES[i].expected);
        else
            assert_int_equal(err.code, ERR_INVALID);
    }
}

static void attributes_that_overlayfs_believes_are_not_kept(void **state)
{
    (void)state;
    assert_true(image_keeps_xattr("user.note"));
    assert_true(image_keeps_xattr("security.capability"));
    assert_false(image_keeps_xattr("trusted.overlay.redirect"));
    assert_false(image_keeps_xattr("security.selinux"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_made_plain),
        cmocka_unit_test(attributes_that_overlayfs_believes_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
