/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h - what the files of runtime/decide/ share: emitting events and effects, and the operations under
 * way.
 *
 * Pure, as decide.h says.
 */
#ifndef WHARF_RUNTIME_DECIDE_CORE_H
#define WHARF_RUNTIME_DECIDE_CORE_H

#include "runtime/decide/decide.h"

/* Why something happens: the command being carried out, or something of wharf's own. */
struct cause {
    char causationid[UUID_TEXT_SIZE];
    char correlationid[UUID_TEXT_SIZE];
    int64_t command_offset; /* -1: no command, so no outcome either */
    enum command_type command_type;
    char *actor; /* owned */
    char *traceparent;
    bool with_volumes; /* a removal: made-up volumes go too */
};

/* A command that waits for the operation before it. */
struct waiting_command {
    struct command command; /* a copy */
    int64_t offset;
    struct waiting_command *next;
};

enum operation_kind {
    OPERATION_LAUNCH, /* until INPUT_LAUNCHED */
    OPERATION_EXEC,   /* until INPUT_LAUNCHED; the command then runs beside whatever follows */
    OPERATION_STOP,   /* until INPUT_EXITED */
    OPERATION_REMOVE, /* until the container's execs have ended, and then until INPUT_REMOVED */
    OPERATION_ADJUST, /* until INPUT_ADJUSTED */
    OPERATION_COMMIT, /* until INPUT_IMPORTED: the image operation has the cause */
};

enum operation_then { THEN_NOTHING, THEN_LAUNCH, THEN_REMOVE };

/* What is being done to one container. */
struct operation {
    char container_id[CONTAINER_ID_SIZE]; /* key */
    enum operation_kind kind;
    enum operation_then then; /* after the stop */
    struct cause cause;
    int64_t incarnation; /* being launched or stopped */
    bool has_early_exit; /* launch, exec, adjust: the exit came before the answer */
    struct host_exit early_exit;
    struct container_updated_event *update; /* adjust by container.update; owned */
    char exec_id[CONTAINER_ID_SIZE];        /* exec */
    struct container_exec_command *exec;    /* exec; owned; NULL for a health check */
    bool awaits_execs;                      /* remove: the effect is yet to come */
    struct waiting_command *waiting;        /* oldest first */
    UT_hash_handle hh;
};

/* The removal of a volume under way. */
struct volume_operation {
    char *name; /* key */
    struct cause cause;
    UT_hash_handle hh;
};

/* Resources of a container or an exec that the log does not know, made for a command that was not settled. */
struct unclaimed {
    char container_id[CONTAINER_ID_SIZE];
    char exec_id[CONTAINER_ID_SIZE]; /* "" for those of the container itself */
    bool runs;                       /* it still does */
    bool started;                    /* its command was executed */
    char what[256];
    int64_t command_offset;
    struct unclaimed *next;
};

/* An import under way, or a commit, which is one of a container's files. */
struct image_operation {
    char command_id[UUID_TEXT_SIZE]; /* key */
    struct cause cause;
    struct image_import_command command;  /* a commit has no source */
    char container_id[CONTAINER_ID_SIZE]; /* of a commit; "" otherwise */
    bool pauses;
    char *author;
    char *message;
    bool begun; /* false while contents are being deleted */
    UT_hash_handle hh;
};

/* The back-off of restart policies is one minute at most, as docker's. */
#define RESTART_DELAY_MAX_MS 60000

#define ACTOR_RUNTIME "system:runtime"
#define ACTOR_RESTART_POLICY "system:restart-policy"
#define ACTOR_RECOVERY "system:recovery"

/* From a command at an offset, or from a container's newest event. On lack of memory the core fails. */
struct cause cause_of_command(struct core *core, const struct command *command, int64_t offset);
struct cause cause_of_container(struct core *core, const struct container *container, const char *actor);
void cause_release(struct cause *cause);

/* `outcome` if a command is the cause, else none. */
enum outcome outcome_for(const struct cause *cause, enum outcome outcome);

/* Stamps, encodes, applies and collects the event, and releases it. `subject` is what it is about; an outcome
 * other than none settles the cause's command. */
void emit_take(struct core *core, struct decision *ret, struct event *event, const char *subject,
               const struct cause *cause, enum outcome outcome, int64_t now_ns);
void emit_refused(struct core *core, struct decision *ret, const char *subject, const struct cause *cause,
                  int64_t now_ns, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
void emit_failed(struct core *core, struct decision *ret, const char *subject, const struct cause *cause,
                 int64_t now_ns, const char *code, const char *message);
void emit_done(struct core *core, struct decision *ret, const char *subject, const struct cause *cause,
               int64_t now_ns, const char *message);
void emit_signaled(struct core *core, struct decision *ret, const char *container_id, int signal,
                   const struct cause *cause, enum outcome outcome, int64_t now_ns);
void emit_exited(struct core *core, struct decision *ret, const struct host_exit *exit,
                 const struct cause *cause, enum outcome outcome, int64_t now_ns);

/* A new effect at the end of the decision, zeroed but for its kind; NULL (and the core failed) when memory
 * runs out. */
struct effect *add_effect(struct core *core, struct decision *ret, enum effect_kind kind,
                          const char *container_id);

/* strdup that fails the core; NULL gives NULL. */
char *core_strdup(struct core *core, const char *text);
/* A signal's name, and a time in nanoseconds of the wall clock, as events have them; as core_strdup. */
char *core_signal_name(struct core *core, int signal);
char *core_time(struct core *core, int64_t time_ns);

struct operation *operation_find(const struct core *core, const char *container_id);

/* Starts an operation on a container that has none; takes the cause. NULL (core failed) when memory runs out.
 */
struct operation *operation_begin(struct core *core, const char *container_id, enum operation_kind kind,
                                  struct cause *cause_take);

/* The operation is over: frees it and hands out the commands that waited for it, which the caller gives to
 * operation_resume_waiting once it has begun whatever has to come before them. */
struct waiting_command *operation_end(struct core *core, struct operation *operation);

/* Decides the commands in turn, until one of them (or an operation begun before) makes the rest wait again.
 */
void operation_resume_waiting(struct core *core, const char *container_id,
                              struct waiting_command *waiting_take, int64_t now_ns, struct decision *ret);

/* Lets a command wait for the operation. */
void operation_enqueue(struct core *core, struct operation *operation, const struct command *command,
                       int64_t offset);

/* The offset of the command if it is being carried out or waits, else -1. */
int64_t command_under_way(const struct core *core, const char *command_id);

/* The steps that several inputs lead to; each takes the cause. */
void begin_launch(struct core *core, const struct container *container, struct cause *cause_take,
                  struct decision *ret);
void begin_remove(struct core *core, const char *container_id, struct cause *cause_take,
                  struct decision *ret);

/* What follows an exit that nobody asked for: removal (auto_remove), a restart by policy, or nothing.
 * `host_restarted` is the one occasion on which policy `always` overrules an earlier stop by hand, as
 * docker's does. */
void follow_exit(struct core *core, const char *container_id, bool host_restarted, int64_t now_ns,
                 struct decision *ret);
/* The removal of one that has exited and is auto_remove, unless something is under way or awaited. */
void remove_at_end(struct core *core, const char *container_id, struct decision *ret);

/* decide.c: waits for the restart that the container's policy has announced. */
void wait_for_restart(struct core *core, const struct container *container, struct decision *ret);

/* recover.c: what was found and whose command has been settled without it is an orphan after all, as when
 * the command was refused this time. */
void destroy_unclaimed(struct core *core, int64_t now_ns, struct decision *ret);
void unclaimed_release(struct core *core);
/* True for the command of an exec that was found, before it is decided again. */
bool exec_was_started(const struct core *core, const struct command *command);
/* True for a container with such an exec: it has to be there when the command is decided again. */
bool container_awaits_exec(const struct core *core, const char *container_id);

/* decide_command.c: one command, which is not settled and not under way. */
void decide_command(struct core *core, const struct command *command, int64_t offset, int64_t now_ns,
                    struct decision *ret);

/* decide_adjust.c: pausing, renaming, updating; each takes what it needs of the cause. */
void decide_pause(struct core *core, const struct container *container, bool pause, struct cause *cause,
                  int64_t now_ns, struct decision *ret);
void decide_rename(struct core *core, const struct container *container, const char *name,
                   const struct cause *cause, int64_t now_ns, struct decision *ret);
void decide_update(struct core *core, const struct container *container,
                   const struct container_update_command *asked, struct cause *cause, int64_t now_ns,
                   struct decision *ret);
/* The answer to an adjustment; the operation goes on to what waited for it. */
void decide_adjusted(struct core *core, const struct input *input, struct decision *ret);
/* Nobody asked: it was found so, or a signal let it go on. */
void emit_paused(struct core *core, struct decision *ret, const char *container_id, bool paused,
                 const struct cause *cause, enum outcome outcome, int64_t now_ns);
void update_free(struct container_updated_event *update);

/* decide_exec.c: one more command in a container. */
void decide_exec(struct core *core, const struct container *container, const struct command *command,
                 struct cause *cause, int64_t now_ns, struct decision *ret);
/* The answer; the operation goes on to what waited for it. */
void decide_executed(struct core *core, const struct input *input, struct decision *ret);
/* The end of one, and what waited for it. */
void decide_exec_exited(struct core *core, const struct input *input, struct decision *ret);
/* Nobody can say more of it than `exit` does: recovery. Its files are to go. */
void emit_exec_exited(struct core *core, struct decision *ret, const struct exec *exec,
                      const struct host_exit *exit, const char *actor, int64_t now_ns);
void exec_command_free(struct container_exec_command *exec);

/* decide_health.c: begins to check a container that runs, if it is to be checked. */
void health_begin(struct core *core, const char *container_id, int64_t now_ns, struct decision *ret);
/* Its container has ended, or is another incarnation. */
void health_end(struct core *core, const char *container_id);
void healths_release(struct core *core);
/* Inputs that may be about checks: true if this one was. */
bool health_launched(struct core *core, const struct input *input, struct decision *ret);
bool health_exited(struct core *core, const struct input *input, struct decision *ret);
/* Its container goes on: a check that was suspended with it has all of its time again. */
void health_unpaused(struct core *core, const char *container_id, int64_t now_ns, struct decision *ret);
void health_timer(struct core *core, const struct input *input, struct decision *ret);

/* decide.c: the exit of a container; also of one whose exit came before an answer. */
void step_exited(struct core *core, const struct input *input, struct decision *ret);

/* decide_access.c */
void decide_accessed(struct core *core, const struct input *input, struct decision *ret);

/* decide_image.c */
void decide_image_import(struct core *core, const struct command *command, struct cause *cause_take,
                         struct decision *ret);
void decide_image_remove(struct core *core, const struct command *command, const struct cause *cause,
                         int64_t now_ns, struct decision *ret);
/* decide_oci.c */
void decide_oci_report(struct core *core, const struct command *command, const struct cause *cause,
                       int64_t now_ns, struct decision *ret);
void decide_imported(struct core *core, const struct input *input, struct decision *ret);
void image_operations_release(struct core *core);

/* Begins an import or a commit, at once or when no contents are being deleted any more. Takes the operation
 * and its cause. */
void image_operation_begin_take(struct core *core, struct image_operation *operation, const char *command_id,
                                struct cause *cause_take, struct decision *ret);

/* What is none at all becomes absent, and how health is checked where it is not. */
void image_command_settle(struct image_import_command *command);
/* Of one that has not begun. */
void image_operation_free(struct image_operation *operation);

/* decide_commit.c */
void decide_commit(struct core *core, const struct container *container, const struct command *command,
                   struct cause *cause_take, int64_t now_ns, struct decision *ret);
/* The container's event, before the image's. */
void emit_committed(struct core *core, const struct image_operation *operation, const char *reference,
                    const char *digest, int64_t now_ns, struct decision *ret);
/* Whatever came of it, the container is free again. */
void decide_commit_over(struct core *core, const char *container_id, int64_t now_ns, struct decision *ret);

/* Begins the imports that waited. */
void image_operations_begin(struct core *core, struct decision *ret);

/* collect.c: an image's contents are to be deleted if neither a reference nor a container needs them any
 * more; now; one of them is; an import is over. */
void collect_image(struct core *core, const char *digest, struct decision *ret);
void collect_due(struct core *core, struct decision *ret);
void collect_deleted(struct core *core, struct decision *ret);
void collect_import_ended(struct core *core, struct decision *ret);

/* decide_volume.c */
void decide_volume_create(struct core *core, const struct command *command, const struct cause *cause,
                          int64_t now_ns, struct decision *ret);
void decide_volume_remove(struct core *core, const struct command *command, struct cause *cause_take,
                          int64_t now_ns, struct decision *ret);
void decide_volume_removed(struct core *core, const struct input *input, struct decision *ret);
void volume_operations_release(struct core *core);

/* Gives the spec's volumes without a name one that follows from the container's id. */
void volumes_name(struct core *core, struct container_spec *spec, const char *container_id);
/* Makes the spec's volumes that are not there yet. */
void volumes_make(struct core *core, const struct container_spec *spec, const struct cause *cause,
                  int64_t now_ns, struct decision *ret);
/* One of the spec's volumes that is about to go; NULL if none is. */
const char *volume_that_goes(const struct core *core, const struct container_spec *spec);
/* True if the container has volumes with names that were made up. */
bool volumes_are_owned(const struct container *container);
/* Begins the removal of volumes that go with their container. */
void volumes_remove_doomed(struct core *core, const struct cause *cause, struct decision *ret);

/* sharing.c: names of containers whose namespaces are shared become ids. */
void sharing_resolve(struct core *core, struct container_spec *spec);
/* The code of why the spec's namespaces cannot be shared, with the sentence in *ret_why; NULL if they can. */
const char *sharing_refusal(const struct core *core, const struct container_spec *spec, bool starting,
                            struct err *ret_why);

/* id_ranges.c: the code of why the container cannot have ids of its own, with the sentence in *ret_why; NULL
 * if it can, or wants none. */
const char *id_range_refusal(const struct core *core, const struct container_spec *spec, struct err *ret_why);
/* Gives the new container its ids. */
void id_range_give(struct core *core, struct container_spec *spec);

/* container_name.c: a name made from the id's digits, with more of them after it if it is taken. */
void container_name_make(const struct node_state *state, const char *container_id, char *ret, size_t size);

/* resolve_spec.c: the variables of `base` with those of `asked` over them. -1 when memory runs out. */
int merge_env(struct strings *ret, const struct strings *asked, const struct strings *base);
/* What `from` says of how health is checked and `ret` does not. -1 as above. */
int copy_health(const struct schema *schema, void *ret, const struct schema *from_schema, const void *from);

/* resolve_spec.c: the spec with the image's defaults filled in, so that a container stays what it was created
 * as whatever happens to the reference later. -1 when memory runs out. */
int resolve_spec(struct container_spec *ret, const struct container_spec *asked, const struct image *image);

#endif
