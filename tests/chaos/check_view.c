/* SPDX-License-Identifier: Apache-2.0 */
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/client/http.h"
#include "tests/chaos/check.h"

#define ANSWER_TIMEOUT_MS 30000
#define HISTORIES_ASKED 30

/* --- Redis --- */

static void check_keys(struct report *report, const struct stack *stack)
{
    redisContext *redis = redisConnectUnix(stack->redis_socket);
    redisReply *reply = redis != NULL && redis->err == 0 ? redisCommand(redis, "KEYS *") : NULL;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
        report_fail(report, "view", "Redis does not say what keys it has");
    for (size_t i = 0; reply != NULL && i < reply->elements; i++) {
        if (strncmp(reply->element[i]->str, "wharf:v1:", 9) != 0)
            report_fail(report, "view", "Redis has a key that is no part of the live view: '%s'",
                        reply->element[i]->str);
        else if (strstr(reply->element[i]->str, ":container:") != NULL)
            report_fail(report, "view", "no container is left, but Redis has '%s'", reply->element[i]->str);
    }
    freeReplyObject(reply);
    redisFree(redis);
}

void check_view(struct report *report, struct stack *stack)
{
    static const struct {
        bool verify;
        const char *what;
    } steps[] = {{true, "the view in Redis is not the fold of the log"},
                 {false, "the view cannot be rebuilt"},
                 {true, "the rebuilt view is not the fold of the log"}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct err err = ERR_INIT;
        int status = stack_rebuild(stack, steps[i].verify, &err);
        if (status != 0)
            report_fail(report, "view", "%s (exit status %d): see %s/rebuild.log %s", steps[i].what, status,
                        stack->dir, err.message);
    }
    check_keys(report, stack);
}

/* --- query --- */

static json_t *ask(struct report *report, const struct stack *stack, const char *target)
{
    char path[PATH_MAX];
    struct err err = ERR_INIT;
    json_t *answer = NULL;
    struct http_call call = HTTP_CALL_INIT;
    struct http_request request = {.method = "GET", .target = target};
    snprintf(path, sizeof(path), "%s/run/query.sock", stack->dir);
    if (http_connect(&call, "query", path, &err) == 0 && http_send(&call, &request, &err) == 0 &&
        http_receive_all(&call, ANSWER_TIMEOUT_MS, &err) == 0 && call.response.status == 200)
        answer = json_loadb(call.response.body.data, call.response.body.size, 0, NULL);
    if (answer == NULL)
        report_fail(report, "query", "GET %s is answered %d %s", target,
                    call.fd >= 0 ? call.response.status : 0, err.message);
    http_release(&call);
    return answer;
}

static void check_history(struct report *report, const struct stack *stack, const struct history *history,
                          const char *id)
{
    char target[256];
    size_t at = 0;
    snprintf(target, sizeof(target), "/v1/containers/%s/history?consistent=1", id);
    json_auto_t *answer = ask(report, stack, target);
    const json_t *events = json_object_get(answer, "events");
    for (size_t i = 0; answer != NULL && i < history->n; i++) {
        char name[64];
        if (strcmp(event_text(history->events[i], "subject"), id) != 0 ||
            strncmp(event_name(history->events[i], name), "node.", 5) == 0)
            continue;
        const json_t *shown = json_array_get(events, at++);
        if (strcmp(event_text(shown, "id"), event_text(history->events[i], "id")) != 0) {
            report_fail(report, "query",
                        "the history of container %.12s has event '%s' where the log has '%s'", id,
                        event_text(shown, "id"), event_text(history->events[i], "id"));
            return;
        }
    }
    if (answer != NULL && json_array_size(events) != at)
        report_fail(report, "query", "the history of container %.12s has %zu events, the log %zu", id,
                    json_array_size(events), at);
}

void check_query(struct report *report, const struct stack *stack, const struct history *history,
                 const struct load *load)
{
    json_auto_t *answer = ask(report, stack, "/v1/containers?consistent=1");
    if (answer != NULL && json_array_size(json_object_get(answer, "containers")) != 0)
        report_fail(report, "query", "no container is left, but query lists %zu",
                    json_array_size(json_object_get(answer, "containers")));
    size_t n = HASH_COUNT(load->expected), every = n / HISTORIES_ASKED + 1, i = 0;
    for (const struct expected *expected = load->expected; expected != NULL; expected = expected->hh.next) {
        if (i++ % every == 0)
            check_history(report, stack, history, expected->id);
    }
}
