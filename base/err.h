/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - the error a function hands to its caller.
 *
 * A fallible function takes a `struct err *` as its last argument and returns 0 (or a valid pointer / count)
 * on success and -1 (or NULL) on failure. Success leaves the err alone; failure fills it exactly once.
 * Callers that cannot act on an error wrap it with what they were doing and pass it up; only a main prints
 * it. A NULL err is allowed everywhere: the message is then dropped.
 *
 * Messages are lower case, without a full stop, quote the subject in single quotes, and read from the outside
 * in: "cannot open log 'sqlite:/x': cannot create '/x/wharf.events.db': Permission denied".
 *
 * Any thread; no allocation.
 */
#ifndef WHARF_BASE_ERR_H
#define WHARF_BASE_ERR_H

#include <stdarg.h>

enum err_code {
    ERR_NONE = 0,
    ERR_SYSTEM,      /* a system call failed: sys_errno says which way */
    ERR_NOMEM,       /* out of memory */
    ERR_INVALID,     /* the caller's input is wrong */
    ERR_NOT_FOUND,   /* the named thing does not exist */
    ERR_EXISTS,      /* the named thing exists already */
    ERR_CONFLICT,    /* the thing is in a state that forbids this */
    ERR_UNAVAILABLE, /* a peer (log, Redis, another role) cannot be reached now; trying later may work */
    ERR_TIMEOUT,     /* the time allowed ran out; the outcome is unknown */
    ERR_CORRUPT,     /* stored or received data is damaged */
    ERR_PROTOCOL,    /* a peer spoke something we do not understand */
    ERR_TOO_LARGE,   /* a limit was exceeded */
    ERR_FENCED,      /* a newer epoch has taken over */
    ERR_INTERNAL,    /* a broken invariant */
};

#define ERR_MESSAGE_SIZE 1024

struct err {
    enum err_code code;
    int sys_errno; /* errno where a system call was the cause, else 0 */
    char message[ERR_MESSAGE_SIZE];
};

#define ERR_INIT                                                                                             \
    {                                                                                                        \
        .code = ERR_NONE                                                                                     \
    }

/* Fills err and returns -1, so that a failure path is `return err_set(err, ERR_INVALID, "...")`. This and the
 * next three are macros over the functions below for one reason: compilers and analysers see the -1. */
#define err_set(err, code, ...) (err_fill(err, code, __VA_ARGS__), err_failed())

/* As err_set with ERR_SYSTEM and the text of `sys_errno` appended after ": ". */
#define err_sys(err, sys_errno, ...) (err_fill_sys(err, sys_errno, __VA_ARGS__), err_failed())

/* Out of memory while doing `what`. Returns -1. */
#define err_nomem(err, what) err_set(err, ERR_NOMEM, "out of memory while %s", what)

/* Puts "<text>: " before the message that is already there; keeps code and errno. Returns -1. */
#define err_wrap(err, ...) (err_prefix(err, __VA_ARGS__), err_failed())

void err_fill(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void err_fill_sys(struct err *err, int sys_errno, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline int err_failed(void)
{
    return -1;
}

/* Forgets an error that was handled, so that err can be filled again. */
void err_clear(struct err *err);

/* The code's stable lower-case name ("not-found"), for machine-readable output. Never NULL. */
const char *err_code_name(enum err_code code);

#endif
