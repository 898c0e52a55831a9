/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/resources.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "runtime/oci/resources_v2.h"
#include "runtime/sandbox/device_filter.h"
#include "runtime/sandbox/oci_json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum shape { NUMBER, TEXT, FLAG };

/* Members whose value is the file's. The period before the quota, which must fit it. */
static const struct {
    const char *section, *member;
    enum shape shape;
    const char *controller, *file;
} VALUES[] = {
    {"memory", "limit", NUMBER, "memory", "memory.limit_in_bytes"},
    {"memory", "swap", NUMBER, "memory", "memory.memsw.limit_in_bytes"},
    {"memory", "reservation", NUMBER, "memory", "memory.soft_limit_in_bytes"},
    {"memory", "kernel", NUMBER, "memory", "memory.kmem.limit_in_bytes"},
    {"memory", "kernelTCP", NUMBER, "memory", "memory.kmem.tcp.limit_in_bytes"},
    {"memory", "swappiness", NUMBER, "memory", "memory.swappiness"},
    {"memory", "disableOOMKiller", FLAG, "memory", "memory.oom_control"},
    {"memory", "useHierarchy", FLAG, "memory", "memory.use_hierarchy"},
    {"cpu", "shares", NUMBER, "cpu", "cpu.shares"},
    {"cpu", "period", NUMBER, "cpu", "cpu.cfs_period_us"},
    {"cpu", "quota", NUMBER, "cpu", "cpu.cfs_quota_us"},
    {"cpu", "burst", NUMBER, "cpu", "cpu.cfs_burst_us"},
    {"cpu", "realtimePeriod", NUMBER, "cpu", "cpu.rt_period_us"},
    {"cpu", "realtimeRuntime", NUMBER, "cpu", "cpu.rt_runtime_us"},
    {"cpu", "idle", NUMBER, "cpu", "cpu.idle"},
    {"cpu", "cpus", TEXT, "cpuset", "cpuset.cpus"},
    {"cpu", "mems", TEXT, "cpuset", "cpuset.mems"},
    {"pids", "limit", NUMBER, "pids", "pids.max"},
    {"blockIO", "weight", NUMBER, "blkio", "blkio.weight"},
    {"blockIO", "leafWeight", NUMBER, "blkio", "blkio.leaf_weight"},
    {"network", "classID", NUMBER, "net_cls", "net_cls.classid"},
};

/* Lists of objects with a device number and one value. */
static const struct {
    const char *member, *value, *file;
} BLOCK_DEVICES[] = {
    {"weightDevice", "weight", "blkio.weight_device"},
    {"weightDevice", "leafWeight", "blkio.leaf_weight_device"},
    {"throttleReadBpsDevice", "rate", "blkio.throttle.read_bps_device"},
    {"throttleWriteBpsDevice", "rate", "blkio.throttle.write_bps_device"},
    {"throttleReadIOPSDevice", "rate", "blkio.throttle.read_iops_device"},
    {"throttleWriteIOPSDevice", "rate", "blkio.throttle.write_iops_device"},
};

static int add(json_t *out, const char *controller, const char *file, const char *value, const char *member)
{
    return json_array_append_new(out, json_pack("[s, s, s, s]", controller, file, value, member));
}

/* The BFQ scheduler has files of its own, which are there when the others are not. */
static int add_weight(json_t *out, const char *file, const char *value, const char *member)
{
    const char *fallback = strcmp(file, "blkio.weight") == 0          ? "blkio.bfq.weight"
                           : strcmp(file, "blkio.weight_device") == 0 ? "blkio.bfq.weight_device"
                                                                      : NULL;
    if (fallback == NULL)
        return add(out, "blkio", file, value, member);
    return json_array_append_new(
        out, json_pack("[s, s, s, s, s, s]", "blkio", file, value, member, fallback, value));
}

static int wrong(struct err *err, const char *section, const char *member)
{
    return err_set(err, ERR_INVALID, "'linux.resources.%s.%s' has a value of the wrong type", section,
                   member);
}

/* A limit must not be lost because it is somewhere else than it has to be. */
static int check_sections(const json_t *resources, struct err *err)
{
    static const struct {
        const char *section, *member; /* NULL: the section itself */
        bool list;
    } SECTIONS[] = {
        {"memory", NULL, false},
        {"cpu", NULL, false},
        {"pids", NULL, false},
        {"blockIO", NULL, false},
        {"network", NULL, false},
        {"rdma", NULL, false},
        {"unified", NULL, false},
        {"hugepageLimits", NULL, true},
        {"devices", NULL, true},
        {"blockIO", "weightDevice", true},
        {"blockIO", "throttleReadBpsDevice", true},
        {"blockIO", "throttleWriteBpsDevice", true},
        {"blockIO", "throttleReadIOPSDevice", true},
        {"blockIO", "throttleWriteIOPSDevice", true},
        {"network", "priorities", true},
    };
    for (size_t i = 0; i < COUNT(SECTIONS); i++) {
        const char *member = SECTIONS[i].member;
        const json_t *value = json_object_get(resources, SECTIONS[i].section);
        if (member != NULL)
            value = json_object_get(value, member);
        if (value != NULL && !json_is_null(value) &&
            !(SECTIONS[i].list ? json_is_array(value) : json_is_object(value)))
            return err_set(err, ERR_INVALID, "'linux.resources.%s%s%s' must be %s", SECTIONS[i].section,
                           member == NULL ? "" : ".", member == NULL ? "" : member,
                           SECTIONS[i].list ? "an array" : "an object");
    }
    return 0;
}

static int add_values(json_t *out, const json_t *resources, struct err *err)
{
    for (size_t i = 0; i < COUNT(VALUES); i++) {
        const json_t *value =
            json_object_get(json_object_get(resources, VALUES[i].section), VALUES[i].member);
        char text[64], member[64];
        if (value == NULL || json_is_null(value) || json_is_false(value))
            continue;
        bool fits = (VALUES[i].shape == NUMBER && json_is_integer(value)) ||
                    (VALUES[i].shape == TEXT && json_is_string(value)) ||
                    (VALUES[i].shape == FLAG && json_is_true(value));
        if (!fits)
            return wrong(err, VALUES[i].section, VALUES[i].member);
        if (VALUES[i].shape == TEXT && json_string_length(value) == 0)
            continue;
        json_int_t number = json_integer_value(value);
        bool unlimited_pids = strcmp(VALUES[i].section, "pids") == 0 && number <= 0;
        snprintf(text, sizeof(text), "%lld", VALUES[i].shape == FLAG ? 1 : (long long)number);
        snprintf(member, sizeof(member), "%s.%s", VALUES[i].section, VALUES[i].member);
        const char *written = VALUES[i].shape == TEXT ? json_string_value(value)
                              : unlimited_pids        ? "max"
                                                      : text;
        if ((strcmp(VALUES[i].controller, "blkio") == 0
                 ? add_weight(out, VALUES[i].file, written, member)
                 : add(out, VALUES[i].controller, VALUES[i].file, written, member)) < 0)
            return err_nomem(err, "reading the resources");
    }
    return 0;
}

static int add_block_devices(json_t *out, const json_t *section, struct err *err)
{
    size_t j;
    json_t *item;
    for (size_t i = 0; i < COUNT(BLOCK_DEVICES); i++) {
        json_array_foreach(json_object_get(section, BLOCK_DEVICES[i].member), j, item)
        {
            const json_t *value = json_object_get(item, BLOCK_DEVICES[i].value);
            char text[96], member[64];
            if (value == NULL && strcmp(BLOCK_DEVICES[i].value, "rate") != 0)
                continue;
            if (!json_is_integer(value) || !json_is_integer(json_object_get(item, "major")) ||
                !json_is_integer(json_object_get(item, "minor")))
                return wrong(err, "blockIO", BLOCK_DEVICES[i].member);
            snprintf(text, sizeof(text), "%lld:%lld %lld", (long long)oci_number(item, "major"),
                     (long long)oci_number(item, "minor"), (long long)json_integer_value(value));
            snprintf(member, sizeof(member), "blockIO.%s", BLOCK_DEVICES[i].member);
            if (add_weight(out, BLOCK_DEVICES[i].file, text, member) < 0)
                return err_nomem(err, "reading the resources");
        }
    }
    return 0;
}

static int add_huge_pages(json_t *out, const json_t *list, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        char file[64], text[32];
        const char *size = oci_text(item, "pageSize");
        if (size[0] == '\0' || strlen(size) > 16 || strchr(size, '/') != NULL ||
            !json_is_integer(json_object_get(item, "limit")))
            return wrong(err, "hugepageLimits", "pageSize");
        snprintf(file, sizeof(file), "hugetlb.%s.limit_in_bytes", size);
        snprintf(text, sizeof(text), "%lld", (long long)oci_number(item, "limit"));
        if (add(out, "hugetlb", file, text, "hugepageLimits") < 0)
            return err_nomem(err, "reading the resources");
    }
    return 0;
}

static int add_network_priorities(json_t *out, const json_t *list, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        char text[96];
        const char *name = oci_text(item, "name");
        if (name[0] == '\0' || strlen(name) > 64 || !json_is_integer(json_object_get(item, "priority")))
            return wrong(err, "network", "priorities");
        snprintf(text, sizeof(text), "%s %lld", name, (long long)oci_number(item, "priority"));
        if (add(out, "net_prio", "net_prio.ifpriomap", text, "network.priorities") < 0)
            return err_nomem(err, "reading the resources");
    }
    return 0;
}

/* "*" for a number that is missing or negative (config-linux.md, "Allowed Device list"). */
static void format_number(char ret[24], const json_t *item, const char *key)
{
    const json_t *value = json_object_get(item, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        snprintf(ret, 24, "*");
    else
        snprintf(ret, 24, "%lld", (long long)json_integer_value(value));
}

static int add_device_rule(json_t *out, const json_t *item, struct err *err)
{
    const char *type = oci_text(item, "type"), *access = oci_text(item, "access");
    char major[24], minor[24], text[96];
    if (!json_is_boolean(json_object_get(item, "allow")) || strlen(type) > 1 ||
        strspn(type, "abc") != strlen(type) || strlen(access) > 3 || strspn(access, "rwm") != strlen(access))
        return wrong(err, "devices", "[]");
    format_number(major, item, "major");
    format_number(minor, item, "minor");
    bool all = type[0] == '\0' || type[0] == 'a';
    if (all && (strcmp(major, "*") != 0 || strcmp(minor, "*") != 0))
        return err_set(err, ERR_INVALID, "'linux.resources.devices' has numbers for devices of all types");
    snprintf(text, sizeof(text), "%s %s:%s %s", all ? "a" : type, major, minor,
             access[0] == '\0' ? "rwm" : access);
    /* For "a" the kernel takes all access, whatever is written. */
    if (all && access[0] != '\0' && strlen(access) < 3)
        return err_set(err, ERR_INVALID,
                       "'linux.resources.devices' has a rule for all devices but not for all access");
    return add(out, "devices", oci_flag(item, "allow") ? "devices.allow" : "devices.deny", text, "devices") <
                   0
               ? err_nomem(err, "reading the resources")
               : 0;
}

static int add_devices(json_t *out, const json_t *list, struct err *err)
{
    size_t i;
    json_t *item;
    if (add(out, "devices", "devices.deny", "a", "devices") < 0)
        return err_nomem(err, "reading the resources");
    json_array_foreach(list, i, item)
    {
        if (add_device_rule(out, item, err) < 0)
            return -1;
    }
    for (i = 0; DEVICES_ALWAYS_ALLOWED[i] != NULL; i++) {
        if (add(out, "devices", "devices.allow", DEVICES_ALWAYS_ALLOWED[i], "devices") < 0)
            return err_nomem(err, "reading the resources");
    }
    return 0;
}

/* "DEVICE hca_handle=N hca_object=N" (Documentation/admin-guide/cgroup-v1/rdma.rst). */
static int add_rdma(json_t *out, json_t *rdma, struct err *err)
{
    const char *device;
    json_t *limits;
    json_object_foreach(rdma, device, limits)
    {
        char text[160];
        const json_t *handles = json_object_get(limits, "hcaHandles"),
                     *objects = json_object_get(limits, "hcaObjects");
        if ((handles != NULL && !json_is_integer(handles)) ||
            (objects != NULL && !json_is_integer(objects)) || (handles == NULL && objects == NULL) ||
            strlen(device) > 64 || strpbrk(device, " \n") != NULL)
            return wrong(err, "rdma", device);
        int size = snprintf(text, sizeof(text), "%s", device);
        if (handles != NULL)
            size += snprintf(text + size, sizeof(text) - (size_t)size, " hca_handle=%lld",
                             (long long)json_integer_value(handles));
        if (objects != NULL)
            snprintf(text + size, sizeof(text) - (size_t)size, " hca_object=%lld",
                     (long long)json_integer_value(objects));
        if (add(out, "rdma", "rdma.max", text, "rdma") < 0)
            return err_nomem(err, "reading the resources");
    }
    return 0;
}

static int add_all(json_t *out, const json_t *resources, struct err *err)
{
    const json_t *network = json_object_get(resources, "network");
    if (check_sections(resources, err) < 0 || add_values(out, resources, err) < 0 ||
        add_block_devices(out, json_object_get(resources, "blockIO"), err) < 0 ||
        add_huge_pages(out, json_object_get(resources, "hugepageLimits"), err) < 0 ||
        add_network_priorities(out, json_object_get(network, "priorities"), err) < 0 ||
        add_rdma(out, json_object_get(resources, "rdma"), err) < 0)
        return -1;
    return add_devices(out, json_object_get(resources, "devices"), err);
}

json_t *oci_resources(const json_t *resources, bool v2, struct err *err)
{
    json_auto_t *v1 = json_array();
    json_auto_t *out = json_array();
    if (v1 == NULL || out == NULL) {
        err_fill(err, ERR_NOMEM, "out of memory while reading the resources");
        return NULL;
    }
    if (!v2 && json_object_size(json_object_get(resources, "unified")) > 0) {
        err_fill(err, ERR_INVALID, "'linux.resources.unified' needs a host with cgroup v2");
        return NULL;
    }
    if (add_all(v1, resources, err) < 0 || (v2 && oci_resources_v2(v1, resources, out, err) < 0))
        return NULL;
    return json_incref(v2 ? out : v1);
}
