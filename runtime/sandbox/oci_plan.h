/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_plan.h - compiles an OCI runtime-spec config.json into a plan and the cgroup's limits.
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
#include "runtime/sandbox/oci_mounts.h"

/* The capabilities that can be given. A warning takes the place of the rest (config.md, "capabilities");
 * without `warn` all can, and unknown ones are refused. */
struct oci_grant {
    uint64_t capabilities;
    void (*warn)(const char *message);
};

struct oci_plan_input {
    const json_t *config;
    /* for wharf-init; with a NULL bundle the plan is for the shim: */
    const char *bundle;
    const struct oci_cgroup_dir *cgroups; /* for mounts of the type cgroup */
    size_t n_cgroups;
    uint32_t n_cgroup_fds; /* directories to join */
    uint32_t flags;        /* PLAN_NO_PIVOT, PLAN_KEEP_KEYRING; for the shim PLAN_INPUT */
    struct oci_grant grant;
    bool lower_limits; /* hard limits that may not be raised stay as they are */
    bool selinux;      /* the kernel has it: mounts get 'linux.mountLabel' */
    /* for the shim: */
    int64_t incarnation;
    const char *boot_id;
    const char *cgroup_name;
    const struct cgroup_layout *layout;
    const struct buf *seccomp; /* the default program */
    uint64_t log_max_bytes;
    uint32_t log_files;
};

/* The number of RLIMIT_NOFILE and the others (getrlimit(2)), or -1. */
int oci_rlimit(const char *type);

/* The limits that a config's linux.resources says; to be released. */
int oci_plan_limits(const json_t *linux_section, struct cgroup_limits *ret, struct err *err);

/* Appends the plan to `ret_plan`. ERR_INVALID for what is not supported or wrong. `ret_limits` is for the
 * shim, to be released on success; NULL where linux.resources is applied as a whole. */
int oci_plan(const struct oci_plan_input *input, struct buf *ret_plan, struct cgroup_limits *ret_limits,
             struct err *err);

struct oci_process_input {
    const json_t *config;  /* of the container: its namespaces and system call filter */
    const json_t *process; /* as `process` of a config.json (config.md, "Process") */
    uint32_t n_cgroup_fds; /* directories to join */
    uint32_t flags;        /* PLAN_KEEP_KEYRING; for the shim PLAN_INPUT */
    struct oci_grant grant;
    bool lower_limits;         /* hard limits that may not be raised stay as they are */
    const struct buf *seccomp; /* the default program, for configs that are annotated with it; or NULL */
    bool unconfined;           /* no system call filter, whatever the config says */
    /* for the shim; with a NULL boot_id the plan is for wharf-init: */
    const char *boot_id;
    const struct cgroup_layout *layout;
    int64_t incarnation;
    uint64_t log_max_bytes;
    uint32_t log_files;
};

/* The plan of one more process in a container (../shim/join.h). ERR_INVALID as above. */
int oci_plan_process(const struct oci_process_input *input, struct buf *ret_plan, struct err *err);

#endif
