/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/seccomp_profile.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/capability.h"
#include "runtime/sandbox/oci_json.h"

static bool has_text(const json_t *list, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
            return true;
    }
    return false;
}

/* The "4.8" that a kernel's release starts with, as a number that can be compared; *ret_end is what follows
 * it. -1: it starts otherwise, or with numbers that no kernel will have. */
static long kernel_number(const char *release, const char **ret_end)
{
    enum { BASE = 100000 };
    const char *at = release;
    long parts[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        if (*at < '0' || *at > '9')
            return -1;
        for (; *at >= '0' && *at <= '9'; at++) {
            parts[i] = parts[i] * 10 + (*at - '0');
            if (parts[i] >= BASE)
                return -1;
        }
        if (i == 0 && *at++ != '.')
            return -1;
    }
    *ret_end = at;
    return parts[0] * BASE + parts[1];
}

static bool is_at_least(const char *running, const char *wanted)
{
    const char *end;
    return kernel_number(running, &end) >= kernel_number(wanted, &end);
}

static bool has_capability(const struct seccomp_situation *situation, const json_t *name)
{
    int number = capability_by_name(json_is_string(name) ? json_string_value(name) : "");
    return number >= 0 && (situation->capabilities >> number & 1) != 0;
}

/* An entry is for the machines and the kernels that are named, and needs all of the capabilities. */
static bool is_included(const json_t *includes, const struct seccomp_situation *situation)
{
    const json_t *machines = json_object_get(includes, "arches");
    const char *kernel = oci_text(includes, "minKernel");
    size_t i;
    json_t *item;
    if (json_array_size(machines) > 0 && !has_text(machines, situation->machine))
        return false;
    if (kernel[0] != '\0' && !is_at_least(situation->kernel, kernel))
        return false;
    json_array_foreach(json_object_get(includes, "caps"), i, item)
    {
        if (!has_capability(situation, item))
            return false;
    }
    return true;
}

/* Any of the conditions takes an entry out. */
static bool is_excluded(const json_t *excludes, const struct seccomp_situation *situation)
{
    const char *kernel = oci_text(excludes, "minKernel");
    size_t i;
    json_t *item;
    if (has_text(json_object_get(excludes, "arches"), situation->machine))
        return true;
    if (kernel[0] != '\0' && is_at_least(situation->kernel, kernel))
        return true;
    json_array_foreach(json_object_get(excludes, "caps"), i, item)
    {
        if (has_capability(situation, item))
            return true;
    }
    return false;
}

static int check_kernel(const json_t *value, const char *member, struct err *err)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "", *end;
    if (text[0] == '\0' || (kernel_number(text, &end) >= 0 && *end == '\0'))
        return 0;
    return err_set(
        err, ERR_INVALID,
        "'%s.minKernel' of the system call filter is '%s': give a kernel's two numbers, as in \"4.8\"",
        member, text);
}

static int check_condition(const json_t *entry, const char *member, struct err *err)
{
    const json_t *condition = json_object_get(entry, member);
    const char *name;
    json_t *value;
    if (condition != NULL && !json_is_null(condition) && !json_is_object(condition))
        return err_set(err, ERR_INVALID, "'%s' of the system call filter must be an object", member);
    json_object_foreach((json_t *)condition, name, value)
    {
        bool list = strcmp(name, "arches") == 0 || strcmp(name, "caps") == 0;
        if (!list && strcmp(name, "minKernel") != 0)
            return err_set(err, ERR_INVALID, "'%s' of the system call filter has the unknown condition '%s'",
                           member, name);
        if (!json_is_null(value) && !(list ? json_is_array(value) : json_is_string(value)))
            return err_set(err, ERR_INVALID, "'%s.%s' of the system call filter has the wrong type", member,
                           name);
        if (!list && check_kernel(value, member, err) < 0)
            return -1;
    }
    return 0;
}

/* What is for people, or has been decided by now, is left out. */
static json_t *plain_entry(const json_t *entry)
{
    static const char *const KEPT[] = {"action", "errnoRet", "args"};
    const json_t *name = json_object_get(entry, "name");
    json_t *names = json_object_get(entry, "names");
    json_t *plain = json_object();
    int result = plain == NULL ? -1 : 0;
    if (json_is_string(name))
        result |= json_object_set_new(plain, "names", json_pack("[s]", json_string_value(name)));
    else if (names != NULL)
        result |= json_object_set(plain, "names", names);
    for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++) {
        json_t *value = json_object_get(entry, KEPT[i]);
        if (value != NULL && !json_is_null(value))
            result |= json_object_set(plain, KEPT[i], value);
    }
    if (result == 0)
        return plain;
    json_decref(plain);
    return NULL;
}

static json_t *choose_entries(const json_t *list, const struct seccomp_situation *situation, struct err *err)
{
    json_auto_t *chosen = json_array();
    size_t i;
    json_t *entry;
    if (chosen == NULL)
        return err_nomem(err, "reading the system call filter"), NULL;
    if (list != NULL && !json_is_null(list) && !json_is_array(list))
        return err_set(err, ERR_INVALID, "'syscalls' of the system call filter must be an array"), NULL;
    json_array_foreach(list, i, entry)
    {
        if (!json_is_object(entry))
            return err_set(err, ERR_INVALID, "'syscalls' of the system call filter must hold objects"), NULL;
        if (check_condition(entry, "includes", err) < 0 || check_condition(entry, "excludes", err) < 0)
            return NULL;
        if (!is_included(json_object_get(entry, "includes"), situation) ||
            is_excluded(json_object_get(entry, "excludes"), situation))
            continue;
        if (json_array_append_new(chosen, plain_entry(entry)) < 0)
            return err_nomem(err, "reading the system call filter"), NULL;
    }
    return json_incref(chosen);
}

/* The machine's own architecture with those that it runs, too. An "archMap" without it leaves only that. */
static json_t *architectures(const json_t *profile, const struct seccomp_situation *situation)
{
    size_t i, j;
    json_t *row, *item;
    json_t *list = json_object_get(profile, "architectures");
    if (json_array_size(list) > 0)
        return json_incref(list);
    list = json_array();
    if (situation->scmp_arch[0] != '\0' && json_array_append_new(list, json_string(situation->scmp_arch)) < 0)
        goto failed;
    json_array_foreach(json_object_get(profile, "archMap"), i, row)
    {
        if (strcmp(oci_text(row, "architecture"), situation->scmp_arch) != 0)
            continue;
        json_array_foreach(json_object_get(row, "subArchitectures"), j, item)
        {
            if (json_array_append(list, item) < 0)
                goto failed;
        }
    }
    return list;
failed:
    json_decref(list);
    return NULL;
}

static int copy_members(json_t *section, const json_t *profile, struct err *err)
{
    static const char *const KEPT[] = {"defaultAction", "defaultErrnoRet", "flags", "listenerPath",
                                       "listenerMetadata"};
    static const char *const KNOWN[] = {"architectures", "archMap", "syscalls", "comment"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)profile, name, value)
    {
        bool kept = false, known = false;
        for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++)
            kept |= strcmp(KEPT[i], name) == 0;
        for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
            known |= strcmp(KNOWN[i], name) == 0;
        if (!kept && !known)
            return err_set(err, ERR_INVALID, "the system call filter has the unknown member '%s'", name);
        if (kept && !json_is_null(value) && json_object_set(section, name, value) < 0)
            return err_nomem(err, "reading the system call filter");
    }
    return 0;
}

json_t *seccomp_profile(const char *text, const struct seccomp_situation *situation, struct err *err)
{
    json_error_t why;
    json_auto_t *profile = oci_json_parse(text, strlen(text), &why);
    json_auto_t *section = json_object();
    if (!json_is_object(profile))
        return err_set(err, ERR_INVALID, "the system call filter is no JSON object: %s", why.text), NULL;
    if (json_array_size(json_object_get(profile, "architectures")) > 0 &&
        json_array_size(json_object_get(profile, "archMap")) > 0)
        return err_set(err, ERR_INVALID,
                       "the system call filter has both 'architectures' and 'archMap': use one of them"),
               NULL;
    if (copy_members(section, profile, err) < 0)
        return NULL;
    json_t *entries = choose_entries(json_object_get(profile, "syscalls"), situation, err);
    if (entries == NULL)
        return NULL;
    if (json_object_set_new(section, "syscalls", entries) < 0 ||
        json_object_set_new(section, "architectures", architectures(profile, situation)) < 0)
        return err_nomem(err, "reading the system call filter"), NULL;
    return json_incref(section);
}
