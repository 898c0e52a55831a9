/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_plan.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/capability.h"
#include "base/cleanup.h"
#include "runtime/sandbox/oci_check.h"
#include "runtime/sandbox/oci_ids.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/oci_namespaces.h"
#include "runtime/sandbox/oci_scheduling.h"
#include "runtime/sandbox/oci_seccomp.h"
#include "runtime/sandbox/plan_encode.h"
#include "runtime/sandbox/seccomp.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

int oci_rlimit(const char *type)
{
    for (size_t i = 0; i < COUNT(RLIMITS); i++) {
        if (strcmp(RLIMITS[i].name, type) == 0)
            return (int)RLIMITS[i].resource;
    }
    return -1;
}

static void add_strings(struct buf *plan, enum plan_entry_type type, const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        plan_add_string(plan, type, json_string_value(item));
    }
}

/* What cannot be given is told and left out, as the spec demands (config.md, "capabilities"); a managed
 * container's are of our own making. */
static int cannot_give(const struct oci_grant *grant, const char *name, struct err *err)
{
    char text[128];
    if (grant->warn == NULL)
        return err_set(err, ERR_INVALID, "unknown capability '%s'", name);
    snprintf(text, sizeof(text), "the capability '%.64s' cannot be given: it is left out", name);
    grant->warn(text);
    return 0;
}

static int read_capability_set(const json_t *list, const struct oci_grant *grant, uint64_t *ret,
                               struct err *err)
{
    uint64_t mask = 0;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        int number = capability_by_name(name);
        bool given = number >= 0 && (grant->warn == NULL || (grant->capabilities >> number & 1) != 0);
        if (!given && cannot_give(grant, name, err) < 0)
            return -1;
        mask |= !given ? 0 : UINT64_C(1) << number;
    }
    *ret = mask;
    return 0;
}

static int read_capabilities(const json_t *process, const struct oci_grant *grant, struct plan_header *ret,
                             struct err *err)
{
    const json_t *sets = json_object_get(process, "capabilities");
    const struct {
        const char *name;
        uint64_t *mask;
    } MASKS[] = {{"bounding", &ret->cap_bounding},
                 {"permitted", &ret->cap_permitted},
                 {"effective", &ret->cap_effective},
                 {"inheritable", &ret->cap_inheritable},
                 {"ambient", &ret->cap_ambient}};
    for (size_t i = 0; i < COUNT(MASKS); i++) {
        if (read_capability_set(json_object_get(sets, MASKS[i].name), grant, MASKS[i].mask, err) < 0)
            return -1;
    }
    if ((ret->cap_effective & ~ret->cap_permitted) != 0)
        return err_set(err, ERR_INVALID, "'process.capabilities.effective' has more than 'permitted'");
    /* What is not both permitted and inheritable cannot be ambient (capabilities(7)). The configurations that
     * other runtimes write by default have it all the same, and mean nothing by it. */
    ret->cap_ambient &= ret->cap_permitted & ret->cap_inheritable;
    return 0;
}

/* What nobody has asked for is as much as there can be. */
static bool is_default_limit(const json_t *config, int resource)
{
    return resource == RLIMIT_NOFILE &&
           strcmp(oci_text(json_object_get(config, "annotations"), "io.wharf.open-files"), "default") == 0;
}

static int add_rlimits(struct buf *plan, const json_t *config, const json_t *process, bool may_be_lower,
                       struct err *err)
{
    const json_t *list = json_object_get(process, "rlimits");
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *type = oci_text(item, "type");
        int resource = oci_rlimit(type);
        if (resource < 0)
            return err_set(err, ERR_INVALID, "unknown resource limit '%s'", type);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(oci_text(json_array_get(list, j), "type"), type) == 0)
                return err_set(err, ERR_INVALID, "the resource limit '%s' comes twice", type);
        }
        struct plan_rlimit limit = {
            .resource = (uint32_t)resource,
            .may_be_lower = may_be_lower || is_default_limit(config, resource),
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
        return err_nomem(err, "writing a plan");
    for (size_t i = 0; i < n; i++)
        groups[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    plan_add(plan, PLAN_GROUPS, groups, n * sizeof(*groups));
    return 0;
}

static int take_shim_namespaces(const struct oci_namespaces *found, struct plan_header *header,
                                struct err *err)
{
    const uint64_t required = CLONE_NEWNS | CLONE_NEWCGROUP;
    const uint64_t shared = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    if ((found->created & required) != required || (found->joined & ~shared) != 0)
        return err_set(err, ERR_INVALID, "the namespaces mount and cgroup must be new");
    if ((found->created & CLONE_NEWTIME) != 0)
        return err_set(err, ERR_INVALID, "time namespaces are not supported here");
    if ((found->created & CLONE_NEWUSER) != 0)
        header->flags |= PLAN_USER_NAMESPACE | PLAN_EARLY_SOURCES;
    header->clone_flags = found->created & ~(uint64_t)CLONE_NEWCGROUP; /* made after joining the cgroup */
    return 0;
}

/* A time namespace is made before the clone, which then is in it. */
static void take_init_namespaces(const struct oci_namespaces *found, struct plan_header *header)
{
    uint64_t own = found->created | found->joined;
    header->clone_flags = found->created & ~(uint64_t)CLONE_NEWTIME;
    header->flags |= ((own & CLONE_NEWNS) == 0 ? PLAN_HOST_MOUNTS : 0u) |
                     ((own & CLONE_NEWUSER) != 0 ? PLAN_USER_NAMESPACE | PLAN_EARLY_SOURCES : 0u);
}

static int add_names(struct buf *plan, const json_t *config, uint64_t own, struct err *err)
{
    const char *hostname = oci_text(config, "hostname"), *domain_name = oci_text(config, "domainname");
    if ((hostname[0] != '\0' || domain_name[0] != '\0') && (own & CLONE_NEWUTS) == 0)
        return err_set(err, ERR_INVALID,
                       "'hostname' and 'domainname' need a uts namespace: the host's would be changed");
    if (hostname[0] != '\0')
        plan_add_string(plan, PLAN_HOSTNAME, hostname);
    if (domain_name[0] != '\0')
        plan_add_string(plan, PLAN_DOMAIN_NAME, domain_name);
    return 0;
}

/* Only what belongs to a namespace that the container does not share with the host (sysctl(5) has no list;
 * config-linux.md leaves it to the runtime). */
static bool sysctl_is_own(const char *path, uint64_t own)
{
    static const struct {
        const char *prefix;
        uint64_t flag;
    } OWN[] = {
        {"net/", CLONE_NEWNET},       {"fs/mqueue/", CLONE_NEWIPC}, {"kernel/msg", CLONE_NEWIPC},
        {"kernel/sem", CLONE_NEWIPC}, {"kernel/shm", CLONE_NEWIPC}, {"kernel/domainname", CLONE_NEWUTS},
    };
    for (size_t i = 0; i < COUNT(OWN); i++) {
        if (strncmp(path, OWN[i].prefix, strlen(OWN[i].prefix)) == 0)
            return (own & OWN[i].flag) != 0;
    }
    return false;
}

/* sysctl(8): whichever of '.' and '/' comes first separates, the other is part of a name. */
static void sysctl_path(char *name)
{
    bool dots = name[strcspn(name, "./")] == '.';
    for (; dots && *name != '\0'; name++)
        *name = *name == '.' ? '/' : *name == '/' ? '.' : *name;
}

static int add_sysctls(struct buf *plan, const json_t *section, uint64_t own, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(section, "sysctl"), name, value)
    {
        auto_free char *path = strdup(name);
        if (path == NULL)
            return err_nomem(err, "writing a plan");
        sysctl_path(path);
        if (!json_is_string(value) || strlen(path) > 400 || strstr(path, "..") != NULL)
            return err_set(err, ERR_INVALID, "'linux.sysctl' has a wrong name or value at '%s'", name);
        if (!sysctl_is_own(path, own))
            return err_set(err, ERR_INVALID,
                           "the sysctl '%s' does not belong to a namespace of the container's own", name);
        auto_buf struct buf text = BUF_INIT;
        buf_add(&text, path, strlen(path) + 1);
        buf_add(&text, json_string_value(value), json_string_length(value) + 1);
        plan_add_record(plan, PLAN_SYSCTL, NULL, 0, &text);
    }
    return 0;
}

static int add_hooks(struct buf *plan, const json_t *list, enum plan_hook_stage stage, struct err *err)
{
    size_t i, j;
    json_t *hook, *item;
    json_array_foreach(list, i, hook)
    {
        const json_t *args = json_object_get(hook, "args"), *env = json_object_get(hook, "env");
        const char *path = oci_text(hook, "path");
        struct plan_hook head = {(uint32_t)stage, (uint32_t)oci_number(hook, "timeout"),
                                 (uint32_t)json_array_size(args), (uint32_t)json_array_size(env)};
        auto_buf struct buf text = BUF_INIT;
        if (json_array_size(args) + json_array_size(env) > PLAN_HOOK_STRINGS)
            return err_set(err, ERR_INVALID, "the hook '%s' has more than %d arguments and variables", path,
                           PLAN_HOOK_STRINGS);
        buf_add(&text, path, strlen(path) + 1);
        json_array_foreach(args, j, item)
        {
            buf_add(&text, json_string_value(item), json_string_length(item) + 1);
        }
        json_array_foreach(env, j, item)
        {
            buf_add(&text, json_string_value(item), json_string_length(item) + 1);
        }
        plan_add_record(plan, PLAN_HOOK, &head, sizeof(head), &text);
    }
    return 0;
}

/* Everything is denied that no rule allows, so that only those count (config-linux.md, "Allowed Device
 * list"). */
static int read_device_rules(const json_t *list, struct cgroup_limits *ret, struct err *err)
{
    size_t i;
    json_t *item;
    ret->devices = calloc(json_array_size(list) + 1, sizeof(*ret->devices));
    if (ret->devices == NULL)
        return err_nomem(err, "reading the resources");
    json_array_foreach(list, i, item)
    {
        const json_t *minor = json_object_get(item, "minor");
        if (!oci_flag(item, "allow"))
            return err_set(err, ERR_INVALID,
                           "a rule of 'linux.resources.devices' that denies is not supported");
        if (json_object_get(item, "major") == NULL || minor == NULL) {
            ret->any_device = true;
            continue;
        }
        struct cgroup_device *rule = &ret->devices[ret->n_devices++];
        snprintf(rule->rule, sizeof(rule->rule), "%.1s %u:%u %.3s", oci_text(item, "type"),
                 (unsigned)oci_number(item, "major"), (unsigned)json_integer_value(minor),
                 oci_text(item, "access"));
    }
    return 0;
}

int oci_plan_limits(const json_t *section, struct cgroup_limits *ret, struct err *err)
{
    const json_t *resources = json_object_get(section, "resources");
    const json_t *cpu = json_object_get(resources, "cpu"), *memory = json_object_get(resources, "memory");
    *ret = (struct cgroup_limits){
        .memory_bytes = oci_number(memory, "limit"),
        .memory_swap_bytes = oci_number(memory, "swap"),
        .memory_reservation_bytes = oci_number(memory, "reservation"),
        .cpu_shares = oci_number(cpu, "shares"),
        .cpu_quota_us = json_integer_value(json_object_get(cpu, "quota")),
        .cpu_period_us = json_integer_value(json_object_get(cpu, "period")),
        .pids = json_integer_value(json_object_get(json_object_get(resources, "pids"), "limit")),
    };
    return read_device_rules(json_object_get(resources, "devices"), ret, err);
}

static int read_root_propagation(const json_t *section, bool init, struct plan_header *header,
                                 struct err *err)
{
    const char *name = oci_text(section, "rootfsPropagation");
    header->propagation = init ? MS_SLAVE | MS_REC : MS_PRIVATE | MS_REC;
    if (name[0] == '\0')
        return 0;
    header->final_propagation = oci_propagation(name);
    if (header->final_propagation == 0)
        return err_set(err, ERR_INVALID, "'linux.rootfsPropagation' is '%s'", name);
    /* Slaves hear of what the host mounts; what shows on the host must have been shared with it all along. */
    if ((header->final_propagation & MS_SHARED) != 0)
        header->propagation = MS_SHARED | MS_REC;
    else if ((header->final_propagation & MS_SLAVE) != 0)
        header->propagation = MS_SLAVE | MS_REC;
    return 0;
}

static void read_flags(const json_t *config, bool init, struct plan_header *header)
{
    if ((header->clone_flags & CLONE_NEWNET) != 0)
        header->flags |= PLAN_LOOPBACK;
    if (oci_flag(json_object_get(config, "root"), "readonly"))
        header->flags |= PLAN_READ_ONLY_ROOT;
    if (!init && strcmp(oci_text(json_object_get(config, "annotations"), "io.wharf.init"), "true") == 0)
        header->flags |= PLAN_REAPER;
}

/* What a process is, whether it is the first or one more. */
static int read_process(const json_t *process, const struct oci_grant *grant, struct plan_header *header,
                        struct err *err)
{
    const json_t *user = json_object_get(process, "user");
    const json_t *size = json_object_get(process, "consoleSize"), *score;
    header->uid = (uint32_t)oci_number(user, "uid");
    header->gid = (uint32_t)oci_number(user, "gid");
    header->umask = json_object_get(user, "umask") == NULL ? 022 : (uint32_t)oci_number(user, "umask") & 0777;
    if (oci_flag(process, "noNewPrivileges"))
        header->flags |= PLAN_NO_NEW_PRIVS;
    if (oci_flag(process, "terminal")) {
        header->flags |= PLAN_TERMINAL;
        header->console_rows = (uint16_t)oci_number(size, "height");
        header->console_columns = (uint16_t)oci_number(size, "width");
    }
    score = json_object_get(process, "oomScoreAdj");
    if (score != NULL) {
        header->flags |= PLAN_OOM_SCORE;
        header->oom_score_adj = (int32_t)json_integer_value(score);
    }
    return read_capabilities(process, grant, header, err);
}

static int add_process(struct buf *plan, const json_t *config, const json_t *process, bool lower_limits,
                       struct err *err)
{
    plan_add_string(plan, PLAN_WORKDIR, process == NULL ? "/" : oci_text(process, "cwd"));
    add_strings(plan, PLAN_ARG, json_object_get(process, "args"));
    add_strings(plan, PLAN_ENV, json_object_get(process, "env"));
    if (add_groups(plan, json_object_get(process, "user"), err) < 0)
        return -1;
    return add_rlimits(plan, config, process, lower_limits, err);
}

static int make_header(const struct oci_plan_input *input, struct buf *plan, struct plan_header *header,
                       uint64_t *ret_own, struct err *err)
{
    const json_t *process = json_object_get(input->config, "process");
    const json_t *section = json_object_get(input->config, "linux");
    bool init = input->bundle != NULL;
    struct oci_namespaces found;
    if (oci_namespaces(input->config, plan, &found, err) < 0 ||
        (!init && take_shim_namespaces(&found, header, err) < 0) ||
        read_process(process, &input->grant, header, err) < 0 ||
        read_root_propagation(section, init, header, err) < 0)
        return -1;
    if (init)
        take_init_namespaces(&found, header);
    *ret_own = found.created | found.joined;
    read_flags(input->config, init, header);
    header->flags |= input->flags;
    if (init) {
        header->flags |= PLAN_INIT;
        header->n_cgroups = header->oom_cgroup = input->n_cgroup_fds;
        return 0;
    }
    header->incarnation = input->incarnation;
    header->log_max_bytes = input->log_max_bytes;
    header->log_files = input->log_files;
    header->n_cgroups = (uint32_t)input->layout->n;
    header->oom_cgroup = (uint32_t)cgroup_oom_index(input->layout);
    if (input->layout->v2)
        header->flags |= PLAN_CGROUP2;
    return 0;
}

/* What the shim does not do, and nobody asks of it. */
static int check_for_shim(const json_t *config, struct err *err)
{
    const json_t *section = json_object_get(config, "linux");
    const char *seccomp = oci_text(json_object_get(config, "annotations"), "io.wharf.seccomp");
    if (json_object_size(json_object_get(config, "hooks")) > 0)
        return err_set(err, ERR_INVALID, "'hooks' are not supported");
    if (seccomp[0] != '\0' &&
        (strcmp(seccomp, "default") != 0 || json_object_get(section, "seccomp") != NULL))
        return err_set(err, ERR_INVALID,
                       "the annotation 'io.wharf.seccomp' must be 'default', without a "
                       "'linux.seccomp' beside it");
    if (oci_text(json_object_get(config, "process"), "apparmorProfile")[0] != '\0' ||
        oci_text(json_object_get(config, "process"), "selinuxLabel")[0] != '\0')
        return err_set(err, ERR_INVALID, "labels of the process are not supported here");
    if (json_object_size(json_object_get(json_object_get(config, "process"), "scheduler")) > 0 ||
        json_object_size(json_object_get(json_object_get(config, "process"), "ioPriority")) > 0 ||
        json_object_size(json_object_get(section, "personality")) > 0)
        return err_set(err, ERR_INVALID, "scheduler, ioPriority and personality are not supported here");
    if (oci_text(json_object_get(section, "seccomp"), "listenerPath")[0] != '\0')
        return err_set(err, ERR_INVALID,
                       "'linux.seccomp.listenerPath' is not supported here: nobody would listen");
    if (json_array_size(json_object_get(json_object_get(config, "process"), "args")) == 0)
        return err_set(err, ERR_INVALID, "'process.args' is empty");
    return 0;
}

/* Whoever makes a user namespace writes its maps: wharf-oci has them from the config. */
static int add_id_maps(struct buf *plan, const json_t *section, struct err *err)
{
    static const struct {
        const char *member;
        enum plan_entry_type type;
    } MAPS[] = {{"uidMappings", PLAN_UID_MAP}, {"gidMappings", PLAN_GID_MAP}};
    for (size_t i = 0; i < COUNT(MAPS); i++) {
        auto_buf struct buf text = BUF_INIT;
        if (oci_ids(json_object_get(section, MAPS[i].member), MAPS[i].member, &text, err) < 0)
            return -1;
        plan_add_string(plan, MAPS[i].type, text.data);
    }
    return 0;
}

/* The default filter is compiled once, but for capabilities that open more of the kernel. */
static int add_default_filter(const struct buf *usual, struct buf *plan, const struct plan_header *header,
                              struct err *err)
{
    uint64_t more = seccomp_relevant_capabilities(header->cap_bounding);
    auto_buf struct buf program = BUF_INIT;
    if (more == 0) {
        plan_add(plan, PLAN_SECCOMP, usual->data, usual->size);
        return 0;
    }
    if (seccomp_default_program(more, &program, err) < 0)
        return -1;
    plan_add(plan, PLAN_SECCOMP, program.data, program.size);
    return 0;
}

static int add_filter(struct buf *plan, const json_t *section, struct plan_header *header, struct err *err)
{
    const json_t *seccomp = json_object_get(section, "seccomp");
    auto_buf struct buf program = BUF_INIT;
    bool notifies = false;
    if (!json_is_object(seccomp))
        return 0;
    if (oci_seccomp(seccomp, &program, &header->seccomp_flags, &notifies, err) < 0)
        return -1;
    plan_add(plan, PLAN_SECCOMP, program.data, program.size);
    header->flags |= notifies ? PLAN_LISTENER : 0u;
    return 0;
}

static int add_for_shim(const struct oci_plan_input *input, struct buf *plan, struct plan_header *header,
                        struct err *err)
{
    const char *seccomp = oci_text(json_object_get(input->config, "annotations"), "io.wharf.seccomp");
    if (check_for_shim(input->config, err) < 0)
        return -1;
    plan_add_string(plan, PLAN_BOOT_ID, input->boot_id);
    plan_add_string(plan, PLAN_CGROUP, input->cgroup_name);
    if ((header->flags & PLAN_USER_NAMESPACE) != 0 &&
        add_id_maps(plan, json_object_get(input->config, "linux"), err) < 0)
        return -1;
    if (seccomp[0] != '\0')
        return add_default_filter(input->seccomp, plan, header, err);
    return add_filter(plan, json_object_get(input->config, "linux"), header, err);
}

static void add_labels(struct buf *plan, const json_t *process)
{
    const char *apparmor = oci_text(process, "apparmorProfile"), *selinux = oci_text(process, "selinuxLabel");
    if (apparmor[0] != '\0')
        plan_add_string(plan, PLAN_APPARMOR, apparmor);
    if (selinux[0] != '\0')
        plan_add_string(plan, PLAN_SELINUX, selinux);
}

static int add_for_init(const struct oci_plan_input *input, struct buf *plan, struct plan_header *header,
                        struct err *err)
{
    const json_t *section = json_object_get(input->config, "linux");
    const json_t *hooks = json_object_get(input->config, "hooks");
    add_labels(plan, json_object_get(input->config, "process"));
    if (add_filter(plan, section, header, err) < 0 ||
        oci_scheduling(json_object_get(input->config, "process"), section, plan, header, err) < 0 ||
        add_hooks(plan, json_object_get(hooks, "createContainer"), PLAN_HOOK_CREATE_CONTAINER, err) < 0)
        return -1;
    return add_hooks(plan, json_object_get(hooks, "startContainer"), PLAN_HOOK_START_CONTAINER, err);
}

/* The shim's container mounts those of v1 itself. Returns how many there are. */
static size_t shim_cgroups(const struct cgroup_layout *layout, struct oci_cgroup_dir *ret)
{
    if (layout == NULL || layout->v2)
        return 0;
    for (size_t i = 0; i < layout->n; i++) {
        const struct cgroup_hierarchy *hierarchy = &layout->hierarchies[i];
        const char *slash = strrchr(hierarchy->path, '/');
        ret[i] = (struct oci_cgroup_dir){slash != NULL ? slash + 1 : hierarchy->path, hierarchy->names, NULL};
    }
    return layout->n;
}

int oci_plan(const struct oci_plan_input *input, struct buf *ret_plan, struct cgroup_limits *ret_limits,
             struct err *err)
{
    const json_t *process = json_object_get(input->config, "process");
    bool early = false;
    struct oci_mounts_input mounts = {input->config,    input->bundle,  input->cgroups,
                                      input->n_cgroups, input->selinux, &early};
    struct oci_cgroup_dir own_cgroups[CGROUP_MAX_HIERARCHIES];
    struct plan_header header = {0};
    uint64_t own = 0;
    if (oci_check(input->config, err) < 0)
        return -1;
    if (input->bundle == NULL) {
        mounts.cgroups = own_cgroups;
        mounts.n_cgroups = shim_cgroups(input->layout, own_cgroups);
    }
    plan_begin(ret_plan);
    if (make_header(input, ret_plan, &header, &own, err) < 0 ||
        (input->bundle == NULL ? add_for_shim(input, ret_plan, &header, err)
                               : add_for_init(input, ret_plan, &header, err)) < 0)
        return -1;
    if (add_process(ret_plan, input->config, process, input->lower_limits, err) < 0 ||
        add_names(ret_plan, input->config, own, err) < 0 ||
        add_sysctls(ret_plan, json_object_get(input->config, "linux"), own, err) < 0 ||
        oci_mounts(&mounts, ret_plan, err) < 0)
        return -1;
    header.flags |= early ? PLAN_EARLY_SOURCES : 0u;
    if (ret_limits != NULL && oci_plan_limits(json_object_get(input->config, "linux"), ret_limits, err) < 0) {
        cgroup_limits_release(ret_limits);
        return -1;
    }
    return plan_finish(ret_plan, header, err);
}

/* --- one more process --- */

/* The container's config as if the process were its first: the shape of both is checked at once. */
static int check_process(const struct oci_process_input *input, struct err *err)
{
    json_auto_t *config = json_copy((json_t *)(uintptr_t)input->config); /* shallow: not changed */
    if (config == NULL || json_object_set(config, "process", (json_t *)(uintptr_t)input->process) < 0)
        return err_nomem(err, "reading a process");
    if (oci_check(config, err) < 0)
        return -1;
    if (json_array_size(json_object_get(input->process, "args")) == 0)
        return err_set(err, ERR_INVALID, "'process.args' is empty");
    return 0;
}

static struct plan_header process_header(const struct oci_process_input *input)
{
    struct plan_header header = {
        .flags = PLAN_JOIN | input->flags,
        .n_cgroups = input->n_cgroup_fds,
        .oom_cgroup = input->n_cgroup_fds,
        .clone_flags = oci_namespaces_of(input->config),
    };
    if (input->boot_id == NULL) {
        header.flags |= PLAN_INIT;
        return header;
    }
    header.oom_cgroup = (uint32_t)cgroup_oom_index(input->layout);
    header.flags |= input->layout->v2 ? PLAN_CGROUP2 : 0u;
    header.flags |= (header.clone_flags & CLONE_NEWUSER) != 0 ? PLAN_USER_NAMESPACE : 0u;
    header.incarnation = input->incarnation;
    header.log_max_bytes = input->log_max_bytes;
    header.log_files = input->log_files;
    return header;
}

static int add_process_filter(const struct oci_process_input *input, struct buf *plan,
                              struct plan_header *header, struct err *err)
{
    const char *annotation = oci_text(json_object_get(input->config, "annotations"), "io.wharf.seccomp");
    if (input->unconfined)
        return 0;
    if (annotation[0] != '\0' && input->seccomp != NULL)
        return add_default_filter(input->seccomp, plan, header, err);
    return add_filter(plan, json_object_get(input->config, "linux"), header, err);
}

int oci_plan_process(const struct oci_process_input *input, struct buf *ret_plan, struct err *err)
{
    const json_t *section = json_object_get(input->config, "linux");
    struct plan_header header = process_header(input);
    if (!json_is_object(input->process))
        return err_set(err, ERR_INVALID, "the process must be an object");
    if ((header.clone_flags & CLONE_NEWNS) == 0)
        return err_set(err, ERR_INVALID,
                       "the container is in the host's mount namespace: nothing can be executed in it from "
                       "outside");
    if (check_process(input, err) < 0)
        return -1;
    plan_begin(ret_plan);
    add_labels(ret_plan, input->process);
    if (input->boot_id != NULL)
        plan_add_string(ret_plan, PLAN_BOOT_ID, input->boot_id);
    if ((header.flags & PLAN_USER_NAMESPACE) != 0 && add_id_maps(ret_plan, section, err) < 0)
        return -1;
    if (read_process(input->process, &input->grant, &header, err) < 0 ||
        add_process_filter(input, ret_plan, &header, err) < 0 ||
        oci_scheduling(input->process, section, ret_plan, &header, err) < 0 ||
        add_process(ret_plan, input->config, input->process, input->lower_limits, err) < 0)
        return -1;
    return plan_finish(ret_plan, header, err);
}
