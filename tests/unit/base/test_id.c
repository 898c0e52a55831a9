/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/id.h"

static void uuid_v7_has_the_layout_of_rfc_9562(void **state)
{
    /* The example of RFC 9562, appendix A.6: 2022-02-22T14:22:22-05:00, rand_a CC3, rand_b 18C4DC0C0C07398F.
     */
    const uint8_t random[UUID_RANDOM_BYTES] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    char text[UUID_TEXT_SIZE];
    (void)state;
    uuid_v7(text, 1645557742000LL * 1000000, random);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_true(uuid_is_valid(text));
    assert_false(uuid_is_valid("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"));
    assert_false(uuid_is_valid("017f22e2-79b0-7cc3-98c4-dc0c0c07398"));
    assert_false(uuid_is_valid(""));
}

static void keys_decide_ids(void **state)
{
    char first[UUID_TEXT_SIZE], second[UUID_TEXT_SIZE];
    (void)state;
    uuid_from_key(first, "uid=0", "k");
    uuid_from_key(second, "uid=0", "k");
    assert_string_equal(first, second);
    uuid_from_key(second, "uid=1", "k");
    assert_string_not_equal(first, second);
    uuid_from_key(second, "uid=0k", "");
    assert_string_not_equal(first, second);
    assert_true(uuid_is_valid(first));
    assert_int_equal(first[14], '8');
}

static void sha256_is_that_of_sha256sum(void **state)
{
    char hex[SHA256_HEX_SIZE];
    (void)state;
    sha256_hex(hex, "abc", 3); /* FIPS 180-4's first example */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(container_id_is_valid(hex));
    hex[10] = 'g';
    assert_false(container_id_is_valid(hex));
}

static void buffers_grow_and_give_way(void **state)
{
    struct buf buf = BUF_INIT;
    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%d,", i);
    assert_int_equal(buf.size, 3890);
    assert_int_equal(strlen(buf.data), buf.size);
    buf_consume(&buf, 2);
    assert_memory_equal(buf.data, "1,2,", 4);
    buf_consume(&buf, 100000);
    assert_int_equal(buf.size, 0);
    assert_null(buf_reserve(&buf, SIZE_MAX - 1));
    assert_true(buf.failed);
    buf_add_string(&buf, "ignored");
    assert_null(buf_take(&buf, NULL));
    buf_add_string(&buf, "again");
    assert_string_equal(buf.data, "again");
    buf_release(&buf);
}

static void errors_are_wrapped_from_the_inside_out(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(err_sys(&err, 2, "cannot open '%s'", "x"), -1);
    err_wrap(&err, "cannot start '%s'", "y");
    assert_string_equal(err.message, "cannot start 'y': cannot open 'x': No such file or directory");
    assert_int_equal(err.sys_errno, 2);
    assert_string_equal(err_code_name(err.code), "system");
    assert_int_equal(err_set(NULL, ERR_INVALID, "nobody listens"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuid_v7_has_the_layout_of_rfc_9562),
        cmocka_unit_test(keys_decide_ids),
        cmocka_unit_test(sha256_is_that_of_sha256sum),
        cmocka_unit_test(buffers_grow_and_give_way),
        cmocka_unit_test(errors_are_wrapped_from_the_inside_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
