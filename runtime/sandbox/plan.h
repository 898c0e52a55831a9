/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - what the shim is told to do, as one block of bytes.
 *
 * The runtime compiles a container's config.json (oci_plan.c) into a plan: everything is resolved beforehand,
 * so that the shim (static, musl only) parses no JSON and looks nothing up. Both sides are on the same
 * machine and of the same build: numbers are in native byte order, and a plan of another PLAN_VERSION is
 * refused.
 *
 * Layout: struct plan_header, then entries. An entry is a struct plan_entry and `size` bytes of payload,
 * padded with zeros to 8 bytes. Strings are NUL-terminated within their payload. The decoder trusts nothing:
 * every size is checked.
 *
 * Pure; used by the runtime's threads (encoder) and the shim (decoder). No dependency but libc.
 */
#ifndef WHARF_RUNTIME_SANDBOX_PLAN_H
#define WHARF_RUNTIME_SANDBOX_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_MAGIC 0x6e6c5077u /* "wPln" */
#define PLAN_VERSION 1
#define PLAN_MAX_BYTES (4u << 20)
#define PLAN_ALIGN 8u

/* The shim's descriptors, set up by whoever starts it. */
enum plan_fd {
    PLAN_FD_PLAN = 3,   /* memfd with the plan */
    PLAN_FD_DIR = 4,    /* the container's directory */
    PLAN_FD_STATUS = 5, /* pipe to the runtime: one struct plan_status */
    PLAN_FD_GO =
        6, /* pipe from the runtime: one byte once the cgroups are ready; end of file means give up */
    PLAN_FD_CGROUPS = 7, /* n_cgroups directories: in each, the cgroup named PLAN_CGROUP is the container's */
};

enum plan_flag {
    PLAN_READ_ONLY_ROOT = 1 << 0,
    PLAN_NO_NEW_PRIVS = 1 << 1,
    PLAN_LOOPBACK = 1 << 2, /* bring lo up */
    PLAN_CGROUP2 = 1 << 3, /* the only cgroup directory is of a v2 hierarchy: the process is cloned into it */
    PLAN_FLAGS = (1 << 4) - 1,
};

struct plan_header {
    uint32_t magic;
    uint32_t version;
    uint32_t size; /* of the whole plan in bytes */
    uint32_t flags;
    uint64_t clone_flags;  /* namespaces for clone3(2), without the cgroup one, which follows after joining */
    uint64_t capabilities; /* bounding, permitted and effective set */
    int64_t incarnation;
    uint64_t log_max_bytes; /* a log file that would grow beyond is rotated */
    uint32_t log_files;     /* how many are kept, the current one among them */
    uint32_t n_cgroups;
    uint32_t oom_cgroup; /* which of them counts OOM kills; n_cgroups if none */
    uint32_t uid;
    uint32_t gid;
    uint32_t umask;
};

enum plan_entry_type {
    PLAN_BOOT_ID = 1, /* string */
    PLAN_CGROUP,      /* string: the cgroup's name */
    PLAN_HOSTNAME,    /* string */
    PLAN_WORKDIR,     /* string: absolute path in the container */
    PLAN_ARG,         /* string, one each */
    PLAN_ENV,         /* string, one each */
    PLAN_GROUPS,      /* uint32_t each: supplementary groups */
    PLAN_RLIMIT,      /* struct plan_rlimit */
    PLAN_SECCOMP,     /* struct sock_filter each */
    PLAN_STEP,        /* struct plan_step_header, then three strings */
};

struct plan_entry {
    uint32_t type;
    uint32_t size; /* of the payload, without padding */
};

struct plan_rlimit {
    uint32_t resource; /* RLIMIT_* */
    uint32_t reserved;
    uint64_t soft;
    uint64_t hard;
};

/* File system work, in order. The first step makes the root. */
enum plan_op {
    PLAN_OP_OVERLAY_ROOT = 1, /* b: mount options, relative to the container's directory */
    PLAN_OP_MOUNT,            /* a: fstype, b: options, path; flags: MS_* */
    PLAN_OP_MKNOD,            /* path; mode with type; dev */
    PLAN_OP_SYMLINK,          /* a: target, path */
    PLAN_OP_MASK,             /* path: hidden by /dev/null or an empty directory; missing is fine */
    PLAN_OP_READ_ONLY,        /* path: made read-only; missing is fine */
};

struct plan_step_header {
    uint32_t op;
    uint32_t mode;
    uint64_t flags;
    uint64_t dev;
};

struct plan_step {
    enum plan_op op;
    uint32_t mode;
    uint64_t flags;
    uint64_t dev;
    const char *path;
    const char *a;
    const char *b;
};

/* A decoded plan: pointers into the block, which must outlive it. */
struct plan {
    struct plan_header header;
    const uint8_t *entries;
    size_t entries_size;
    const char *boot_id;
    const char *cgroup;
    const char *hostname; /* NULL: the host's */
    const char *workdir;
    char **argv; /* allocated, NULL-terminated */
    char **envp; /* allocated, NULL-terminated */
    const uint32_t *groups;
    size_t n_groups;
    const void *seccomp;
    size_t n_seccomp; /* instructions; 0 for no filter */
};

/* Returns NULL, or why the bytes are no plan (a static text); then nothing is left allocated. */
const char *plan_decode(struct plan *ret, const void *bytes, size_t size);
void plan_release(struct plan *plan);

/* Walk the steps and the limits of a decoded plan; `cursor` starts at 0. False at the end. */
bool plan_next_step(const struct plan *plan, size_t *cursor, struct plan_step *ret);
bool plan_next_rlimit(const struct plan *plan, size_t *cursor, struct plan_rlimit *ret);

/* Where a start failed. The texts are in plan_stage_text. */
enum plan_stage {
    PLAN_STAGE_SHIM = 1, /* the shim's own files, pipes, processes */
    PLAN_STAGE_PLAN,
    PLAN_STAGE_CLONE,
    PLAN_STAGE_RECORD,
    PLAN_STAGE_ROOT,
    PLAN_STAGE_MOUNT,
    PLAN_STAGE_DEVICE,
    PLAN_STAGE_MASK,
    PLAN_STAGE_NETWORK,
    PLAN_STAGE_HOSTNAME,
    PLAN_STAGE_WORKDIR,
    PLAN_STAGE_CGROUP,
    PLAN_STAGE_RLIMIT,
    PLAN_STAGE_CREDENTIALS,
    PLAN_STAGE_SECCOMP,
    PLAN_STAGE_EXEC,
    PLAN_STAGES,
};

/* What a failing process reports; the container's process to the shim, and the shim to the runtime. */
struct plan_failure {
    uint32_t stage;
    int32_t cause;     /* errno */
    char subject[248]; /* path or the like; NUL-terminated, may be empty */
};

/* The shim's answer to the runtime. */
struct plan_status {
    uint32_t ok;
    uint32_t reserved;
    int64_t pid;
    uint64_t pid_start; /* clock ticks since boot: field 22 of /proc/PID/stat (proc(5)) */
    uint64_t shim_start;
    int64_t started_at_ns;
    struct plan_failure failure;
};

#endif
