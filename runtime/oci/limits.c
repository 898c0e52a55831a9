/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/limits.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum kind { NUMBER, BYTES, TEXT };

static const struct {
    size_t offset; /* in struct oci_limits */
    const char *flag, *section, *member;
    enum kind kind;
} FLAGS[] = {
    {offsetof(struct oci_limits, blkio_weight), "blkio-weight", "blockIO", "weight", NUMBER},
    {offsetof(struct oci_limits, cpu_burst), "cpu-burst", "cpu", "burst", NUMBER},
    {offsetof(struct oci_limits, cpu_idle), "cpu-idle", "cpu", "idle", NUMBER},
    {offsetof(struct oci_limits, cpu_period), "cpu-period", "cpu", "period", NUMBER},
    {offsetof(struct oci_limits, cpu_quota), "cpu-quota", "cpu", "quota", NUMBER},
    {offsetof(struct oci_limits, cpu_share), "cpu-share", "cpu", "shares", NUMBER},
    {offsetof(struct oci_limits, cpu_rt_period), "cpu-rt-period", "cpu", "realtimePeriod", NUMBER},
    {offsetof(struct oci_limits, cpu_rt_runtime), "cpu-rt-runtime", "cpu", "realtimeRuntime", NUMBER},
    {offsetof(struct oci_limits, cpuset_cpus), "cpuset-cpus", "cpu", "cpus", TEXT},
    {offsetof(struct oci_limits, cpuset_mems), "cpuset-mems", "cpu", "mems", TEXT},
    {offsetof(struct oci_limits, memory), "memory", "memory", "limit", BYTES},
    {offsetof(struct oci_limits, memory_reservation), "memory-reservation", "memory", "reservation", BYTES},
    {offsetof(struct oci_limits, memory_swap), "memory-swap", "memory", "swap", BYTES},
    {offsetof(struct oci_limits, kernel_memory), "kernel-memory", "memory", "kernel", BYTES},
    {offsetof(struct oci_limits, kernel_memory_tcp), "kernel-memory-tcp", "memory", "kernelTCP", BYTES},
    {offsetof(struct oci_limits, pids_limit), "pids-limit", "pids", "limit", NUMBER},
};

/* "512m", "64MiB", "-1": powers of 1024. */
static int parse(const char *text, enum kind kind, json_int_t *ret)
{
    static const char UNITS[] = "bkmgt";
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || errno != 0)
        return -1;
    const char *unit = kind == BYTES && *end != '\0' ? strchr(UNITS, tolower((unsigned char)*end)) : NULL;
    int shift = unit == NULL ? 0 : 10 * (int)(unit - UNITS);
    if (unit != NULL) {
        end++;
        end += shift > 0 && strncmp(end, "iB", 2) == 0 ? 2 : 0;
        end += shift > 0 && (*end == 'b' || *end == 'B') ? 1 : 0;
    }
    if (*end != '\0' || (unit != NULL && (number < 0 || number > (INT64_MAX >> shift))))
        return -1;
    *ret = number * (1LL << shift);
    return 0;
}

static int put(json_t *resources, const char *section, const char *member, json_t *value, struct err *err)
{
    json_t *object = json_object_get(resources, section);
    if (object == NULL && json_object_set_new(resources, section, json_object()) == 0)
        object = json_object_get(resources, section);
    return json_object_set_new(object, member, value) < 0 ? err_nomem(err, "reading the limits") : 0;
}

int oci_limits(const struct oci_limits *limits, json_t *resources, struct err *err)
{
    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++) {
        const char *text = *(const char *const *)(const void *)((const char *)limits + FLAGS[i].offset);
        json_int_t number = 0;
        if (text == NULL)
            continue;
        if (FLAGS[i].kind != TEXT && parse(text, FLAGS[i].kind, &number) < 0)
            return err_set(err, ERR_INVALID, "--%s is a number%s, not '%s'", FLAGS[i].flag,
                           FLAGS[i].kind == BYTES ? " of bytes, such as 512m, or -1 for no limit" : "", text);
        json_t *value = FLAGS[i].kind == TEXT ? json_string(text) : json_integer(number);
        if (put(resources, FLAGS[i].section, FLAGS[i].member, value, err) < 0)
            return -1;
    }
    return 0;
}

json_t *oci_limits_changed(const json_t *resources, const json_t *before, struct err *err)
{
    const json_t *devices = json_object_get(resources, "devices");
    json_t *changed = json_deep_copy(resources), *section, *value;
    const char *name, *key;
    void *next, *next_value;
    if (changed == NULL) {
        err_fill(err, ERR_NOMEM, "out of memory while reading the limits");
        return NULL;
    }
    if (json_array_size(devices) > 0 && !json_equal(devices, json_object_get(before, "devices"))) {
        err_fill(err, ERR_INVALID, "'linux.resources.devices' of a container that exists cannot be changed");
        json_decref(changed);
        return NULL;
    }
    json_object_del(changed, "devices");
    json_object_foreach_safe(changed, next, name, section)
    {
        const json_t *old = json_object_get(before, name);
        if (json_is_null(section)) {
            json_object_del(changed, name);
            continue;
        }
        json_object_foreach_safe(section, next_value, key, value)
        {
            if (json_is_null(value) || json_equal(value, json_object_get(old, key)))
                json_object_del(section, key);
        }
    }
    return changed;
}
