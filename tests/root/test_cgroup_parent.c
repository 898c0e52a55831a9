/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups below a parent that the spec names: made, found again after what a crash may leave, and removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "tests/root/host_fixture.h"

/* Below a v1 hierarchy's mount point or that of v2. */
static bool exists(const struct fixture *f, const char *below)
{
    static const char *const places[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
    char path[400];
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s-other%s", places[i], f->cgroup_parent, below);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static void launch(struct fixture *f, const char *id)
{
    char parent[96];
    struct container_spec spec = spec_of("exec cat /dev/zero >/dev/null");
    snprintf(parent, sizeof(parent), "/%s-other/deep", f->cgroup_parent);
    spec.cgroup_parent = strdup(parent);
    fixture_launch(f, id, 1, &spec);
    if (!f->result.ok)
        fail_msg("%s", f->result.message);
    spec_release(&spec);
}

static void comes_and_goes(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], path[120];
    struct err err = ERR_INIT;
    fixture_new_id(f, id);
    launch(f, id);
    snprintf(path, sizeof(path), "/deep/wharf-%s", id);
    assert_true(exists(f, path));
    assert_int_equal(host_signal(f->host, id, 1, SIGKILL, &err), 0);
    fixture_wait_exit(f);
    fixture_remove(f, id);
    assert_false(exists(f, ""));
}

static const struct host_observation *observe(struct fixture *f, const char *id)
{
    static struct host_observation *found;
    size_t n = 0;
    struct err err = ERR_INIT;
    free(found);
    assert_int_equal(host_observe(f->host, &found, &n, &err), 0);
    for (size_t i = 0; i < n; i++)
        if (strcmp(found[i].container_id, id) == 0)
            return &found[i];
    return NULL;
}

/* As if the start had been cut off: the directory and the cgroup, with a process in it, and no record. */
static void an_interrupted_start_is_cleared(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], path[200];
    fixture_new_id(f, id);
    launch(f, id);
    fixture_close_host(f);
    snprintf(path, sizeof(path), "%s/containers/%s/shim", f->state_dir, id);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/containers/%s/exit", f->state_dir, id);
    assert_int_equal(unlink(path), 0);
    fixture_open_host(f);
    const struct host_observation *found = observe(f, id);
    assert_non_null(found);
    assert_int_equal(found->found, HOST_INTERRUPTED);
    assert_non_null(strstr(found->what, "cgroup"));
    fixture_remove(f, id); /* behind the clean-up that has begun */
    assert_false(exists(f, ""));
}

/* The state directory has lost it, and the log has not. */
static void what_only_the_log_knows_is_cleared(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], path[200], parent[96];
    struct err err = ERR_INIT;
    fixture_new_id(f, id);
    launch(f, id);
    pid_t pid = (pid_t)f->result.pid;
    snprintf(parent, sizeof(parent), "/%s-other/deep", f->cgroup_parent);
    host_clear_stray_cgroup(f->host, id, parent); /* it is known: nothing happens */
    assert_int_equal(kill(pid, 0), 0);
    fixture_close_host(f);
    snprintf(path, sizeof(path), "%s/containers/%s", f->state_dir, id);
    assert_int_equal(fs_remove_tree(AT_FDCWD, path, &err), 0);
    fixture_open_host(f);
    host_clear_stray_cgroup(f->host, id, parent);
    assert_false(exists(f, ""));
    assert_null(observe(f, id));
}

/* A parent that was marked before a crash and never made, or made and left empty. */
static void empty_parents_go_with_the_next_start(void **state)
{
    struct fixture *f = *state;
    char path[300];
    struct err err = ERR_INIT;
    bool v2 = access("/sys/fs/cgroup/memory", F_OK) < 0;
    fixture_close_host(f);
    snprintf(path, sizeof(path), "%s/cgroup-parents/%%sys%%fs%%cgroup%s%%%s-other", f->state_dir,
             v2 ? "" : "%memory", f->cgroup_parent);
    for (int made = 0; made < 2; made++) {
        char cgroup[200];
        snprintf(cgroup, sizeof(cgroup), "/sys/fs/cgroup%s/%s-other", v2 ? "" : "/memory", f->cgroup_parent);
        assert_int_equal(fs_write_file(AT_FDCWD, path, 0600, "", 0, false, &err), 0);
        if (made == 1)
            assert_int_equal(fs_mkdirs(AT_FDCWD, cgroup, 0755, &err), 0);
        fixture_open_host(f);
        assert_false(exists(f, ""));
        assert_int_equal(access(path, F_OK), -1);
        fixture_close_host(f);
    }
    fixture_open_host(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(comes_and_goes),
        TEST(an_interrupted_start_is_cleared),
        TEST(what_only_the_log_knows_is_cleared),
        TEST(empty_parents_go_with_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
