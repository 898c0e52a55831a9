/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - the seam between the runtime's decisions and the machine: starting, signalling, observing and
 * removing containers, and keeping images. runtime/effect/ turns effects into these calls; host_linux*.c
 * implements them with shims, namespaces and cgroups; tests put a simulated host here.
 *
 * What lives on disk can all be rebuilt from the log, but for image contents, volumes, container logs and
 * exit records that are not on the log yet. STATE_DIR/containers/ID/ is one directory a container that was
 * ever started and is not removed:
 * - launch.json: what the newest incarnation was started from, the intent, written before anything else
 * - config.json: the OCI runtime-spec of the newest incarnation
 * - upper/ work/: overlayfs layers
 * - log, log.1 ...: stdout and stderr in CRI format
 * - shim: the shim's record, pids and their start times, written before the command is executed
 * - exit: the exit record, durable before anybody is told
 *
 * STATE_DIR/containers/EXEC_ID/ is the same for one more command in a container (launch.json says in which),
 * without config.json and layers. Wherever a function takes a container's id to remove or forget what there
 * is of it, the id of an exec will do.
 *
 * Beside it:
 * - STATE_DIR/images/: content-addressed root file systems
 * - STATE_DIR/volumes/: a directory for each volume that was ever mounted
 * - STATE_DIR/node.json: whose state directory this is
 * - STATE_DIR/snapshot: the fold of the node's events up to some offset (events/snapshot.h)
 *
 * Resources that die with the kernel: the container's cgroup (CGROUP_PARENT/ID), its namespaces and mounts
 * (all inside its own mount namespace, so none can leak).
 *
 * Everything is called on and calls back on the loop thread; slow work is done on the libuv thread pool. No
 * callback runs before the call that caused it has returned. Every operation is idempotent by container and
 * incarnation.
 */
#ifndef WHARF_RUNTIME_HOST_H
#define WHARF_RUNTIME_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "events/message.h"
#include "events/node_state.h"

struct host;

/* How an incarnation ended. Unknown values stay unknown: exit_code -1, signal 0, finished_at_ns 0. */
struct host_exit {
    char container_id[CONTAINER_ID_SIZE];
    char exec_id[CONTAINER_ID_SIZE]; /* "" for the container's first process */
    int64_t incarnation;
    const char *reason; /* one of check_exit_reason's words; static */
    int exit_code;      /* 0..255, 128 + signal when a signal ended it; -1 unknown */
    int signal;         /* 0 if none or unknown */
    bool oom_killed;
    int64_t finished_at_ns; /* realtime; 0 unknown */
    char observed[256];     /* what was found, where the exit was not seen; "" otherwise */
};

struct host_options {
    const char *state_dir;
    const char *run_dir;
    const char *cgroup_parent; /* relative to each hierarchy's root, "wharf" */
    const char *shim_path;     /* the wharf-shim executable */
    const char *image_path;    /* the wharf-image executable */
    /* An incarnation ended while this runtime ran (or was adopted). Called once per incarnation and runtime
     * process, and again behind the answer of a launch that finds it ended. */
    void (*on_exit)(const struct host_exit *exit, void *data);
    void *data;
    /* For a look beside a runtime that may be running, or before there is one: nothing is made, adopted or
     * removed, cgroups are not looked at, and only host_boot_id, host_identify, host_observe,
     * host_snapshot_read and host_image_exists may be called. */
    bool look_only;
};

/* Creates the directories, finds the cgroup layout (v1, v2 or hybrid) and compiles what can be compiled once.
 * Errors: not root, directories not writable, no usable cgroup controllers; each with what to do. */
int host_open(struct host **ret, uv_loop_t *loop, const struct host_options *options, struct err *err);

/* Running containers go on. Operations under way are waited for; then on_closed (may be NULL) runs. */
void host_close(struct host *host, void (*on_closed)(void *data), void *data);

/* This boot's /proc/sys/kernel/random/boot_id; lives as long as the host. */
const char *host_boot_id(const struct host *host);

enum host_identity {
    HOST_NEW,       /* the state directory holds nothing of any node yet */
    HOST_UNCLAIMED, /* it holds something, but does not say of which node */
    HOST_CLAIMED,   /* it is this node's */
};

/* Whose state directory this is. ERR_CONFLICT for another node's. Blocking. */
int host_identify(struct host *host, const char *node, enum host_identity *ret, struct err *err);

/* Makes the state directory the node's, durably. Blocking. */
int host_claim(struct host *host, const char *node, struct err *err);

struct host_launch {
    const char *container_id;
    int64_t incarnation;
    int64_t command_offset; /* of the command this start belongs to, -1 for a restart policy: kept as evidence
                               on disk */
    const struct container_spec *spec;
    const struct image *image;
};

struct host_launched {
    char container_id[CONTAINER_ID_SIZE];
    char exec_id[CONTAINER_ID_SIZE]; /* of host_exec; "" otherwise */
    int64_t incarnation;
    bool ok;
    /* if ok: */
    int64_t pid;
    int64_t shim_pid;
    int64_t started_at_ns; /* realtime */
    /* else, with docker's meaning: 125 could not be set up, 126 cannot be executed, 127 not found: */
    int exit_code;
    const char *code; /* "command-not-found", "not-executable", "image-missing", "setup-failed" ...; static */
    char message[ERR_MESSAGE_SIZE]; /* one sentence */
};
typedef void (*host_launched_cb)(const struct host_launched *result, void *data);

/* Starts an incarnation. Copies what it needs. If that incarnation has been started before (a crash lost the
 * answer), the result is that of then, and on_exit follows if it has ended meanwhile; what an interrupted
 * attempt left is undone first. A failed start leaves nothing running and no cgroup. While the exit of the
 * incarnation before is kept (see host_keep_exit), the start waits. */
int host_launch(struct host *host, const struct host_launch *launch, host_launched_cb cb, void *data,
                struct err *err);

struct host_exec {
    const char *container_id;
    int64_t incarnation; /* of the container */
    const char *exec_id;
    int64_t command_offset;
    const struct container_spec *spec; /* the container's, and its image */
    const char *image_digest;
    const struct container_exec_command *exec;
};

/* Executes one more command in a container that runs: in its namespaces and cgroup, with what its config.json
 * gives a process unless `exec` says otherwise. Copies what it needs. Otherwise as host_launch: an exec that
 * was started before is answered as then, with the incarnation it was started in, even if the container has
 * ended since, and on_exit follows; one that fails leaves nothing. */
int host_exec(struct host *host, const struct host_exec *exec, host_launched_cb cb, void *data,
              struct err *err);

/* Sends a signal to the first process, by pidfd. ERR_NOT_FOUND if this incarnation is not running any more.
 */
int host_signal(struct host *host, const char *container_id, int64_t incarnation, int signal,
                struct err *err);

typedef void (*host_done_cb)(const struct err *err, void *data); /* err is NULL on success */

enum host_adjustment { HOST_PAUSE, HOST_UNPAUSE, HOST_LIMIT };

/* Changes how an incarnation runs. Pausing is done when no process of it runs any more; what cannot be paused
 * in ten seconds goes on. With HOST_LIMIT the cgroup gets the limits of `spec`; where that fails, those of
 * `before` again. Both are only borrowed. ERR_NOT_FOUND if this incarnation is not running any more. */
int host_adjust(struct host *host, const char *container_id, int64_t incarnation,
                enum host_adjustment adjustment, const struct container_spec *spec,
                const struct container_spec *before, host_done_cb cb, void *data, struct err *err);

/* Lets a container that was paused go on, at once; nothing otherwise. */
void host_thaw(const struct host *host, const char *container_id);

/* An exit that host_observe showed is on its way to the log. It is kept, as every exit is that on_exit tells:
 * whatever is asked for meanwhile, its evidence stays on disk until host_forget_exit. */
void host_keep_exit(struct host *host, const char *container_id, int64_t incarnation);

#define HOST_ANY_INCARNATION 0

/* The exit is on the log, durably (or will never be, of an orphan): its record is not needed any more. What
 * the next start needs (upper, log) stays. */
void host_forget_exit(struct host *host, const char *container_id, int64_t incarnation);

/* Removes everything of a container that is not running: cgroup, layers, records, logs. Nothing there is
 * fine. A container that still runs is killed first (orphans). The files are moved aside and deleted behind
 * the answer, but those of an exit that is kept only after host_forget_exit: until then they are the only
 * evidence of it, and the next start finds it there. */
int host_remove(struct host *host, const char *container_id, host_done_cb cb, void *data, struct err *err);

enum host_found {
    HOST_RUNNING, /* shim and first process are alive; adopted, so that on_exit will follow */
    HOST_EXITED,  /* `exit` says how */
    HOST_LOST, /* started in this boot, but shim and process are gone without a record; `exit` says what was
                  seen */
    HOST_HOST_RESTARTED, /* started in an earlier boot and no record; `exit` says what was seen */
    HOST_INTERRUPTED,    /* a start that was never completed, or only leftovers; nothing runs */
};

struct host_observation {
    char container_id[CONTAINER_ID_SIZE];
    char exec_id[CONTAINER_ID_SIZE]; /* "" for a container */
    enum host_found found;
    int64_t incarnation;
    int64_t command_offset; /* from launch.json; -1 if none */
    int64_t pid;            /* HOST_RUNNING and what was recorded otherwise; 0 unknown */
    int64_t shim_pid;
    int64_t started_at_ns;
    int paused; /* if running: 0 or 1, -1 if not looked at */
    struct host_exit exit;
    char what[256]; /* for people: "shim 123 and process 124 running", "cgroup memory:/wharf/ID" */
};

/* The log knows a container whose cgroup is below another parent than the host's: what is there of one that
 * the state directory does not know is killed and removed. Before host_observe. Blocking. */
void host_clear_stray_cgroup(struct host *host, const char *container_id, const char *cgroup_parent);

/* Looks at what is there and adopts what runs. Call once, after host_open and before anything else. The array
 * is the caller's to free. Blocking. */
int host_observe(struct host *host, struct host_observation **ret, size_t *ret_n, struct err *err);

struct host_imported {
    char digest[7 + SHA256_HEX_SIZE]; /* "sha256:HEX" of the contents in canonical form: equal trees, equal
                                         digests */
    int64_t size_bytes;
};
typedef void (*host_imported_cb)(const struct host_imported *imported, const struct err *err, void *data);

/* Brings a directory or a tar archive (plain or compressed by gzip, bzip2, xz or zstd) into the store, by a
 * wharf-image process of its own. */
int host_image_import(struct host *host, const char *source, host_imported_cb cb, void *data,
                      struct err *err);

struct host_commit {
    const char *container_id;
    int64_t incarnation; /* that runs; 0: none does */
    bool own_users;      /* it has a user namespace of its own */
    const char *image_digest;
    bool pause; /* suspend it meanwhile */
};

/* Makes an image of a container's root file system, without what is mounted in it: an import of it. What was
 * suspended for it goes on whatever comes of it: after a crash with the next host_observe. Copies what it
 * needs. */
int host_commit(struct host *host, const struct host_commit *commit, host_imported_cb cb, void *data,
                struct err *err);

/* Deletes an image's contents; nothing there is fine. */
int host_image_remove(struct host *host, const char *digest, host_done_cb cb, void *data, struct err *err);

/* Adds the digests of all contents in the store. Blocking. */
int host_images(const struct host *host, struct strings *ret, struct err *err);

/* True if the contents are in the store. */
bool host_image_exists(const struct host *host, const char *digest);

/* Removes a volume, which no container has mounted, with all that is in it; nothing there is fine. When the
 * answer comes it is gone for good, whatever happens to the machine; its files are deleted behind that. */
int host_volume_remove(struct host *host, const char *name, host_done_cb cb, void *data, struct err *err);

/* Adds the names of all volumes in the store. Blocking. */
int host_volumes(const struct host *host, struct strings *ret, struct err *err);

/* Replaces the snapshot by the bytes, which are copied: durably and in one step, so that a crash leaves the
 * old one or the new one. */
int host_snapshot_write(struct host *host, const void *bytes, size_t size, host_done_cb cb, void *data,
                        struct err *err);

/* The snapshot's bytes; ERR_NOT_FOUND when there is none. Blocking; before the first host_snapshot_write. */
int host_snapshot_read(struct host *host, struct buf *ret, struct err *err);

/* Renames a snapshot that is of no use, for people to look at; the newest few of them are kept. Blocking. */
int host_snapshot_put_aside(struct host *host, struct err *err);

/* How the output of a container or exec begins, as text of up to `size` - 1 bytes; "" where there is none. */
void host_output_begins(const struct host *host, const char *id, char *ret, size_t size);

/* What a client does with a container's files (runtime/archive.h). */
enum access_kind { ACCESS_COPY_IN, ACCESS_COPY_OUT, ACCESS_EXPORT, ACCESS_ATTACH };

/* A descriptor of the container's directory for reading its log, or -1 with ERR_NOT_FOUND. */
int host_container_dir(const struct host *host, const char *container_id, struct err *err);

#endif
