/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "runtime/sandbox/oci_json.h"

/* One member, or with "[]" each element of one: its type, and whether it has to be there. The numbers that
 * are not just INTEGER would be cut to something else: a user 2^32 to root. */
enum shape {
    OBJECT,
    ARRAY,
    STRING,
    BOOLEAN,
    STRINGS,
    INTEGER,
    ID, /* all but (uid_t)-1, which means "leave it" to the kernel */
    UMASK,
    SCORE, /* proc_pid_oom_score_adj(5) */
    SIZE,  /* struct winsize */
    NICE,  /* sched(7) */
    PRIORITY,
    MAJOR, /* makedev(3) has more bits than the kernel */
    MINOR,
    REFUSED
};

struct member {
    const char *path;
    enum shape shape;
    bool required;
};

static const struct member MEMBERS[] = {
    {"ociVersion", STRING, true},
    {"root", OBJECT, true},
    {"root.path", STRING, true},
    {"root.readonly", BOOLEAN, false},
    {"hostname", STRING, false},
    {"domainname", STRING, false},
    {"annotations", OBJECT, false},
    {"process", OBJECT, false},
    {"process.terminal", BOOLEAN, false},
    {"process.consoleSize", OBJECT, false},
    {"process.consoleSize.height", SIZE, true},
    {"process.consoleSize.width", SIZE, true},
    {"process.user", OBJECT, false},
    {"process.user.uid", ID, false},
    {"process.user.gid", ID, false},
    {"process.user.umask", UMASK, false},
    {"process.user.additionalGids", ARRAY, false},
    {"process.user.additionalGids[]", ID, true},
    {"process.args", STRINGS, false},
    {"process.env", STRINGS, false},
    {"process.cwd", STRING, true},
    {"process.capabilities", OBJECT, false},
    {"process.capabilities.bounding", STRINGS, false},
    {"process.capabilities.effective", STRINGS, false},
    {"process.capabilities.permitted", STRINGS, false},
    {"process.capabilities.inheritable", STRINGS, false},
    {"process.capabilities.ambient", STRINGS, false},
    {"process.rlimits", ARRAY, false},
    {"process.rlimits[]", OBJECT, true},
    {"process.rlimits[].type", STRING, true},
    {"process.rlimits[].soft", INTEGER, true},
    {"process.rlimits[].hard", INTEGER, true},
    {"process.noNewPrivileges", BOOLEAN, false},
    {"process.oomScoreAdj", SCORE, false},
    {"process.apparmorProfile", STRING, false},
    {"process.selinuxLabel", STRING, false},
    {"process.scheduler", OBJECT, false},
    {"process.scheduler.policy", STRING, true},
    {"process.scheduler.nice", NICE, false},
    {"process.scheduler.priority", PRIORITY, false},
    {"process.scheduler.flags", STRINGS, false},
    {"process.scheduler.runtime", INTEGER, false},
    {"process.scheduler.deadline", INTEGER, false},
    {"process.scheduler.period", INTEGER, false},
    {"process.ioPriority", OBJECT, false},
    {"process.ioPriority.class", STRING, true},
    {"process.ioPriority.priority", INTEGER, false},
    {"process.execCPUAffinity", REFUSED, false},
    {"mounts", ARRAY, false},
    {"mounts[]", OBJECT, true},
    {"mounts[].destination", STRING, true},
    {"mounts[].type", STRING, false},
    {"mounts[].source", STRING, false},
    {"mounts[].options", STRINGS, false},
    {"mounts[].uidMappings", ARRAY, false},
    {"mounts[].uidMappings[]", OBJECT, true},
    {"mounts[].gidMappings", ARRAY, false},
    {"mounts[].gidMappings[]", OBJECT, true},
    {"hooks", OBJECT, false},
    {"linux", OBJECT, false},
    {"linux.namespaces", ARRAY, false},
    {"linux.namespaces[]", OBJECT, true},
    {"linux.namespaces[].type", STRING, true},
    {"linux.namespaces[].path", STRING, false},
    {"linux.uidMappings", ARRAY, false},
    {"linux.uidMappings[]", OBJECT, true},
    {"linux.gidMappings", ARRAY, false},
    {"linux.gidMappings[]", OBJECT, true},
    {"linux.timeOffsets", OBJECT, false},
    {"linux.timeOffsets.monotonic", OBJECT, false},
    {"linux.timeOffsets.monotonic.secs", INTEGER, false},
    {"linux.timeOffsets.monotonic.nanosecs", INTEGER, false},
    {"linux.timeOffsets.boottime", OBJECT, false},
    {"linux.timeOffsets.boottime.secs", INTEGER, false},
    {"linux.timeOffsets.boottime.nanosecs", INTEGER, false},
    {"linux.devices", ARRAY, false},
    {"linux.devices[]", OBJECT, true},
    {"linux.devices[].type", STRING, true},
    {"linux.devices[].path", STRING, true},
    {"linux.devices[].major", MAJOR, false},
    {"linux.devices[].minor", MINOR, false},
    {"linux.devices[].fileMode", INTEGER, false},
    {"linux.devices[].uid", ID, false},
    {"linux.devices[].gid", ID, false},
    {"linux.cgroupsPath", STRING, false},
    {"linux.resources", OBJECT, false},
    {"linux.intelRdt", REFUSED, false},
    {"linux.sysctl", OBJECT, false},
    {"linux.seccomp", OBJECT, false},
    {"linux.seccomp.defaultAction", STRING, true},
    {"linux.seccomp.architectures", STRINGS, false},
    {"linux.seccomp.flags", STRINGS, false},
    {"linux.seccomp.defaultErrnoRet", INTEGER, false},
    {"linux.seccomp.listenerPath", STRING, false},
    {"linux.seccomp.listenerMetadata", STRING, false},
    {"linux.seccomp.syscalls", ARRAY, false},
    {"linux.seccomp.syscalls[]", OBJECT, true},
    {"linux.seccomp.syscalls[].names", STRINGS, true},
    {"linux.seccomp.syscalls[].action", STRING, true},
    {"linux.seccomp.syscalls[].errnoRet", INTEGER, false},
    {"linux.seccomp.syscalls[].args", ARRAY, false},
    {"linux.seccomp.syscalls[].args[]", OBJECT, true},
    {"linux.seccomp.syscalls[].args[].index", INTEGER, true},
    {"linux.seccomp.syscalls[].args[].value", INTEGER, true},
    {"linux.seccomp.syscalls[].args[].valueTwo", INTEGER, false},
    {"linux.seccomp.syscalls[].args[].op", STRING, true},
    {"linux.rootfsPropagation", STRING, false},
    {"linux.maskedPaths", STRINGS, false},
    {"linux.readonlyPaths", STRINGS, false},
    {"linux.mountLabel", STRING, false},
    {"linux.personality", OBJECT, false},
    {"linux.personality.domain", STRING, true},
    {"linux.personality.flags", STRINGS, false},
};

static const char *const HOOKS[] = {"prestart",       "createRuntime", "createContainer",
                                    "startContainer", "poststart",     "poststop"};
static const struct member HOOK_MEMBERS[] = {
    {"path", STRING, true},
    {"args", STRINGS, false},
    {"env", STRINGS, false},
    {"timeout", INTEGER, false},
};

static const struct {
    json_int_t min, max;
} RANGES[] = {
    [INTEGER] = {INT64_MIN, INT64_MAX},
    [ID] = {0, UINT32_MAX - 1},
    [UMASK] = {0, 0777},
    [SCORE] = {-1000, 1000},
    [SIZE] = {0, UINT16_MAX},
    [NICE] = {-20, 19},
    [PRIORITY] = {0, 99},
    [MAJOR] = {0, 4095},
    [MINOR] = {0, 1048575},
};

static bool is_empty(const json_t *value)
{
    if (json_is_string(value))
        return json_string_length(value) == 0;
    if (json_is_array(value))
        return json_array_size(value) == 0;
    return json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0);
}

/* NUL bytes would cut what the kernel sees. */
static bool is_text(const json_t *value)
{
    return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

static bool is_text_list(const json_t *value)
{
    size_t i;
    json_t *item;
    if (!json_is_array(value))
        return false;
    json_array_foreach(value, i, item)
    {
        if (!is_text(item))
            return false;
    }
    return true;
}

static int check_number(const json_t *value, enum shape shape, const char *where, struct err *err)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value))
        return err_set(err, ERR_INVALID, "'%s' must be a number without a fraction", where);
    if (number < RANGES[shape].min || number > RANGES[shape].max)
        return err_set(err, ERR_INVALID, "'%s' must be from %lld to %lld, not %lld", where,
                       (long long)RANGES[shape].min, (long long)RANGES[shape].max, (long long)number);
    return 0;
}

static int check_value(const json_t *value, enum shape shape, const char *where, struct err *err)
{
    static const char *const EXPECTED[] = {
        [OBJECT] = "an object",
        [ARRAY] = "an array",
        [STRING] = "a text",
        [BOOLEAN] = "true or false",
        [STRINGS] = "a list of texts without NUL bytes",
    };
    if (shape == REFUSED)
        return is_empty(value) ? 0 : err_set(err, ERR_INVALID, "'%s' is not supported", where);
    if (shape >= INTEGER)
        return check_number(value, shape, where, err);
    bool fits = (shape == OBJECT && json_is_object(value)) || (shape == ARRAY && json_is_array(value)) ||
                (shape == STRING && is_text(value)) || (shape == BOOLEAN && json_is_boolean(value)) ||
                (shape == STRINGS && is_text_list(value));
    return fits ? 0 : err_set(err, ERR_INVALID, "'%s' must be %s", where, EXPECTED[shape]);
}

/* `path` is what remains to be walked from `value`, which is called `where`. */
static int check_below(const json_t *value, const char *path, const struct member *member, const char *where,
                       struct err *err)
{
    char key[64], name[192];
    size_t size = strcspn(path, ".[");
    if (size > 0) {
        snprintf(key, sizeof(key), "%.*s", (int)size, path);
        snprintf(name, sizeof(name), "%s%s%s", where, where[0] == '\0' ? "" : ".", key);
        value = json_object_get(value, key);
        path += size;
        if (value == NULL || json_is_null(value))
            return *path == '\0' && member->required ? err_set(err, ERR_INVALID, "'%s' is missing", name) : 0;
        if (*path == '.')
            path++;
        return *path == '\0' ? check_value(value, member->shape, name, err)
                             : check_below(value, path, member, name, err);
    }
    path += strlen("[]");
    path += *path == '.';
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        snprintf(name, sizeof(name), "%s[%zu]", where, i);
        if ((*path == '\0' ? check_value(item, member->shape, name, err)
                           : check_below(item, path, member, name, err)) < 0)
            return -1;
    }
    return 0;
}

static int check_hooks(const json_t *hooks, struct err *err)
{
    size_t i;
    json_t *hook;
    for (size_t at = 0; at < sizeof(HOOKS) / sizeof(HOOKS[0]); at++) {
        const json_t *list = json_object_get(hooks, HOOKS[at]);
        if (list == NULL || json_is_null(list))
            continue;
        char where[64];
        snprintf(where, sizeof(where), "hooks.%s", HOOKS[at]);
        if (check_value(list, ARRAY, where, err) < 0)
            return -1;
        json_array_foreach(list, i, hook)
        {
            snprintf(where, sizeof(where), "hooks.%s[%zu]", HOOKS[at], i);
            if (check_value(hook, OBJECT, where, err) < 0)
                return -1;
            for (size_t m = 0; m < sizeof(HOOK_MEMBERS) / sizeof(HOOK_MEMBERS[0]); m++) {
                if (check_below(hook, HOOK_MEMBERS[m].path, &HOOK_MEMBERS[m], where, err) < 0)
                    return -1;
            }
            if (oci_text(hook, "path")[0] != '/')
                return err_set(err, ERR_INVALID, "'%s.path' must be absolute", where);
            const json_t *timeout = json_object_get(hook, "timeout");
            if (timeout != NULL &&
                (json_integer_value(timeout) <= 0 || json_integer_value(timeout) > 1000000))
                return err_set(err, ERR_INVALID, "'%s.timeout' must be from 1 to 1000000 seconds", where);
        }
    }
    return 0;
}

/* What others are told of the container (config.md, "Annotations"). */
static int check_annotations(json_t *annotations, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(annotations, name, value)
    {
        if (name[0] == '\0' || !json_is_string(value))
            return err_set(err, ERR_INVALID, "'annotations' has no text for '%s'", name);
    }
    return 0;
}

int oci_check(const json_t *config, struct err *err)
{
    if (!json_is_object(config))
        return err_set(err, ERR_INVALID, "the configuration must be an object");
    for (size_t i = 0; i < sizeof(MEMBERS) / sizeof(MEMBERS[0]); i++) {
        if (check_below(config, MEMBERS[i].path, &MEMBERS[i], "", err) < 0)
            return -1;
    }
    const char *version = oci_text(config, "ociVersion");
    if (strncmp(version, "1.", 2) != 0)
        return err_set(err, ERR_INVALID, "'ociVersion' is '%s': only versions 1.x are understood", version);
    const json_t *process = json_object_get(config, "process");
    if (json_is_object(process) && oci_text(process, "cwd")[0] != '/')
        return err_set(err, ERR_INVALID, "'process.cwd' must be an absolute path");
    if (check_annotations(json_object_get(config, "annotations"), err) < 0)
        return -1;
    return check_hooks(json_object_get(config, "hooks"), err);
}
