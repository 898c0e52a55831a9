/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the container's state, and if it has not ended, follows the events from exactly there on: nothing can
 * slip in between. An exit that the restart policy answers is no end, unless it is the exit that is waited
 * for. One that was never started does not run, and its exit code is 0, as docker has it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/reading.h"
#include "cmd/client/waiting.h"

struct wait_options {
    const char *condition;
};

static const struct option_row rows[] = {{.name = "condition",
                                          .argument = "CONDITION",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct wait_options, condition),
                                          .help = "not-running (the default), next-exit or removed",
                                          .words = "not-running next-exit removed"},
                                         OPTION_END};

static bool has_ended(const json_t *container, int64_t *ret_code)
{
    const char *state = json_text(container, "state", "");
    bool created = strcmp(state, "created") == 0;
    *ret_code = created ? 0 : waiting_exit_code(container);
    return created || strcmp(state, "exited") == 0;
}

static int64_t last_exit_code(const struct client *client, const char *id)
{
    json_auto_t *history = NULL;
    int64_t code = 0; /* it may never have been started */
    size_t i;
    const json_t *envelope;
    if (reading_history(client, id, &history, NULL) < 0)
        return -1;
    json_array_foreach(json_object_get(history, "events"), i, envelope)
    {
        if (waiting_type_is(envelope, "exited") || waiting_type_is(envelope, "start_failed"))
            code = waiting_exit_code(json_object_get(envelope, "data"));
    }
    return code;
}

static int wait_for(struct client *client, const char *ref, enum condition condition, int64_t *ret_code,
                    struct err *err)
{
    char id[CONTAINER_ID_SIZE] = "";
    struct waiting waiting = {.condition = condition, .exit_code = -1};
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
        if (condition == NOT_RUNNING && has_ended(container, ret_code))
            return 0;
        if (waiting_follow(client, id, offsets, &waiting, err) < 0)
            return -1;
    }
    *ret_code = waiting.exited ? waiting.exit_code : last_exit_code(client, id);
    return 0;
}

static int parse_condition(const char *text, enum condition *ret, struct err *err)
{
    static const char *const names[] = {
        [NOT_RUNNING] = "not-running", [NEXT_EXIT] = "next-exit", [REMOVED] = "removed"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (text == NULL || strcmp(names[i], text) == 0) {
            *ret = (enum condition)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "'%s' is no condition: give not-running, next-exit or removed", text);
}

static int wait_all(struct client *client, const void *values, int argc, char **argv)
{
    const struct wait_options *options = values;
    enum condition condition;
    struct err bad = ERR_INIT;
    int result = 0;
    if (parse_condition(options->condition, &condition, &bad) < 0) {
        say_error("%s", bad.message);
        return 1;
    }
    for (int i = 0; i < argc; i++) {
        struct err err = ERR_INIT;
        int64_t code = -1;
        int rc = wait_for(client, argv[i], condition, &code, &err);
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
    .options = rows,
    .options_size = sizeof(struct wait_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = wait_all,
};
