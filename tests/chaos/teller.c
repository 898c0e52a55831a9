/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/chaos/teller.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cmd/client/http.h"

#define OUTCOME_TIMEOUT_NS 120000000000
#define ANSWER_TIMEOUT_MS 15000
#define PAUSE_US 20000 /* before a refused connection is tried again */

static void copy_text(char *ret, size_t size, const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    snprintf(ret, size, "%s", text == NULL ? "" : text);
}

/* One request. 1 with the outcome, 0 to be asked again, -1 for an answer that is none. */
static int ask_once(struct teller *teller, const char *key, const char *body, struct told *ret)
{
    char path[PATH_MAX], headers[160];
    struct http_call call = HTTP_CALL_INIT;
    snprintf(path, sizeof(path), "%s/run/writer.sock", teller->load->dir);
    snprintf(headers, sizeof(headers), "Idempotency-Key: %s\r\n", key);
    struct http_request request = {.method = "POST",
                                   .target = "/v1/commands?wait=5",
                                   .headers = headers,
                                   .body = body,
                                   .body_size = strlen(body)};
    bool answered = http_connect(&call, "writer", path, NULL) == 0 && http_send(&call, &request, NULL) == 0 &&
                    http_receive_all(&call, ANSWER_TIMEOUT_MS, NULL) == 0;
    int status = answered ? call.response.status : 0;
    json_auto_t *answer =
        answered ? json_loadb(call.response.body.data, call.response.body.size, 0, NULL) : NULL;
    const json_t *event = json_object_get(answer, "event");
    const json_t *data = json_object_get(event, "data");
    copy_text(ret->id, sizeof(ret->id), answer, "id");
    copy_text(ret->container, sizeof(ret->container), answer, "container");
    copy_text(ret->outcome, sizeof(ret->outcome), answer, "outcome");
    copy_text(ret->event_id, sizeof(ret->event_id), event, "id");
    copy_text(ret->code, sizeof(ret->code), data, "code");
    ret->incarnation = json_integer_value(json_object_get(data, "incarnation"));
    if (answered && status != 200 && status != 202 && status != 503)
        report_fail(teller->load->report, "commands", "the writer answers %d: %.300s", status,
                    call.response.body.data);
    http_release(&call);
    if (status == 200)
        return 1;
    return status == 0 || status == 202 || status == 503 ? 0 : -1;
}

static bool ask(struct teller *teller, const char *type, json_t *data_take, unsigned number, struct told *ret)
{
    char key[96];
    json_auto_t *document = json_pack("{s:s, s:o}", "type", type, "data", data_take);
    auto_free char *body = json_dumps(document, JSON_COMPACT);
    int64_t deadline_ns = clock_monotonic_ns() + OUTCOME_TIMEOUT_NS;
    int result = 0;
    snprintf(key, sizeof(key), "chaos-%llu-%llu-%u", (unsigned long long)teller->load->seed,
             (unsigned long long)teller->story.number, number);
    *ret = (struct told){.incarnation = 0};
    snprintf(ret->type, sizeof(ret->type), "%s", type);
    if (body == NULL)
        abort();
    while ((result = ask_once(teller, key, body, ret)) == 0 && clock_monotonic_ns() < deadline_ns)
        usleep(PAUSE_US);
    if (result == 0)
        report_fail(teller->load->report, "commands",
                    "%s (key %s, command %s, container %.12s) has no outcome after two minutes", type, key,
                    ret->id, ret->container);
    return result > 0;
}

static void remember(struct load *load, const struct told *told)
{
    pthread_mutex_lock(&load->mutex);
    struct told *all = realloc(load->told, (load->n_told + 1) * sizeof(*all));
    if (all == NULL)
        abort();
    load->told = all;
    all[load->n_told++] = *told;
    pthread_mutex_unlock(&load->mutex);
}

bool tell(struct teller *teller, const char *type, json_t *data_take, struct told *ret)
{
    teller->broken = !ask(teller, type, data_take, teller->n_commands++, ret);
    if (!teller->broken)
        remember(teller->load, ret);
    return !teller->broken;
}

void tell_again(struct teller *teller, const char *type, json_t *data_take, const struct told *first)
{
    struct told again;
    if (!ask(teller, type, data_take, teller->n_commands - 1, &again))
        return;
    if (strcmp(again.event_id, first->event_id) != 0 || strcmp(again.id, first->id) != 0)
        report_fail(
            teller->load->report, "commands",
            "%s was repeated under its key and told event %s of command %s, at first event %s of command %s",
            type, again.event_id, again.id, first->event_id, first->id);
}
