/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/sandbox/users.h"

#define PASSWD                                                                                               \
    "root:x:0:0:root:/root:/bin/sh\nbad "                                                                    \
    "line\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\nnohome:x:7:8:::\n1234:x:55:56::/n:\n"
#define GROUP                                                                                                \
    "root:x:0:\nalice:x:1001:\nwheel:x:10:root,alice\naudio:x:29:bob,alice,carol\nmalice:x:30:malice\n"

static void expect(const char *text, uint32_t uid, uint32_t gid, size_t n_groups, const char *home)
{
    struct user user;
    struct err err = ERR_INIT;
    assert_int_equal(user_resolve(&user, text, PASSWD, GROUP, &err), 0);
    assert_int_equal(user.uid, uid);
    assert_int_equal(user.gid, gid);
    assert_int_equal(user.n_groups, n_groups);
    assert_int_equal(user.groups[0], gid);
    assert_string_equal(user.home, home);
}

static void names_and_numbers(void **state)
{
    (void)state;
    expect(NULL, 0, 0, 2, "/root");
    expect("", 0, 0, 2, "/root");
    expect("alice", 1000, 1001, 3, "/home/alice");
    expect("1000", 1000, 1001, 3, "/home/alice");
    expect("alice:audio", 1000, 29, 1, "/home/alice");
    expect("alice:77", 1000, 77, 1, "/home/alice");
    expect("nohome", 7, 8, 1, "/");
    expect("99:88", 99, 88, 1, "/");
    expect("99", 99, 0, 1, "/");
    expect("1234", 55, 56, 1, "/n"); /* a name that looks like a number is a name */
}

static void unknown_ones_are_named(void **state)
{
    (void)state;
    struct user user;
    struct err err = ERR_INIT;
    assert_int_equal(user_resolve(&user, "bob", PASSWD, GROUP, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.message, "the user 'bob' is not in the image's /etc/passwd");
    assert_int_equal(user_resolve(&user, "alice:staff", PASSWD, GROUP, &err), -1);
    assert_string_equal(err.message, "the group 'staff' is not in the image's /etc/group");
    assert_int_equal(user_resolve(&user, "4294967295", PASSWD, GROUP, &err), -1);
    assert_int_equal(user_resolve(&user, "99999999999", PASSWD, GROUP, &err), -1);
}

static void images_without_files(void **state)
{
    (void)state;
    struct user user;
    struct err err = ERR_INIT;
    assert_int_equal(user_resolve(&user, NULL, NULL, NULL, &err), 0);
    assert_string_equal(user.home, "/root");
    assert_int_equal(user_resolve(&user, "root", NULL, NULL, &err), 0);
    assert_int_equal(user_resolve(&user, "5:6", NULL, NULL, &err), 0);
    assert_int_equal(user.gid, 6);
    assert_int_equal(user_resolve(&user, "alice", NULL, NULL, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers),
        cmocka_unit_test(unknown_ones_are_named),
        cmocka_unit_test(images_without_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
