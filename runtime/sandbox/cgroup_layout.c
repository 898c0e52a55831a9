/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const struct {
    const char *name;
    unsigned bit;
} CONTROLLERS[] = {
    {"memory", CGROUP_MEMORY},   {"cpu", CGROUP_CPU},         {"pids", CGROUP_PIDS},
    {"devices", CGROUP_DEVICES}, {"freezer", CGROUP_FREEZER},
};

/* The controllers we use among words that are separated by any of `separators`. */
static unsigned controllers_among(const char *words, const char *separators)
{
    unsigned found = 0;
    while (*words != '\0') {
        size_t size = strcspn(words, separators);
        for (size_t i = 0; i < sizeof(CONTROLLERS) / sizeof(CONTROLLERS[0]); i++) {
            if (strlen(CONTROLLERS[i].name) == size && strncmp(words, CONTROLLERS[i].name, size) == 0)
                found |= CONTROLLERS[i].bit;
        }
        words += size;
        words += strspn(words, separators);
    }
    return found;
}

/* One line of mountinfo: "36 35 98:0 ROOT MOUNTPOINT OPTIONS OPTIONAL... - FSTYPE SOURCE SUPEROPTIONS"
 * (proc(5)). */
struct mount_line {
    char point[256];
    char type[32];
    char super_options[512];
};

/* Octal escapes ("\040") in mount points are undone. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

static bool parse_line(const char *line, struct mount_line *ret)
{
    const char *separator = strstr(line, " - ");
    if (separator == NULL || sscanf(line, "%*s %*s %*s %*s %255s", ret->point) != 1 ||
        sscanf(separator, " - %31s %*s %511s", ret->type, ret->super_options) != 2)
        return false;
    unescape(ret->point);
    return true;
}

/* Calls `see` for every line until it returns false. */
static void each_mount(const char *mountinfo, bool (*see)(const struct mount_line *mount, void *data),
                       void *data)
{
    while (*mountinfo != '\0') {
        size_t size = strcspn(mountinfo, "\n");
        char line[2048];
        struct mount_line mount;
        if (size < sizeof(line)) {
            memcpy(line, mountinfo, size);
            line[size] = '\0';
            if (parse_line(line, &mount) && !see(&mount, data))
                return;
        }
        mountinfo += size;
        mountinfo += *mountinfo == '\n';
    }
}

void cgroup_names(const char *options, char *ret, size_t size)
{
    static const char *const NAMES[] = {
        "cpu",     "cpuacct",  "cpuset",     "memory", "devices", "freezer", "blkio", "hugetlb",
        "net_cls", "net_prio", "perf_event", "pids",   "rdma",    "misc",    "dmem",  "debug",
    };
    size_t used = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        size_t length = strlen(NAMES[i]);
        for (const char *at = options; at != NULL; at = strchr(at, ',')) {
            at += *at == ',';
            if (strncmp(at, NAMES[i], length) == 0 && (at[length] == ',' || at[length] == '\0') &&
                used + length + 2 < size)
                used += (size_t)sprintf(ret + used, "%s%s", used > 0 ? "," : "", NAMES[i]);
        }
    }
}

struct v2_search {
    char *ret;
    size_t size;
    bool found;
};

static bool see_v2(const struct mount_line *mount, void *data)
{
    struct v2_search *search = data;
    if (strcmp(mount->type, "cgroup2") != 0 || strlen(mount->point) >= search->size)
        return true;
    memcpy(search->ret, mount->point, strlen(mount->point) + 1);
    search->found = true;
    return false;
}

bool cgroup_v2_mount(const char *mountinfo, char *ret, size_t size)
{
    struct v2_search search = {.ret = ret, .size = size};
    each_mount(mountinfo, see_v2, &search);
    return search.found;
}

static bool see_v1(const struct mount_line *mount, void *data)
{
    struct cgroup_layout *layout = data;
    if (strcmp(mount->type, "cgroup") != 0)
        return true;
    unsigned controllers = controllers_among(mount->super_options, ",");
    for (size_t i = 0; i < layout->n; i++)
        controllers &= ~layout->hierarchies[i].controllers; /* mounted twice: the first place will do */
    if (controllers == 0 || layout->n == CGROUP_MAX_HIERARCHIES)
        return true;
    struct cgroup_hierarchy *hierarchy = &layout->hierarchies[layout->n++];
    snprintf(hierarchy->path, sizeof(hierarchy->path), "%s", mount->point);
    cgroup_names(mount->super_options, hierarchy->names, sizeof(hierarchy->names));
    hierarchy->controllers = controllers;
    hierarchy->parent_fd = -1;
    return true;
}

#define REQUIRED_CONTROLLERS (CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS)

static int check_required(const struct cgroup_layout *layout, struct err *err)
{
    unsigned found = 0;
    for (size_t i = 0; i < layout->n; i++)
        found |= layout->hierarchies[i].controllers;
    for (size_t i = 0; i < sizeof(CONTROLLERS) / sizeof(CONTROLLERS[0]); i++) {
        if ((CONTROLLERS[i].bit & REQUIRED_CONTROLLERS & ~found) != 0)
            return err_set(
                err, ERR_NOT_FOUND,
                "no cgroup hierarchy with the controller '%s': mount cgroup2 at /sys/fs/cgroup, or boot "
                "with that controller enabled",
                CONTROLLERS[i].name);
    }
    return 0;
}

int cgroup_layout_parse(struct cgroup_layout *ret, const char *mountinfo, const char *v2_controllers,
                        struct err *err)
{
    struct cgroup_layout layout = {.n = 0};
    char point[sizeof(layout.hierarchies[0].path)];
    unsigned unified = controllers_among(v2_controllers, " \n");
    if ((unified & REQUIRED_CONTROLLERS) == REQUIRED_CONTROLLERS &&
        cgroup_v2_mount(mountinfo, point, sizeof(point))) {
        layout.v2 = true;
        layout.n = 1;
        memcpy(layout.hierarchies[0].path, point, sizeof(point));
        layout.hierarchies[0].controllers = unified;
        layout.hierarchies[0].parent_fd = -1;
    } else {
        each_mount(mountinfo, see_v1, &layout);
    }
    if (check_required(&layout, err) < 0)
        return -1;
    *ret = layout;
    return 0;
}

size_t cgroup_oom_index(const struct cgroup_layout *layout)
{
    for (size_t i = 0; i < layout->n; i++) {
        if ((layout->hierarchies[i].controllers & CGROUP_MEMORY) != 0)
            return i;
    }
    return layout->n;
}
