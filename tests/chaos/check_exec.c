/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/timestamp.h"
#include "tests/chaos/check.h"

struct exec {
    char id[CONTAINER_ID_SIZE]; /* key */
    char container[CONTAINER_ID_SIZE];
    int wanted;  /* exit code */
    bool struck; /* its shim was killed */
    bool orphan; /* its container's shim was */
    bool ended;
    UT_hash_handle hh;
};

/* A container's newest start. */
struct owner {
    char id[CONTAINER_ID_SIZE]; /* key */
    bool struck;
    UT_hash_handle hh;
};

struct execs {
    struct exec *all;
    struct owner *owners;
};

static bool was_struck(const struct stack *stack, const json_t *event)
{
    int64_t started_ns = 0;
    timestamp_parse(event_text(event_data(event), "started_at"), &started_ns, NULL);
    return stack_was_struck(stack, event_number(event_data(event), "shim_pid"), started_ns);
}

static void note_owner(struct execs *execs, const struct stack *stack, const json_t *event)
{
    struct owner *owner;
    const char *id = event_text(event, "subject");
    HASH_FIND_STR(execs->owners, id, owner);
    if (owner == NULL) {
        owner = calloc(1, sizeof(*owner));
        if (owner == NULL)
            abort();
        snprintf(owner->id, sizeof(owner->id), "%s", id);
        HASH_ADD_STR(execs->owners, id, owner);
    }
    owner->struck = was_struck(stack, event);
}

/* payload LINES EXIT_CODE ends by itself; payload LINES EXIT_CODE TERM_CODE, which nobody asks to, with its
 * container. */
static int wanted_code(const json_t *command)
{
    const char *code = json_string_value(json_array_get(command, 2));
    return json_array_size(command) == 3 && code != NULL ? atoi(code) : 137;
}

static void note_start(struct report *report, struct execs *execs, const struct stack *stack,
                       const json_t *event)
{
    struct exec *exec;
    const char *id = event_text(event_data(event), "exec"), *subject = event_text(event, "subject");
    HASH_FIND_STR(execs->all, id, exec);
    if (exec != NULL) {
        report_fail(report, "execs", "exec %.12s was started twice", id);
        return;
    }
    exec = calloc(1, sizeof(*exec));
    if (exec == NULL)
        abort();
    struct owner *owner;
    HASH_FIND_STR(execs->owners, subject, owner);
    snprintf(exec->id, sizeof(exec->id), "%s", id);
    snprintf(exec->container, sizeof(exec->container), "%s", subject);
    exec->wanted = wanted_code(json_object_get(event_data(event), "command"));
    exec->struck = was_struck(stack, event);
    exec->orphan = owner != NULL && owner->struck;
    HASH_ADD_STR(execs->all, id, exec);
}

static void check_end(struct report *report, struct execs *execs, const json_t *event)
{
    struct exec *exec;
    const json_t *data = event_data(event);
    const char *id = event_text(data, "exec"), *reason = event_text(data, "reason");
    const json_t *code = json_object_get(data, "exit_code");
    HASH_FIND_STR(execs->all, id, exec);
    if (exec == NULL || exec->ended) {
        report_fail(report, "execs", "exec %.12s ended, but %s", id,
                    exec == NULL ? "was never started" : "it had ended before");
        return;
    }
    exec->ended = true;
    if (exec->struck && strcmp(reason, "shim-lost") == 0 && code == NULL)
        return;
    int64_t is = code != NULL ? json_integer_value(code) : -1;
    if (is != exec->wanted && !(exec->orphan && is == 137))
        report_fail(report, "execs", "exec %.12s in container %.12s: %s with code %lld, should have been %d",
                    id, exec->container, reason, (long long)is, exec->wanted);
}

static void check_removal(struct report *report, const struct execs *execs, const char *container)
{
    for (const struct exec *each = execs->all; each != NULL; each = each->hh.next)
        if (!each->ended && strcmp(each->container, container) == 0)
            report_fail(report, "execs", "container %.12s was removed before the end of its exec %.12s",
                        container, each->id);
}

void check_execs(struct report *report, const struct history *history, const struct stack *stack)
{
    struct execs execs = {NULL, NULL};
    char name[64];
    for (size_t i = 0; i < history->n; i++) {
        const json_t *event = history->events[i];
        event_name(event, name);
        if (strcmp(name, "container.started") == 0)
            note_owner(&execs, stack, event);
        else if (strcmp(name, "container.exec_started") == 0)
            note_start(report, &execs, stack, event);
        else if (strcmp(name, "container.exec_exited") == 0)
            check_end(report, &execs, event);
        else if (strcmp(name, "container.exec_failed") == 0 && stack->n_struck == 0)
            report_fail(report, "execs", "exec %.12s failed, but no shim was killed",
                        event_text(event_data(event), "exec"));
        else if (strcmp(name, "container.removed") == 0)
            check_removal(report, &execs, event_text(event, "subject"));
    }
    struct exec *exec, *next;
    HASH_ITER(hh, execs.all, exec, next)
    {
        if (!exec->ended)
            report_fail(report, "execs", "exec %.12s was started and has no end", exec->id);
        HASH_DEL(execs.all, exec);
        free(exec);
    }
    struct owner *owner, *next_owner;
    HASH_ITER(hh, execs.owners, owner, next_owner)
    {
        HASH_DEL(execs.owners, owner);
        free(owner);
    }
}
