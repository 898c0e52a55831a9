/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "runtime/sandbox/seccomp.h"

#define REFUSED (SECCOMP_RET_ERRNO | EPERM)
#define NOT_THERE (SECCOMP_RET_ERRNO | ENOSYS)

/* Classic BPF as far as the filter uses it (Documentation/networking/filter.rst). */
static uint32_t run(const struct buf *program, const struct seccomp_data *data)
{
    const struct sock_filter *code = (const struct sock_filter *)(const void *)program->data;
    size_t n = program->size / sizeof(*code);
    uint32_t a = 0;
    for (size_t at = 0; at < n; at++) {
        const struct sock_filter *i = &code[at];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)data + i->k, sizeof(a));
            break;
        case BPF_JMP | BPF_JA:
            at += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            at += (a & i->k) != 0 ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail_msg("unexpected instruction %#x", i->code);
        }
    }
    fail_msg("ran off the end");
    return 0;
}

static int setup(void **state)
{
    static struct buf program = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(seccomp_default_program(0, &program, &err), 0);
    *state = &program;
    return 0;
}

static int teardown(void **state)
{
    buf_release(*state);
    return 0;
}

static uint32_t ask(const struct buf *program, uint32_t arch, const char *name, uint64_t argument)
{
    int nr = seccomp_syscall_resolve_name_arch(arch, name);
    assert_true(nr >= 0);
    struct seccomp_data data = {.nr = nr, .arch = arch, .args = {argument}};
    return run(program, &data);
}

static void knows_names(void **state)
{
    static const char *const ALLOWED[] = {"read",  "execve", "openat", "exit_group",
                                          "wait4", "mknod",  "futex",  "kill"};
    static const char *const REFUSED_ONES[] = {
        "mount",  "umount2",    "unshare", "setns",       "pivot_root",     "reboot",     "bpf",
        "keyctl", "kexec_load", "swapon",  "init_module", "io_uring_setup", "userfaultfd"};
    const struct buf *program = *state;
    uint32_t native = seccomp_arch_native();
    for (size_t i = 0; i < sizeof(ALLOWED) / sizeof(ALLOWED[0]); i++)
        assert_int_equal(ask(program, native, ALLOWED[i], 0), SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < sizeof(REFUSED_ONES) / sizeof(REFUSED_ONES[0]); i++)
        assert_int_equal(ask(program, native, REFUSED_ONES[i], 0), REFUSED);
    assert_int_equal(ask(program, native, "clone3", 0), NOT_THERE);
}

static void looks_at_arguments(void **state)
{
    const struct buf *program = *state;
    uint32_t native = seccomp_arch_native();
    assert_int_equal(ask(program, native, "clone", CLONE_VM | CLONE_THREAD | CLONE_SIGHAND),
                     SECCOMP_RET_ALLOW);
    assert_int_equal(ask(program, native, "clone", CLONE_VM | CLONE_NEWUSER), REFUSED);
    assert_int_equal(ask(program, native, "clone", CLONE_NEWNET), REFUSED);
    assert_int_equal(ask(program, native, "socket", AF_INET), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(program, native, "socket", AF_VSOCK), REFUSED);
    assert_int_equal(ask(program, native, "personality", 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(program, native, "personality", 0xffffffff), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(program, native, "personality", 0x0040000 /* ADDR_NO_RANDOMIZE */), REFUSED);
}

static void numbers_of_the_future_are_not_there(void **state)
{
    const struct buf *program = *state;
    static const int NUMBERS[] = {1023, 1024, 4096, 0x40000000, 0x40000001, -1};
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        struct seccomp_data data = {.nr = NUMBERS[i], .arch = seccomp_arch_native()};
        assert_int_equal(run(program, &data), NOT_THERE);
    }
    struct seccomp_data foreign = {.nr = 0, .arch = 12345};
    assert_int_equal(run(program, &foreign), SECCOMP_RET_KILL_PROCESS);
}

#ifdef __x86_64__
static void serves_32_bit_programs(void **state)
{
    const struct buf *program = *state;
    assert_int_equal(ask(program, SCMP_ARCH_X86, "read", 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(program, SCMP_ARCH_X86, "mmap2", 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(program, SCMP_ARCH_X86, "mount", 0), REFUSED);
    assert_int_equal(ask(program, SCMP_ARCH_X86, "clone", CLONE_NEWNS), REFUSED);
}
#endif

static void is_short(void **state)
{
    const struct buf *program = *state;
    assert_in_range(program->size / sizeof(struct sock_filter), 100, 700);
}

static void capabilities_open_what_they_are_for(void **state)
{
    (void)state;
    auto_buf struct buf admin = BUF_INIT;
    uint32_t native = seccomp_arch_native();
    assert_int_equal(seccomp_default_program(UINT64_C(1) << CAP_SYS_ADMIN, &admin, NULL), 0);
    assert_int_equal(ask(&admin, native, "mount", 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(&admin, native, "unshare", CLONE_NEWUSER), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(&admin, native, "clone", CLONE_NEWNET), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(&admin, native, "init_module", 0), REFUSED);
    assert_int_equal(ask(&admin, native, "reboot", 0), REFUSED);
    assert_int_equal(ask(&admin, native, "socket", AF_VSOCK), REFUSED);
    assert_true(seccomp_relevant_capabilities(0xa80425fb) == 0); /* the default ones */
    assert_true(seccomp_relevant_capabilities(UINT64_C(1) << CAP_SYS_BOOT | 1) == UINT64_C(1)
                                                                                      << CAP_SYS_BOOT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_names),
        cmocka_unit_test(looks_at_arguments),
        cmocka_unit_test(numbers_of_the_future_are_not_there),
#ifdef __x86_64__
        cmocka_unit_test(serves_32_bit_programs),
#endif
        cmocka_unit_test(is_short),
        cmocka_unit_test(capabilities_open_what_they_are_for),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
