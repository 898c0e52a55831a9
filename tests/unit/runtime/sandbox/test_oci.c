/* SPDX-License-Identifier: Apache-2.0 */
/* From a container_spec through config.json to the plan and the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/capability.h"
#include "runtime/sandbox/oci_config.h"
#include "runtime/sandbox/oci_plan.h"
#include "runtime/sandbox/plan.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
    struct container_spec spec;
    struct image image;
    struct user user;
    struct cgroup_layout layout;
    const struct oci_device *devices; /* one, or none */
    json_t *config;
    struct buf bytes;
    struct plan plan;
    struct cgroup_limits limits;
    struct err err;
};

static int setup(void **state)
{
    static char *command[] = {"sh", NULL};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    schema_init(&container_spec_schema, &f->spec);
    f->image.config.command = (struct strings){command, 1};
    f->user = (struct user){.uid = 5, .gid = 6, .groups = {6}, .n_groups = 1, .home = "/h"};
    f->layout = (struct cgroup_layout){
        .n = 2,
        .hierarchies = {{.path = "/host/cpu,cpuacct", .names = "cpu,cpuacct", .controllers = CGROUP_CPU},
                        {.path = "/host/memory", .names = "memory", .controllers = CGROUP_MEMORY}}};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    plan_release(&f->plan);
    cgroup_limits_release(&f->limits);
    json_decref(f->config);
    buf_release(&f->bytes);
    free(f);
    return 0;
}

static int make_config(struct fixture *f)
{
    struct oci_config_input input = {
        .container_id = ID,
        .incarnation = 2,
        .spec = &f->spec,
        .image = &f->image,
        .user = &f->user,
        .cgroup_parent = "wharf",
        .cgroup_name = ID,
        .overlay_options = "lowerdir=l,upperdir=u,workdir=w",
        .shared_pids = {77, 77, 77, 77},
        .volumes_dir = "/state/volumes",
        .devices = f->devices,
        .n_devices = f->devices == NULL ? 0 : 1,
        .capabilities = CAPABILITY_ALL,
        .kernel = "6.1.0",
    };
    f->config = oci_config(&input, &f->err);
    return f->config == NULL ? -1 : 0;
}

static int make_plan(struct fixture *f)
{
    struct buf seccomp = {.data = (char[]){"12345678"}, .size = 8};
    struct oci_plan_input input = {.config = f->config,
                                   .incarnation = 2,
                                   .boot_id = "boot",
                                   .cgroup_name = ID,
                                   .layout = &f->layout,
                                   .seccomp = &seccomp,
                                   .log_max_bytes = 1 << 20,
                                   .log_files = 3};
    cgroup_limits_release(&f->limits);
    if (oci_plan(&input, &f->bytes, &f->limits, &f->err) < 0)
        return -1;
    assert_null(plan_decode(&f->plan, f->bytes.data, f->bytes.size));
    return 0;
}

static void defaults(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    assert_int_equal(f->plan.header.uid, 5);
    assert_int_equal(f->plan.header.gid, 6);
    assert_int_equal(f->plan.header.umask, 022);
    assert_true(f->plan.header.cap_bounding == 0xa80425fb); /* docker's */
    assert_int_equal(f->plan.header.flags, PLAN_NO_NEW_PRIVS | PLAN_LOOPBACK);
    assert_true(f->plan.header.clone_flags ==
                (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS));
    assert_int_equal(f->plan.header.oom_cgroup, 1);
    assert_string_equal(f->plan.hostname, "0123456789ab");
    assert_string_equal(f->plan.workdir, "/");
    assert_string_equal(f->plan.argv[0], "sh");
    assert_int_equal(f->plan.n_seccomp, 1);
    assert_int_equal(f->limits.memory_bytes, 0);
    assert_int_equal(f->limits.pids, 0);
}

static void cgroups_of_v1_have_a_directory_each(void **state)
{
    static const struct {
        enum plan_op op;
        const char *path, *a, *b;
    } EXPECTED[] = {
        {PLAN_OP_MOUNT, "/sys/fs/cgroup", "tmpfs", "mode=755"},
        {PLAN_OP_CGROUP, "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct"},
        {PLAN_OP_SYMLINK, "/sys/fs/cgroup/cpu", "cpu,cpuacct", ""},
        {PLAN_OP_SYMLINK, "/sys/fs/cgroup/cpuacct", "cpu,cpuacct", ""},
        {PLAN_OP_CGROUP, "/sys/fs/cgroup/memory", "cgroup", "memory"},
        {PLAN_OP_ATTRIBUTES, "/sys/fs/cgroup", "", ""},
    };
    struct fixture *f = *state;
    struct plan_step step;
    size_t n = 0;
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    for (size_t cursor = 0; plan_next_step(&f->plan, &cursor, &step);) {
        if (strncmp(step.path, "/sys/fs/cgroup", strlen("/sys/fs/cgroup")) != 0)
            continue;
        assert_true(n < sizeof(EXPECTED) / sizeof(EXPECTED[0]) && step.op == EXPECTED[n].op);
        assert_string_equal(step.path, EXPECTED[n].path);
        assert_string_equal(step.a, EXPECTED[n].a);
        assert_string_equal(step.b, EXPECTED[n].b);
        assert_true(step.op != PLAN_OP_CGROUP || (step.flags & MS_RDONLY) != 0);
        n++;
    }
    assert_int_equal(n, sizeof(EXPECTED) / sizeof(EXPECTED[0]));
}

static void everything_asked_for(void **state)
{
    static char *command[] = {"a", "b", NULL}, *entrypoint[] = {"/e", NULL},
                *env[] = {"X=1", "HOME=/x", NULL};
    struct fixture *f = *state;
    f->spec.command = (struct strings){command, 2};
    f->spec.entrypoint = (struct strings){entrypoint, 1};
    f->spec.env = (struct strings){env, 2};
    f->spec.memory = 1 << 30;
    f->spec.cpu_millis = 1500;
    f->spec.pids_limit = 9;
    f->spec.network = "host";
    f->spec.read_only = true;
    f->spec.workdir = "/w";
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    assert_string_equal(f->plan.argv[0], "/e");
    assert_string_equal(f->plan.argv[2], "b");
    assert_null(f->plan.argv[3]);
    assert_string_equal(f->plan.envp[1], "HOME=/x");
    assert_string_equal(f->plan.envp[2], "X=1");
    assert_null(f->plan.hostname);
    assert_string_equal(f->plan.workdir, "/w");
    assert_int_equal(f->plan.header.flags, PLAN_NO_NEW_PRIVS | PLAN_READ_ONLY_ROOT);
    assert_true((f->plan.header.clone_flags & CLONE_NEWNET) == 0);
    assert_int_equal(f->limits.memory_bytes, 1 << 30);
    assert_int_equal(f->limits.cpu_quota_us, 150000);
    assert_int_equal(f->limits.cpu_period_us, 100000);
    assert_int_equal(f->limits.pids, 9);
}

static char *strings_of(struct strings *ret, char **items)
{
    *ret = (struct strings){.items = items};
    while (items[ret->n] != NULL)
        ret->n++;
    return items[0];
}

static void expect_capabilities(struct fixture *f, char **add, char **drop, uint64_t expected)
{
    strings_of(&f->spec.cap_add, add);
    strings_of(&f->spec.cap_drop, drop);
    uint64_t mask = oci_capability_mask(&f->spec, CAPABILITY_ALL);
    assert_true(mask == expected);
}

#define LIST(...)                                                                                            \
    (char *[])                                                                                               \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

static void capabilities_added_and_dropped(void **state)
{
    struct fixture *f = *state;
    expect_capabilities(f, LIST("CAP_BPF"), LIST("CAP_CHOWN"), 0xa80425fa | UINT64_C(1) << CAP_BPF);
    expect_capabilities(f, LIST("ALL"), LIST("CAP_CHOWN"), CAPABILITY_ALL & ~UINT64_C(1));
    expect_capabilities(f, LIST("CAP_CHOWN"), LIST("ALL"), 1);
    expect_capabilities(f, LIST(NULL), LIST("ALL"), 0);
    expect_capabilities(f, LIST("CAP_NET_RAW"), LIST("CAP_NET_RAW", "CAP_CHOWN"), 0xa80425fa);
    f->spec.privileged = true;
    expect_capabilities(f, LIST(NULL), LIST("CAP_CHOWN"), CAPABILITY_ALL & ~UINT64_C(1));
    f->spec.privileged = false;
    strings_of(&f->spec.cap_add, LIST(NULL));
    strings_of(&f->spec.cap_drop, LIST(NULL));
    assert_true(oci_capability_mask(&f->spec, CAPABILITY_ALL) == 0xa80425fb);
}

static void a_privileged_container_is_not_confined(void **state)
{
    struct fixture *f = *state;
    f->spec.privileged = true;
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    assert_true(f->plan.header.cap_effective == CAPABILITY_ALL);
    assert_int_equal(f->plan.header.flags & PLAN_NO_NEW_PRIVS, 0);
    assert_int_equal(f->plan.n_seccomp, 0);
    assert_true(f->limits.any_device);
    struct plan_step step;
    for (size_t cursor = 0; plan_next_step(&f->plan, &cursor, &step);)
        assert_true(step.op != PLAN_OP_MASK && step.op != PLAN_OP_READ_ONLY);
}

static void limits_devices_and_kernel_parameters(void **state)
{
    struct fixture *f = *state;
    struct oci_device device = {"/dev/h", "/dev/x", 'c', 10, 229, 0600, 1, 2, "rw"};
    struct string_pair sysctl = {"net.ipv4.ip_forward", "1"};
    strings_of(&f->spec.ulimits, LIST("nofile=5:-1", "core=0:0"));
    f->spec.sysctls = (struct string_map){&sysctl, 1};
    f->spec.oom_score_adj = -5;
    f->spec.memory = 100;
    f->spec.memory_swap = -1;
    f->spec.memory_reservation = 50;
    f->spec.cpu_shares = 7;
    f->spec.init = true;
    f->devices = &device;
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    struct plan_rlimit limit;
    struct plan_sysctl parameter;
    size_t cursor = 0, at = 0;
    assert_true(plan_next_rlimit(&f->plan, &cursor, &limit));
    assert_true(limit.soft == 5 && limit.hard == UINT64_MAX);
    assert_true(plan_next_rlimit(&f->plan, &cursor, &limit));
    assert_false(plan_next_rlimit(&f->plan, &cursor, &limit));
    assert_true(plan_next_sysctl(&f->plan, &at, &parameter));
    assert_string_equal(parameter.path, "net/ipv4/ip_forward");
    assert_int_equal(f->plan.header.oom_score_adj, -5);
    assert_true((f->plan.header.flags & (PLAN_OOM_SCORE | PLAN_REAPER)) == (PLAN_OOM_SCORE | PLAN_REAPER));
    assert_int_equal(f->limits.memory_swap_bytes, -1);
    assert_int_equal(f->limits.memory_reservation_bytes, 50);
    assert_int_equal(f->limits.cpu_shares, 7);
    assert_int_equal(f->limits.n_devices, 1);
    assert_string_equal(f->limits.devices[0].rule, "c 10:229 rw");
    assert_false(f->limits.any_device);
}

static void namespaces_of_others(void **state)
{
    struct fixture *f = *state;
    struct plan_join join;
    size_t cursor = 0;
    f->spec.network = "container:x";
    f->spec.pid = "container:x";
    f->spec.ipc = "host";
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    assert_true(f->plan.header.clone_flags == (CLONE_NEWNS | CLONE_NEWUTS));
    assert_int_equal(f->plan.header.flags & PLAN_LOOPBACK, 0);
    assert_true(plan_next_namespace(&f->plan, &cursor, &join) && join.flag == CLONE_NEWNET);
    assert_string_equal(join.path, "/proc/77/ns/net");
    assert_true(plan_next_namespace(&f->plan, &cursor, &join) && join.flag == CLONE_NEWPID);
    assert_false(plan_next_namespace(&f->plan, &cursor, &join));
}

/* Volumes are shared by the containers' ids, and what is bound keeps the host's; devices are mounted. */
static void a_user_namespace(void **state)
{
    struct fixture *f = *state;
    struct oci_device device = {"/dev/h", "/dev/x", 'c', 10, 229, 0600, 1, 2, "rw"};
    struct container_mount mounts[] = {
        {.type = "bind", .source = "/src", .target = "/mnt/a"},
        {.type = "volume", .source = "data", .target = "/mnt/b", .size = SCHEMA_ABSENT},
    };
    struct plan_step step;
    size_t found = 0;
    f->spec.userns = "auto";
    f->spec.id_base = 1000000;
    f->spec.id_size = 65536;
    f->spec.mounts = (struct objects){mounts, 2};
    f->devices = &device;
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    assert_true((f->plan.header.clone_flags & CLONE_NEWUSER) != 0);
    assert_true((f->plan.header.flags & PLAN_USER_NAMESPACE) != 0 &&
                (f->plan.header.flags & PLAN_EARLY_SOURCES) != 0);
    assert_string_equal(f->plan.uid_map, "0 1000000 65536\n");
    assert_string_equal(f->plan.gid_map, "0 1000000 65536\n");
    for (size_t cursor = 0; plan_next_step(&f->plan, &cursor, &step);) {
        if (step.op == PLAN_OP_OVERLAY_ROOT) {
            assert_string_equal(step.a, "l");
        } else if (strcmp(step.path, "/mnt/a") == 0) {
            assert_string_equal(step.b, "");
            found++;
        } else if (strcmp(step.path, "/mnt/b") == 0) {
            assert_string_equal(step.b, f->plan.uid_map);
            assert_string_equal(step.c, f->plan.gid_map);
            found++;
        } else if (strcmp(step.path, "/dev/x") == 0) {
            assert_int_equal(step.op, PLAN_OP_BIND);
            assert_string_equal(step.a, "/dev/h");
            found++;
        }
    }
    assert_int_equal(found, 3);
    assert_string_equal(f->limits.devices[0].rule, "c 10:229 rw");
}

/* The steps that mount below /mnt, by path. */
static void expect_steps(const struct fixture *f, const char *const *paths, size_t n)
{
    struct plan_step step;
    size_t at = 0;
    for (size_t cursor = 0; plan_next_step(&f->plan, &cursor, &step);) {
        if (strncmp(step.path, "/mnt", 4) != 0)
            continue;
        assert_true(at < n);
        assert_string_equal(step.path, paths[at++]);
    }
    assert_int_equal(at, n);
}

static void mounts_of_ones_own(void **state)
{
    static const char *const paths[] = {"/mnt/b", "/mnt/a", "/mnt/a/b"};
    struct container_mount mounts[] = {
        {.type = "bind", .source = "/src", .target = "/mnt/a/b", .read_only = true, .propagation = "rslave"},
        {.type = "tmpfs", .target = "/mnt/b", .size = 4096, .mode = 0700, .options = {(char *[]){"exec"}, 1}},
        {.type = "volume", .source = "data", .target = "/mnt/a", .size = SCHEMA_ABSENT},
        {.type = "tmpfs", .target = "/dev/shm", .size = SCHEMA_ABSENT, .mode = SCHEMA_ABSENT},
    };
    struct fixture *f = *state;
    struct plan_step step;
    size_t shm = 0;
    f->spec.mounts = (struct objects){mounts, 4};
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    expect_steps(f, paths, 3);
    for (size_t cursor = 0; plan_next_step(&f->plan, &cursor, &step);) {
        shm += strcmp(step.path, "/dev/shm") == 0;
        if (strcmp(step.path, "/mnt/a/b") == 0) {
            assert_string_equal(step.a, "/src");
            assert_true(step.attributes.set_all == MOUNT_ATTR_RDONLY);
            assert_true(step.attributes.propagation[0] == (MS_SLAVE | MS_REC));
        } else if (strcmp(step.path, "/mnt/a") == 0) {
            assert_string_equal(step.a, "/state/volumes/data");
        } else if (strcmp(step.path, "/mnt/b") == 0) {
            assert_true((step.flags & MS_NOEXEC) == 0 && (step.flags & MS_NOSUID) != 0);
            assert_string_equal(step.b, "size=4096,mode=700");
        }
    }
    assert_int_equal(shm, 1);
    assert_true(f->plan.header.propagation == (MS_SLAVE | MS_REC));
}

static void filters_of_ones_own(void **state)
{
    struct fixture *f = *state;
    f->spec.seccomp = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],"
                      "\"action\":\"SCMP_ACT_ERRNO\"}]}";
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    assert_in_range(f->plan.n_seccomp, 2, 100);
    json_decref(f->config);
    plan_release(&f->plan);
    buf_reset(&f->bytes);
    f->spec.seccomp = "unconfined";
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    assert_int_equal(f->plan.n_seccomp, 0);
    json_decref(f->config);
    plan_release(&f->plan);
    buf_reset(&f->bytes);
    f->spec.seccomp = "{\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/x\"}";
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), -1);
    assert_non_null(strstr(f->err.message, "listenerPath"));
}

static void no_quota_below_the_kernels_least(void **state)
{
    struct fixture *f = *state;
    f->spec.cpu_millis = 1;
    assert_int_equal(make_config(f), 0);
    assert_int_equal(make_plan(f), 0);
    assert_int_equal(f->limits.cpu_quota_us, 1000);
    assert_int_equal(f->limits.cpu_period_us, 1000000);
}

static void no_command_is_an_error(void **state)
{
    struct fixture *f = *state;
    f->image.config.command.n = 0;
    assert_int_equal(make_config(f), -1);
    assert_int_equal(f->err.code, ERR_INVALID);
    assert_string_equal(f->err.message, "no command: neither the container nor its image names one");
}

static void what_cannot_be_given_is_refused(void **state)
{
    static const struct {
        const char *section, *member, *value;
    } CASES[] = {
        {NULL, "hooks", "{\"prestart\":[{\"path\":\"/x\"}]}"},
        {"linux", "seccomp", "{}"},
        {"linux", "devices", "[{\"type\":\"x\",\"path\":\"/dev/x\"}]"},
        {"linux", "namespaces", "[{\"type\":\"user\"}]"},
        {"linux", "namespaces", "[{\"type\":\"pid\"}]"},
        {NULL, "mounts", "[{\"destination\":\"/x\",\"type\":\"bind\"}]"},
        {"linux", "maskedPaths", "[\"relative\"]"},
        {"process", "capabilities", "{\"bounding\":[\"CAP_X\"]}"},
        {"process", "rlimits", "[{\"type\":\"RLIMIT_X\"}]"},
        {"process", "args", "[1]"},
        {"annotations", "io.wharf.overlay", "\"\""},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_int_equal(make_config(f), 0);
        json_t *object = CASES[i].section == NULL ? f->config : json_object_get(f->config, CASES[i].section);
        json_object_set_new(object, CASES[i].member, json_loads(CASES[i].value, JSON_DECODE_ANY, NULL));
        err_clear(&f->err);
        assert_int_equal(make_plan(f), -1);
        assert_int_equal(f->err.code, ERR_INVALID);
        json_decref(f->config);
        f->config = NULL;
        buf_reset(&f->bytes);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(cgroups_of_v1_have_a_directory_each),
        TEST(everything_asked_for),
        TEST(capabilities_added_and_dropped),
        TEST(a_privileged_container_is_not_confined),
        TEST(limits_devices_and_kernel_parameters),
        TEST(namespaces_of_others),
        TEST(a_user_namespace),
        TEST(mounts_of_ones_own),
        TEST(filters_of_ones_own),
        TEST(no_quota_below_the_kernels_least),
        TEST(no_command_is_an_error),
        TEST(what_cannot_be_given_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
