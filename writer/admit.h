/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admit.h - from a request's body to a command that may go on the log.
 *
 * Checks the body against commands.def and stamps it: id, time, actor, subject. Which node it goes to is
 * placement.h's to say. Everything that is not in the body (time, randomness, who asks) is an argument.
 *
 * Pure; any thread.
 */
#ifndef WHARF_WRITER_ADMIT_H
#define WHARF_WRITER_ADMIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "events/message.h"

#define ADMIT_SOURCE "/wharf/writer"
#define ADMIT_KEY_SIZE_MAX 255

/* What the transport and the shell know about a request. */
struct admit_stamp {
    int64_t now_ns;
    uint8_t random[UUID_RANDOM_BYTES]; /* for the id, where there is no idempotency key */
    const char *actor;                 /* "unix:uid=1000,..." */
    const char *key_scope;             /* whose idempotency keys these are */
    const char *idempotency_key;       /* or NULL */
    const char *traceparent; /* as received, or NULL; a malformed one is left out (W3C Trace Context) */
};

/* Why a body was refused: 400 with this code at this place. The sentence is in the err. */
struct admit_refusal {
    const char *code; /* static */
    char pointer[SCHEMA_POINTER_SIZE];
    bool has_pointer;
};

/* Fills `ret` with everything but a node that the client did not name: `envelope.node` is NULL then. For
 * container.run and container.create the subject is the new container's id. Errors: ERR_INVALID with
 * `refusal` filled, ERR_NOMEM. The caller releases the command. */
int admit(struct command *ret, const void *body, size_t size, const struct admit_stamp *stamp,
          struct admit_refusal *refusal, struct err *err);

/* True for commands that make a container, whose subject is its id. */
bool admit_makes_container(enum command_type type);

/* Names the content of a command, without what stamping adds: equal for repetitions of one request. Two
 * commands differ in it if they differ in type, data or if_version. */
int admit_fingerprint(const struct command *command, char ret[SHA256_HEX_SIZE], struct err *err);

/* True if the text is a traceparent header of version 00, or a later one that begins like it (W3C Trace
 * Context, 3.2). */
bool admit_traceparent_is_valid(const char *text);

#endif
