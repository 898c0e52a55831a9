/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.h - what a node's runtime does next, and nothing of how.
 *
 * The core is a state machine: one input at a time (a command from the log, the result of an effect, an exit,
 * a timer, what was found after a restart) with the time it came, and out come events to append, in order,
 * and effects to carry out. Each event is stamped, encoded and applied to the node's state at once, so the
 * state is always the fold of what was decided; the shell appends the bytes as they are. Ids of events follow
 * from the seed given at the start, so a run can be replayed exactly.
 *
 * Commands for one container are decided in log order: while one is being carried out the next ones wait in
 * the container's operation. Only a kill overtakes a stop, since ending a slow stop is what it is for, and
 * an exec that does not come to be executed.
 *
 * Pure: no I/O, no clock, no randomness. Memory is allocated; when it runs out, the core is `failed` and the
 * process has to start again from the log.
 */
#ifndef WHARF_RUNTIME_DECIDE_DECIDE_H
#define WHARF_RUNTIME_DECIDE_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "events/message.h"
#include "events/node_state.h"
#include "runtime/host.h"

#define DECIDE_SEED_SIZE 32

struct operation;
struct unclaimed;
struct health;
struct image_operation;
struct volume_operation;
struct cause;

/* Image contents to be deleted (collect.c). */
struct collection {
    struct strings noted; /* digests that may be unwanted */
    bool asked;           /* a timer for them is out */
    size_t n_deleting;
};

/* Ids of the host that containers with a user namespace of their own get a range of, each. */
#define ID_RANGE_SIZE 65536
struct id_pool {
    int64_t base;
    int64_t size;
};

struct core {
    struct node_state state;
    struct id_pool id_pool; /* set by who has called core_init; empty: there are none */
    int64_t epoch;          /* of this runtime; 0 until core_begin */
    uint8_t seed[DECIDE_SEED_SIZE];
    struct operation *operations;               /* under way, uthash by container id */
    struct image_operation *image_operations;   /* imports under way, uthash by command id */
    struct volume_operation *volume_operations; /* removals under way, uthash by name */
    struct collection collection;
    struct health *healths;      /* of containers that run and are checked, uthash by container id */
    struct strings stray_checks; /* exec ids whose containers have ended before them */
    struct unclaimed *unclaimed; /* found at recovery, perhaps of a command that is yet to be decided again */
    int64_t commands_repeated;   /* deliveries of commands that were settled or under way already */
    bool failed;                 /* out of memory: start again */
};

/* An event to append. */
struct decided_event {
    enum event_type type;
    char subject[256]; /* the record's key */
    enum outcome outcome;
    char command_id[UUID_TEXT_SIZE]; /* of the command it settles; "" if none */
    int64_t incarnation; /* of an exit: whose record is no longer needed once this is on the log for good;
                            else 0 */
    char exec_id[CONTAINER_ID_SIZE]; /* of the exec that it is about, or that its command asked for; or "" */
    char *bytes;                     /* owned */
    size_t size;
};

/* True for the exec of a health check, whose output is wanted with its exit. */
bool core_is_health_check(const struct core *core, const char *exec_id);

/* Whose exit record the event is about, by container or exec id; NULL if none. */
const char *decided_event_exit(const struct decided_event *event);

enum effect_kind {
    EFFECT_LAUNCH,       /* host_launch; answer with INPUT_LAUNCHED */
    EFFECT_EXEC,         /* host_exec; answer with INPUT_LAUNCHED. Without a command's offset it is a health
                            check, whose INPUT_EXITED comes with what it wrote */
    EFFECT_SIGNAL,       /* host_signal; answer with INPUT_SIGNALED */
    EFFECT_REMOVE,       /* host_remove; answer with INPUT_REMOVED */
    EFFECT_TIMER,        /* answer with INPUT_TIMER at the time, once every event decided so far is durable */
    EFFECT_IMPORT,       /* host_image_import; answer with INPUT_IMPORTED */
    EFFECT_COMMIT,       /* host_commit; answer with INPUT_IMPORTED */
    EFFECT_ADJUST,       /* host_adjust; answer with INPUT_ADJUSTED */
    EFFECT_IMAGE_REMOVE, /* host_image_remove; answer with INPUT_IMAGE_DELETED */
    EFFECT_VOLUME_REMOVE, /* host_volume_remove; answer with INPUT_VOLUME_REMOVED */
};

enum timer_kind {
    TIMER_STOP_DEADLINE, /* the stop signal has not worked in time */
    TIMER_RESTART_DUE,   /* the back-off of the restart policy is over */
    TIMER_COLLECT,       /* at once: of no container */
    TIMER_HEALTH,        /* the next check of its health */
    TIMER_HEALTH_LATE,   /* a check takes too long */
};

struct effect {
    enum effect_kind kind;
    char container_id[CONTAINER_ID_SIZE];
    int64_t incarnation;
    int64_t command_offset;              /* launch, exec: of the command it belongs to, or -1 */
    char exec_id[CONTAINER_ID_SIZE];     /* exec; remove and signal: of this, instead of its container */
    struct container_exec_command *exec; /* exec: what is asked for; owned */
    bool orphan;                         /* remove, of an exec: no end of it will be on the log */
    int signal;                          /* signal */
    bool thaws;                      /* signal: a paused container goes on behind it, or it would never end */
    enum host_adjustment adjustment; /* adjust */
    struct container_updated_event *update; /* adjust: the limits to be; owned */
    enum timer_kind timer;
    int64_t due_ns;                  /* timer: realtime */
    int64_t sequence;                /* timer: of health, which check */
    struct cause *cause;             /* signal: the kill command that the answer settles, or NULL; owned */
    char command_id[UUID_TEXT_SIZE]; /* import, commit */
    bool pauses;                     /* commit: suspended while it is copied */
    char *source;                    /* import; owned */
    char *digest;                    /* image remove, commit (of its own image); owned */
    char *volume;                    /* volume remove: its name; owned */
};

/* What one input led to. Zero-initialise; release after use. */
struct decision {
    struct decided_event *events;
    size_t n_events;
    struct effect *effects;
    size_t n_effects;
};
void decision_release(struct decision *decision);

enum input_kind {
    INPUT_COMMAND,
    INPUT_PARKED, /* a record of the commands topic that cannot be read has been put into wharf.deadletters */
    INPUT_SKIPPED, /* an offset of the commands topic that holds nothing */
    INPUT_LAUNCHED,
    INPUT_SIGNALED,
    INPUT_EXITED,
    INPUT_REMOVED,
    INPUT_ADJUSTED,
    INPUT_TIMER,
    INPUT_IMPORTED,
    INPUT_VOLUME_REMOVED,
    INPUT_ACCESSED,      /* a client was let at a container's files */
    INPUT_IMAGE_DELETED, /* or not: the next start finds what is left */
};

/* What a client does with a container's files. */
struct access {
    const char *container_id;
    enum access_kind access;
    const char *path; /* UTF-8; NULL but for copies */
    const char *actor;
};

struct input {
    enum input_kind kind;
    int64_t now_ns;     /* realtime */
    const char *output; /* exited: how what a health check wrote begins; NULL otherwise */
    union {
        struct {
            const struct command *command;
            int64_t offset;
        } command;
        struct {
            int64_t offset;
            const char *reason;
        } parked;
        struct {
            int64_t offset;
        } skipped;
        const struct host_launched *launched;
        struct {
            const struct effect *effect;
            bool ok; /* false: it is not running any more */
        } signaled;
        const struct host_exit *exited;
        struct {
            const char *container_id;
            const struct err *err; /* NULL on success */
        } removed, adjusted;
        struct {
            const char *container_id;
            enum timer_kind kind;
            int64_t incarnation;
            int64_t sequence;
        } timer;
        struct {
            const char *name;
            const struct err *err; /* NULL on success */
        } volume_removed;
        struct {
            const char *command_id;
            const struct host_imported *imported; /* NULL on failure */
            const struct err *err;
        } imported;
        struct access accessed;
    };
};

/* `node_name` is copied. -1 when memory runs out. */
int core_init(struct core *core, const char *node_name, const uint8_t seed[DECIDE_SEED_SIZE]);
void core_release(struct core *core);

/* Who takes the node over, for node.joined and node.started. */
struct core_identity {
    int64_t partition; /* where the node's records go; used only when it has not joined yet */
    const char *boot_id;
    const char *kernel;
    const char *version;
    int64_t pid;
};

/* Begins a new epoch, after the node's events have been applied to core->state: emits node.joined if need be
 * and node.started. */
void core_begin(struct core *core, int64_t now_ns, const struct core_identity *identity,
                struct decision *ret);

/* How this runtime stands to the one of the epoch before. */
enum continuity {
    SAME_BOOT,
    HOST_RESTARTED, /* the boot id differs */
    STATE_LOST,     /* the state directory is new: another host, or an emptied disk */
};

/* By the boot id of now and that of the epoch before, which the state still has before core_begin. */
enum continuity core_continuity(const struct core *core, const char *boot_id, bool state_is_new);

/* Compares what the log expects with what the host shows, after core_begin and before the first input:
 * adopts, records exits, destroys orphans, resumes waiting for restarts. */
void core_recover(struct core *core, int64_t now_ns, enum continuity continuity,
                  const struct host_observation *observed, size_t n_observed, struct decision *ret);

/* After core_recover: the digests of all contents in the host's store, of which those that nothing refers to
 * are deleted. */
void core_collect(struct core *core, const struct strings *digests, struct decision *ret);

/* After core_recover: the names of all volumes in the host's store. Those that the log does not know become
 * known; what was going on is finished. */
void core_recover_volumes(struct core *core, int64_t now_ns, const struct strings *names,
                          struct decision *ret);

/* One input. Appends to `ret`. */
void core_step(struct core *core, const struct input *input, struct decision *ret);

/* Where to read commands from: everything below is settled. */
int64_t core_commands_from(const struct core *core);

#endif
