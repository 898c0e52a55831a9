/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/sandbox/cgroup_dir.h"
#include "runtime/sandbox/device_filter.h"

#define MOUNTINFO_LIMIT (16u << 20)

static int set_value(int cgroup_fd, const char *file, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int set_value(int cgroup_fd, const char *file, struct err *err, const char *fmt, ...)
{
    char value[64];
    va_list args;
    va_start(args, fmt);
    vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    if (cgroup_dir_write(cgroup_fd, file, value) < 0)
        return err_sys(err, errno, "cannot set the cgroup's '%s' to '%s'", file, value);
    return 0;
}

static void enable_in(const char *path, unsigned controllers)
{
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char names[64];
    if (fd < 0)
        return;
    /* io for io.stat alone: where it is missing, so is that */
    snprintf(names, sizeof(names), "%s%s%sio", (controllers & CGROUP_MEMORY) != 0 ? "memory " : "",
             (controllers & CGROUP_CPU) != 0 ? "cpu " : "", (controllers & CGROUP_PIDS) != 0 ? "pids " : "");
    cgroup_dir_enable(fd, names);
}

/* Every level from the root to the parent has to hand its controllers down (cgroups(7), "Cgroups v2 subtree
 * control"). Those that cannot be enabled are missed when a limit is set. */
static void enable_controllers(const char *root, const char *parent, unsigned controllers)
{
    char path[512];
    enable_in(root, controllers);
    for (const char *at = parent;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        snprintf(path, sizeof(path), "%s/%.*s", root, (int)(at - parent), parent);
        enable_in(path, controllers);
        if (*at == '\0')
            return;
    }
}

static int open_parent(struct cgroup_hierarchy *hierarchy, const struct cgroup_layout *layout,
                       struct err *err)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", hierarchy->path, layout->parent);
    if (fs_mkdirs(AT_FDCWD, path, 0755, err) < 0)
        return err_wrap(err, "cannot use the cgroup hierarchy '%s'", hierarchy->path);
    hierarchy->parent_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return hierarchy->parent_fd < 0 ? err_sys(err, errno, "cannot open '%s'", path) : 0;
}

int cgroup_layout_open(struct cgroup_layout *ret, const char *parent, struct err *err)
{
    auto_free char *mountinfo = NULL;
    auto_free char *controllers = NULL;
    if (fs_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_LIMIT, &mountinfo, NULL, err) < 0)
        return -1;
    char v2[256], path[300];
    if (cgroup_v2_mount(mountinfo, v2, sizeof(v2))) {
        snprintf(path, sizeof(path), "%s/cgroup.controllers", v2);
        if (fs_read_file(AT_FDCWD, path, 4096, &controllers, NULL, err) < 0)
            return -1;
    }
    struct cgroup_layout layout;
    if (cgroup_layout_parse(&layout, mountinfo, controllers == NULL ? "" : controllers, err) < 0)
        return -1;
    parent += strspn(parent, "/");
    if (parent[0] == '\0' || strlen(parent) >= sizeof(layout.parent) || strstr(parent, "..") != NULL)
        return err_set(err, ERR_INVALID, "the cgroup parent '%s' is not a relative path of up to %zu bytes",
                       parent, sizeof(layout.parent) - 1);
    snprintf(layout.parent, sizeof(layout.parent), "%s", parent);
    for (size_t i = 0; i < layout.n; i++) {
        if (open_parent(&layout.hierarchies[i], &layout, err) < 0) {
            cgroup_layout_close(&layout);
            return -1;
        }
    }
    cgroup_layout_enable(&layout);
    *ret = layout;
    return 0;
}

void cgroup_layout_enable(const struct cgroup_layout *layout)
{
    for (size_t i = 0; i < layout->n && layout->v2; i++)
        enable_controllers(layout->hierarchies[i].path, layout->parent, layout->hierarchies[i].controllers);
}

void cgroup_layout_below(const struct cgroup_layout *layout, const char *parent, struct cgroup_layout *ret)
{
    char path[512];
    *ret = (struct cgroup_layout){.v2 = layout->v2};
    snprintf(ret->parent, sizeof(ret->parent), "%s", parent);
    for (size_t i = 0; i < layout->n; i++) {
        struct cgroup_hierarchy *hierarchy = &ret->hierarchies[ret->n];
        *hierarchy = layout->hierarchies[i];
        snprintf(path, sizeof(path), "%s/%s", hierarchy->path, ret->parent);
        hierarchy->parent_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ret->n += hierarchy->parent_fd >= 0;
    }
}

void cgroup_layout_remove_empty(const struct cgroup_layout *layout)
{
    char path[512];
    for (size_t i = 0; i < layout->n; i++) {
        snprintf(path, sizeof(path), "%s/%s", layout->hierarchies[i].path, layout->parent);
        rmdir(path); /* EBUSY: containers go on in it */
    }
}

void cgroup_layout_close(struct cgroup_layout *layout)
{
    for (size_t i = 0; i < layout->n; i++) {
        if (layout->hierarchies[i].parent_fd >= 0)
            close(layout->hierarchies[i].parent_fd);
        layout->hierarchies[i].parent_fd = -1;
    }
}

void cgroup_limits_release(struct cgroup_limits *limits)
{
    free(limits->devices);
    *limits = (struct cgroup_limits){0};
}

/* The rules of a container, in order: those of all, and its own. */
static struct device_rule *device_rules(const struct cgroup_limits *limits, size_t *ret_n, struct err *err)
{
    size_t n = 0, always = 0;
    while (DEVICES_ALWAYS_ALLOWED[always] != NULL)
        always++;
    struct device_rule *rules = calloc(always + limits->n_devices + 1, sizeof(*rules));
    if (rules == NULL) {
        err_fill(err, ERR_NOMEM, "out of memory while limiting a container");
        return NULL;
    }
    if (limits->any_device)
        rules[n++] = (struct device_rule){true, "a"};
    else
        rules[n++] = (struct device_rule){false, "a"};
    for (size_t i = 0; i < always && !limits->any_device; i++)
        rules[n++] = (struct device_rule){true, DEVICES_ALWAYS_ALLOWED[i]};
    for (size_t i = 0; i < limits->n_devices && !limits->any_device; i++)
        rules[n++] = (struct device_rule){true, limits->devices[i].rule};
    *ret_n = n;
    return rules;
}

static int write_rules(int cgroup_fd, const struct device_rule *rules, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *file = rules[i].allow ? "devices.allow" : "devices.deny";
        if (cgroup_dir_write(cgroup_fd, file, rules[i].text) < 0)
            return err_sys(err, errno, "cannot write '%s' to the cgroup's '%s'", rules[i].text, file);
    }
    return 0;
}

static int filter_devices(int cgroup_fd, const struct device_rule *rules, size_t n, struct err *err)
{
    auto_buf struct buf program = BUF_INIT;
    if (device_filter_build(rules, n, &program, err) < 0)
        return -1;
    return device_filter_attach(cgroup_fd, &program, err);
}

static int limit_devices(bool v2, int cgroup_fd, const struct cgroup_limits *limits, struct err *err)
{
    size_t n = 0;
    auto_free struct device_rule *rules = device_rules(limits, &n, err);
    if (rules == NULL)
        return -1;
    if (v2 && limits->any_device) /* without a filter everything is allowed */
        return 0;
    return v2 ? filter_devices(cgroup_fd, rules, n, err) : write_rules(cgroup_fd, rules, n, err);
}

/* The files are absent on a kernel without swap accounting: that matters only to who asks for swap. */
static int limit_swap(bool v2, int cgroup_fd, const struct cgroup_limits *limits, struct err *err)
{
    char value[32];
    const char *file = v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
    int64_t both = limits->memory_swap_bytes == 0 ? limits->memory_bytes : limits->memory_swap_bytes;
    if (both < 0)
        snprintf(value, sizeof(value), "%s", v2 ? "max" : "-1");
    else
        snprintf(value, sizeof(value), "%lld", (long long)(v2 ? both - limits->memory_bytes : both));
    if (cgroup_dir_write(cgroup_fd, file, value) < 0 && limits->memory_swap_bytes != 0)
        return err_sys(err, errno, "cannot set the cgroup's '%s' to '%s'", file, value);
    return 0;
}

static int limit_memory(bool v2, int cgroup_fd, const struct cgroup_limits *limits, struct err *err)
{
    if (limits->memory_reservation_bytes > 0 &&
        set_value(cgroup_fd, v2 ? "memory.low" : "memory.soft_limit_in_bytes", err, "%lld",
                  (long long)limits->memory_reservation_bytes) < 0)
        return -1;
    if (limits->memory_bytes == 0)
        return 0;
    const char *file = v2 ? "memory.max" : "memory.limit_in_bytes";
    if (set_value(cgroup_fd, file, err, "%lld", (long long)limits->memory_bytes) == 0)
        return limit_swap(v2, cgroup_fd, limits, err);
    if (errno == EBUSY)
        err_set(err, ERR_CONFLICT,
                "more memory than %lld bytes is in use, and the kernel cannot take it back",
                (long long)limits->memory_bytes);
    return -1;
}

/* v2 counts from 1 to 10000 what v1 counts from 2 to 262144; the conversion is the OCI runtimes' own. */
static int limit_shares(bool v2, int cgroup_fd, int64_t shares, struct err *err)
{
    if (v2)
        shares = 1 + (shares - 2) * 9999 / 262142;
    return set_value(cgroup_fd, v2 ? "cpu.weight" : "cpu.shares", err, "%lld", (long long)shares);
}

static int limit_cpu(bool v2, int cgroup_fd, const struct cgroup_limits *limits, struct err *err)
{
    long long quota = limits->cpu_quota_us, period = limits->cpu_period_us;
    if (v2)
        return set_value(cgroup_fd, "cpu.max", err, "%lld %lld", quota, period);
    if (set_value(cgroup_fd, "cpu.cfs_period_us", err, "%lld", period) < 0)
        return -1;
    return set_value(cgroup_fd, "cpu.cfs_quota_us", err, "%lld", quota);
}

static int configure(const struct cgroup_layout *layout, const struct cgroup_hierarchy *hierarchy,
                     int cgroup_fd, const struct cgroup_limits *limits, struct err *err)
{
    unsigned controllers = hierarchy->controllers;
    if ((controllers & CGROUP_MEMORY) != 0 && limit_memory(layout->v2, cgroup_fd, limits, err) < 0)
        return -1;
    if ((controllers & CGROUP_CPU) != 0 && limits->cpu_shares > 0 &&
        limit_shares(layout->v2, cgroup_fd, limits->cpu_shares, err) < 0)
        return -1;
    if ((controllers & CGROUP_CPU) != 0 && limits->cpu_quota_us > 0 &&
        limit_cpu(layout->v2, cgroup_fd, limits, err) < 0)
        return -1;
    if ((controllers & CGROUP_PIDS) != 0 && limits->pids > 0 &&
        set_value(cgroup_fd, "pids.max", err, "%lld", (long long)limits->pids) < 0)
        return -1;
    if (!layout->v2 && (controllers & CGROUP_DEVICES) == 0)
        return 0;
    return limit_devices(layout->v2, cgroup_fd, limits, err);
}

static bool needs_configuration(const struct cgroup_layout *layout, const struct cgroup_hierarchy *hierarchy,
                                const struct cgroup_limits *limits)
{
    bool memory = limits->memory_bytes > 0 || limits->memory_reservation_bytes > 0;
    bool cpu = limits->cpu_quota_us > 0 || limits->cpu_shares > 0;
    unsigned wanted = (memory ? CGROUP_MEMORY : 0u) | (cpu ? CGROUP_CPU : 0u) |
                      (limits->pids > 0 ? CGROUP_PIDS : 0u) | CGROUP_DEVICES;
    return layout->v2 || (hierarchy->controllers & wanted) != 0;
}

static int create_one(const struct cgroup_layout *layout, const struct cgroup_hierarchy *hierarchy,
                      const char *name, const struct cgroup_limits *limits, struct err *err)
{
    if (mkdirat(hierarchy->parent_fd, name, 0755) < 0 && errno != EEXIST)
        return err_sys(err, errno, "cannot make the cgroup '%s/%s/%s'", hierarchy->path, layout->parent,
                       name);
    if (!needs_configuration(layout, hierarchy, limits))
        return 0;
    auto_fd int fd = openat(hierarchy->parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot open the cgroup '%s/%s/%s'", hierarchy->path, layout->parent,
                       name);
    return configure(layout, hierarchy, fd, limits, err);
}

int cgroup_create(const struct cgroup_layout *layout, const char *name, const struct cgroup_limits *limits,
                  struct err *err)
{
    for (size_t i = 0; i < layout->n; i++) {
        if (create_one(layout, &layout->hierarchies[i], name, limits, err) < 0) {
            cgroup_destroy(layout, name, NULL);
            return -1;
        }
    }
    return 0;
}

/* The file of both together is absent without swap accounting, and may not be below that of memory alone. */
static int lift_memory(bool v2, int cgroup_fd, struct err *err)
{
    cgroup_dir_write(cgroup_fd, v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes", v2 ? "max" : "-1");
    return set_value(cgroup_fd, v2 ? "memory.max" : "memory.limit_in_bytes", err, "%s", v2 ? "max" : "-1");
}

/* v1 refuses a memory limit above that on memory and swap: a limit that grows comes behind it. */
static int change_memory(bool v2, int cgroup_fd, const struct cgroup_limits *limits, struct err *err)
{
    if (limits->memory_reservation_bytes == 0)
        cgroup_dir_write(cgroup_fd, v2 ? "memory.low" : "memory.soft_limit_in_bytes", v2 ? "0" : "-1");
    if (limits->memory_bytes == 0 && lift_memory(v2, cgroup_fd, err) < 0)
        return -1;
    if (limit_memory(v2, cgroup_fd, limits, NULL) == 0)
        return 0;
    if (!v2 && limits->memory_bytes > 0)
        limit_swap(v2, cgroup_fd, limits, NULL);
    return limit_memory(v2, cgroup_fd, limits, err);
}

static int change_cpu(bool v2, int cgroup_fd, const struct cgroup_limits *limits, struct err *err)
{
    if (limits->cpu_shares > 0 && limit_shares(v2, cgroup_fd, limits->cpu_shares, err) < 0)
        return -1;
    if (limits->cpu_shares == 0) /* the kernel's default */
        cgroup_dir_write(cgroup_fd, v2 ? "cpu.weight" : "cpu.shares", v2 ? "100" : "1024");
    if (limits->cpu_quota_us > 0)
        return limit_cpu(v2, cgroup_fd, limits, err);
    return set_value(cgroup_fd, v2 ? "cpu.max" : "cpu.cfs_quota_us", err, "%s", v2 ? "max" : "-1");
}

static int change_pids(int cgroup_fd, const struct cgroup_limits *limits, struct err *err)
{
    if (limits->pids > 0)
        return set_value(cgroup_fd, "pids.max", err, "%lld", (long long)limits->pids);
    return set_value(cgroup_fd, "pids.max", err, "max");
}

int cgroup_set_limits(const struct cgroup_layout *layout, const char *name,
                      const struct cgroup_limits *limits, struct err *err)
{
    for (size_t i = 0; i < layout->n; i++) {
        const struct cgroup_hierarchy *hierarchy = &layout->hierarchies[i];
        unsigned controllers = hierarchy->controllers;
        auto_fd int fd = openat(hierarchy->parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return err_set(err, ERR_NOT_FOUND, "the cgroup '%s/%s/%s' is gone", hierarchy->path,
                           layout->parent, name);
        if (((controllers & CGROUP_MEMORY) != 0 && change_memory(layout->v2, fd, limits, err) < 0) ||
            ((controllers & CGROUP_CPU) != 0 && change_cpu(layout->v2, fd, limits, err) < 0) ||
            ((controllers & CGROUP_PIDS) != 0 && change_pids(fd, limits, err) < 0))
            return -1;
    }
    return 0;
}

/* v1: what is frozen does not die, and the freezer's hierarchy may be another than the one that waits for it.
 */
static int destroy_one(const struct cgroup_layout *layout, const struct cgroup_hierarchy *hierarchy,
                       const char *name)
{
    if (unlinkat(hierarchy->parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    auto_fd int fd = openat(hierarchy->parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        cgroup_dir_kill(fd);
        cgroup_thaw(layout, name);
    }
    return cgroup_dir_destroy(hierarchy->parent_fd, name);
}

int cgroup_destroy(const struct cgroup_layout *layout, const char *name, struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < layout->n; i++) {
        const struct cgroup_hierarchy *hierarchy = &layout->hierarchies[i];
        if (destroy_one(layout, hierarchy, name) < 0)
            result = err_sys(err, errno, "cannot remove the cgroup '%s/%s/%s'", hierarchy->path,
                             layout->parent, name);
    }
    return result;
}

bool cgroup_exists(const struct cgroup_layout *layout, const char *name, char *ret_where, size_t size)
{
    for (size_t i = 0; i < layout->n; i++) {
        const struct cgroup_hierarchy *hierarchy = &layout->hierarchies[i];
        if (faccessat(hierarchy->parent_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (ret_where != NULL)
            snprintf(ret_where, size, "%s/%s/%s", hierarchy->path, layout->parent, name);
        return true;
    }
    return false;
}

int cgroup_list(const struct cgroup_layout *layout, int (*found)(const char *name, void *data), void *data,
                struct err *err)
{
    for (size_t i = 0; i < layout->n; i++) {
        int fd = openat(layout->hierarchies[i].parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        if (dir == NULL)
            return err_sys(err, errno, "cannot list the cgroups in '%s'", layout->hierarchies[i].path);
        const struct dirent *entry;
        while ((entry = readdir(dir)) != NULL) {
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && found(entry->d_name, data) < 0)
                return err_nomem(err, "listing cgroups");
        }
    }
    return 0;
}
