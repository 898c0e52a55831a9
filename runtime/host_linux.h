/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_linux.h - what the files behind host.h share; nobody else includes it.
 *
 * - host_linux.c: opening, closing, the registry, one queue of operations for each container, signals,
 * removal
 * - host_linux_launch.c: starting: directory, config, plan, cgroup
 * - host_linux_exec.c: one more command in a container
 * - host_linux_shim.c: what the two have in common: the shim and its answer
 * - host_linux_adjust.c: pausing and limits of what runs
 * - host_linux_exit.c: watching shims by pidfd, reading records, telling of exits
 * - host_linux_observe.c: what a former runtime left
 * - host_linux_image.c: the image store
 * - host_linux_cgroups.c: where a container's cgroup is
 * - host_linux_archive.c: copies into and out of containers, exports
 * - host_linux_commit.c: images of containers
 * - host_linux_devices.c: the node's devices that a container asks for
 * - host_linux_mounts.c: what has to be there before a container mounts
 * - host_linux_share.c: containers whose namespaces are shared
 * - host_linux_identity.c: whose state directory it is
 * - host_linux_snapshot.c: the snapshot's file
 *
 * Operations of one container run one after another, those of different containers side by side on the libuv
 * thread pool; `run` is on a pool thread and touches only its operation and the host's constant members,
 * everything else is on the loop thread.
 */
#ifndef WHARF_RUNTIME_HOST_LINUX_H
#define WHARF_RUNTIME_HOST_LINUX_H

#include <stdint.h>
#include <uthash.h>
#include <uv.h>

#include "base/buf.h"
#include "runtime/host.h"
#include "runtime/sandbox/cgroup.h"
#include "runtime/sandbox/oci_rights.h"
#include "runtime/sandbox/plan.h"
#include "runtime/shim/record.h"

/* The descriptors from PLAN_FD_PLAN on that a shim is started with end here. */
#define HOST_SHIM_FDS (PLAN_FD_CGROUPS + CGROUP_MAX_HIERARCHIES + SHARED_NAMESPACES)

struct host_op;
struct host_archive;
struct host_import;
struct trash;

enum host_container_state {
    HOST_CONTAINER_IDLE,
    HOST_CONTAINER_LAUNCHING,
    HOST_CONTAINER_RUNNING,
    HOST_CONTAINER_EXITED, /* `exit` says how */
};

/* A container's first process, or an exec: what is said of containers below holds for both. */
struct host_container {
    char id[CONTAINER_ID_SIZE];      /* key */
    char exec_of[CONTAINER_ID_SIZE]; /* of an exec: the container's id; "" otherwise */
    enum host_container_state state;
    struct shim_record record; /* of the newest incarnation; valid while running or exited */
    struct host_exit exit;
    bool owed;                /* the exit is not yet on the log: its record is kept */
    struct host_op *held;     /* a start that waits for that */
    struct trash *trash;      /* removed, but owed: to be deleted once it is on the log */
    struct host_watch *watch; /* while running; owned until its close callback */
    struct host_op *queue;    /* the first one is under way */
    UT_hash_handle hh;
};

/* A shim's pidfd on the loop. */
struct host_watch {
    uv_poll_t poll;
    struct host *host;
    struct host_container *container; /* NULL once nobody wants to hear of it */
    int pid_fd;
    bool is_child; /* started by this process, so to be reaped by it */
};

struct host {
    /* Constant after host_open: */
    uv_loop_t *loop;
    char *state_dir;
    char *shim_path;
    char *image_path;
    char *cgroup_parent;
    void (*on_exit)(const struct host_exit *exit, void *data);
    void *data;
    int shim_fd; /* the shim's executable: an upgrade under our feet gives us no shim of another build */
    bool look_only;
    int containers_fd; /* -1 when only looking and it is not there, as images_fd */
    int images_fd;
    int volumes_fd;
    char *volumes_dir; /* absolute */
    char boot_id[RECORD_BOOT_ID_SIZE];
    struct cgroup_layout cgroups;
    int parents_fd; /* marks of the cgroup parents that were made for containers (host_linux_cgroups.c) */
    uv_mutex_t parents_lock;
    struct buf seccomp;
    uint64_t capabilities; /* our own, which are all that can be given; a bit each */
    /* The loop thread's: */
    struct host_container *containers;
    struct host_archive *archives;
    size_t n_busy; /* operations, watches and imports that still have a callback to come */
    bool closing;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

/* An operation of one container. `run` may be NULL. `done` either finishes the operation with host_op_finish,
 * now or later, or queues more work with host_op_continue. */
struct host_op {
    uv_work_t work;
    struct host *host;
    struct host_container *container;
    void (*run)(struct host_op *op);
    void (*done)(struct host_op *op);
    bool removes; /* what is known of the container does not hold behind it */
    bool adjusts; /* it leaves the cgroup where it is; others clear it first */
    struct host_op *next;
};

/* The container's entry, made if there is none; NULL if memory runs out. */
struct host_container *host_container_get(struct host *host, const char *id);

/* Forgets an entry of which nothing is left. */
void host_container_drop(struct host *host, struct host_container *container);

/* Queues the operation behind those of the same container. */
void host_op_begin(struct host *host, struct host_container *container, struct host_op *op);
/* Runs `op->run` and `op->done` once more. */
void host_op_continue(struct host_op *op);
/* Starts the next one. The caller frees `op` afterwards. */
void host_op_finish(struct host_op *op);

/* One thing less to wait for; ends a host_close under way. */
void host_unbusy(struct host *host);

/* host_linux_exit.c */

/* Watches the shim of `container->record`. Takes `pid_fd` (on failure it is closed). */
int host_watch_begin(struct host *host, struct host_container *container, int pid_fd, bool is_child,
                     struct err *err);
/* Kills what is left in the cgroup of a container that has ended, and removes it. */
void host_cleanup_begin(struct host *host, struct host_container *container);
/* No on_exit from now on. */
void host_watch_end(struct host_container *container);
/* Descriptor of the process if it is still the one that started at `start` (clock ticks), else -1. */
int host_open_process(int64_t pid, uint64_t start);
/* The version of the shim's records in the directory if it is above ours, else 0. */
int host_newer_records(int dir_fd);
/* Claims the name of the shim's record of an exec that was found not to be started: a shim of before a crash
 * that is still on its way to write it gives up then. False if it has just been written. */
bool host_claim_exec(const struct host *host, const char *exec_id);
/* Descriptor of the record's shim if its command runs, else -1. Waits for one that is just starting: its end
 * tells that nothing was started, and then it has taken its record back. */
int host_open_shim(const struct shim_record *record);
enum directory_use {
    DIRECTORY_FREE, /* by no shim: it is locked by this descriptor now */
    DIRECTORY_RUNS, /* by one that runs, and says so in its record */
    DIRECTORY_HELD, /* by one that has no record, and does not come to an end */
};
/* A shim has its container's directory locked (flock(2)) as long as it lives, by the descriptor it was
 * started with: one whose runtime died in the middle of the start is known by nothing else until it has
 * written its record, or has given up. Waits a while for either. For pool threads. */
enum directory_use host_lock_directory(const struct host *host, int dir_fd);
bool host_read_shim_record(int dir_fd, struct shim_record *ret);
bool host_read_exit_record(int dir_fd, int64_t incarnation, struct exit_record *ret);
void host_exit_from_record(struct host_exit *ret, const struct host_container *container,
                           const struct exit_record *record);
/* An end that nobody recorded. */
void host_exit_unseen(struct host_exit *ret, const struct host_container *container, int64_t incarnation,
                      const char *reason);

/* host_linux_cgroups.c */

/* A container's cgroup. Not to be moved while it is open. */
struct host_cgroup {
    const struct cgroup_layout *layout; /* the host's, or: */
    struct cgroup_layout other;         /* below a parent that its spec names */
    char name[CONTAINER_ID_SIZE + 8];
};

/* As its directory says; without one it is below the host's own parent. For any thread. */
void host_cgroup_open(const struct host *host, const char *id, struct host_cgroup *ret);
/* For a start: makes the parent that the spec names, which the directory has to tell of before
 * (host_cgroup_note). To be closed whatever the answer. For pool threads. */
int host_cgroup_make(struct host *host, const char *id, const struct container_spec *spec,
                     struct host_cgroup *ret, struct err *err);
void host_cgroup_close(struct host_cgroup *cgroup);
/* Notes in the container's directory where its cgroup is going to be. */
int host_cgroup_note(int dir_fd, const struct container_spec *spec, struct err *err);
/* Kills what is left in it and removes it, and parents that were made for containers once they are empty. For
 * pool threads. */
int host_cgroup_destroy(struct host *host, const char *id, struct err *err);
/* Removes what parents a former runtime left empty. */
void host_cgroup_clear_parents(struct host *host);

/* host_linux_devices.c */

struct host_devices {
    struct oci_device *items;
    size_t n;
};
void host_devices_release(struct host_devices *devices);

/* The devices that the container asks for, and all there are for a privileged one; to be released whatever
 * the answer. For pool threads. */
int host_find_devices(const struct host *host, const struct container_spec *spec, struct host_devices *ret,
                      struct err *err);

/* host_linux_share.c */

struct host_shared {
    int fds[SHARED_NAMESPACES]; /* pidfds; -1 where nothing is shared */
    int64_t pids[SHARED_NAMESPACES];
    struct err err; /* says which container does not run, if one does not */
};
void host_share_find(struct host *host, const struct container_spec *spec, struct host_shared *ret);
void host_share_close(struct host_shared *shared);

/* host_linux_mounts.c: makes the volumes and directories that the container is going to mount. For pool
 * threads. */
int host_prepare_mounts(const struct host *host, const char *container_id, int image_fd,
                        const struct container_spec *spec, struct err *err);

/* host_linux_image.c: an import from a path or, with NULL, the commit of a container
 * (runtime/image/commit.h), whose descriptors are borrowed until this returns. */
int host_import_begin(struct host *host, const char *source, int request_fd, int container_fd,
                      host_imported_cb cb, void *data, struct err *err);

/* host_linux_archive.c: the directory of a container that does not run, with layers that can be mounted; -1
 * without its image. For pool threads. */
int host_open_layers(const struct host *host, const char *container_id, const char *image_hex,
                     struct err *err);

/* host_linux_commit.c: lets a container go on that was suspended for a commit when a runtime ended. */
void host_commit_undo(const struct host *host, const char *container_id, int dir_fd);

/* host_linux.c: kills what still runs of a container and waits for it; for pool threads. */
void host_kill_container(const struct host *host, const char *id);

#endif
