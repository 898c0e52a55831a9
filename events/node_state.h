/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_state.h - the fold of one node's events: its containers, images, answered commands, and the head of
 * its hash chain.
 *
 * `node_state_apply` is evolve(state, event) -> state. It is the only code that changes a node_state, on
 * replay and while running alike, so that state is the fold of the log by construction; snapshot.c puts one
 * back together. Events of a lower epoch than one already seen are fenced: counted, and otherwise ignored.
 *
 * Pure; one thread at a time.
 */
#ifndef WHARF_EVENTS_NODE_STATE_H
#define WHARF_EVENTS_NODE_STATE_H

#include <uthash.h>

#include "events/container_state.h"
#include "events/message.h"

#define IMAGE_ID_SIZE_MIN 4 /* digits of a digest that may stand for it */

struct image {
    char *reference; /* key */
    char *digest;
    struct image_config config;
    int64_t size_bytes;
    int64_t imported_at_ns;
    UT_hash_handle hh;
};

struct container {
    char id[CONTAINER_ID_SIZE]; /* key */
    char *name;
    char *image_digest;
    struct container_spec spec;
    enum container_state state;
    int64_t version;     /* streamversion of its newest event */
    int64_t incarnation; /* the newest attempt to start it; 0 before the first */
    int64_t pid;         /* while running */
    int64_t shim_pid;    /* while running */
    int64_t created_at_ns;
    int64_t started_at_ns;  /* 0 before the first start */
    int64_t finished_at_ns; /* 0 before the first exit, or when nobody knows */
    int64_t exit_code;      /* of the newest exit; SCHEMA_ABSENT when unknown or none yet */
    bool stopped_by_user;   /* asked to end since it was last started: no restart policy applies */
    bool just_exited; /* its newest event, but for ends of execs, is its exit: what must follow it is not
                         on the log yet */
    int64_t restarts; /* automatic ones, in all */
    int64_t restart_attempt;            /* automatic ones in a row, which the back-off grows with */
    char created_by[UUID_TEXT_SIZE];    /* the command that created it */
    char last_event_id[UUID_TEXT_SIZE]; /* what a fact that no command caused was caused by */
    char correlationid[UUID_TEXT_SIZE]; /* of its newest event */
    int64_t restart_due_ns;             /* while restarting */
    int64_t boot;                       /* node_state.boots when it was last started, or came to rest */
    enum container_health health;       /* while running */
    unsigned n_execs;                   /* commands executed in it that have not ended */
    const char *interrupted_by; /* why it does not run though nobody ended it (below); NULL otherwise */
    UT_hash_handle hh;          /* by id */
    UT_hash_handle hh_name;     /* by name */
};

/*
 * What keeps a container from running that neither ended by itself nor was stopped: "host-restart" and
 * "state-lost" (its host went away under it), "image-missing" (its restart policy could not start it for lack
 * of the image's contents). The next start ends it. NULL for any other word; the result is static.
 */
const char *interruption_by_name(const char *name);

/* True for what `wharf replay` starts: interrupted, and neither running nor to be removed at its end. One
 * that waits for its restart policy starts by itself. */
bool container_is_interrupted(const struct container *container);

/* Changes the spec as the update says; what is absent there stays. -1 when memory runs out. */
int container_spec_update(struct container_spec *spec, const struct container_updated_event *update);

/* One more command in a container, from container.exec_started to container.exec_exited. */
struct exec {
    char id[CONTAINER_ID_SIZE]; /* key; made as a container's from its command's id, so the two never meet */
    char container_id[CONTAINER_ID_SIZE];
    int64_t incarnation; /* of the container, when it was executed */
    int64_t boot;        /* node_state.boots then */
    int64_t pid;
    int64_t shim_pid;
    bool attach;
    bool interactive;
    bool tty;
    char started_event_id[UUID_TEXT_SIZE]; /* what its end is caused by */
    char correlationid[UUID_TEXT_SIZE];
    UT_hash_handle hh;
};

struct volume {
    char *name; /* key */
    struct string_map labels;
    bool found; /* it was not asked for, but found on the node */
    int64_t created_at_ns;
    char owner[CONTAINER_ID_SIZE]; /* the container that its name was made up for; "" for a name that was
                                      given */
    bool doomed;                   /* its owner was removed with its volumes: it is going too */
    UT_hash_handle hh;
};

/* A command that has been settled. Kept for the newest NODE_ANSWERS_KEPT only, which is the window in which a
 * repeated idempotency key is recognised. */
struct answer {
    char command_id[UUID_TEXT_SIZE]; /* key */
    int64_t command_offset;
    UT_hash_handle hh;
};
#define NODE_ANSWERS_KEPT 20000

/* An answered offset beyond the watermark. */
struct answered_offset {
    int64_t offset; /* key */
    UT_hash_handle hh;
};

struct node_state {
    char *name;
    int64_t partition; /* -1 before node.joined */
    char *boot_id;     /* of the newest node.started; NULL before */
    int64_t boots;     /* counts node.started with another boot id than the one before */
    int64_t epoch;     /* the newest seen; 0 before the first */
    int64_t nodeseq;   /* of the newest event */
    struct buf newest; /* the newest event's bytes: their hash is what the next event carries */
    int64_t events_applied;
    int64_t events_fenced;
    int64_t events_illegal;           /* legal JSON, impossible move: kept out of the state and counted */
    struct container *containers;     /* uthash by id */
    struct container *names;          /* the same structs, uthash (hh_name) by name */
    struct exec *execs;               /* uthash by id; those that have not ended */
    struct image *images;             /* uthash by reference */
    struct volume *volumes;           /* uthash by name */
    struct answer *answers;           /* uthash by command id, oldest first */
    struct answered_offset *answered; /* those above answered_through */
    int64_t answered_through;         /* every command offset up to here is settled; -1 at first */
};

/* `node_name` is copied. -1 when memory runs out. */
int node_state_init(struct node_state *state, const char *node_name);
void node_state_release(struct node_state *state);

enum apply_result {
    APPLY_DONE,
    APPLY_FENCED,  /* of a lower epoch */
    APPLY_FOREIGN, /* of another node that shares the partition: nothing to do with us */
    APPLY_ILLEGAL, /* a move that the state machine does not have */
    APPLY_NOMEM,
};

/* Evolves the state by one event whose stored bytes are `bytes` (for the hash chain). The event is only
 * borrowed. */
enum apply_result node_state_apply(struct node_state *state, const struct event *event, const void *bytes,
                                   size_t size);

/* SHA-256 of the newest event's bytes, 64 zeros before the first: the next event's prevhash. */
void node_state_prevhash(const struct node_state *state, char ret[SHA256_HEX_SIZE]);

/* By id, unique prefix of an id, or name. ERR_NOT_FOUND, or ERR_CONFLICT for an ambiguous
 * prefix. */
struct container *node_state_resolve(const struct node_state *state, const char *ref, struct err *err);

struct container *node_state_container(const struct node_state *state, const char *id);
struct container *node_state_by_name(const struct node_state *state, const char *name);

/* NULL if there is none, or if it has ended. */
struct exec *node_state_exec(const struct node_state *state, const char *id);

/* By reference ("busybox" means "busybox:latest") or by "sha256:..." digest, whole or a unique prefix. NULL
 * if none. */
struct image *node_state_image(const struct node_state *state, const char *reference);

/* NULL if there is none of that name. */
struct volume *node_state_volume(const struct node_state *state, const char *name);

/* A container whose spec has the volume mounted, or NULL. */
const struct container *node_state_volume_user(const struct node_state *state, const char *name);

/* True if the command has its outcome on the log. */
bool node_state_is_answered(const struct node_state *state, int64_t command_offset, const char *command_id);

/* Notes that a record at this commands offset needs no outcome (damaged, foreign, a repetition): advances the
 * watermark. */
int node_state_skip_offset(struct node_state *state, int64_t command_offset);

/* For snapshot.c, which has checked what it adds: keys are new. -1 when memory runs out (what was taken is
 * freed). */
int node_state_add_container_take(struct node_state *state, struct container *container);
int node_state_add_exec_take(struct node_state *state, struct exec *exec); /* its container is there */
int node_state_add_image_take(struct node_state *state, struct image *image);
/* An image that is in no state yet, with copies of all that `data`, a struct of `schema`, has of an
 * image_config; NULL when memory runs out. */
struct image *image_new(const char *reference, const char *digest, const struct schema *schema,
                        const void *data);
int node_state_add_volume_take(struct node_state *state, struct volume *volume);
int node_state_add_answer(struct node_state *state, const char command_id[UUID_TEXT_SIZE],
                          int64_t command_offset);

/* exec_state.c, the part of the fold that is about execs: the event's container is `container`. */
enum apply_result apply_exec_started(struct node_state *state, struct container *container,
                                     const struct event *event);
enum apply_result apply_exec_exited(struct node_state *state, struct container *container,
                                    const struct event *event);
/* The container is gone, or everything is (NULL). */
void execs_release(struct node_state *state, const struct container *container);

#endif
