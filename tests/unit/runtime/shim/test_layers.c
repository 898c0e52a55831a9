/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/shim/shim.h" /* its `fail` comes before cmocka's */

#include <cmocka.h>

static void ids_outside(void **state)
{
    (void)state;
    static const char map[] = "0 100000 1000\n1000 1000 1\n2000 4294900000 10\n";
    assert_int_equal(layers_outside(map, 0), 100000);
    assert_int_equal(layers_outside(map, 999), 100999);
    assert_int_equal(layers_outside(map, 1000), 1000);
    assert_int_equal(layers_outside(map, 1001), -1);
    assert_int_equal(layers_outside(map, 2009), 4294900009);
    assert_int_equal(layers_outside(map, 2010), -1);
    assert_int_equal(layers_outside("1 100000 1\n", 0), -1);
    assert_int_equal(layers_outside("", 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids_outside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
