/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_rights.h"

#include <stdlib.h>
#include <string.h>

#include "base/capability.h"

#define OPEN_FILES_SOFT 1024
#define OPEN_FILES_HARD 524288

/* What docker leaves a container by default. */
static const char *const DEFAULT_CAPABILITIES[] = {
    "CAP_CHOWN",      "CAP_DAC_OVERRIDE",     "CAP_FSETID", "CAP_FOWNER",      "CAP_MKNOD",
    "CAP_NET_RAW",    "CAP_SETGID",           "CAP_SETUID", "CAP_SETFCAP",     "CAP_SETPCAP",
    "CAP_SYS_CHROOT", "CAP_NET_BIND_SERVICE", "CAP_KILL",   "CAP_AUDIT_WRITE",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t bit(const char *name)
{
    int number = capability_by_name(name);
    return number < 0 ? 0 : UINT64_C(1) << number;
}

/* True if the list says ALL; the mask gets those that it names. */
static bool read_list(const struct strings *list, uint64_t *ret)
{
    bool all = false;
    *ret = 0;
    for (size_t i = 0; i < list->n; i++) {
        all |= strcmp(list->items[i], "ALL") == 0;
        *ret |= bit(list->items[i]);
    }
    return all;
}

/* docker's order: "ALL" makes the base, and what is named counts more than it; otherwise what is added counts
 * more than what is dropped. */
uint64_t oci_capability_mask(const struct container_spec *spec, uint64_t available)
{
    uint64_t mask = 0, added, dropped;
    bool add_all = read_list(&spec->cap_add, &added), drop_all = read_list(&spec->cap_drop, &dropped);
    if (spec->privileged)
        return available & ~dropped;
    for (size_t i = 0; i < COUNT(DEFAULT_CAPABILITIES); i++)
        mask |= bit(DEFAULT_CAPABILITIES[i]);
    if (add_all)
        return available & ~dropped;
    return drop_all ? added : (mask & ~dropped) | added;
}

json_t *oci_capability_names(uint64_t mask)
{
    json_t *array = json_array();
    for (int i = 0; i < 64; i++) {
        if ((mask >> i & 1) != 0 && json_array_append_new(array, json_string(capability_name(i))) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* All bits set is the kernel's word for no limit (getrlimit(2), RLIM_INFINITY); JSON's integers are signed.
 */
static json_int_t limit_value(const char *text)
{
    return text[0] == '-' ? (json_int_t)-1 : (json_int_t)strtoull(text, NULL, 10);
}

static json_t *rlimit(const char *type, json_int_t soft, json_int_t hard)
{
    return json_pack("{s:s, s:I, s:I}", "type", type, "soft", soft, "hard", hard);
}

bool oci_open_files_are_default(const struct container_spec *spec)
{
    for (size_t i = 0; i < spec->ulimits.n; i++) {
        const char *text = spec->ulimits.items[i];
        if (strcmp(ulimit_by_name(text, strcspn(text, "=")), "RLIMIT_NOFILE") == 0)
            return false;
    }
    return true;
}

json_t *oci_rlimits(const struct container_spec *spec)
{
    json_t *array = json_array();
    int result = array == NULL ? -1 : 0;
    for (size_t i = 0; i < spec->ulimits.n; i++) {
        const char *text = spec->ulimits.items[i];
        size_t size = strcspn(text, "=");
        const char *type = ulimit_by_name(text, size); /* check_ulimit has seen it */
        result |= json_array_append_new(
            array, rlimit(type, limit_value(text + size + 1), limit_value(strchr(text, ':') + 1)));
    }
    if (oci_open_files_are_default(spec))
        result |= json_array_append_new(array, rlimit("RLIMIT_NOFILE", OPEN_FILES_SOFT, OPEN_FILES_HARD));
    if (result == 0)
        return array;
    json_decref(array);
    return NULL;
}

json_t *oci_sysctls(const struct container_spec *spec)
{
    json_t *object = json_object();
    for (size_t i = 0; i < spec->sysctls.n; i++) {
        const struct string_pair *pair = &spec->sysctls.items[i];
        if (json_object_set_new(object, pair->key, json_string(pair->value)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *oci_devices(const struct oci_device *devices, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct oci_device *at = &devices[i];
        json_t *device = json_pack("{s:s, s:s#, s:i, s:i, s:i, s:i, s:i}", "path", at->path, "type",
                                   &at->type, 1, "major", (int)at->major, "minor", (int)at->minor, "fileMode",
                                   (int)at->mode, "uid", (int)at->uid, "gid", (int)at->gid);
        if (json_array_append_new(array, device) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

int oci_add_device_mounts(json_t *mounts, const struct oci_device *devices, size_t n)
{
    int result = 0;
    for (size_t i = 0; i < n && result == 0; i++)
        result = json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:[s, s]}", "destination",
                                                         devices[i].path, "type", "bind", "source",
                                                         devices[i].source, "options", "bind", "nosuid"));
    return result;
}

json_t *oci_device_rules(const struct container_spec *spec, const struct oci_device *devices, size_t n)
{
    if (spec->privileged)
        return json_pack("[{s:b, s:s}]", "allow", 1, "access", "rwm");
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct oci_device *at = &devices[i];
        json_t *rule = json_pack("{s:b, s:s#, s:i, s:i, s:s}", "allow", 1, "type", &at->type, 1, "major",
                                 (int)at->major, "minor", (int)at->minor, "access", at->access);
        if (json_array_append_new(array, rule) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
