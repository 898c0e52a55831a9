/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "runtime/sandbox/cgroup.h"

#define V2                                                                                                   \
    "31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define HYBRID                                                                                               \
    "30 1 8:1 / / rw - ext4 /dev/vda rw\n"                                                                   \
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"                   \
    "35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw,relatime shared:1 master:2 - cgroup cgroup rw,memory\n"      \
    "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n"                                    \
    "37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"                                    \
    "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"                                          \
    "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"                         \
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"                                 \
    "42 31 0:36 / /mnt/pids rw - cgroup cgroup rw,pids\n"

static void pure_v2(void **state)
{
    (void)state;
    struct cgroup_layout layout;
    struct err err = ERR_INIT;
    assert_int_equal(cgroup_layout_parse(&layout, V2, "cpuset cpu io memory hugetlb pids rdma\n", &err), 0);
    assert_true(layout.v2);
    assert_int_equal(layout.n, 1);
    assert_string_equal(layout.hierarchies[0].path, "/sys/fs/cgroup");
    assert_int_equal(layout.hierarchies[0].controllers, CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS);
    assert_int_equal(cgroup_oom_index(&layout), 0);
}

static void hybrid_uses_v1(void **state)
{
    (void)state;
    struct cgroup_layout layout;
    struct err err = ERR_INIT;
    assert_int_equal(cgroup_layout_parse(&layout, HYBRID, "hugetlb\n", &err), 0);
    assert_false(layout.v2);
    assert_int_equal(layout.n, 5);
    assert_string_equal(layout.hierarchies[0].path, "/sys/fs/cgroup/cpu,cpuacct");
    assert_string_equal(layout.hierarchies[0].names, "cpu,cpuacct");
    assert_string_equal(layout.hierarchies[1].path, "/sys/fs/cgroup/mem ory");
    assert_string_equal(layout.hierarchies[1].names, "memory");
    assert_int_equal(cgroup_oom_index(&layout), 1);
    char v2[64];
    assert_true(cgroup_v2_mount(HYBRID, v2, sizeof(v2)));
    assert_string_equal(v2, "/sys/fs/cgroup/unified");
}

static void hybrid_whose_v2_has_all(void **state)
{
    (void)state;
    struct cgroup_layout layout;
    struct err err = ERR_INIT;
    assert_int_equal(cgroup_layout_parse(&layout, HYBRID, "memory cpu pids\n", &err), 0);
    assert_true(layout.v2);
    assert_string_equal(layout.hierarchies[0].path, "/sys/fs/cgroup/unified");
}

static void missing_controllers_are_named(void **state)
{
    (void)state;
    struct cgroup_layout layout;
    struct err err = ERR_INIT;
    assert_int_equal(cgroup_layout_parse(&layout, V2, "cpu pids\n", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "'memory'"));
    assert_int_equal(cgroup_layout_parse(&layout, "garbage\n - \n\n", "", &err), -1);
    assert_false(cgroup_v2_mount("", (char[8]){0}, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pure_v2),
        cmocka_unit_test(hybrid_uses_v1),
        cmocka_unit_test(hybrid_whose_v2_has_all),
        cmocka_unit_test(missing_controllers_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
