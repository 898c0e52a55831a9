/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/resources_v2.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sandbox/oci_json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum how {
    SAME,
    LIMIT,  /* -1 is "max" */
    SWAP,   /* v1 counts memory and swap together */
    SHARES, /* from 2 to 262144 there, from 1 to 10000 here */
    QUOTA,  /* with its period in one file */
    PERIOD,
    WEIGHT,        /* from 10 to 1000 there, from 1 to 10000 here; the BFQ scheduler's has its own file */
    DEVICE_WEIGHT, /* the same for one device */
    RATE,          /* `key` in io.max */
    LEFT_OUT,      /* always so */
};

static const struct {
    const char *v1;
    enum how how;
    const char *controller, *file, *key;
} CONVERSIONS[] = {
    {"memory.limit_in_bytes", LIMIT, "memory", "memory.max", NULL},
    {"memory.memsw.limit_in_bytes", SWAP, "memory", "memory.swap.max", NULL},
    {"memory.soft_limit_in_bytes", LIMIT, "memory", "memory.low", NULL},
    {"memory.use_hierarchy", LEFT_OUT, NULL, NULL, NULL},
    {"cpu.shares", SHARES, "cpu", "cpu.weight", NULL},
    {"cpu.cfs_period_us", PERIOD, "cpu", "cpu.max", NULL},
    {"cpu.cfs_quota_us", QUOTA, "cpu", "cpu.max", NULL},
    {"cpu.cfs_burst_us", SAME, "cpu", "cpu.max.burst", NULL},
    {"cpu.idle", SAME, "cpu", "cpu.idle", NULL},
    {"cpuset.cpus", SAME, "cpuset", "cpuset.cpus", NULL},
    {"cpuset.mems", SAME, "cpuset", "cpuset.mems", NULL},
    {"pids.max", SAME, "pids", "pids.max", NULL},
    {"blkio.weight", WEIGHT, "io", "io.weight", NULL},
    {"blkio.weight_device", DEVICE_WEIGHT, "io", "io.weight", NULL},
    {"blkio.throttle.read_bps_device", RATE, "io", "io.max", "rbps"},
    {"blkio.throttle.write_bps_device", RATE, "io", "io.max", "wbps"},
    {"blkio.throttle.read_iops_device", RATE, "io", "io.max", "riops"},
    {"blkio.throttle.write_iops_device", RATE, "io", "io.max", "wiops"},
    {"devices.allow", SAME, "devices", "devices.allow", NULL},
    {"devices.deny", SAME, "devices", "devices.deny", NULL},
    {"rdma.max", SAME, "rdma", "rdma.max", NULL},
};

static int add(json_t *out, size_t at, const char *value, const char *member)
{
    return json_array_append_new(
        out, json_pack("[s, s, s, s]", CONVERSIONS[at].controller, CONVERSIONS[at].file, value, member));
}

static const char *max_if_negative(const char *value)
{
    return value[0] == '-' ? "max" : value;
}

static int swap(char ret[64], const char *value, const json_t *resources, struct err *err)
{
    const json_t *limit = json_object_get(json_object_get(resources, "memory"), "limit");
    long long both = strtoll(value, NULL, 10), memory = (long long)json_integer_value(limit);
    snprintf(ret, 64, "max");
    if (both < 0)
        return 0;
    if (!json_is_integer(limit) || memory < 0 || both < memory)
        return err_set(err, ERR_INVALID,
                       "'linux.resources.memory.swap' is memory and swap together: with cgroup v2 it needs a "
                       "'memory.limit' that is not above it");
    snprintf(ret, 64, "%lld", both - memory);
    return 0;
}

/* A value that is out of v1's range stays out of v2's, for the kernel to refuse. */
static void shares(char ret[64], const char *value)
{
    long long number = strtoll(value, NULL, 10);
    snprintf(ret, 64, "%lld", number < 2 ? number - 1 : 1 + (number - 2) * 9999 / 262142);
}

static long long io_weight(const char *value)
{
    long long number = strtoll(value, NULL, 10);
    return number < 10 ? 0 : 1 + (number - 10) * 9999 / 990;
}

static int weight(json_t *out, const char *value, const char *member)
{
    char text[64];
    snprintf(text, sizeof(text), "%lld", io_weight(value));
    return json_array_append_new(
        out, json_pack("[s, s, s, s, s, s]", "io", "io.weight", text, member, "io.bfq.weight", value));
}

/* "MAJOR:MINOR WEIGHT" */
static int device_weight(json_t *out, const char *value, const char *member)
{
    char text[64];
    const char *space = strchr(value, ' ');
    snprintf(text, sizeof(text), "%.*s %lld", (int)(space - value), value, io_weight(space + 1));
    return json_array_append_new(
        out, json_pack("[s, s, s, s, s, s]", "io", "io.weight", text, member, "io.bfq.weight", value));
}

/* "MAJOR:MINOR RATE"; no rate at all is "max" here and 0 there. */
static void rate(char ret[96], const char *key, const char *value)
{
    const char *space = strchr(value, ' ');
    snprintf(ret, 96, "%.*s %s=%s", (int)(space - value), value, key,
             strcmp(space + 1, "0") == 0 ? "max" : space + 1);
}

static void quota(char ret[64], const char *value, const json_t *resources)
{
    const json_t *period = json_object_get(json_object_get(resources, "cpu"), "period");
    int size = snprintf(ret, 64, "%s", max_if_negative(value));
    if (json_is_integer(period))
        snprintf(ret + size, 64 - (size_t)size, " %lld", (long long)json_integer_value(period));
}

static int convert(json_t *out, size_t at, const char *value, const char *member, const json_t *resources,
                   struct err *err)
{
    char text[96];
    switch (CONVERSIONS[at].how) {
    case SAME:
        return add(out, at, value, member);
    case LIMIT:
        return add(out, at, max_if_negative(value), member);
    case SWAP:
        return swap(text, value, resources, err) < 0 ? -1 : add(out, at, text, member);
    case SHARES:
        shares(text, value);
        return add(out, at, text, member);
    case QUOTA:
        quota(text, value, resources);
        return add(out, at, text, member);
    case PERIOD:
        snprintf(text, sizeof(text), "max %s", value);
        return json_object_get(json_object_get(resources, "cpu"), "quota") != NULL
                   ? 0
                   : add(out, at, text, member);
    case WEIGHT:
        return weight(out, value, member);
    case DEVICE_WEIGHT:
        return device_weight(out, value, member);
    case RATE:
        rate(text, CONVERSIONS[at].key, value);
        return add(out, at, text, member);
    case LEFT_OUT:
        return 0;
    }
    return -1;
}

/* "hugetlb.2MB.limit_in_bytes" */
static int huge_pages(json_t *out, const char *file, const char *value, const char *member)
{
    char name[96];
    const char *end = strrchr(file, '.');
    snprintf(name, sizeof(name), "%.*s.max", (int)(end - file), file);
    return json_array_append_new(out,
                                 json_pack("[s, s, s, s]", "hugetlb", name, max_if_negative(value), member));
}

static int convert_one(json_t *out, const json_t *item, const json_t *resources, struct err *err)
{
    const char *controller = json_string_value(json_array_get(item, 0));
    const char *file = json_string_value(json_array_get(item, 1));
    const char *value = json_string_value(json_array_get(item, 2));
    const char *member = json_string_value(json_array_get(item, 3));
    if (strcmp(controller, "hugetlb") == 0)
        return huge_pages(out, file, value, member);
    for (size_t i = 0; i < COUNT(CONVERSIONS); i++) {
        if (strcmp(CONVERSIONS[i].v1, file) == 0)
            return convert(out, i, value, member, resources, err);
    }
    return err_set(err, ERR_INVALID,
                   "'linux.resources.%s' is not supported with cgroup v2, which does not have it", member);
}

/* Names of files in the cgroup, of controllers only: what starts processes or moves them is not among them.
 */
static int add_unified(json_t *out, json_t *unified, struct err *err)
{
    const char *file;
    json_t *value;
    json_object_foreach(unified, file, value)
    {
        char controller[32], member[160];
        size_t size = strcspn(file, ".");
        if (!json_is_string(value) || strchr(file, '/') != NULL || file[size] == '\0' || size == 0 ||
            size >= sizeof(controller) || strncmp(file, "cgroup.", 7) == 0)
            return err_set(err, ERR_INVALID,
                           "'linux.resources.unified' has '%s', which is no file of a controller with a text",
                           file);
        snprintf(controller, sizeof(controller), "%.*s", (int)size, file);
        snprintf(member, sizeof(member), "unified.%.120s", file);
        if (json_array_append_new(
                out, json_pack("[s, s, s, s]", controller, file, json_string_value(value), member)) < 0)
            return err_nomem(err, "reading the resources");
    }
    return 0;
}

int oci_resources_v2(const json_t *values, const json_t *resources, json_t *out, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(values, i, item)
    {
        struct err why = ERR_INIT;
        if (convert_one(out, item, resources, &why) == 0)
            continue;
        if (why.code == ERR_NONE)
            return err_nomem(err, "reading the resources");
        if (err != NULL)
            *err = why;
        return -1;
    }
    return add_unified(out, json_object_get(resources, "unified"), err);
}
