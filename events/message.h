/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - the vocabulary: commands and events as C structs, and the CloudEvents envelope both travel in.
 *
 * spec.def, commands.def and events.def are the single source; this header turns their rows into enums,
 * structs and schemas. A message on the log is one CloudEvents 1.0 JSON document (structured mode, content
 * type application/cloudevents+json) whose `data` is the struct of its type.
 *
 * Pure: time, ids and hashes are arguments. Any thread.
 */
#ifndef WHARF_EVENTS_MESSAGE_H
#define WHARF_EVENTS_MESSAGE_H

#include "base/err.h"
#include "base/id.h"
#include "base/timestamp.h"
#include "events/schema.h"

/* Bytes that a command's data, a container's spec and an image's configuration have at most as JSON: events
 * have them in an envelope, and beside a few members of their own, and must fit into LOG_ENTRY_LIMIT. */
#define MESSAGE_DATA_LIMIT 900000

#define MESSAGE_CONTENT_TYPE "application/cloudevents+json"

enum command_type {
#define COMMAND(ENUM, member, type, version, doc) COMMAND_##ENUM,
#include "events/def_ignore_fields.h"
#include "events/commands.def"
#include "events/def_end.h"
    COMMAND_TYPES
};

enum event_type {
#define EVENT(ENUM, member, type, version, doc) EVENT_##ENUM,
#include "events/def_ignore_fields.h"
#include "events/events.def"
#include "events/def_end.h"
    EVENT_TYPES
};

/* clang-format off: it takes the closing braces in END for code */
#include "events/def_struct_fields.h"
struct container_mount {
#include "events/mount.def"
};
struct container_spec {
#include "events/spec.def"
};
struct image_config {
#include "events/image_config.def"
};
struct health_config {
#include "events/health.def"
};
#define COMMAND(ENUM, member, type, version, doc) struct member##_command {
#define END(member)                                                                                          \
    }                                                                                                        \
    ;
#include "events/commands.def"
#undef END
/* Events without fields stay valid C by the reserved byte. */
#define EVENT(ENUM, member, type, version, doc)                                                              \
    struct member##_event {                                                                                  \
        char reserved_;
#define END(member)                                                                                          \
    }                                                                                                        \
    ;
#include "events/events.def"
#undef END
/* clang-format on */
#include "events/def_end.h"

/* Read-only tables; `version` is the newest, which encoders write. */
struct message_type {
    const char *api_name; /* "container.run" */
    const char *log_name; /* "wharf.container.run.v1" */
    int version;
    const struct schema *(*schema)(void);
    const char *doc;
};
extern const struct message_type command_types[COMMAND_TYPES];
extern const struct message_type event_types[EVENT_TYPES];
extern const struct schema container_spec_schema;
extern const struct schema container_mount_schema;
extern const struct schema image_config_schema;
extern const struct schema health_config_schema;

/* The i-th of the spec's mounts. */
static inline struct container_mount *container_spec_mount(const struct container_spec *spec, size_t i)
{
    return (struct container_mount *)spec->mounts.items + i;
}

/* By "container.run"; -1 if there is none. */
int command_type_by_api_name(const char *name);

enum outcome {
    OUTCOME_NONE,    /* this event settles no command */
    OUTCOME_OK,      /* the command named by causationid was carried out */
    OUTCOME_REFUSED, /* ... was refused and changed nothing */
    OUTCOME_FAILED,  /* ... could not be carried out */
};
const char *outcome_name(enum outcome outcome); /* "ok", "refused", "failed"; NULL for none */

/* The attributes of DESIGN.md, section 4. Absent strings are NULL or "", absent numbers SCHEMA_ABSENT. */
struct envelope {
    char id[UUID_TEXT_SIZE];
    char *source;  /* "/wharf/node/NAME" or "/wharf/writer" */
    char *type;    /* as read; encoders take it from the tables */
    char *subject; /* container id, node name or image reference */
    int64_t time_ns;
    char *node;
    char *actor;
    char correlationid[UUID_TEXT_SIZE]; /* the command that began the story */
    char causationid[UUID_TEXT_SIZE];   /* the command or event that led to this */
    int64_t streamversion;              /* events: counts the subject's events, from 1 */
    int64_t nodeseq;                    /* events: counts the node's events, from 1 */
    int64_t epoch;                      /* events: of the runtime that wrote it */
    char prevhash[SHA256_HEX_SIZE];     /* events: SHA-256 of the node's previous event's bytes */
    enum outcome outcome;
    int64_t commandoffset; /* events that settle a command: its offset */
    int64_t ifversion;     /* commands: refuse unless the container has this streamversion */
    char *traceparent;     /* W3C Trace Context */
};

struct command {
    struct envelope envelope;
    enum command_type type;
    union {
        struct container_spec spec; /* container.run and container.create: the same layout by construction */
#define COMMAND(ENUM, member, type, version, doc) struct member##_command member;
#include "events/def_ignore_fields.h"
#include "events/commands.def"
#include "events/def_end.h"
    } data;
};

struct event {
    struct envelope envelope;
    enum event_type type;
    union {
#define EVENT(ENUM, member, type, version, doc) struct member##_event member;
#include "events/def_ignore_fields.h"
#include "events/events.def"
#include "events/def_end.h"
    } data;
};

/* Whether an event counts for those who follow its node. */
enum standing {
    STANDING_COUNTS,
    STANDING_FENCED, /* of a runtime that was taken over before it reached the log (DESIGN.md, section 6) */
    STANDING_STALE,  /* its number is taken: as of two runtimes that began at the same time */
};

/* By the epoch and the number of the node's newest event that counted (0 and 0 before the first), which are
 * moved on if this one does. Everybody who reads events goes by this. */
enum standing envelope_standing(const struct envelope *envelope, int64_t *epoch, int64_t *nodeseq);

void envelope_init(struct envelope *envelope);
void envelope_release(struct envelope *envelope);

/* Sets type and every attribute and member to absent. */
void command_init(struct command *command, enum command_type type);
void command_release(struct command *command);

/* What a command is about, as the client put it: the container of those about an existing one, the image of
 * image commands, the volume of volume commands; NULL for those that make a container. */
const char *command_reference(const struct command *command);

void event_init(struct event *event, enum event_type type);
void event_release(struct event *event);

/* Decode the bytes of a record. Strict: an unknown attribute or member, a wrong type or an unknown message
 * type is an error that names it by JSON pointer. On failure nothing is left allocated. */
int command_decode(struct command *ret, const void *bytes, size_t size, struct err *err);
int event_decode(struct event *ret, const void *bytes, size_t size, struct err *err);

/* Encode to compact JSON; the caller frees. Member order is fixed, so equal messages give equal bytes. */
char *command_encode(const struct command *command, size_t *ret_size, struct err *err);
char *event_encode(const struct event *event, size_t *ret_size, struct err *err);

/* Member checks, used by the .def rows and by anyone who wants to know early. NULL or why not. */
const char *check_container_name(const char *text);
const char *check_container_ref(const char *text);
const char *check_image_reference(const char *text);
/* The same with ":latest" where there is no tag. -1 if it does not fit into `size` bytes. */
int image_reference_normalize(const char *reference, char *ret, size_t size);
const char *check_uuid(const char *text);
const char *check_sha256(const char *text);
const char *check_digest(const char *text);
const char *check_env(const char *text);
const char *check_label_key(const char *text);
const char *check_user(const char *text);
const char *check_absolute_path(const char *text);
const char *check_hostname(const char *text);
const char *check_group(const char *text);
const char *check_capability(const char *text);
const char *check_seccomp(const char *text);
const char *check_ulimit(const char *text);
const char *check_sysctl(const char *text);
const char *check_device(const char *text);
const char *check_add_host(const char *text);
const char *check_mount_type(const char *text);
const char *check_mount_source(const char *text);
const char *check_mount_target(const char *text);
const char *check_propagation(const char *text);
const char *check_tmpfs_option(const char *text);
const char *check_volume_name(const char *text);
const char *check_restart_policy(const char *text);
const char *check_network(const char *text);
const char *check_sharing(const char *text);
const char *check_userns(const char *text);
const char *check_cgroup_parent(const char *text);
const char *check_signal(const char *text);
const char *check_exit_reason(const char *text);
const char *check_health(const char *text);
const char *check_copy_direction(const char *text);
const char *check_time(const char *text);
const char *check_oci_id(const char *text);
const char *check_oci_action(const char *text);

/* The longest system call filter that a spec carries, in bytes. */
#define SECCOMP_PROFILE_MAX 131072

/* "nofile" to its RLIMIT_* name, "RLIMIT_NOFILE"; NULL if there is none. */
const char *ulimit_by_name(const char *name, size_t size);

/* Why these members cannot be together in one spec, or NULL; the second is the mounts' part of it. */
const char *container_spec_conflict(const struct container_spec *spec);
const char *container_mounts_conflict(const struct container_spec *spec);

/* The container of "container:REF"; NULL for any other text, and for NULL. */
const char *shared_container(const char *sharing);

/* The members of a spec that may say whose namespace is shared. */
enum shared_namespace { SHARED_NETWORK, SHARED_IPC, SHARED_PID, SHARED_UTS, SHARED_NAMESPACES };
char **container_spec_sharing(const struct container_spec *spec, enum shared_namespace which);

/* True if the container has a user namespace of its own. */
bool container_spec_maps_ids(const struct container_spec *spec);

/* Signal names with and without SIG, any case, or a number 1..64; -1 if it is none. */
int signal_by_name(const char *text);
/* "SIGTERM"; real-time signals as "SIGRTMIN+3". `ret` holds at least 16 bytes. */
void signal_format(char ret[16], int signal);

#endif
