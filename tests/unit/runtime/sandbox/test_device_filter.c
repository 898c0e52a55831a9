/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of devices as a program, which is run here by the few instructions that it is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/bpf.h>
#include <string.h>

#include "runtime/sandbox/device_filter.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t load(const struct bpf_cgroup_dev_ctx *asked, int16_t offset)
{
    uint32_t value;
    memcpy(&value, (const char *)asked + offset, sizeof(value));
    return value;
}

/* True if it jumps. */
static bool step(const struct bpf_insn *at, uint64_t regs[11], const struct bpf_cgroup_dev_ctx *asked)
{
    uint64_t *to = &regs[at->dst_reg], number = (uint64_t)(int64_t)at->imm;
    switch (at->code) {
    case BPF_LDX | BPF_MEM | BPF_W:
        *to = load(asked, at->off);
        return false;
    case BPF_ALU64 | BPF_MOV | BPF_X:
        *to = regs[at->src_reg];
        return false;
    case BPF_ALU64 | BPF_MOV | BPF_K:
        *to = number;
        return false;
    case BPF_ALU64 | BPF_AND | BPF_K:
        *to &= number;
        return false;
    case BPF_ALU64 | BPF_RSH | BPF_K:
        *to >>= number;
        return false;
    case BPF_JMP | BPF_JEQ | BPF_K:
        return *to == number;
    case BPF_JMP | BPF_JNE | BPF_K:
        return *to != number;
    case BPF_JMP32 | BPF_JNE | BPF_K:
        return (uint32_t)*to != (uint32_t)at->imm;
    default:
        fail_msg("an instruction that was not expected: %x", at->code);
        return false;
    }
}

static bool allows(const struct buf *program, uint32_t type, uint32_t access, uint32_t major, uint32_t minor)
{
    const struct bpf_cgroup_dev_ctx asked = {access << 16 | type, major, minor};
    const struct bpf_insn *code = (const void *)program->data;
    size_t n = program->size / sizeof(*code);
    uint64_t regs[11] = {0};
    for (size_t at = 0; at < n; at++) {
        if (code[at].code == (BPF_JMP | BPF_EXIT))
            return regs[0] == 1;
        if (step(&code[at], regs, &asked))
            at += (size_t)code[at].off;
    }
    fail_msg("the program has no end");
    return false;
}

#define CHAR BPF_DEVCG_DEV_CHAR
#define BLOCK BPF_DEVCG_DEV_BLOCK
#define R BPF_DEVCG_ACC_READ
#define W BPF_DEVCG_ACC_WRITE
#define M BPF_DEVCG_ACC_MKNOD

static void build(const struct device_rule *rules, size_t n, struct buf *ret)
{
    struct err err = ERR_INIT;
    if (device_filter_build(rules, n, ret, &err) < 0)
        fail_msg("%s", err.message);
}

static void what_containers_have(void **state)
{
    (void)state;
    struct device_rule rules[16];
    size_t n = 0;
    auto_buf struct buf program = BUF_INIT;
    rules[n++] = (struct device_rule){false, "a"};
    for (size_t i = 0; DEVICES_ALWAYS_ALLOWED[i] != NULL; i++)
        rules[n++] = (struct device_rule){true, DEVICES_ALWAYS_ALLOWED[i]};
    build(rules, n, &program);
    assert_true(allows(&program, CHAR, R | W, 1, 3));
    assert_true(allows(&program, CHAR, R | W | M, 136, 77));
    assert_true(allows(&program, BLOCK, M, 8, 0));
    assert_false(allows(&program, BLOCK, R, 8, 0));
    assert_false(allows(&program, BLOCK, R, 1, 3));
    assert_false(allows(&program, CHAR, R, 1, 1));
    assert_false(allows(&program, CHAR, M | W, 1, 1));
}

static void the_last_rule_that_covers_it_decides(void **state)
{
    (void)state;
    static const struct device_rule RULES[] = {
        {false, "a *:* rwm"}, {true, "c 10:* rw"}, {false, "c 10:5 w"},
        {true, "c 10:7 m"},   {false, "b *:3 r"},
    };
    auto_buf struct buf program = BUF_INIT;
    build(RULES, COUNT(RULES), &program);
    assert_true(allows(&program, CHAR, R | W, 10, 4));
    assert_true(allows(&program, CHAR, R, 10, 5));
    assert_false(allows(&program, CHAR, W, 10, 5));
    assert_false(allows(&program, CHAR, R | W, 10, 5));
    assert_true(allows(&program, CHAR, R | M, 10, 7));
    assert_false(allows(&program, CHAR, M, 10, 4));
    assert_false(allows(&program, BLOCK, R, 9, 3));
}

static void what_comes_before_all_does_not_count(void **state)
{
    (void)state;
    static const struct device_rule RULES[] = {
        {false, "c 1:3 rwm"}, {true, "a"}, {false, "c 4095:4294967294 r"}};
    auto_buf struct buf program = BUF_INIT;
    build(RULES, COUNT(RULES), &program);
    assert_true(allows(&program, CHAR, R | W | M, 1, 3));
    assert_false(allows(&program, CHAR, R | W, 4095, 4294967294));
    assert_true(allows(&program, CHAR, W, 4095, 4294967294));
    auto_buf struct buf nothing = BUF_INIT;
    build(NULL, 0, &nothing);
    assert_false(allows(&nothing, CHAR, R, 1, 3));
}

static void what_is_no_rule_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"",       "x 1:3 r",          "c",       "c 1:3",
                                        "c 1:3 ", "c 1:3 x",          "c 1 3 r", "c -1:3 r",
                                        "c :3 r", "c 1:4294967295 r", "c1:3 r",  "all"};
    for (size_t i = 0; i < COUNT(TEXTS); i++) {
        struct err err = ERR_INIT;
        auto_buf struct buf program = BUF_INIT;
        const struct device_rule rule = {true, TEXTS[i]};
        assert_int_equal(device_filter_build(&rule, 1, &program, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_containers_have),
        cmocka_unit_test(the_last_rule_that_covers_it_decides),
        cmocka_unit_test(what_comes_before_all_does_not_count),
        cmocka_unit_test(what_is_no_rule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
