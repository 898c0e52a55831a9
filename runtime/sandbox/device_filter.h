/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_filter.h - which devices a cgroup may use, on cgroup v2: an eBPF program that the kernel asks at
 * every mknod(2) and open(2) of a device (bpf(2), BPF_CGROUP_DEVICE).
 *
 * Rules are those of v1's devices.allow and devices.deny ("c 1:3 rwm", "b *:* m", "a"), so that both versions
 * share them. They are taken in order: for each kind of access the last rule that covers it decides, and
 * without one it is denied.
 *
 * device_filter_build is pure; device_filter_attach talks to the kernel, on any thread.
 */
#ifndef WHARF_RUNTIME_SANDBOX_DEVICE_FILTER_H
#define WHARF_RUNTIME_SANDBOX_DEVICE_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct device_rule {
    bool allow;
    const char *text; /* borrowed */
};

/* What every container may use; nodes may be made of any device, which gives no access to it. The tables end
 * with NULL. */
extern const char *const DEVICES_ALWAYS_ALLOWED[];

/* Appends the program, an array of struct bpf_insn. ERR_INVALID for a rule that is none. */
int device_filter_build(const struct device_rule *rules, size_t n, struct buf *ret, struct err *err);

/* Loads the program and attaches it to the cgroup whose directory `cgroup_fd` is. */
int device_filter_attach(int cgroup_fd, const struct buf *program, struct err *err);

#endif
