/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the container's state, and if it has not ended, follows the events from exactly there on: nothing can
 * slip in between. An exit that the restart policy answers is no end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/reading.h"

struct waiting {
    bool exited; /* an exit was seen that may yet be answered by a restart */
    bool done;
    int64_t exit_code; /* -1: nobody knows */
};

static bool type_is(const json_t *envelope, const char *name)
{
    const char *type = json_text(envelope, "type", "");
    size_t size = strlen(name);
    return strncmp(type, "wharf.container.", 16) == 0 && strncmp(type + 16, name, size) == 0 &&
           type[16 + size] == '.';
}

static int64_t exit_code_of(const json_t *object)
{
    const json_t *code = json_object_get(object, "exit_code");
    return json_is_integer(code) ? json_integer_value(code) : -1;
}

static int on_event(const char *line, size_t size, void *data, struct err *err)
{
    struct waiting *waiting = data;
    json_auto_t *envelope = json_loadb(line, size, 0, NULL);
    if (envelope == NULL)
        return err_set(err, ERR_PROTOCOL, "the query service sent a line that is no JSON");
    if (type_is(envelope, "exited") || type_is(envelope, "start_failed")) {
        waiting->exited = true;
        waiting->exit_code = exit_code_of(json_object_get(envelope, "data"));
        return 1; /* ask for the state: it tells whether a restart follows */
    }
    if (type_is(envelope, "removed") || type_is(envelope, "restart_canceled")) {
        waiting->done = true;
        return 1;
    }
    return 0;
}

static bool state_has_ended(const char *state)
{
    return strcmp(state, "exited") == 0;
}

/* "PARTITION:OFFSET,..." and the container's partition is not known here: it follows them all from the first
 * on. */
static int follow(struct client *client, const char *id, const char *offsets, struct waiting *waiting,
                  struct err *err)
{
    auto_buf struct buf target = BUF_INIT;
    buf_printf(&target, "/v1/events?follow=1&container=%s", id);
    const char *colon = strchr(offsets, ':');
    if (colon != NULL && strchr(offsets, ',') == NULL)
        buf_printf(&target, "&partition=%.*s&from_offset=%lld", (int)(colon - offsets), offsets,
                   strtoll(colon + 1, NULL, 10) + 1);
    if (target.failed)
        return err_nomem(err, "waiting");
    return reading_lines(client, target.data, on_event, waiting, err);
}

static int64_t last_exit_code(const struct client *client, const char *id)
{
    json_auto_t *history = NULL;
    int64_t code = -1;
    size_t i;
    const json_t *envelope;
    if (reading_history(client, id, &history, NULL) < 0)
        return -1;
    json_array_foreach(json_object_get(history, "events"), i, envelope)
    {
        if (type_is(envelope, "exited") || type_is(envelope, "start_failed"))
            code = exit_code_of(json_object_get(envelope, "data"));
    }
    return code;
}

static int wait_for(struct client *client, const char *ref, int64_t *ret_code, struct err *err)
{
    char id[CONTAINER_ID_SIZE] = "";
    struct waiting waiting = {.exit_code = -1};
    while (!waiting.done) {
        json_auto_t *container = NULL;
        char offsets[API_OFFSET_SIZE];
        struct err why = ERR_INIT;
        if (reading_container(client, id[0] != '\0' ? id : ref, &container, offsets, &why) < 0) {
            if (why.code != ERR_NOT_FOUND || id[0] == '\0')
                return err_set(err, why.code, "%s", why.message);
            break; /* removed meanwhile */
        }
        snprintf(id, sizeof(id), "%s", json_text(container, "id", ""));
        if (state_has_ended(json_text(container, "state", ""))) {
            *ret_code = exit_code_of(container);
            return 0;
        }
        if (follow(client, id, offsets, &waiting, err) < 0)
            return -1;
    }
    *ret_code = waiting.exited ? waiting.exit_code : last_exit_code(client, id);
    return 0;
}

static int wait_all(struct client *client, const void *options, int argc, char **argv)
{
    (void)options;
    int result = 0;
    for (int i = 0; i < argc; i++) {
        struct err err = ERR_INIT;
        int64_t code = -1;
        int rc = wait_for(client, argv[i], &code, &err);
        if (rc == 0 && code < 0)
            rc = err_set(&err, ERR_NOT_FOUND,
                         "nobody knows the exit code of '%s'; 'wharf history' shows what was observed",
                         argv[i]);
        if (rc < 0) {
            say_error("%s", err.message);
            result = 1;
            continue;
        }
        printf("%lld\n", (long long)code);
        fflush(stdout);
    }
    return result;
}

const struct verb verb_wait = {
    .name = "wait",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "wait until containers have ended, and print their exit codes",
    .operands = "running",
    .min_operands = 1,
    .max_operands = -1,
    .execute = wait_all,
};
