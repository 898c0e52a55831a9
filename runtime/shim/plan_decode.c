/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/plan.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CGROUPS 16
#define SOCK_FILTER_BYTES 8 /* struct sock_filter */
#define MAX_SECCOMP 4096    /* BPF_MAXINSNS */

struct raw_entry {
    uint32_t type;
    uint32_t size;
    const uint8_t *payload;
};

/* 1 and an entry, 0 at the end, -1 if the bytes are damaged. */
static int next_entry(const uint8_t *bytes, size_t size, size_t *cursor, struct raw_entry *ret)
{
    struct plan_entry head;
    if (*cursor == size)
        return 0;
    if (size - *cursor < sizeof(head))
        return -1;
    memcpy(&head, bytes + *cursor, sizeof(head));
    size_t room = size - *cursor - sizeof(head);
    if (head.size > room)
        return -1;
    size_t padded = ((size_t)head.size + PLAN_ALIGN - 1) & ~(size_t)(PLAN_ALIGN - 1);
    if (padded > room)
        return -1;
    *ret = (struct raw_entry){head.type, head.size, bytes + *cursor + sizeof(head)};
    *cursor += sizeof(head) + padded;
    return 1;
}

/* The string that starts at `from` and ends within the payload, or NULL. */
static const char *string_at(const struct raw_entry *entry, size_t from)
{
    if (from >= entry->size || memchr(entry->payload + from, '\0', entry->size - from) == NULL)
        return NULL;
    return (const char *)entry->payload + from;
}

static const char *whole_string(const struct raw_entry *entry)
{
    const char *text = string_at(entry, 0);
    return text != NULL && strlen(text) + 1 == entry->size ? text : NULL;
}

static bool makes_root(enum plan_op op)
{
    return op == PLAN_OP_OVERLAY_ROOT || op == PLAN_OP_BIND_ROOT;
}

static bool parse_step(const struct raw_entry *entry, struct plan_step *ret)
{
    struct plan_step_header head;
    if (entry->size < sizeof(head))
        return false;
    memcpy(&head, entry->payload, sizeof(head));
    if (head.op < PLAN_OP_OVERLAY_ROOT || head.op >= PLAN_OPS)
        return false;
    const char *text[4];
    size_t at = sizeof(head);
    for (size_t i = 0; i < 4; i++) {
        text[i] = string_at(entry, at);
        if (text[i] == NULL)
            return false;
        at += strlen(text[i]) + 1;
    }
    *ret = (struct plan_step){.op = (enum plan_op)head.op,
                              .mode = head.mode,
                              .flags = head.flags,
                              .dev = head.dev,
                              .uid = head.uid,
                              .gid = head.gid,
                              .attributes = head.attributes,
                              .path = text[0],
                              .a = text[1],
                              .b = text[2],
                              .c = text[3]};
    return at == entry->size && (makes_root(ret->op) || text[0][0] == '/');
}

static bool parse_sysctl(const struct raw_entry *entry, struct plan_sysctl *ret)
{
    ret->path = string_at(entry, 0);
    ret->value = ret->path == NULL ? NULL : string_at(entry, strlen(ret->path) + 1);
    return ret->value != NULL && strlen(ret->path) + strlen(ret->value) + 2 == entry->size;
}

static bool parse_namespace(const struct raw_entry *entry, struct plan_join *ret)
{
    struct plan_namespace head;
    if (entry->size < sizeof(head))
        return false;
    memcpy(&head, entry->payload, sizeof(head));
    ret->flag = head.flag;
    ret->path = string_at(entry, sizeof(head));
    return ret->path != NULL && sizeof(head) + strlen(ret->path) + 1 == entry->size;
}

static bool parse_hook(const struct raw_entry *entry, struct plan_hook_call *ret)
{
    struct plan_hook head;
    if (entry->size < sizeof(head))
        return false;
    memcpy(&head, entry->payload, sizeof(head));
    if (head.n_args > PLAN_HOOK_STRINGS || head.n_env > PLAN_HOOK_STRINGS - head.n_args)
        return false;
    size_t at = sizeof(head), n = 0;
    ret->stage = (enum plan_hook_stage)head.stage;
    ret->timeout_s = head.timeout_s;
    ret->path = string_at(entry, at);
    if (ret->path == NULL || ret->path[0] != '/')
        return false;
    at += strlen(ret->path) + 1;
    ret->argv = ret->strings;
    ret->envp = ret->strings + head.n_args + 1;
    for (uint32_t i = 0; i < head.n_args + head.n_env; i++) {
        const char *text = string_at(entry, at);
        if (text == NULL)
            return false;
        at += strlen(text) + 1;
        if (i == head.n_args)
            ret->strings[n++] = NULL;
        ret->strings[n++] = (char *)(uintptr_t)text; /* execve(2) wants char *, and does not write */
    }
    ret->argv[head.n_args] = NULL;
    ret->envp[head.n_env] = NULL;
    return at == entry->size;
}

struct counts {
    size_t args, env, steps;
};

static const char *take_string(const char **ret, const struct raw_entry *entry)
{
    if (*ret != NULL)
        return "an entry comes twice";
    *ret = whole_string(entry);
    return *ret == NULL ? "a string is not terminated" : NULL;
}

static const char *take_step(const struct raw_entry *entry, struct counts *counts)
{
    struct plan_step step;
    if (!parse_step(entry, &step))
        return "a step is malformed";
    if ((counts->steps++ == 0) != makes_root(step.op))
        return "the first step, and only it, must make the root";
    return NULL;
}

static const char *take_array(const void **ret, size_t *ret_n, const struct raw_entry *entry,
                              size_t element_size)
{
    if (*ret != NULL)
        return "an entry comes twice";
    if (entry->size % element_size != 0)
        return "a list has a wrong size";
    *ret = entry->payload;
    *ret_n = entry->size / element_size;
    return NULL;
}

__attribute__((noinline)) static const char *take_record(const struct raw_entry *entry)
{
    struct plan_sysctl sysctl;
    struct plan_join join;
    struct plan_hook_call hook;
    if (entry->type == PLAN_SYSCTL)
        return parse_sysctl(entry, &sysctl) ? NULL : "a sysctl is malformed";
    if (entry->type == PLAN_NAMESPACE)
        return parse_namespace(entry, &join) ? NULL : "a namespace is malformed";
    return parse_hook(entry, &hook) ? NULL : "a hook is malformed";
}

static const char *take_entry(struct plan *plan, const struct raw_entry *entry, struct counts *counts)
{
    switch (entry->type) {
    case PLAN_BOOT_ID:
        return take_string(&plan->boot_id, entry);
    case PLAN_CGROUP:
        return take_string(&plan->cgroup, entry);
    case PLAN_HOSTNAME:
        return take_string(&plan->hostname, entry);
    case PLAN_DOMAIN_NAME:
        return take_string(&plan->domain_name, entry);
    case PLAN_WORKDIR:
        return take_string(&plan->workdir, entry);
    case PLAN_TIME_OFFSETS:
        return take_string(&plan->time_offsets, entry);
    case PLAN_APPARMOR:
        return take_string(&plan->apparmor, entry);
    case PLAN_SELINUX:
        return take_string(&plan->selinux, entry);
    case PLAN_UID_MAP:
        return take_string(&plan->uid_map, entry);
    case PLAN_GID_MAP:
        return take_string(&plan->gid_map, entry);
    case PLAN_ARG:
        counts->args++;
        return whole_string(entry) == NULL ? "an argument is not terminated" : NULL;
    case PLAN_ENV:
        counts->env++;
        return whole_string(entry) == NULL ? "an environment variable is not terminated" : NULL;
    case PLAN_GROUPS:
        return take_array((const void **)&plan->groups, &plan->n_groups, entry, sizeof(uint32_t));
    case PLAN_RLIMIT:
        return entry->size != sizeof(struct plan_rlimit) ? "a limit has a wrong size" : NULL;
    case PLAN_SCHEDULER:
        if (entry->size != sizeof(struct plan_scheduler))
            return "a scheduler has a wrong size";
        plan->scheduler = (const struct plan_scheduler *)(const void *)entry->payload; /* aligned to 8 */
        return NULL;
    case PLAN_SECCOMP:
        return take_array(&plan->seccomp, &plan->n_seccomp, entry, SOCK_FILTER_BYTES);
    case PLAN_STEP:
        return take_step(entry, counts);
    case PLAN_SYSCTL:
    case PLAN_NAMESPACE:
    case PLAN_HOOK:
        return take_record(entry);
    default:
        return "an entry is of an unknown type";
    }
}

static const char *check_header(const struct plan_header *header, size_t size)
{
    if (header->magic != PLAN_MAGIC)
        return "it does not start like a plan";
    if (header->version != PLAN_VERSION)
        return "it is of another version: runtime and shim must come from the same build";
    if (header->size != size)
        return "its size is wrong";
    if ((header->flags & ~(uint32_t)PLAN_FLAGS) != 0)
        return "it has unknown flags";
    if (header->n_cgroups > MAX_CGROUPS || header->oom_cgroup > header->n_cgroups)
        return "it has too many cgroups";
    if ((header->flags & PLAN_CGROUP2) != 0 && header->n_cgroups != 1)
        return "a v2 cgroup must be the only one";
    if ((header->flags & PLAN_INIT) == 0 &&
        (header->log_files == 0 || header->log_files > 100 || header->log_max_bytes < 1024))
        return "its log limits are out of range";
    return NULL;
}

static const char *collect_strings(struct plan *plan, const struct counts *counts)
{
    plan->argv = calloc(counts->args + 1, sizeof(char *));
    plan->envp = calloc(counts->env + 1, sizeof(char *));
    if (plan->argv == NULL || plan->envp == NULL)
        return "out of memory";
    size_t cursor = 0, args = 0, env = 0;
    struct raw_entry entry;
    while (next_entry(plan->entries, plan->entries_size, &cursor, &entry) > 0) {
        /* execve(2) wants char *, and does not write. */
        if (entry.type == PLAN_ARG)
            plan->argv[args++] = (char *)(uintptr_t)entry.payload;
        else if (entry.type == PLAN_ENV)
            plan->envp[env++] = (char *)(uintptr_t)entry.payload;
    }
    return NULL;
}

/* Who has no shim has no record and no named cgroup either; who joins finds everything made, cgroups too. */
static const char *check_whole(const struct plan *plan, const struct counts *counts)
{
    bool init = (plan->header.flags & PLAN_INIT) != 0, joins = (plan->header.flags & PLAN_JOIN) != 0;
    if (joins && counts->steps > 0)
        return "who joins a container makes no part of it";
    if (plan->workdir == NULL || plan->workdir[0] != '/' || (counts->steps == 0 && !joins))
        return "something required is missing";
    if (joins && counts->args == 0)
        return "something required is missing";
    if (!init && (counts->args == 0 || plan->boot_id == NULL || (plan->cgroup == NULL) != joins))
        return "something required is missing";
    bool mapped = !init && (plan->header.flags & PLAN_USER_NAMESPACE) != 0;
    if (mapped != (plan->uid_map != NULL) || mapped != (plan->gid_map != NULL))
        return "a user namespace and its maps must come together";
    if (plan->cgroup != NULL &&
        (plan->cgroup[0] == '\0' || plan->cgroup[0] == '.' || strchr(plan->cgroup, '/') != NULL))
        return "the cgroup's name is not allowed";
    return plan->n_seccomp > MAX_SECCOMP ? "the system call filter is too long" : NULL;
}

static const char *decode(struct plan *plan, const void *bytes, size_t size)
{
    if (size < sizeof(plan->header) || size > PLAN_MAX_BYTES || (uintptr_t)bytes % PLAN_ALIGN != 0)
        return "its size is out of range";
    memcpy(&plan->header, bytes, sizeof(plan->header));
    const char *why = check_header(&plan->header, size);
    if (why != NULL)
        return why;
    plan->entries = (const uint8_t *)bytes + sizeof(plan->header);
    plan->entries_size = size - sizeof(plan->header);
    struct counts counts = {0};
    struct raw_entry entry;
    size_t cursor = 0;
    int more;
    while ((more = next_entry(plan->entries, plan->entries_size, &cursor, &entry)) > 0) {
        why = take_entry(plan, &entry, &counts);
        if (why != NULL)
            return why;
    }
    if (more < 0)
        return "an entry does not fit";
    why = check_whole(plan, &counts);
    if (why != NULL)
        return why;
    return collect_strings(plan, &counts);
}

const char *plan_decode(struct plan *ret, const void *bytes, size_t size)
{
    *ret = (struct plan){.entries = NULL};
    const char *why = decode(ret, bytes, size);
    if (why != NULL)
        plan_release(ret);
    return why;
}

void plan_release(struct plan *plan)
{
    free(plan->argv);
    free(plan->envp);
    *plan = (struct plan){.entries = NULL};
}

/* The next entry of the type that `cursor` has not passed. */
static bool next_of_type(const struct plan *plan, size_t *cursor, uint32_t type, struct raw_entry *ret)
{
    while (next_entry(plan->entries, plan->entries_size, cursor, ret) > 0) {
        if (ret->type == type)
            return true;
    }
    return false;
}

bool plan_next_step(const struct plan *plan, size_t *cursor, struct plan_step *ret)
{
    struct raw_entry entry;
    return next_of_type(plan, cursor, PLAN_STEP, &entry) && parse_step(&entry, ret);
}

bool plan_next_rlimit(const struct plan *plan, size_t *cursor, struct plan_rlimit *ret)
{
    struct raw_entry entry;
    if (!next_of_type(plan, cursor, PLAN_RLIMIT, &entry))
        return false;
    memcpy(ret, entry.payload, sizeof(*ret));
    return true;
}

bool plan_next_sysctl(const struct plan *plan, size_t *cursor, struct plan_sysctl *ret)
{
    struct raw_entry entry;
    return next_of_type(plan, cursor, PLAN_SYSCTL, &entry) && parse_sysctl(&entry, ret);
}

bool plan_next_namespace(const struct plan *plan, size_t *cursor, struct plan_join *ret)
{
    struct raw_entry entry;
    return next_of_type(plan, cursor, PLAN_NAMESPACE, &entry) && parse_namespace(&entry, ret);
}

bool plan_next_hook(const struct plan *plan, size_t *cursor, struct plan_hook_call *ret)
{
    struct raw_entry entry;
    return next_of_type(plan, cursor, PLAN_HOOK, &entry) && parse_hook(&entry, ret);
}
