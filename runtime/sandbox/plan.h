/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - what a container's first process is told to do, as one block of bytes.
 *
 * The runtime, or wharf-oci, compiles a container's config.json (oci_plan.c) into a plan: everything is
 * resolved beforehand, so that wharf-shim and wharf-init (static, musl only) parse no JSON and look nothing
 * up. Both sides are on the same machine and of the same build: numbers are in native byte order, and a plan
 * of another PLAN_VERSION is refused.
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
#define PLAN_VERSION 4
#define PLAN_MAX_BYTES (4u << 20)
#define PLAN_ALIGN 8u

/* The shim's descriptors, set up by whoever starts it. */
enum plan_fd {
    PLAN_FD_PLAN = 3,   /* memfd with the plan */
    PLAN_FD_DIR = 4,    /* the container's directory */
    PLAN_FD_STATUS = 5, /* pipe to the runtime: one struct plan_status */
    PLAN_FD_GO =
        6, /* pipe from the runtime: one byte once the cgroups are ready; end of file means give up */
    PLAN_FD_CGROUPS = 7, /* n_cgroups directories: in each, the cgroup named PLAN_CGROUP is the container's;
                            with PLAN_JOIN they are the container's themselves */
    /* then for each PLAN_NAMESPACE, in order: a pidfd of a process that is in it; with PLAN_JOIN a pidfd of
       the container's first process */
};

/* The descriptors of wharf-init, counted from the number in its argv[1]: those below are the container's. */
enum init_fd {
    INIT_FD_PLAN,    /* memfd with the plan */
    INIT_FD_SYNC,    /* SOCK_SEQPACKET to who creates: struct init_message there, struct init_answer back */
    INIT_FD_START,   /* listening socket: who connects lets the command go */
    INIT_FD_WAITING, /* a file whose flock(2) is held until the command is executed */
    INIT_FD_CONSOLE, /* socket that gets the terminal's master; /dev/null without PLAN_TERMINAL */
    INIT_FD_CGROUPS, /* n_cgroups directories: the container's cgroups themselves */
    /* with PLAN_JOIN there is nothing to start or to wait for, but: */
    INIT_FD_TARGET = INIT_FD_START, /* pidfd of the container's first process */
};

enum plan_flag {
    PLAN_READ_ONLY_ROOT = 1 << 0,
    PLAN_NO_NEW_PRIVS = 1 << 1,
    PLAN_LOOPBACK = 1 << 2, /* bring lo up */
    PLAN_CGROUP2 =
        1 << 3, /* the only cgroup directory is of a v2 hierarchy: a first process is cloned into it */
    PLAN_INIT = 1 << 4, /* for wharf-init: no shim, no log, no record */
    PLAN_TERMINAL = 1 << 5,
    PLAN_NO_PIVOT = 1 << 6,        /* chroot(2) into a moved root, for roots that cannot be pivoted to */
    PLAN_KEEP_KEYRING = 1 << 7,    /* no session keyring of its own */
    PLAN_OOM_SCORE = 1 << 8,       /* oom_score_adj is meant */
    PLAN_JOIN = 1 << 9,            /* one more process in a container that there is; no steps */
    PLAN_REAPER = 1 << 10,         /* the first process stays and has the command as its child */
    PLAN_INPUT = 1 << 11,          /* for the shim: standard input comes from its socket */
    PLAN_HOST_MOUNTS = 1 << 12,    /* no mount namespace: the root is entered by chroot(2) */
    PLAN_USER_NAMESPACE = 1 << 13, /* it is in a user namespace that is not the host's */
    PLAN_EARLY_SOURCES = 1 << 14,  /* what is bound is opened before the namespaces are entered */
    PLAN_PERSONALITY = 1 << 15,    /* personality is meant */
    PLAN_LISTENER = 1 << 16,       /* the filter's notifications go to who starts the container */
    PLAN_FLAGS = (1 << 17) - 1,
};

struct plan_header {
    uint32_t magic;
    uint32_t version;
    uint32_t size; /* of the whole plan in bytes */
    uint32_t flags;
    uint64_t clone_flags; /* namespaces for clone3(2); the cgroup one is made after joining. With PLAN_JOIN
                             those of the container that are joined */
    uint64_t cap_bounding;
    uint64_t cap_permitted;
    uint64_t cap_effective;
    uint64_t cap_inheritable;
    uint64_t cap_ambient;
    int64_t incarnation;
    uint64_t log_max_bytes; /* a log file that would grow beyond is rotated */
    uint32_t log_files;     /* how many are kept, the current one among them */
    uint32_t n_cgroups;
    uint32_t oom_cgroup; /* which of them counts OOM kills; n_cgroups if none */
    uint32_t uid;
    uint32_t gid;
    uint32_t umask;
    uint64_t propagation;       /* MS_* for "/" before anything is mounted */
    uint64_t final_propagation; /* MS_* for the container's root at the end; 0: as it is */
    uint32_t seccomp_flags;     /* SECCOMP_FILTER_FLAG_* */
    int32_t oom_score_adj;
    uint16_t console_rows;
    uint16_t console_columns;
    uint32_t personality;
    uint32_t io_priority; /* class << 13 | priority (ioprio_set(2)); 0: as it is */
    uint32_t reserved;
};

enum plan_entry_type {
    PLAN_BOOT_ID = 1,  /* string */
    PLAN_CGROUP,       /* string: the cgroup's name */
    PLAN_HOSTNAME,     /* string */
    PLAN_WORKDIR,      /* string: absolute path in the container */
    PLAN_ARG,          /* string, one each */
    PLAN_ENV,          /* string, one each */
    PLAN_GROUPS,       /* uint32_t each: supplementary groups */
    PLAN_RLIMIT,       /* struct plan_rlimit */
    PLAN_SECCOMP,      /* struct sock_filter each */
    PLAN_STEP,         /* struct plan_step_header, then four strings */
    PLAN_DOMAIN_NAME,  /* string */
    PLAN_SYSCTL,       /* two strings: path below /proc/sys, value */
    PLAN_NAMESPACE,    /* struct plan_namespace, then the path as a string, which wharf-init opens */
    PLAN_HOOK,         /* struct plan_hook, then the path, the arguments and the environment as strings */
    PLAN_SCHEDULER,    /* struct plan_scheduler */
    PLAN_TIME_OFFSETS, /* string for timens_offsets (time_namespaces(7)), maybe empty: a time namespace is
                          made */
    PLAN_APPARMOR,     /* string: the profile to change to on execve */
    PLAN_SELINUX,      /* string: the label of the command */
    PLAN_UID_MAP,      /* string for uid_map (user_namespaces(7)) of the user namespace that the shim makes */
    PLAN_GID_MAP,      /* string for gid_map */
};

struct plan_entry {
    uint32_t type;
    uint32_t size; /* of the payload, without padding */
};

struct plan_rlimit {
    uint32_t resource;     /* RLIMIT_* */
    uint32_t may_be_lower; /* not 0: a hard limit that may not be raised stays as it is */
    uint64_t soft;
    uint64_t hard;
};

/* struct sched_attr of sched_setattr(2), without its size. */
struct plan_scheduler {
    uint32_t policy;
    int32_t nice;
    uint64_t flags;
    uint32_t priority;
    uint32_t reserved;
    uint64_t runtime, deadline, period; /* ns */
};

struct plan_namespace {
    uint64_t flag; /* CLONE_NEW*: joined by setns(2) */
};

enum plan_hook_stage {
    PLAN_HOOK_CREATE_CONTAINER = 1, /* in the container's namespaces, before its root is entered */
    PLAN_HOOK_START_CONTAINER,      /* in the container, before the command */
};

struct plan_hook {
    uint32_t stage;
    uint32_t timeout_s; /* 0: as long as it takes */
    uint32_t n_args;
    uint32_t n_env;
};

/* File system work, in order. The first step makes the root. Paths are the container's, but for sources. */
enum plan_op {
    PLAN_OP_OVERLAY_ROOT = 1, /* b: mount options, relative to the container's directory; a: the lower layer
                                 among them */
    PLAN_OP_BIND_ROOT,        /* a: the root's directory on the host */
    PLAN_OP_MOUNT,            /* a: fstype, b: options, c: source, path; flags: MS_* */
    PLAN_OP_COPY_UP,          /* the same for a tmpfs that begins with what it hides */
    PLAN_OP_BIND,       /* a: source on the host, path; flags: MS_REC or 0; b and c: uid and gid map; mode: 1
                           if they are for all below, too */
    PLAN_OP_MKNOD,      /* path; mode with type; dev; uid and gid */
    PLAN_OP_SYMLINK,    /* a: target, path */
    PLAN_OP_MASK,       /* path: hidden by /dev/null or an empty directory; missing is fine */
    PLAN_OP_READ_ONLY,  /* path: made read-only; missing is fine */
    PLAN_OP_ATTRIBUTES, /* path, a mount point: attributes only */
    PLAN_OP_CGROUP, /* the same as PLAN_OP_MOUNT, but mounted when the cgroups are joined: until then there
                       is a directory */
    PLAN_OPS,
};

#define PLAN_MAX_PROPAGATIONS 4
#define PLAN_MAX_SOURCES 512 /* steps that bind, with PLAN_EARLY_SOURCES */

/* What mount_setattr(2) is to do to a mount, and to all below it; MOUNT_ATTR_*. */
struct plan_attributes {
    uint64_t set, clear;
    uint64_t set_all, clear_all;
    uint64_t propagation[PLAN_MAX_PROPAGATIONS]; /* MS_* with MS_REC for all below, in order; 0 ends */
};

struct plan_step_header {
    uint32_t op;
    uint32_t mode;
    uint64_t flags;
    uint64_t dev;
    uint32_t uid, gid;
    struct plan_attributes attributes;
};

struct plan_step {
    enum plan_op op;
    uint32_t mode;
    uint64_t flags;
    uint64_t dev;
    uint32_t uid, gid;
    struct plan_attributes attributes;
    const char *path;
    const char *a;
    const char *b;
    const char *c;
};

/* A decoded plan: pointers into the block, which must outlive it. */
struct plan {
    struct plan_header header;
    const uint8_t *entries;
    size_t entries_size;
    const char *boot_id;
    const char *cgroup;
    const char *hostname;    /* NULL: the host's */
    const char *domain_name; /* NULL: the host's */
    const char *workdir;
    char **argv;              /* allocated, NULL-terminated */
    char **envp;              /* allocated, NULL-terminated */
    const char *time_offsets; /* NULL: no time namespace of its own */
    const char *apparmor;
    const char *selinux;
    const char *uid_map; /* NULL: the shim makes no user namespace */
    const char *gid_map;
    const uint32_t *groups;
    size_t n_groups;
    const struct plan_scheduler *scheduler; /* NULL: as it is */
    const void *seccomp;
    size_t n_seccomp; /* instructions; 0 for no filter */
};

/* Returns NULL, or why the bytes are no plan (a static text); then nothing is left allocated. */
const char *plan_decode(struct plan *ret, const void *bytes, size_t size);
void plan_release(struct plan *plan);

#define PLAN_HOOK_STRINGS 1024 /* arguments and environment of a hook, at most */

struct plan_sysctl {
    const char *path; /* "net/ipv4/ip_forward" */
    const char *value;
};

struct plan_join {
    uint64_t flag;
    const char *path;
};

struct plan_hook_call {
    enum plan_hook_stage stage;
    uint32_t timeout_s;
    const char *path;
    char *strings[PLAN_HOOK_STRINGS + 2]; /* the arguments, NULL, the environment, NULL */
    char **argv, **envp;                  /* into strings; envp is empty if the config has none */
};

/* Walk the steps, limits and so on of a decoded plan; `cursor` starts at 0. False at the end. */
bool plan_next_step(const struct plan *plan, size_t *cursor, struct plan_step *ret);
bool plan_next_rlimit(const struct plan *plan, size_t *cursor, struct plan_rlimit *ret);
bool plan_next_sysctl(const struct plan *plan, size_t *cursor, struct plan_sysctl *ret);
bool plan_next_namespace(const struct plan *plan, size_t *cursor, struct plan_join *ret);
bool plan_next_hook(const struct plan *plan, size_t *cursor, struct plan_hook_call *ret);

/* Where a start failed. */
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
    PLAN_STAGE_NAMESPACE,
    PLAN_STAGE_SYSCTL,
    PLAN_STAGE_HOOK,
    PLAN_STAGE_TERMINAL,
    PLAN_STAGE_USER_NAMESPACE,
    PLAN_STAGE_TIME_NAMESPACE,
    PLAN_STAGE_SCHEDULER,
    PLAN_STAGE_IO_PRIORITY,
    PLAN_STAGE_PERSONALITY,
    PLAN_STAGE_LABEL,
    PLAN_STAGE_ID_MAP,
    PLAN_STAGE_COPY_UP,
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

/* wharf-init to who creates the container. */
enum init_event {
    INIT_CLONED = 1, /* pid: the container's first process; the sender ends */
    INIT_MOUNTED,    /* before the root is entered; waits for an answer */
    INIT_READY,      /* waits for an answer, and then for the start */
    INIT_FAILED,     /* failure says why; the sender ends */
    INIT_FILTERED,   /* a filter comes now, which may forbid to send: with a descriptor of the memory that the
                        last message, INIT_FAILED, would be written to instead */
    INIT_LISTENER,   /* with the descriptor that the filter's notifications are read from */
};

struct init_message {
    uint32_t event;
    int32_t pid;
    struct plan_failure failure;
};

/* A process that joins sends INIT_CLONED, and waits for one answer; then it executes its command, of which
 * end of file is the proof, or sends INIT_FAILED. */

/* Back, and from who starts it: the container's state as hooks get it, as text without its NUL. */
#define INIT_STATE_MAX 65536

#endif
