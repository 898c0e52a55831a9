/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending.h - the commands that are on their way to an outcome, and the outcomes of recent ones: what makes
 * the answer to a repeated idempotency key the first one's, and what a waiting client is answered from.
 *
 * Bounded: beyond a number of commands or bytes of kept events the oldest are forgotten, but never one that
 * is being appended or waited for.
 *
 * Pure apart from allocation; one thread at a time.
 */
#ifndef WHARF_WRITER_PENDING_H
#define WHARF_WRITER_PENDING_H

#include <uthash.h>

#include "events/message.h"

#define PENDING_COMMANDS_MAX 20000
#define PENDING_EVENT_BYTES_MAX (16u * 1024 * 1024)

struct pending_command {
    char id[UUID_TEXT_SIZE];           /* key */
    char container[CONTAINER_ID_SIZE]; /* run and create; else "" */
    char exec[CONTAINER_ID_SIZE];      /* exec; else "" */
    char *node;
    char fingerprint[SHA256_HEX_SIZE]; /* of its content; "" where it is not known */
    uint32_t partition;
    int64_t offset; /* -1 until it is on the log */
    bool appending; /* the acknowledgement is outstanding */
    enum outcome outcome;
    int64_t epoch; /* of the runtime that wrote it */
    char *event;   /* the stored envelope of the outcome, once there is one */
    int64_t event_offset;
    size_t event_size;
    size_t n_waiting; /* kept up by the shell, with `waiting` */
    void *waiting;    /* the shell's list of who waits */
    UT_hash_handle hh;
};

struct pending {
    struct pending_command *commands; /* uthash by id, oldest first */
    size_t commands_max;
    size_t event_bytes_max;
    size_t event_bytes;
};

void pending_init(struct pending *pending, size_t commands_max, size_t event_bytes_max);
void pending_release(struct pending *pending);

struct pending_command *pending_find(const struct pending *pending, const char *id);

/* Finds or makes the command's entry. NULL when memory runs out. Others may be forgotten for it. */
struct pending_command *pending_note(struct pending *pending, const char *id);

/* The id of what the command makes, a container or an exec, for the answer. */
void pending_name_made(struct pending_command *entry, const struct command *command);

/* What the log says about a command: from its record. Facts that are there already stay. */
int pending_fill(struct pending_command *entry, const struct command *command, uint32_t partition,
                 int64_t offset, struct err *err);

/* Takes note of an event that settles a command, stored at `offset` with the bytes `bytes`. The first outcome
 * stands, unless a newer epoch's shows that it was a fenced one. Returns the command's entry, or NULL if the
 * event settles none; on failure NULL with the err filled. */
struct pending_command *pending_settle(struct pending *pending, const struct event *event, uint32_t partition,
                                       int64_t offset, const void *bytes, size_t size, struct err *err);

/* The offset of the oldest outcome that is kept of the partition; `otherwise` if there is none. */
int64_t pending_oldest_outcome(const struct pending *pending, uint32_t partition, int64_t otherwise);

/* Forgets the command; nobody may be waiting for it. */
void pending_forget(struct pending *pending, struct pending_command *entry);

#endif
