/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_plan.h"

#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "runtime/sandbox/plan_encode.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct flag_name {
    const char *name;
    uint64_t flag;
};

static const struct flag_name MOUNT_OPTIONS[] = {
    {"ro", MS_RDONLY},
    {"rw", 0},
    {"nosuid", MS_NOSUID},
    {"suid", 0},
    {"nodev", MS_NODEV},
    {"dev", 0},
    {"noexec", MS_NOEXEC},
    {"exec", 0},
    {"relatime", MS_RELATIME},
    {"noatime", MS_NOATIME},
    {"strictatime", MS_STRICTATIME},
    {"nodiratime", MS_NODIRATIME},
    {"sync", MS_SYNCHRONOUS},
};

static const struct flag_name NAMESPACES[] = {
    {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC},
    {"uts", CLONE_NEWUTS}, {"mount", CLONE_NEWNS},    {"cgroup", CLONE_NEWCGROUP},
};

/* capabilities(7), in the order of their numbers. */
static const char *const CAPABILITIES[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

static const struct {
    const char *name;
    uint32_t resource;
} RLIMITS[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

/* The devices and links that the runtime-spec promises every container ("Default Devices", "Dev symbolic
 * links"). */
static const struct {
    const char *path;
    unsigned major, minor;
} DEVICES[] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};
static const struct {
    const char *path, *target;
} LINKS[] = {
    {"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/ptmx", "pts/ptmx"},
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static int add_strings(struct buf *plan, enum plan_entry_type type, const json_t *array, const char *member,
                       struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        const char *text = json_string_value(item);
        if (text == NULL || strlen(text) != json_string_length(item))
            return err_set(err, ERR_INVALID, "'%s' must be a list of strings without NUL bytes", member);
        plan_add_string(plan, type, text);
    }
    return 0;
}

static int read_capabilities(const json_t *process, uint64_t *ret, struct err *err)
{
    const json_t *list = json_object_get(json_object_get(process, "capabilities"), "bounding");
    uint64_t mask = 0;
    size_t i, bit;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        for (bit = 0; bit < COUNT(CAPABILITIES); bit++) {
            if (name != NULL && strncmp(name, "CAP_", 4) == 0 && strcmp(name + 4, CAPABILITIES[bit]) == 0)
                break;
        }
        if (bit == COUNT(CAPABILITIES))
            return err_set(err, ERR_INVALID, "unknown capability '%s'", name == NULL ? "" : name);
        mask |= UINT64_C(1) << bit;
    }
    *ret = mask;
    return 0;
}

static int add_rlimits(struct buf *plan, const json_t *process, struct err *err)
{
    size_t i, at;
    json_t *item;
    json_array_foreach(json_object_get(process, "rlimits"), i, item)
    {
        const char *type = text_of(item, "type");
        for (at = 0; at < COUNT(RLIMITS) && strcmp(RLIMITS[at].name, type) != 0; at++)
            ;
        if (at == COUNT(RLIMITS))
            return err_set(err, ERR_INVALID, "unknown resource limit '%s'", type);
        struct plan_rlimit limit = {
            .resource = RLIMITS[at].resource,
            .soft = (uint64_t)json_integer_value(json_object_get(item, "soft")),
            .hard = (uint64_t)json_integer_value(json_object_get(item, "hard")),
        };
        plan_add(plan, PLAN_RLIMIT, &limit, sizeof(limit));
    }
    return 0;
}

static int add_groups(struct buf *plan, const json_t *user, struct err *err)
{
    const json_t *list = json_object_get(user, "additionalGids");
    size_t n = json_array_size(list);
    auto_free uint32_t *groups = calloc(n + 1, sizeof(*groups));
    if (groups == NULL)
        return err_nomem(err, "writing the shim's plan");
    for (size_t i = 0; i < n; i++)
        groups[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    plan_add(plan, PLAN_GROUPS, groups, n * sizeof(*groups));
    return 0;
}

/* Splits options into flags and the file system's own. */
static uint64_t mount_options(const json_t *list, struct buf *ret_data)
{
    uint64_t flags = 0;
    size_t i, at;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *option = json_string_value(item);
        if (option == NULL)
            continue;
        for (at = 0; at < COUNT(MOUNT_OPTIONS) && strcmp(MOUNT_OPTIONS[at].name, option) != 0; at++)
            ;
        if (at < COUNT(MOUNT_OPTIONS)) {
            flags |= MOUNT_OPTIONS[at].flag;
            continue;
        }
        if (ret_data->size > 0)
            buf_add_string(ret_data, ",");
        buf_add_string(ret_data, option);
    }
    return flags;
}

static void add_devices(struct buf *plan)
{
    for (size_t i = 0; i < COUNT(DEVICES); i++)
        plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_MKNOD,
                                                .mode = S_IFCHR | 0666,
                                                .dev = makedev(DEVICES[i].major, DEVICES[i].minor),
                                                .path = DEVICES[i].path});
    for (size_t i = 0; i < COUNT(LINKS); i++)
        plan_add_step(
            plan, &(struct plan_step){.op = PLAN_OP_SYMLINK, .path = LINKS[i].path, .a = LINKS[i].target});
}

static int add_mount(struct buf *plan, const json_t *mount, struct err *err)
{
    const char *destination = text_of(mount, "destination"), *type = text_of(mount, "type");
    if (destination[0] != '/' || type[0] == '\0' || strcmp(type, "bind") == 0)
        return err_set(err, ERR_INVALID, "the mount of type '%s' on '%s' is not supported", type,
                       destination);
    auto_buf struct buf data = BUF_INIT;
    buf_add_string(&data, "");
    uint64_t flags = mount_options(json_object_get(mount, "options"), &data);
    if (data.failed)
        return err_nomem(err, "writing the shim's plan");
    plan_add_step(plan,
                  &(struct plan_step){
                      .op = PLAN_OP_MOUNT, .flags = flags, .path = destination, .a = type, .b = data.data});
    if (strcmp(destination, "/dev") == 0)
        add_devices(plan);
    return 0;
}

static int add_paths(struct buf *plan, enum plan_op op, const json_t *list, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *path = json_string_value(item);
        if (path == NULL || path[0] != '/')
            return err_set(err, ERR_INVALID, "the path '%s' to hide or protect is not absolute",
                           path == NULL ? "" : path);
        plan_add_step(plan, &(struct plan_step){.op = op, .path = path});
    }
    return 0;
}

static int add_steps(struct buf *plan, const json_t *config, struct err *err)
{
    const char *overlay = text_of(json_object_get(config, "annotations"), "io.wharf.overlay");
    if (overlay[0] == '\0')
        return err_set(err, ERR_INVALID, "the annotation 'io.wharf.overlay' is missing");
    plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_OVERLAY_ROOT, .flags = MS_NODEV, .b = overlay});
    size_t i;
    json_t *mount;
    json_array_foreach(json_object_get(config, "mounts"), i, mount)
    {
        if (add_mount(plan, mount, err) < 0)
            return -1;
    }
    const json_t *section = json_object_get(config, "linux");
    if (add_paths(plan, PLAN_OP_MASK, json_object_get(section, "maskedPaths"), err) < 0)
        return -1;
    return add_paths(plan, PLAN_OP_READ_ONLY, json_object_get(section, "readonlyPaths"), err);
}

static int read_namespaces(const json_t *section, uint64_t *ret, struct err *err)
{
    uint64_t flags = 0;
    size_t i, at;
    json_t *item;
    json_array_foreach(json_object_get(section, "namespaces"), i, item)
    {
        const char *type = text_of(item, "type");
        for (at = 0; at < COUNT(NAMESPACES) && strcmp(NAMESPACES[at].name, type) != 0; at++)
            ;
        if (at == COUNT(NAMESPACES) || json_object_get(item, "path") != NULL)
            return err_set(err, ERR_INVALID, "the namespace '%s' is not supported", type);
        flags |= NAMESPACES[at].flag;
    }
    uint64_t required = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP;
    if ((flags & required) != required)
        return err_set(err, ERR_INVALID, "the namespaces pid, mount and cgroup must be new");
    *ret = flags & ~(uint64_t)CLONE_NEWCGROUP; /* made after joining the cgroup */
    return 0;
}

static void read_limits(const json_t *section, struct cgroup_limits *ret)
{
    const json_t *resources = json_object_get(section, "resources");
    const json_t *cpu = json_object_get(resources, "cpu");
    *ret = (struct cgroup_limits){
        .memory_bytes = json_integer_value(json_object_get(json_object_get(resources, "memory"), "limit")),
        .cpu_quota_us = json_integer_value(json_object_get(cpu, "quota")),
        .cpu_period_us = json_integer_value(json_object_get(cpu, "period")),
        .pids = json_integer_value(json_object_get(json_object_get(resources, "pids"), "limit")),
    };
}

static int make_header(const struct oci_plan_input *input, struct plan_header *ret, struct err *err)
{
    const json_t *process = json_object_get(input->config, "process");
    const json_t *user = json_object_get(process, "user");
    struct plan_header header = {
        .incarnation = input->incarnation,
        .log_max_bytes = input->log_max_bytes,
        .log_files = input->log_files,
        .n_cgroups = (uint32_t)input->layout->n,
        .oom_cgroup = (uint32_t)cgroup_oom_index(input->layout),
        .uid = (uint32_t)json_integer_value(json_object_get(user, "uid")),
        .gid = (uint32_t)json_integer_value(json_object_get(user, "gid")),
        .umask = (uint32_t)json_integer_value(json_object_get(user, "umask")),
    };
    if (read_namespaces(json_object_get(input->config, "linux"), &header.clone_flags, err) < 0 ||
        read_capabilities(process, &header.capabilities, err) < 0)
        return -1;
    if ((header.clone_flags & CLONE_NEWNET) != 0)
        header.flags |= PLAN_LOOPBACK;
    if (json_is_true(json_object_get(json_object_get(input->config, "root"), "readonly")))
        header.flags |= PLAN_READ_ONLY_ROOT;
    if (json_is_true(json_object_get(process, "noNewPrivileges")))
        header.flags |= PLAN_NO_NEW_PRIVS;
    if (input->layout->v2)
        header.flags |= PLAN_CGROUP2;
    *ret = header;
    return 0;
}

static int check_supported(const json_t *config, struct err *err)
{
    const json_t *section = json_object_get(config, "linux");
    const char *seccomp = text_of(json_object_get(config, "annotations"), "io.wharf.seccomp");
    if (json_is_true(json_object_get(json_object_get(config, "process"), "terminal")))
        return err_set(err, ERR_INVALID, "'process.terminal' is not supported");
    if (json_object_get(config, "hooks") != NULL)
        return err_set(err, ERR_INVALID, "'hooks' are not supported");
    if (json_object_get(section, "seccomp") != NULL ||
        (seccomp[0] != '\0' && strcmp(seccomp, "default") != 0))
        return err_set(err, ERR_INVALID, "only the default system call filter is supported");
    if (json_object_get(section, "uidMappings") != NULL || json_object_get(section, "devices") != NULL)
        return err_set(err, ERR_INVALID, "'linux.uidMappings' and 'linux.devices' are not supported");
    return 0;
}

int oci_plan(const struct oci_plan_input *input, struct buf *ret_plan, struct cgroup_limits *ret_limits,
             struct err *err)
{
    const json_t *process = json_object_get(input->config, "process");
    const char *hostname = text_of(input->config, "hostname");
    const char *seccomp = text_of(json_object_get(input->config, "annotations"), "io.wharf.seccomp");
    struct plan_header header;
    if (check_supported(input->config, err) < 0 || make_header(input, &header, err) < 0)
        return -1;
    plan_begin(ret_plan);
    plan_add_string(ret_plan, PLAN_BOOT_ID, input->boot_id);
    plan_add_string(ret_plan, PLAN_CGROUP, input->cgroup_name);
    plan_add_string(ret_plan, PLAN_WORKDIR, text_of(process, "cwd"));
    if (hostname[0] != '\0')
        plan_add_string(ret_plan, PLAN_HOSTNAME, hostname);
    if (seccomp[0] != '\0')
        plan_add(ret_plan, PLAN_SECCOMP, input->seccomp->data, input->seccomp->size);
    if (add_strings(ret_plan, PLAN_ARG, json_object_get(process, "args"), "process.args", err) < 0 ||
        add_strings(ret_plan, PLAN_ENV, json_object_get(process, "env"), "process.env", err) < 0 ||
        add_groups(ret_plan, json_object_get(process, "user"), err) < 0 ||
        add_rlimits(ret_plan, process, err) < 0 || add_steps(ret_plan, input->config, err) < 0)
        return -1;
    read_limits(json_object_get(input->config, "linux"), ret_limits);
    return plan_finish(ret_plan, header, err);
}
