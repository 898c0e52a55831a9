/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers with a user namespace of their own on the real kernel. Where the fixture's file system cannot
 * have its ids mapped (tmpfs before Linux 6.3) all that can be seen is that the start says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "tests/root/host_fixture.h"

#define BASE 20000000

static struct container_spec mapped(const char *script, int64_t base)
{
    struct container_spec spec = spec_of(script);
    spec.userns = strdup("auto");
    spec.id_base = base;
    spec.id_size = 65536;
    return spec;
}

static bool cannot_map(struct fixture *f)
{
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = mapped("true", BASE);
    fixture_launch(f, id, 1, &spec);
    bool cannot = !f->result.ok;
    if (cannot) {
        assert_string_equal(f->result.code, "ids-not-mapped");
        assert_non_null(strstr(f->result.message, "needs Linux 5.19 or newer"));
        print_message("the file system of '%s' cannot be mapped\n", f->dir);
    } else {
        fixture_wait_exit(f);
    }
    fixture_remove(f, id);
    spec_release(&spec);
    return cannot;
}

static struct stat stat_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static struct stat stat_of(const char *fmt, ...)
{
    char path[512];
    struct stat st;
    va_list args;
    va_start(args, fmt);
    vsnprintf(path, sizeof(path), fmt, args);
    va_end(args);
    if (lstat(path, &st) < 0)
        fail_msg("no '%s'", path);
    return st;
}

/* Ids as it counts them on the disk, and others on the node; both again after a restart. */
static void maps_ids_and_changes_no_owner(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    if (cannot_map(f))
        return;
    fixture_new_id(f, id);
    struct container_spec spec = mapped("echo x >>/data; chown 7:8 /data; id -u; stat -c %u /bin/busybox; "
                                        "wc -l </data; exec cat /dev/zero >/dev/null",
                                        BASE);
    for (int64_t i = 1; i <= 2; i++) {
        fixture_launch(f, id, i, &spec);
        if (!f->result.ok)
            fail_msg("%s", f->result.message);
        assert_int_equal(stat_of("/proc/%d/task", (int)f->result.pid).st_uid, BASE);
        for (auto_free char *log = NULL; log == NULL || strchr(log, '0' + (int)i) == NULL;) {
            free(log);
            log = fixture_log(f, id);
        }
        struct err err = ERR_INIT;
        assert_int_equal(host_signal(f->host, id, i, SIGKILL, &err), 0);
        fixture_wait_exit(f);
        host_forget_exit(f->host, id, i);
        assert_int_equal(stat_of("%s/containers/%s/upper/data", f->state_dir, id).st_uid, 7);
        assert_int_equal(stat_of("%s/containers/%s/upper/etc/hosts", f->state_dir, id).st_uid, 0);
    }
    auto_free char *log = fixture_log(f, id);
    assert_string_equal(log, "0\n0\n1\n0\n0\n2\n");
    fixture_remove(f, id);
    spec_release(&spec);
}

/* The limits hold for who has no right to write to the cgroups. */
static void is_in_its_cgroups(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    if (cannot_map(f))
        return;
    fixture_new_id(f, id);
    struct container_spec spec = mapped("tail /dev/zero", BASE);
    spec.memory = 16 << 20;
    spec.pids_limit = 5;
    fixture_launch(f, id, 1, &spec);
    if (!f->result.ok)
        fail_msg("%s", f->result.message);
    fixture_wait_exit(f);
    assert_true(f->exit.oom_killed);
    fixture_remove(f, id);
    spec_release(&spec);
    spec = mapped("for i in 1 2 3 4 5 6 7 8; do cat /dev/zero >/dev/null 2>&1 & done 2>&1 | grep -c 'fork'; "
                  "kill -9 -1",
                  BASE);
    spec.pids_limit = 5;
    auto_free char *output = fixture_output(f, &spec);
    assert_string_equal(output, "1\n");
    spec_release(&spec);
}

/* ramfs has no ids that could be mapped: nothing is left of the start. */
static void says_what_cannot_be_mapped(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], path[160];
    if (cannot_map(f))
        return;
    fixture_new_id(f, id);
    struct container_spec spec = mapped("true", BASE);
    struct container_mount volume = {.type = strdup("volume"),
                                     .source = strdup("data"),
                                     .target = strdup("/v"),
                                     .size = SCHEMA_ABSENT,
                                     .mode = SCHEMA_ABSENT};
    spec.mounts.items = malloc(sizeof(volume));
    assert_non_null(spec.mounts.items);
    memcpy(spec.mounts.items, &volume, sizeof(volume));
    spec.mounts.n = 1;
    snprintf(path, sizeof(path), "%s/volumes/data", f->state_dir);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(mount("none", path, "ramfs", 0, NULL), 0);
    fixture_launch(f, id, 1, &spec);
    assert_int_equal(umount(path), 0);
    assert_false(f->result.ok);
    assert_int_equal(f->result.exit_code, 125);
    assert_string_equal(f->result.code, "ids-not-mapped");
    assert_non_null(strstr(f->result.message, "cannot map the ids of what is mounted on '/v'"));
    fixture_remove(f, id);
    spec_release(&spec);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(maps_ids_and_changes_no_owner),
        TEST(is_in_its_cgroups),
        TEST(says_what_cannot_be_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
