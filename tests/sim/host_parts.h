/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_parts.h - what the files of the simulated host share: runtime/host.h over a machine (machine.h).
 *
 * The registry, the queue of operations for each container, and what is told when mirror host_linux*.c
 * function by function; the system calls between are steps of the machine, and the runtime may be killed
 * between any two of them.
 */
#ifndef WHARF_TESTS_SIM_HOST_PARTS_H
#define WHARF_TESTS_SIM_HOST_PARTS_H

#include "runtime/host.h"
#include "tests/sim/machine.h"

enum entry_state { ENTRY_IDLE, ENTRY_LAUNCHING, ENTRY_RUNNING, ENTRY_EXITED };

struct host_op;

/* One container or exec as this runtime knows it: struct host_container of host_linux.h. */
struct entry {
    struct host *host;
    char id[CONTAINER_ID_SIZE];
    char exec_of[CONTAINER_ID_SIZE]; /* of an exec: its container; "" otherwise */
    enum entry_state state;
    struct sim_file record; /* of the newest incarnation's shim */
    struct host_exit exit;
    bool owed;
    struct host_op *held; /* a start that waits until nothing is owed */
    struct sim_dir *trash;
    struct shim *shim; /* watched; NULL if not */
    struct host_op *queue;
    struct task gone; /* the pidfd is readable */
    struct entry *next;
};

/* An operation of one container: `step` is done on the pool until it says that it is finished, then `done` on
 * the loop. */
struct host_op {
    struct host *host;
    struct entry *entry; /* NULL for those of no container */
    int stage;
    bool adjusts; /* leaves the cgroup */
    bool (*step)(struct host_op *op);
    void (*done)(struct host_op *op);
    void (*fail)(struct host_op *op); /* the process is dead: answer and free */
    struct task task;
    struct host_op *next;
};

struct launch_op {
    struct host_op op;
    host_launched_cb cb;
    void *data;
    int64_t incarnation;
    int64_t command_offset;
    char digest[DIGEST_SIZE];
    int64_t memory;
    int64_t target_pid; /* of an exec: the container's first process; 0 if it does not run */
    struct host_launched result;
    bool already, known, ended;
    bool failed;   /* something went wrong before the shim answered */
    bool answered; /* the shim's word is in: `ok` */
    bool ok;
    bool waiting; /* the pool has done its part */
    struct sim_file record;
    struct sim_file exit;
    struct shim *shim;
    struct task answer;
};

struct host {
    struct process *process;
    struct machine *machine;
    char boot_id[40];
    void (*on_exit)(const struct host_exit *exit, void *data);
    void *data;
    struct entry *entries;
    struct host_op *loose; /* operations of no container: images, trash */
    size_t n_busy;
    bool closing;
    void (*on_closed)(void *data);
    void *on_closed_data;
    struct task close;
};

/* host.c */
struct entry *entry_get(struct host *host, const char *id);
struct entry *entry_find(const struct host *host, const char *id);
void entry_drop_if_done_with(struct entry *entry);
void entry_watch(struct entry *entry, struct shim *shim);
void entry_unwatch(struct entry *entry);
void op_begin(struct host *host, struct entry *entry, struct host_op *op);
void op_continue(struct host_op *op);
/* The next one of the container starts. The caller frees `op`. */
void op_finish(struct host_op *op);
void host_cleanup_begin(struct entry *entry);
void trash_begin(struct host *host, struct sim_dir *dir);
void host_unbusy(struct host *host);
void exit_from_record(struct host_exit *ret, const struct entry *entry, const struct sim_file *record);
void exit_unseen(struct host_exit *ret, const struct entry *entry, int64_t incarnation, const char *reason);
bool record_is_alive(const struct host *host, const struct sim_file *record);

/* Sends SIGKILL to what runs by the records of the directory. True once it is gone. */
bool kill_by_record(struct host *host, const char *id);

/* host_launch.c: what host_exec.c has in common with it. */
struct launch_op *launch_new(host_launched_cb cb, void *data, const char *container_id, const char *exec_id,
                             int64_t incarnation);
/* The operation's directory; NULL if there is none. */
struct sim_dir *launch_dir(const struct launch_op *launch);
/* Ends `step` with that answer. */
bool launch_fail(struct launch_op *launch, int exit_code, const char *code, const char *message);

/* Claims the shim's record of an exec; false if there is one. */
bool claim_exec(struct host *host, const char *exec_id);

/* host_commit.c: what was suspended for a commit goes on. */
void host_commit_undo(struct host *host, const char *id);

/* What the machine tells. */
void host_shim_gone(struct entry *entry);
void launch_answered(struct launch_op *launch, bool ok);
void launch_shim_gone(struct launch_op *launch);

/* The process is dead: fails one operation, or finishes closing. True if there was anything. */
bool host_bury(struct process *process);

#endif
