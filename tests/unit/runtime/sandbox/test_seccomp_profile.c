/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/sandbox/oci_seccomp.h"
#include "runtime/sandbox/seccomp_profile.h"

static const struct seccomp_situation HERE = {
    .capabilities = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_SYS_ADMIN,
    .kernel = "6.1.0-13-amd64",
    .machine = "amd64",
    .scmp_arch = "SCMP_ARCH_X86_64",
};

/* The profile's entries that remain, by their first names. */
static void expect(const char *syscalls, const char *expected)
{
    auto_buf struct buf text = BUF_INIT;
    auto_buf struct buf found = BUF_INIT;
    struct err err = ERR_INIT;
    size_t i;
    json_t *entry;
    buf_printf(&text, "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[%s]}", syscalls);
    json_auto_t *section = seccomp_profile(text.data, &HERE, &err);
    assert_string_equal(err.message, "");
    assert_non_null(section);
    buf_add_string(&found, "");
    json_array_foreach(json_object_get(section, "syscalls"), i, entry)
    {
        assert_null(json_object_get(entry, "includes"));
        buf_printf(&found, "%s ", json_string_value(json_array_get(json_object_get(entry, "names"), 0)));
    }
    assert_string_equal(found.data, expected);
}

#define ALLOW ",\"action\":\"SCMP_ACT_ALLOW\""

static void conditions_of_dockers_format(void **state)
{
    (void)state;
    expect("{\"names\":[\"a\"]" ALLOW "},{\"name\":\"b\"" ALLOW ",\"comment\":\"x\",\"args\":null}", "a b ");
    expect("{\"names\":[\"a\"]" ALLOW ",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_CHOWN\"]}},"
           "{\"names\":[\"b\"]" ALLOW ",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_BPF\"]}},"
           "{\"names\":[\"c\"]" ALLOW ",\"excludes\":{\"caps\":[\"CAP_BPF\"]}},"
           "{\"names\":[\"d\"]" ALLOW ",\"excludes\":{\"caps\":[\"CAP_BPF\",\"CAP_CHOWN\"]}}",
           "a c ");
    expect("{\"names\":[\"a\"]" ALLOW ",\"includes\":{\"arches\":[\"amd64\",\"x32\"]}},"
           "{\"names\":[\"b\"]" ALLOW ",\"includes\":{\"arches\":[\"s390\"]}},"
           "{\"names\":[\"c\"]" ALLOW ",\"excludes\":{\"arches\":[\"amd64\"]}},"
           "{\"names\":[\"d\"]" ALLOW ",\"excludes\":{},\"includes\":{}}",
           "a d ");
    expect("{\"names\":[\"a\"]" ALLOW ",\"includes\":{\"minKernel\":\"4.8\"}},"
           "{\"names\":[\"b\"]" ALLOW ",\"includes\":{\"minKernel\":\"6.10\"}},"
           "{\"names\":[\"c\"]" ALLOW ",\"excludes\":{\"minKernel\":\"6.1\"}},"
           "{\"names\":[\"d\"]" ALLOW ",\"excludes\":{\"minKernel\":\"6.2\"}}",
           "a d ");
}

static void architectures_of_this_machine(void **state)
{
    (void)state;
    json_auto_t *mapped = seccomp_profile(
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":[{\"architecture\":\"SCMP_ARCH_AARCH64\","
        "\"subArchitectures\":[\"SCMP_ARCH_ARM\"]},{\"architecture\":\"SCMP_ARCH_X86_64\","
        "\"subArchitectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]}]}",
        &HERE, NULL);
    json_auto_t *expected = json_pack("[s, s, s]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32");
    assert_true(json_equal(json_object_get(mapped, "architectures"), expected));
    json_auto_t *named = seccomp_profile(
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"]}", &HERE, NULL);
    assert_int_equal(json_array_size(json_object_get(named, "architectures")), 1);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"[]", "no JSON object"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"surprise\":1}", "'surprise'"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}", "'syscalls'"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[1]}", "'syscalls'"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"includes\":[1]}]}", "'includes'"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"includes\":{\"x\":1}}]}", "'x'"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"excludes\":{\"caps\":1}}]}", "caps"},
#define KERNEL(text)                                                                                         \
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"includes\":{\"minKernel\":\"" text "\"}}]}"
        {KERNEL("4"), "'includes.minKernel' of the system call filter is '4'"},
        {KERNEL("4.8.1"), "'4.8.1'"},
        {KERNEL("-4.8"), "'-4.8'"},
        {KERNEL("92233720368547758.8"), "minKernel"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],"
         "\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\"}]}",
         "archMap"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = ERR_INIT;
        assert_null(seccomp_profile(cases[i].text, &HERE, &err));
        assert_non_null(strstr(err.message, cases[i].why));
    }
}

static void the_result_is_a_filter(void **state)
{
    (void)state;
    auto_buf struct buf program = BUF_INIT;
    struct err err = ERR_INIT;
    uint32_t flags = 0;
    bool notifies;
    json_auto_t *section = seccomp_profile(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,\"syscalls\":[{\"names\":["
        "\"read\"]" ALLOW ",\"args\":[{\"index\":0,\"value\":1,\"valueTwo\":0,\"op\":\"SCMP_CMP_EQ\"}]}]}",
        &HERE, &err);
    assert_int_equal(oci_seccomp(section, &program, &flags, &notifies, &err), 0);
    assert_true(program.size > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_of_dockers_format),
        cmocka_unit_test(architectures_of_this_machine),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(the_result_is_a_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
