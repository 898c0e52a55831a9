/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_plan.h - compiles an OCI runtime-spec config.json into the shim's plan and the cgroup's limits.
 *
 * Everything a container gets comes through here. What the config asks for and Wharf cannot give is an error
 * that names the member, never left out in silence.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_PLAN_H
#define WHARF_RUNTIME_SANDBOX_OCI_PLAN_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/sandbox/cgroup.h"

struct oci_plan_input {
    const json_t *config;
    int64_t incarnation;
    const char *boot_id;
    const char *cgroup_name;
    const struct cgroup_layout *layout;
    const struct buf *seccomp; /* the default program */
    uint64_t log_max_bytes;
    uint32_t log_files;
};

/* Appends the plan to `ret_plan`. ERR_INVALID for what is not supported or wrong. */
int oci_plan(const struct oci_plan_input *input, struct buf *ret_plan, struct cgroup_limits *ret_limits,
             struct err *err);

#endif
