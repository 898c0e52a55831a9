/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of what a container may do and use, by example. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "events/message.h"

/* The texts up to the first NULL are fine, those up to the second are not. */
static void expect(schema_check check, const char *const *texts)
{
    for (bool fine = true; *texts != NULL || fine; texts++) {
        if (*texts == NULL) {
            fine = false;
            continue;
        }
        if ((check(*texts) == NULL) != fine)
            fail_msg("'%s' should %sbe accepted", *texts, fine ? "" : "not ");
    }
}

#define EXPECT(check, ...) expect(check, (const char *const[]){__VA_ARGS__, NULL})

static void words_and_numbers(void **state)
{
    (void)state;
    EXPECT(check_sharing, "host", "container:web", "container:0123", NULL, "", "private",
           "container:", "container:a b", "none");
    EXPECT(check_network, "none", "host", "container:web", NULL, "", "bridge", "container:");
    EXPECT(check_userns, "auto", "host", NULL, "", "private", "container:web", "auto:size=5", "keep-id");
    EXPECT(check_cgroup_parent, "a", "/a", "/a/b.slice/c@1:x", "user.slice", NULL, "", "/", "..", "a/..",
           "/../a", "a//b", "a/", ".", "a/./b", "a b", "a%b", "a/.../b", "/a\nb");
    EXPECT(check_group, "0", "audio", "a.b-c_d", NULL, "", "-x", "a b", "a:b");
    EXPECT(check_capability, "ALL", "CAP_CHOWN", "CAP_BPF", NULL, "", "CHOWN", "all", "CAP_X", "cap_chown");
    EXPECT(check_ulimit, "nofile=1:2", "core=-1:-1", "nice=0:-1", "cpu=9223372036854775807:-1", NULL, "",
           "nofile", "nofile=1", "nofile=2:1", "nofile=-1:5", "x=1:1", "NOFILE=1:1", "=1:1", "nofile=:1",
           "nofile=1:", "nofile=1:2x", "nofile=-2:-2", "no=1:1", "nofile= 1:1");
    EXPECT(check_sysctl, "net.ipv4.ip_forward", "net.ipv4.conf.eth0/1.rp_filter", "kernel.shmmax",
           "kernel.shm_rmid_forced", "fs.mqueue.msg_max", NULL, "", "kernel.hostname", "vm.swappiness",
           "kernel", "net", "net..x", "net.a b", "kernel.shmmax.x", "kernel/shmmax", "../x");
    EXPECT(check_device, "/dev/a:/dev/b:rwm", "/dev/a:/dev/a:r", NULL, "", "/dev/a", "/dev/a:/dev/b",
           "/dev/a:/dev/b:", "/dev/a:/dev/b:x", "/dev/a:/dev/b:rr", "dev/a:/dev/b:r", "/dev/a:b:r",
           "/dev/a:/dev/b:rwmr");
    EXPECT(check_add_host, "a:1.2.3.4", "a.b-c:fe80::1", NULL, "", "a", "a:", ":1.2.3.4", "a b:1.2.3.4",
           "a:1.2.3.4\nb");
    EXPECT(check_seccomp, "unconfined", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", NULL, "", "default", "{}",
           "[]", "{\"defaultAction\":1}", "{");
}

static void mounts(void **state)
{
    (void)state;
    EXPECT(check_mount_type, "bind", "volume", "tmpfs", NULL, "", "Bind", "npipe");
    EXPECT(check_mount_source, "/", "/a b/c", "data", "a1", NULL, "", "a", "./x", "a/b", "-x", ".x");
    EXPECT(check_mount_target, "/a", "/a/b.c/..d", "/dev/shm", "/process", NULL, "", "/", "a", "/a/", "//a",
           "/a//b", "/a/../b", "/a/.", "/..", "/proc", "/proc/self/x");
    EXPECT(check_propagation, "rslave", "shared", NULL, "", "rro", "unbindable");
    EXPECT(check_tmpfs_option, "ro", "exec", "size=1m", "size=50%", "mode=1777", "nr_inodes=7", NULL, "",
           "size=", "size=x", "bind", "remount", "size=1mm", "mpol=x");
    EXPECT(check_volume_name, "ab", "A.b-c_9", NULL, "", "a", ".ab", "a/b", "a b");
}

/* The one mount of a spec, checked against itself and against a second one with the same target. */
static void mounts_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        struct container_mount mount;
        bool fine;
    } cases[] = {
        {{.type = "bind", .source = "/a", .target = "/b", .propagation = "slave", .make_source = true}, true},
        {{.type = "bind", .target = "/b"}, false},
        {{.type = "bind", .source = "name", .target = "/b"}, false},
        {{.type = "bind", .source = "/a", .target = "/b", .no_copy = true}, false},
        {{.type = "bind", .source = "/a", .target = "/b", .size = 5}, false},
        {{.type = "tmpfs", .target = "/b", .size = 5, .mode = 0}, true},
        {{.type = "tmpfs", .source = "/a", .target = "/b"}, false},
        {{.type = "tmpfs", .target = "/b", .not_recursive = true}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct container_mount twice[2] = {cases[i].mount, cases[i].mount};
        struct container_spec spec;
        schema_init(&container_spec_schema, &spec);
        for (size_t j = 0; j < 2; j++) {
            twice[j].size = twice[j].size == 0 ? SCHEMA_ABSENT : twice[j].size;
            twice[j].mode = SCHEMA_ABSENT;
        }
        spec.mounts = (struct objects){twice, 1};
        assert_int_equal(container_spec_conflict(&spec) == NULL, cases[i].fine);
        spec.mounts.n = 2;
        assert_non_null(container_spec_conflict(&spec));
    }
}

static void a_filter_has_a_size(void **state)
{
    (void)state;
    static char text[SECCOMP_PROFILE_MAX + 2];
    memset(text, ' ', sizeof(text) - 1);
    const char filter[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
    memcpy(text, filter, sizeof(filter) - 1);
    assert_non_null(check_seccomp(text));
    text[SECCOMP_PROFILE_MAX] = '\0';
    assert_null(check_seccomp(text));
}

static void names_of_limits(void **state)
{
    (void)state;
    assert_string_equal(ulimit_by_name("nofile=1", 6), "RLIMIT_NOFILE");
    assert_null(ulimit_by_name("nofile", 5));
    assert_null(ulimit_by_name("nofilex", 7));
    assert_null(ulimit_by_name("", 0));
}

static void members_that_cannot_be_together(void **state)
{
    (void)state;
    struct string_pair sysctl = {"net.ipv4.ip_forward", "1"};
    struct container_spec spec;
    schema_init(&container_spec_schema, &spec);
    assert_null(container_spec_conflict(&spec));
    spec.sysctls = (struct string_map){&sysctl, 1};
    assert_null(container_spec_conflict(&spec));
    spec.network = "host";
    assert_non_null(container_spec_conflict(&spec));
    spec.network = "container:x";
    assert_non_null(container_spec_conflict(&spec));
    spec.network = NULL;
    spec.uts = "host";
    assert_null(container_spec_conflict(&spec));
    spec.hostname = "box";
    assert_non_null(container_spec_conflict(&spec));
    spec.uts = spec.hostname = NULL;
    spec.memory_swap = 10;
    assert_non_null(container_spec_conflict(&spec));
    spec.memory = 11;
    assert_non_null(container_spec_conflict(&spec));
    spec.memory_swap = -1;
    assert_null(container_spec_conflict(&spec));
    spec.memory_reservation = 12;
    assert_non_null(container_spec_conflict(&spec));
}

static void a_user_namespace_and_what_belongs_to_others(void **state)
{
    (void)state;
    struct container_spec spec;
    schema_init(&container_spec_schema, &spec);
    assert_false(container_spec_maps_ids(&spec));
    spec.userns = "host";
    spec.privileged = true;
    assert_false(container_spec_maps_ids(&spec));
    assert_null(container_spec_conflict(&spec));
    spec.userns = "auto";
    assert_true(container_spec_maps_ids(&spec));
    assert_non_null(container_spec_conflict(&spec));
    spec.privileged = false;
    assert_null(container_spec_conflict(&spec));
    for (int i = 0; i < SHARED_NAMESPACES; i++) {
        char **member = container_spec_sharing(&spec, (enum shared_namespace)i);
        *member = "host";
        assert_int_equal(container_spec_conflict(&spec) == NULL, i == SHARED_UTS);
        *member = "container:x";
        assert_non_null(container_spec_conflict(&spec));
        *member = NULL;
    }
    spec.network = "none";
    assert_null(container_spec_conflict(&spec));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_numbers),
        cmocka_unit_test(mounts),
        cmocka_unit_test(mounts_that_cannot_be),
        cmocka_unit_test(a_filter_has_a_size),
        cmocka_unit_test(names_of_limits),
        cmocka_unit_test(members_that_cannot_be_together),
        cmocka_unit_test(a_user_namespace_and_what_belongs_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
