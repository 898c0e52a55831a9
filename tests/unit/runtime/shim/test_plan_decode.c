/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/sandbox/plan_encode.h"

static void add_all(struct buf *plan)
{
    struct plan_rlimit limit = {.resource = 7, .soft = 10, .hard = 20};
    uint32_t groups[] = {1, 2, 3};
    plan_begin(plan);
    plan_add_string(plan, PLAN_BOOT_ID, "boot");
    plan_add_string(plan, PLAN_CGROUP, "abc");
    plan_add_string(plan, PLAN_WORKDIR, "/work");
    plan_add_string(plan, PLAN_ARG, "echo");
    plan_add_string(plan, PLAN_ARG, "");
    plan_add_string(plan, PLAN_ENV, "A=b");
    plan_add(plan, PLAN_GROUPS, groups, sizeof(groups));
    plan_add(plan, PLAN_RLIMIT, &limit, sizeof(limit));
    plan_add(plan, PLAN_SECCOMP, "12345678abcdefgh", 16);
    plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_OVERLAY_ROOT, .b = "lowerdir=x"});
    plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_MASK, .path = "/proc/kcore"});
}

static void finish(struct buf *plan)
{
    struct err err = ERR_INIT;
    struct plan_header header = {
        .incarnation = 9, .log_files = 3, .log_max_bytes = 4096, .n_cgroups = 2, .oom_cgroup = 1};
    assert_int_equal(plan_finish(plan, header, &err), 0);
}

static void round_trip(void **state)
{
    (void)state;
    auto_buf struct buf bytes = BUF_INIT;
    add_all(&bytes);
    finish(&bytes);
    struct plan plan;
    assert_null(plan_decode(&plan, bytes.data, bytes.size));
    assert_int_equal(plan.header.incarnation, 9);
    assert_string_equal(plan.boot_id, "boot");
    assert_string_equal(plan.workdir, "/work");
    assert_null(plan.hostname);
    assert_string_equal(plan.argv[0], "echo");
    assert_string_equal(plan.argv[1], "");
    assert_null(plan.argv[2]);
    assert_string_equal(plan.envp[0], "A=b");
    assert_null(plan.envp[1]);
    assert_int_equal(plan.n_groups, 3);
    assert_int_equal(plan.groups[2], 3);
    assert_int_equal(plan.n_seccomp, 2);
    size_t cursor = 0;
    struct plan_step step;
    assert_true(plan_next_step(&plan, &cursor, &step));
    assert_int_equal(step.op, PLAN_OP_OVERLAY_ROOT);
    assert_string_equal(step.b, "lowerdir=x");
    assert_true(plan_next_step(&plan, &cursor, &step));
    assert_string_equal(step.path, "/proc/kcore");
    assert_false(plan_next_step(&plan, &cursor, &step));
    struct plan_rlimit limit;
    cursor = 0;
    assert_true(plan_next_rlimit(&plan, &cursor, &limit));
    assert_int_equal(limit.hard, 20);
    assert_false(plan_next_rlimit(&plan, &cursor, &limit));
    plan_release(&plan);
}

static void expect_refused(struct buf *bytes, const char *why)
{
    struct plan plan;
    const char *found = plan_decode(&plan, bytes->data, bytes->size);
    assert_non_null(found);
    assert_string_equal(found, why);
    assert_null(plan.argv);
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    auto_buf struct buf bytes = BUF_INIT;
    plan_begin(&bytes);
    finish(&bytes);
    expect_refused(&bytes, "something required is missing");
    struct plan_header *header = (struct plan_header *)(void *)bytes.data;
    header->version++;
    expect_refused(&bytes, "it is of another version: runtime and shim must come from the same build");
    buf_reset(&bytes);
    add_all(&bytes);
    plan_add_string(&bytes, PLAN_CGROUP, "again");
    finish(&bytes);
    expect_refused(&bytes, "an entry comes twice");
    buf_reset(&bytes);
    add_all(&bytes);
    plan_add(&bytes, PLAN_ARG, "abc", 3);
    finish(&bytes);
    expect_refused(&bytes, "an argument is not terminated");
    buf_reset(&bytes);
    add_all(&bytes);
    plan_add_step(&bytes, &(struct plan_step){.op = PLAN_OP_OVERLAY_ROOT, .b = "second"});
    finish(&bytes);
    expect_refused(&bytes, "the first step, and only it, must make the root");
    buf_reset(&bytes);
    add_all(&bytes);
    plan_add_step(&bytes, &(struct plan_step){.op = PLAN_OP_MASK, .path = "relative"});
    finish(&bytes);
    expect_refused(&bytes, "a step is malformed");
    buf_reset(&bytes);
    add_all(&bytes);
    plan_add(&bytes, (enum plan_entry_type)99, "", 0);
    finish(&bytes);
    expect_refused(&bytes, "an entry is of an unknown type");
    buf_reset(&bytes);
    add_all(&bytes);
    plan_add_string(&bytes, PLAN_UID_MAP, "0 100000 65536\n");
    plan_add_string(&bytes, PLAN_GID_MAP, "0 100000 65536\n");
    finish(&bytes);
    expect_refused(&bytes, "a user namespace and its maps must come together");
    header = (struct plan_header *)(void *)bytes.data;
    header->flags = PLAN_USER_NAMESPACE;
    struct plan plan;
    assert_null(plan_decode(&plan, bytes.data, bytes.size));
    assert_string_equal(plan.uid_map, "0 100000 65536\n");
    plan_release(&plan);
}

/* Whatever the bytes, the decoder stays within them: each copy is of the exact size, so that the sanitizer
 * would see. */
static void any_bytes_are_safe(void **state)
{
    (void)state;
    auto_buf struct buf bytes = BUF_INIT;
    add_all(&bytes);
    finish(&bytes);
    uint64_t random = 42;
    for (int round = 0; round < 60000; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t size = round % 3 == 0 ? (size_t)(random >> 33) % (bytes.size + 1) : bytes.size;
        auto_free uint8_t *copy = malloc(size + (size == 0));
        assert_non_null(copy);
        memcpy(copy, bytes.data, size);
        for (int flips = (int)(random >> 60) % 4 + 1; flips > 0 && size > 0; flips--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            copy[(random >> 33) % size] = (uint8_t)(random >> 20);
        }
        if (round % 3 == 0 && size >= sizeof(struct plan_header))
            ((struct plan_header *)(void *)copy)->size = (uint32_t)size;
        struct plan plan;
        if (plan_decode(&plan, copy, size) != NULL)
            continue;
        struct plan_step step;
        struct plan_rlimit limit;
        size_t cursor = 0;
        while (plan_next_step(&plan, &cursor, &step))
            assert_true(strlen(step.path) + strlen(step.a) + strlen(step.b) < size);
        cursor = 0;
        while (plan_next_rlimit(&plan, &cursor, &limit))
            ;
        for (char **arg = plan.argv; *arg != NULL; arg++)
            assert_true(strlen(*arg) < size);
        plan_release(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(any_bytes_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
