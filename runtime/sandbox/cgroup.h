/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - the containers' cgroups on v1, v2 and hybrid hosts (cgroups(7)).
 *
 * The layout is found once: which hierarchies are mounted where and which controllers they have. On a v2 host
 * (or a hybrid one whose v2 hierarchy has memory, cpu and pids) the one v2 hierarchy is used; otherwise the
 * v1 hierarchies of memory, cpu, pids, devices and freezer. Below each hierarchy's root is one directory,
 * `parent`, and below that one cgroup for each container, named by its id. The shim gets descriptors of the
 * parents and joins the container's first process itself (plan.h).
 *
 * cgroup_layout_parse is pure. The rest blocks for as long as the kernel takes and may be called on any
 * thread.
 */
#ifndef WHARF_RUNTIME_SANDBOX_CGROUP_H
#define WHARF_RUNTIME_SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CGROUP_MAX_HIERARCHIES 6

enum cgroup_controller {
    CGROUP_MEMORY = 1 << 0,
    CGROUP_CPU = 1 << 1,
    CGROUP_PIDS = 1 << 2,
    CGROUP_DEVICES = 1 << 3,
    CGROUP_FREEZER = 1 << 4,
};

struct cgroup_hierarchy {
    char path[256];       /* mount point */
    char names[128];      /* v1: all of its controllers, as mount options: "cpu,cpuacct" */
    unsigned controllers; /* of enum cgroup_controller; those that matter */
    int parent_fd;        /* PATH/PARENT; -1 before cgroup_layout_open */
};

struct cgroup_layout {
    bool v2;
    size_t n;
    struct cgroup_hierarchy hierarchies[CGROUP_MAX_HIERARCHIES];
    char parent[128];
};

#define CGROUP_DEVICES_MAX 512

/* A device that may be used: "c 10:200 rwm" (Documentation/admin-guide/cgroup-v1/devices.rst). */
struct cgroup_device {
    char rule[40];
};

struct cgroup_limits {
    int64_t memory_bytes;      /* 0: none */
    int64_t memory_swap_bytes; /* with memory_bytes: both together; 0: no swap; -1: as much as there is */
    int64_t memory_reservation_bytes; /* 0: none */
    int64_t cpu_shares;               /* as v1 counts; 0: the kernel's default */
    int64_t cpu_quota_us;             /* in each period; 0: none */
    int64_t cpu_period_us;
    int64_t pids; /* 0: none */
    bool any_device;
    size_t n_devices;              /* beyond those that every container has */
    struct cgroup_device *devices; /* owned */
};
void cgroup_limits_release(struct cgroup_limits *limits);

/* Chooses hierarchies from the text of /proc/self/mountinfo and, for the v2 mount in it if there is one, the
 * text of its cgroup.controllers ("" if unknown). ERR_NOT_FOUND when memory, cpu or pids is nowhere. */
int cgroup_layout_parse(struct cgroup_layout *ret, const char *mountinfo, const char *v2_controllers,
                        struct err *err);

/* Those words of a v1 mount's options that are controllers, with commas. */
void cgroup_names(const char *options, char *ret, size_t size);

/* The v2 mount point in the mountinfo text, or false. */
bool cgroup_v2_mount(const char *mountinfo, char *ret, size_t size);

/* Reads the machine's layout, makes the parents and, on v2, enables their controllers. */
int cgroup_layout_open(struct cgroup_layout *ret, const char *parent, struct err *err);
void cgroup_layout_close(struct cgroup_layout *layout);

/* The same hierarchies, those in which there is such a parent, with that one instead; to be closed. */
void cgroup_layout_below(const struct cgroup_layout *layout, const char *parent, struct cgroup_layout *ret);

/* On v2, enables the controllers of the parents for what is in them. */
void cgroup_layout_enable(const struct cgroup_layout *layout);

/* Removes the parents, but for those that still have a cgroup. */
void cgroup_layout_remove_empty(const struct cgroup_layout *layout);

/* Makes the cgroup `name` in every hierarchy and sets its limits and device rules. On failure nothing is
 * left. */
int cgroup_create(const struct cgroup_layout *layout, const char *name, const struct cgroup_limits *limits,
                  struct err *err);

/* Sets the limits of a cgroup that there is, and takes away those on memory, cpus and pids that are not
 * given; devices stay. Where one cannot be set those before it stay set. */
int cgroup_set_limits(const struct cgroup_layout *layout, const char *name,
                      const struct cgroup_limits *limits, struct err *err);

/* cgroup_freeze.c: suspends all processes in it and waits until they are, up to ten seconds, or undoes it; or
 * lets them go on. ERR_NOT_FOUND without such a cgroup, ERR_INVALID where the kernel has no freezer.
 * Blocking. */
int cgroup_freeze(const struct cgroup_layout *layout, const char *name, bool frozen, struct err *err);
/* Lets them go on; nothing if they are not suspended. Does not block. */
void cgroup_thaw(const struct cgroup_layout *layout, const char *name);
bool cgroup_is_frozen(const struct cgroup_layout *layout, const char *name);

/* Kills what is left in it and removes it; nothing there is fine. */
int cgroup_destroy(const struct cgroup_layout *layout, const char *name, struct err *err);

/* True if it is there in any hierarchy; then `ret_where` (may be NULL) says where. */
bool cgroup_exists(const struct cgroup_layout *layout, const char *name, char *ret_where, size_t size);

/* Calls `found` for the name of every cgroup below the parents; a name may come more than once. */
int cgroup_list(const struct cgroup_layout *layout, int (*found)(const char *name, void *data), void *data,
                struct err *err);

/* Which hierarchy counts OOM kills: its index, or n if none. */
size_t cgroup_oom_index(const struct cgroup_layout *layout);

#endif
