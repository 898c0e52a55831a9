/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.h - what the client asks of the roles (docs/api.md): commands of the writer, state of the query
 * service, streams of the runtime.
 *
 * A command carries an idempotency key made once, so that repeating it after a lost answer cannot carry it
 * out twice.
 */
#ifndef WHARF_CMD_CLIENT_API_H
#define WHARF_CMD_CLIENT_API_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "cmd/client/http.h"
#include "cmd/client/verb.h"

enum api_service { API_WRITER, API_QUERY, API_RUNTIME, API_SERVICES };

/* "writer" and so on. */
const char *api_service_name(enum api_service service);

/* RUN_DIR/SERVICE.sock. The caller frees. NULL when out of memory. */
char *api_socket(const struct client *client, enum api_service service);

/* Connects to a service. `call` owns nothing of the path: it is returned in *ret_path, to be freed after the
 * call. */
int api_connect(const struct client *client, enum api_service service, struct http_call *call,
                char **ret_path, struct err *err);

#define API_OFFSET_SIZE 4096

/* GETs a JSON document. An answer other than 200 becomes an error made of its problem document. `ret_offset`
 * (may be NULL, API_OFFSET_SIZE bytes) gets the Wharf-Offset header or "". */
int api_get(const struct client *client, enum api_service service, const char *target, json_t **ret,
            char *ret_offset, struct err *err);

/* GETs any text; the caller frees *ret_text. Status is the caller's to judge. */
int api_get_text(const struct client *client, enum api_service service, const char *target, int timeout_ms,
                 int *ret_status, char **ret_text, struct err *err);

/* The error that an answer's problem document stands for. */
int api_problem(const struct http_call *call, struct err *err);

/* A reference as users give it: "node/name" split. `node` is NULL when there is none. */
struct api_ref {
    char *node; /* owned */
    const char *container;
};
int api_ref_parse(struct api_ref *ret, const char *text, struct err *err);
void api_ref_release(struct api_ref *ref);

/* A command on its way. Zero-initialised by api_command_begin; released by api_command_release. */
struct api_command {
    const struct client *client;
    struct http_call call;
    char *path;
    char *body; /* JSON */
    size_t body_size;
    char *headers;
    int wait_s; /* 0: do not wait for the outcome */
    bool said;  /* that it is being repeated */
};

/* How a command ended. */
struct api_result {
    char id[UUID_TEXT_SIZE];
    char container[CONTAINER_ID_SIZE]; /* of run and create, else "" */
    char exec[CONTAINER_ID_SIZE];      /* of exec, else "" */
    bool settled;                      /* false only when it was not waited for */
    bool ok;
    int exit_code; /* what a failed start says, 125..127; 0 otherwise */
    char
        message[ERR_MESSAGE_SIZE]; /* why it was refused or failed, or what command.done says; "" otherwise */
};

/* Sends the command; takes the reference to `data`. `node` may be NULL. */
int api_command_begin(struct api_command *command, const struct client *client, const char *type,
                      const char *node, json_t *data, bool wait, struct err *err);

/* The same, only if the container is at the version, and under a key that the caller can make again: the same
 * key is answered by what came of it the first time. Waits for the outcome. */
int api_command_begin_once(struct api_command *command, const struct client *client, const char *type,
                           const char *node, json_t *data, const char *key, int64_t if_version,
                           struct err *err);

/* Reads the answer and, if it was asked to wait, goes on until the outcome is there. A refusal is a success
 * here. Lost answers are asked for again, for a bounded time. */
int api_command_finish(struct api_command *command, struct api_result *ret, struct err *err);

/* Sends a finished command again under its key, now to wait: the answer is the outcome it had. */
int api_command_ask_outcome(struct api_command *command, struct api_result *ret, struct err *err);

void api_command_release(struct api_command *command);

/* The end of one of several commands, whose beginning gave `begun`: waits for the outcome, prints `subject`,
 * or says why it could not be carried out ("cannot VERB 'SUBJECT': ..."), and releases the command. */
int api_command_conclude(struct api_command *command, int begun, const char *verb, const char *subject,
                         struct err *err);

/* The same command for many references: sends them side by side, prints each reference that went well (unless
 * `quiet`), says what went wrong with the others. `make_data` gives the command's data for a container
 * reference. Returns the exit code: 0 or 1. */
struct api_each {
    const char *type;
    const char *verb; /* "stop", for messages */
    json_t *(*make_data)(const char *container, const void *options);
    const void *options;
    bool *went_well; /* gets it for each reference; may be NULL */
};
int api_for_each(const struct client *client, const struct api_each *each, int argc, char **argv);

/* A JSON object's member as text, or `otherwise`. */
const char *json_text(const json_t *object, const char *member, const char *otherwise);

#endif
