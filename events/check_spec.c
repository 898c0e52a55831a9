/* SPDX-License-Identifier: Apache-2.0 */
/* The member checks of spec.def that are about what a container may do and use, and those between members. */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/capability.h"
#include "base/cleanup.h"
#include "events/message.h"

static bool is_word(const char *text, size_t size, const char *others)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]) && strchr(others, text[i]) == NULL)
            return false;
    return size > 0;
}

const char *check_group(const char *text)
{
    bool ok = is_word(text, strlen(text), "_.-") && text[0] != '-' && strlen(text) <= 64;
    return ok ? NULL : "must be a group's name or number";
}

const char *check_capability(const char *text)
{
    if (strcmp(text, "ALL") == 0 || capability_by_name(text) >= 0)
        return NULL;
    return "must be a capability such as CAP_NET_ADMIN, or ALL";
}

const char *check_seccomp(const char *text)
{
    if (strcmp(text, "unconfined") == 0)
        return NULL;
    if (strlen(text) > SECCOMP_PROFILE_MAX)
        return "must not be longer than 128 KiB";
    json_auto_t *profile = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_string(json_object_get(profile, "defaultAction")))
        return "must be unconfined, or a JSON object with a defaultAction";
    return NULL;
}

/* docker's names of getrlimit(2)'s resources. */
static const char *const ulimits[] = {
    "RLIMIT_CORE",    "RLIMIT_CPU",      "RLIMIT_DATA",   "RLIMIT_FSIZE",      "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE",   "RLIMIT_NOFILE",     "RLIMIT_NPROC",
    "RLIMIT_RSS",     "RLIMIT_RTPRIO",   "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
};

const char *ulimit_by_name(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof(ulimits) / sizeof(ulimits[0]); i++) {
        const char *own = ulimits[i] + strlen("RLIMIT_");
        size_t at = 0;
        while (at < size && own[at] != '\0' && tolower((unsigned char)own[at]) == name[at])
            at++;
        if (at == size && own[at] == '\0')
            return ulimits[i];
    }
    return NULL;
}

/* -1 stands above every number. */
static bool is_limit(const char *text, char end, unsigned long long *ret)
{
    char *after = NULL;
    bool unlimited = strncmp(text, "-1", 2) == 0;
    if (!unlimited && !isdigit((unsigned char)text[0]))
        return false;
    *ret = strtoull(text, &after, 10);
    return *after == end && after - text < 20;
}

const char *check_ulimit(const char *text)
{
    const char *equals = strchr(text, '='), *colon = strchr(text, ':');
    unsigned long long soft, hard;
    if (equals == NULL || colon == NULL || colon < equals ||
        ulimit_by_name(text, (size_t)(equals - text)) == NULL || !is_limit(equals + 1, ':', &soft) ||
        !is_limit(colon + 1, '\0', &hard))
        return "must be NAME=SOFT:HARD with a resource such as nofile";
    return soft <= hard ? NULL : "must have a soft limit that is not above the hard one";
}

/* What belongs to a namespace (docker's list), each by what it begins with, or whole. */
const char *check_sysctl(const char *text)
{
    static const char *const whole[] = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                        "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                        "kernel.shmmni", "kernel.shm_rmid_forced"};
    if (!is_word(text, strlen(text), "_.-/") || strstr(text, "..") != NULL || strlen(text) > 256)
        return "must be a kernel parameter's name such as net.ipv4.ip_forward";
    if (strncmp(text, "net.", 4) == 0 || strncmp(text, "fs.mqueue.", 10) == 0)
        return NULL;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        if (strcmp(text, whole[i]) == 0)
            return NULL;
    return "must be a kernel parameter that belongs to a namespace: net.*, fs.mqueue.*, or those of "
           "kernel.msg*, "
           "kernel.sem and kernel.shm*";
}

const char *check_device(const char *text)
{
    static const char why_not[] =
        "must be HOST_PATH:CONTAINER_PATH:ACCESS with absolute paths and access of r, w, m";
    const char *second = strchr(text, ':');
    const char *third = second != NULL ? strchr(second + 1, ':') : NULL;
    if (text[0] != '/' || third == NULL || second[1] != '/' || strlen(text) > 4096)
        return why_not;
    const char *access = third + 1;
    size_t size = strlen(access);
    if (size == 0 || size > 3 || strspn(access, "rwm") != size)
        return why_not;
    for (const char *at = access; *at != '\0'; at++)
        if (strchr(at + 1, *at) != NULL)
            return why_not;
    return NULL;
}

const char *check_add_host(const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || !is_word(text, (size_t)(colon - text), ".-_") || colon - text > 253 ||
        !is_word(colon + 1, strlen(colon + 1), ".:%") || strlen(colon + 1) > 64)
        return "must be NAME:ADDRESS";
    return NULL;
}

/* From the root, with or without '/' at its beginning. What is allowed leaves nothing to be escaped. */
const char *check_cgroup_parent(const char *text)
{
    static const char why_not[] = "must be a path below the root of the cgroups such as /system/web, 120 "
                                  "characters at most, without '.' and '..'";
    const char *at = text + (text[0] == '/');
    if (strlen(at) > 120)
        return why_not;
    for (size_t size;; at += size + 1) {
        size = strcspn(at, "/");
        if (!is_word(at, size, "._-@:") || strspn(at, ".") >= size)
            return why_not;
        if (at[size] == '\0')
            return NULL;
    }
}

const char *check_userns(const char *text)
{
    bool ok = strcmp(text, "auto") == 0 || strcmp(text, "host") == 0;
    return ok ? NULL : "must be auto or host";
}

bool container_spec_maps_ids(const struct container_spec *spec)
{
    return spec->userns != NULL && strcmp(spec->userns, "auto") == 0;
}

static bool has_sysctl(const struct container_spec *spec, const char *prefix)
{
    for (size_t i = 0; i < spec->sysctls.n; i++)
        if (strncmp(spec->sysctls.items[i].key, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

char **container_spec_sharing(const struct container_spec *spec, enum shared_namespace which)
{
    struct container_spec *own = (struct container_spec *)(uintptr_t)spec; /* as schema.h's tables do */
    char **const members[SHARED_NAMESPACES] = {[SHARED_NETWORK] = &own->network,
                                               [SHARED_IPC] = &own->ipc,
                                               [SHARED_PID] = &own->pid,
                                               [SHARED_UTS] = &own->uts};
    return members[which];
}

/* What it would set is somebody else's. */
static const char *sharing_conflict(const struct container_spec *spec)
{
    bool foreign_network = shared_container(spec->network) != NULL ||
                           (spec->network != NULL && strcmp(spec->network, "host") == 0);
    if (foreign_network && has_sysctl(spec, "net."))
        return "a kernel parameter of the network is not set where the network is the host's or another "
               "container's";
    if (spec->ipc != NULL && (has_sysctl(spec, "kernel.") || has_sysctl(spec, "fs.mqueue.")))
        return "a kernel parameter of the ipc namespace is not set where that is the host's or another "
               "container's";
    if (spec->ipc != NULL && spec->shm_size != SCHEMA_ABSENT)
        return "the size of /dev/shm is not set where that is the host's or another container's";
    if (spec->uts != NULL && spec->hostname != NULL)
        return "a host name is not set where it is the host's or another container's";
    return NULL;
}

/* Namespaces belong to the user namespace that made them: root in another one has no rights in them. The
 * host's name is only looked at. */
static const char *userns_conflict(const struct container_spec *spec)
{
    if (!container_spec_maps_ids(spec))
        return NULL;
    if (spec->privileged)
        return "a privileged container is root on the node, which one with a user namespace of its own is "
               "not";
    for (int i = 0; i < SHARED_NAMESPACES; i++) {
        const char *sharing = *container_spec_sharing(spec, (enum shared_namespace)i);
        if (shared_container(sharing) != NULL)
            return "a container with a user namespace of its own cannot share a namespace with another "
                   "container";
        if (sharing != NULL && strcmp(sharing, "host") == 0 && i != SHARED_UTS)
            return "a container with a user namespace of its own cannot have the host's network, pid or ipc "
                   "namespace";
    }
    return NULL;
}

const char *container_spec_conflict(const struct container_spec *spec)
{
    if (sharing_conflict(spec) != NULL)
        return sharing_conflict(spec);
    if (userns_conflict(spec) != NULL)
        return userns_conflict(spec);
    if (spec->memory_swap != SCHEMA_ABSENT && spec->memory_swap != -1 &&
        (spec->memory == SCHEMA_ABSENT || spec->memory_swap < spec->memory))
        return "a limit on memory and swap together needs a limit on memory that is not above it";
    if (spec->memory_reservation != SCHEMA_ABSENT && spec->memory != SCHEMA_ABSENT &&
        spec->memory_reservation > spec->memory)
        return "a memory reservation must not be above the limit on memory";
    return container_mounts_conflict(spec);
}
