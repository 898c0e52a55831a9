/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/id_pool.h"

static void what_both_files_give(void **state)
{
    (void)state;
    static const struct {
        const char *subuid, *subgid;
        int64_t base, size; /* 0: none */
    } rows[] = {
        {"", "", 0, 0},
        {"wharf:100000:65536\n", "wharf:100000:65536\n", 100000, 65536},
        {"wharf:100000:65536", "wharf:100000:65536", 100000, 65536},
        {"wharf:100000:65536\n", "", 0, 0},
        {"wharf:100000:65536\n", "wharf:100001:65536\n", 0, 0},
        {"root:1:2\nwharf:100000:200000\n", "wharf:150000:200000\nroot:1:2\n", 150000, 150000},
        {"wharf:100000:65536\nwharf:300000:131072\n", "wharf:100000:400000\n", 300000, 131072},
        {"wharfinger:100000:65536\n", "wharfinger:100000:65536\n", 0, 0},
        {"wharf:100000:65535\n", "wharf:100000:65535\n", 0, 0},
        {"wharf:65535:131072\n", "wharf:65535:131072\n", 0, 0},
        {"wharf:65536:4294901759\n", "wharf:65536:4294901759\n", 65536, 4294901759},
        {"wharf:65536:4294901760\n", "wharf:65536:4294901760\n", 0, 0},
        {"wharf:-1:65536\nwharf::\nwharf\nwharf:1\nwharf:x:y\nwharf:100000:65536:1\n", "wharf:100000:65536\n",
         0, 0},
        {"wharf:99999999999999999999:65536\nwharf:200000:65536\n", "wharf:200000:70000\n", 200000, 65536},
        {"#wharf:100000:65536\n\n", "wharf:100000:65536\n", 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct id_pool pool = {7, 7};
        bool found = id_pool_parse(&pool, rows[i].subuid, rows[i].subgid, "wharf");
        if (found != (rows[i].size != 0) ||
            (found && (pool.base != rows[i].base || pool.size != rows[i].size)))
            fail_msg("row %zu: %d %lld %lld", i, found, (long long)pool.base, (long long)pool.size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_both_files_give)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
