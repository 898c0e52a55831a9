/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attaching.h - follows a container from the foreground: its output to ours, our input and signals to it,
 * until it has ended or the detach keys are typed.
 */
#ifndef WHARF_CMD_CLIENT_ATTACHING_H
#define WHARF_CMD_CLIENT_ATTACHING_H

#include "base/err.h"
#include "cmd/client/api.h"
#include "cmd/client/input.h"
#include "cmd/client/terminal.h"

/* The options that all have in common, for a struct with these members. */
#define ATTACHING_ROWS(type_)                                                                                \
    {.name = "sig-proxy",                                                                                    \
     .argument = "BOOL",                                                                                     \
     .kind = OPTION_STRING,                                                                                  \
     .offset = offsetof(struct type_, sig_proxy),                                                            \
     .help = "false: signals end the client, not the container; so they do with a terminal",                 \
     .words = "true false"},                                                                                 \
        OPTION_ROW(type_, detach_keys, 0, "detach-keys", "KEYS", OPTION_STRING,                              \
                   "keys that leave a terminal; ctrl-p,ctrl-q by default")

struct attach_options {
    bool input;              /* standard input goes to the container */
    bool input_ends;         /* and its end, too */
    bool output;             /* what the container writes comes to us */
    bool signals;            /* signals are for the container; otherwise they end us */
    const char *detach_keys; /* NULL for docker's */
    bool exec;               /* it is an exec in a container */
};

struct attach {
    const struct client *client;
    struct attach_options options;
    struct input input;
    struct terminal terminal;
    int64_t since_ns;      /* output before is not asked for */
    bool next_start;       /* of a container that is about to be started */
    int signal;            /* that ends us; 0 if none */
    struct http_call call; /* to the runtime; fd -1 while broken */
    char *path;
    int signals_fd;
    char container[CONTAINER_ID_SIZE]; /* or the exec's id */
    char *node;                        /* owned; NULL when the writer did not say */
    uint64_t stdout_bytes, stderr_bytes;
    int64_t broken_ns; /* since when there is no stream; 0 while there is one */
    bool said;
    bool requested; /* the output has been asked for on `call` */
    json_t *end;    /* what the end frame says */
};

/* Blocks the signals that are forwarded and connects to the runtime ahead of time (an absent runtime is no
 * error yet). ERR_INVALID for bad detach keys. */
int attach_init(struct attach *attach, const struct client *client, const struct attach_options *options,
                struct err *err);

/* Asks for the output of a container, so that nothing is missed of a start that follows. */
int attach_request(struct attach *attach, const char *container, struct err *err);

/* Copies until the end frame has come, which attach->end then holds; until the detach keys were typed or a
 * signal ended us, and then it holds none. The terminal is as before. */
int attach_follow(struct attach *attach, const char *container, struct err *err);

/* What attach_follow came to, as our exit code: the container's, 0 when detached, 128 + a signal of ours.
 * Says what is to be said. */
int attach_code(const struct attach *attach);

/* attach_follow and attach_code for the container or exec that a finished command has made. A runtime that
 * was restarted does not know any more why it refused it: then the writer, which reads it from the log, is
 * asked. */
int attach_follow_command(struct attach *attach, struct api_command *command, const char *id, int *ret_code,
                          struct err *err);

void attach_release(struct attach *attach);

#endif
