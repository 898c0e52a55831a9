/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_usage.h - what a cgroup's files say: numbers and processes (Documentation/admin-guide/cgroup-v1,
 * cgroup-v2.rst).
 *
 * Reads cgroupfs; any thread. The parsing of its texts is pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_CGROUP_USAGE_H
#define WHARF_RUNTIME_SANDBOX_CGROUP_USAGE_H

#include "runtime/sandbox/cgroup.h"

/* -1: not known in this layout; limits of 0: none. */
struct cgroup_usage {
    int64_t memory_bytes; /* without inactive page cache */
    int64_t memory_limit_bytes;
    int64_t cpu_ns;
    int64_t pids;
    int64_t pids_limit;
    int64_t io_read_bytes;
    int64_t io_write_bytes;
};

/* ERR_NOT_FOUND when there is no such cgroup. */
int cgroup_usage(const struct cgroup_layout *layout, const char *name, struct cgroup_usage *ret,
                 struct err *err);

/* The pids in it, at most CGROUP_PIDS_MAX; the caller frees. ERR_NOT_FOUND when there is no such cgroup. */
#define CGROUP_PIDS_MAX 100000
#define CGROUP_NAME_SIZE 256
int cgroup_processes(const struct cgroup_layout *layout, const char *name, int64_t **ret, size_t *ret_n,
                     struct err *err);

/* The sum of what follows `key` in every word of every line ("8:0 rbytes=12 wbytes=3 ..."). */
int64_t cgroup_summed_number(const char *text, const char *key);

#endif
