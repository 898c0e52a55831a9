/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From request to answer. The happy path: post_command admits the body, chooses a node, and appends;
 * on_appended answers 202, or leaves the exchange waiting until commands_settled has the outcome and answers
 * 200.
 *
 * An exchange is one HTTP request that waits, for its append or for an outcome; it stands in its command's
 * list. It ends with its answer, or when the client goes away (on_cancel); the command itself goes on
 * regardless. A repeated key finds the first command and joins its list, so one append answers both.
 *
 * What goes wrong: an append that fails is answered 503 to all who wait for it, and forgotten; one whose fate
 * is unknown is said to be so, since only the client can decide to ask again.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/say.h"
#include "writer/admit.h"
#include "writer/writer_internal.h"

#define WAIT_MAX_S 3600

struct exchange {
    struct writer *writer;
    struct http_request *request;
    struct pending_command *command;
    bool wants_outcome; /* and not only the append */
    bool has_timer;
    uv_timer_t timer;
    struct exchange *prev, *next;
};

struct appending {
    struct log_append append;
    struct writer *writer;
    struct pending_command *command;
    int64_t began_ns;
};

static void count(struct writer *writer, enum command_type type, enum writer_result result)
{
    writer->metrics.commands[type][result]++;
}

/* ---- answers ---- */

static void reply_unavailable(struct http_request *request, const char *code, const char *detail)
{
    http_reply_header(request, "Retry-After", "1");
    http_reply_problem(request, 503, code, NULL, "%s", detail);
}

static json_t *describe(const struct pending_command *command)
{
    return json_pack("{s:s, s:s*, s:s*, s:s*, s:s, s:I, s:I}", "id", command->id, "container",
                     command->container[0] != '\0' ? command->container : NULL, "exec",
                     command->exec[0] != '\0' ? command->exec : NULL, "node", command->node, "topic",
                     log_topic_name(LOG_COMMANDS), "partition", (json_int_t)command->partition, "offset",
                     (json_int_t)command->offset);
}

static void reply_accepted(struct http_request *request, const struct pending_command *command)
{
    http_reply_json_take(request, 202, describe(command));
}

/* The stored event goes out as it is: the answer's text is the description with two members more. */
static void reply_outcome(struct http_request *request, const struct pending_command *command)
{
    json_auto_t *description = describe(command);
    auto_free char *text = description != NULL ? json_dumps(description, JSON_COMPACT) : NULL;
    auto_buf struct buf body = BUF_INIT;
    if (text != NULL) {
        buf_add(&body, text, strlen(text) - 1);
        buf_printf(&body, ",\"outcome\":\"%s\",\"event\":", outcome_name(command->outcome));
        buf_add(&body, command->event, command->event_size);
        buf_add_string(&body, "}");
    }
    if (text == NULL || body.failed)
        http_reply(request, 500, NULL, NULL, 0);
    else
        http_reply(request, 200, "application/json", body.data, body.size);
}

/* ---- exchanges ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct exchange *exchange = handle->data;
    struct writer *writer = exchange->writer;
    free(exchange);
    writer->timers_open--;
    writer_stop_step(writer);
}

static void exchange_free(struct exchange *exchange)
{
    struct exchange *list = exchange->command->waiting;
    DL_DELETE(list, exchange);
    exchange->command->waiting = list;
    exchange->command->n_waiting--;
    exchange->writer->n_waiting--;
    if (exchange->has_timer)
        uv_close((uv_handle_t *)&exchange->timer, on_timer_closed);
    else
        free(exchange);
}

static void on_cancel(struct http_request *request, void *data)
{
    (void)request;
    exchange_free(data);
}

/* Answers if what the client waits for is there. */
static void exchange_advance(struct exchange *exchange)
{
    const struct pending_command *command = exchange->command;
    if (command->appending)
        return;
    if (!exchange->wants_outcome)
        reply_accepted(exchange->request, command);
    else if (command->outcome != OUTCOME_NONE)
        reply_outcome(exchange->request, command);
    else
        return;
    exchange_free(exchange);
}

static void on_wait_over(uv_timer_t *timer)
{
    struct exchange *exchange = timer->data;
    exchange->wants_outcome = false;
    exchange_advance(exchange);
}

/* Makes the request wait for the command. NULL, with the request answered, when memory runs out. */
static struct exchange *exchange_new(struct writer *writer, struct http_request *request,
                                     struct pending_command *command, unsigned wait_s)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL) {
        http_reply(request, 500, NULL, NULL, 0);
        return NULL;
    }
    exchange->writer = writer;
    exchange->request = request;
    exchange->command = command;
    exchange->wants_outcome = wait_s > 0;
    struct exchange *list = command->waiting;
    DL_APPEND(list, exchange);
    command->waiting = list;
    command->n_waiting++;
    writer->n_waiting++;
    http_request_set_data(request, exchange, on_cancel);
    if (wait_s > 0) {
        uv_timer_init(writer->loop, &exchange->timer);
        writer->timers_open++;
        exchange->has_timer = true;
        exchange->timer.data = exchange;
        uv_timer_start(&exchange->timer, on_wait_over, (uint64_t)wait_s * 1000, 0);
    }
    return exchange;
}

static void advance_all(struct pending_command *command)
{
    struct exchange *list = command->waiting;
    struct exchange *exchange, *next;
    DL_FOREACH_SAFE(list, exchange, next)
    exchange_advance(exchange);
}

void commands_settled(struct writer *writer, struct pending_command *command)
{
    (void)writer;
    FAULT_POINT(WRITER_OUTCOME_SEEN);
    advance_all(command);
}

static void fail_all(struct pending_command *command, const char *code, const char *detail)
{
    struct exchange *list = command->waiting;
    struct exchange *exchange, *next;
    DL_FOREACH_SAFE(list, exchange, next)
    {
        reply_unavailable(exchange->request, code, detail);
        exchange_free(exchange);
    }
}

void commands_stop(struct writer *writer)
{
    struct pending_command *command, *next;
    HASH_ITER(hh, writer->pending.commands, command, next)
    {
        if (!command->appending)
            fail_all(command, "stopping",
                     "the writer is stopping; the command is on the log, ask for its outcome later");
    }
}

/* ---- appending ---- */

/* Nothing is known to be on the log: who repeats the command appends it anew. */
static void append_failed(struct writer *writer, struct pending_command *command, const struct err *err)
{
    bool unknown = err->code == ERR_TIMEOUT;
    char detail[ERR_MESSAGE_SIZE + 160];
    snprintf(
        detail, sizeof(detail), "%s: %s",
        unknown
            ? "the log did not confirm the command in time, so it may or may not have been stored; repeat it "
              "with the same Idempotency-Key"
            : "the command was not stored, because the log is away",
        err->message);
    fail_all(command, unknown ? "unknown-outcome" : "log-away", detail);
    if (command->outcome == OUTCOME_NONE)
        pending_forget(&writer->pending, command);
}

static void on_appended(struct log_append *append, int64_t first_offset, const struct err *err)
{
    struct appending *appending = append->data;
    struct writer *writer = appending->writer;
    struct pending_command *command = appending->command;
    FAULT_POINT(WRITER_AFTER_APPEND);
    writer->metrics.appends++;
    writer->metrics.append_ns += (uint64_t)(clock_monotonic_ns() - appending->began_ns);
    free(appending);
    writer->n_appending--;
    command->appending = false;
    if (first_offset < 0) {
        append_failed(writer, command, err);
    } else {
        command->offset = first_offset;
        advance_all(command);
        if (writer->stopping)
            fail_all(command, "stopping",
                     "the writer is stopping; the command is on the log, ask for its outcome later");
    }
    writer_stop_step(writer);
}

static int append(struct writer *writer, const struct command *command, struct pending_command *entry,
                  struct err *err)
{
    static const struct log_header headers[] = {{"content-type", MESSAGE_CONTENT_TYPE}};
    size_t size;
    auto_free char *text = command_encode(command, &size, err);
    auto_free struct appending *appending = calloc(1, sizeof(*appending));
    if (text == NULL || appending == NULL)
        return err_nomem(err, "appending a command");
    *appending = (struct appending){
        .append.data = appending, .writer = writer, .command = entry, .began_ns = clock_monotonic_ns()};
    const struct log_entry record = {.key = command->envelope.subject,
                                     .value = text,
                                     .value_size = size,
                                     .headers = headers,
                                     .n_headers = 1};
    FAULT_POINT(WRITER_BEFORE_APPEND);
    if (log_append(writer->log, &appending->append, LOG_COMMANDS, entry->partition, &record, 1, on_appended,
                   err) < 0)
        return -1;
    (void)steal_ptr(appending);
    entry->appending = true;
    writer->n_appending++;
    return 0;
}

/* ---- POST /v1/commands ---- */

static bool refuse_unready(struct writer *writer, struct http_request *request)
{
    if (writer->stopping)
        reply_unavailable(request, "stopping", "the writer is stopping");
    else if (!writer->caught_up && writer->away != 0)
        reply_unavailable(request, "log-away", "the log is away: nothing can be accepted until it is back");
    else if (!writer->caught_up)
        reply_unavailable(request, "starting", "the writer is still reading the log");
    else
        return false;
    return true;
}

/* ?wait=SECONDS; false with the request answered if it will not do. */
static bool read_wait(struct http_request *request, unsigned *ret_s)
{
    const char *text = http_request_query(request, "wait");
    *ret_s = 0;
    if (text == NULL)
        return true;
    size_t size = strlen(text);
    unsigned long seconds = size > 0 && size <= 9 ? strtoul(text, NULL, 10) : ULONG_MAX;
    if (strspn(text, "0123456789") != size || seconds > WAIT_MAX_S) {
        http_reply_problem(request, 400, "out-of-range", NULL,
                           "'wait' must be a number of seconds from 0 to %d, not '%.100s'", WAIT_MAX_S, text);
        return false;
    }
    *ret_s = (unsigned)seconds;
    return true;
}

/* False with the request answered and counted if the body will not do. */
static bool admit_request(struct writer *writer, struct http_request *request, struct command *ret)
{
    const struct actor *actor =
        actor_of(&writer->actors, http_request_connection(request), http_request_peer(request));
    struct admit_stamp stamp = {.now_ns = clock_realtime_ns(),
                                .actor = actor->text,
                                .key_scope = actor->scope,
                                .idempotency_key = http_request_header(request, "Idempotency-Key"),
                                .traceparent = http_request_header(request, "traceparent")};
    struct admit_refusal refusal = {.code = NULL};
    struct err err = ERR_INIT;
    size_t size;
    const void *body = http_request_body(request, &size);
    int rc = random_bytes(stamp.random, sizeof(stamp.random), &err);
    if (rc == 0)
        rc = admit(ret, body, size, &stamp, &refusal, &err);
    if (rc == 0)
        return true;
    if (err.code == ERR_INVALID)
        http_reply_problem(request, 400, refusal.code, refusal.has_pointer ? refusal.pointer : NULL, "%s",
                           err.message);
    else
        http_reply_problem(request, 500, "internal", NULL, "%s", err.message);
    count(writer, COMMAND_TYPES, RESULT_REFUSED);
    return false;
}

/* False with the request answered and counted if there is no such node, or no telling which. */
static bool place(struct writer *writer, struct http_request *request, struct command *command,
                  uint32_t *ret_partition)
{
    const struct placement_node *node = NULL;
    switch (placement_choose(&writer->placement, command, &node)) {
    case PLACEMENT_OK:
        *ret_partition = node->partition;
        if (command->envelope.node != NULL || (command->envelope.node = strdup(node->name)) != NULL)
            return true;
        http_reply(request, 500, NULL, NULL, 0);
        return false;
    case PLACEMENT_NO_NODE:
        count(writer, command->type, RESULT_UNAVAILABLE);
        reply_unavailable(request, "no-node", "no node has joined yet; start a runtime");
        return false;
    case PLACEMENT_UNKNOWN:
        http_reply_problem(request, 404, "unknown-node", "/node", "no node '%s' has joined",
                           command->envelope.node);
        break;
    case PLACEMENT_AMBIGUOUS:
        http_reply_problem(
            request, 409, "ambiguous-node", "/node",
            "there are several nodes and '%s' does not tell which one is meant; name it in '/node'",
            command->envelope.subject);
        break;
    }
    count(writer, command->type, RESULT_REFUSED);
    return false;
}

/* A key that was used before: the first command's answer, if the content is the same. */
static void repeat(struct writer *writer, struct http_request *request, const struct command *command,
                   struct pending_command *first, unsigned wait_s)
{
    char fingerprint[SHA256_HEX_SIZE];
    struct err err = ERR_INIT;
    if (admit_fingerprint(command, fingerprint, &err) < 0) {
        http_reply_problem(request, 500, "internal", NULL, "%s", err.message);
        return;
    }
    bool same_content = first->fingerprint[0] == '\0' || strcmp(first->fingerprint, fingerprint) == 0;
    bool same_node = command->envelope.node == NULL || first->node == NULL ||
                     strcmp(command->envelope.node, first->node) == 0;
    if (!same_content || !same_node) {
        count(writer, command->type, RESULT_REFUSED);
        http_reply_problem(request, 422, "idempotency-key-reused", NULL,
                           "the Idempotency-Key belongs to another command; use a new key for a new command");
        return;
    }
    pending_name_made(first, command);
    count(writer, command->type, RESULT_REPEATED);
    struct exchange *exchange = exchange_new(writer, request, first, wait_s);
    if (exchange != NULL)
        exchange_advance(exchange);
}

static void append_new(struct writer *writer, struct http_request *request, const struct command *command,
                       uint32_t partition, unsigned wait_s)
{
    struct err err = ERR_INIT;
    struct pending_command *entry = pending_note(&writer->pending, command->envelope.id);
    if (entry == NULL || pending_fill(entry, command, partition, -1, &err) < 0) {
        http_reply(request, 500, NULL, NULL, 0);
        return;
    }
    entry->partition = partition;
    if (append(writer, command, entry, &err) < 0) {
        count(writer, command->type, RESULT_UNAVAILABLE);
        pending_forget(&writer->pending, entry);
        reply_unavailable(request, "log-away", err.message);
        return;
    }
    count(writer, command->type, RESULT_ACCEPTED);
    exchange_new(writer, request, entry, wait_s);
}

static void post_command(struct http_request *request, void *data)
{
    struct writer *writer = data;
    struct command command;
    unsigned wait_s;
    uint32_t partition;
    if (refuse_unready(writer, request)) {
        count(writer, COMMAND_TYPES, RESULT_UNAVAILABLE);
        return;
    }
    if (!read_wait(request, &wait_s) || !admit_request(writer, request, &command))
        return;
    struct pending_command *first = pending_find(&writer->pending, command.envelope.id);
    if (first != NULL)
        repeat(writer, request, &command, first, wait_s);
    else if (place(writer, request, &command, &partition))
        append_new(writer, request, &command, partition, wait_s);
    command_release(&command);
}

/* ---- the others ---- */

static void get_command(struct http_request *request, void *data)
{
    struct writer *writer = data;
    const char *id = http_request_param(request, "id");
    unsigned wait_s;
    if (refuse_unready(writer, request) || !read_wait(request, &wait_s))
        return;
    struct pending_command *command = uuid_is_valid(id) ? pending_find(&writer->pending, id) : NULL;
    if (command == NULL) {
        http_reply_problem(request, 404, "unknown-command", NULL, "no recent command has the id '%.100s'",
                           id);
        return;
    }
    struct exchange *exchange = exchange_new(writer, request, command, wait_s);
    if (exchange == NULL)
        return;
    exchange->wants_outcome = wait_s > 0 || command->outcome != OUTCOME_NONE;
    exchange_advance(exchange);
}

static void get_health(struct http_request *request, void *data)
{
    (void)data;
    http_reply_json_take(request, 200, json_pack("{s:s}", "status", "ok"));
}

static void get_ready(struct http_request *request, void *data)
{
    struct writer *writer = data;
    if (refuse_unready(writer, request))
        return;
    if (writer->away != 0)
        reply_unavailable(request, "log-away", "the log is away");
    else if (writer->placement.nodes == NULL)
        reply_unavailable(request, "no-node", "no node has joined yet; start a runtime");
    else
        http_reply_json_take(request, 200,
                             json_pack("{s:s, s:O*}", "status", "ready", "warnings", writer->warnings));
}

static void get_metrics(struct http_request *request, void *data)
{
    auto_buf struct buf text = BUF_INIT;
    metrics_format(data, &text);
    if (text.failed)
        http_reply(request, 500, NULL, NULL, 0);
    else
        http_reply(request, 200, "text/plain; version=0.0.4", text.data, text.size);
}

const struct http_route writer_routes[] = {
    {"POST", "/v1/commands?wait", post_command},
    {"GET", "/v1/commands/{id}?wait", get_command},
    {"GET", "/healthz?", get_health},
    {"GET", "/readyz?", get_ready},
    {"GET", "/metrics?", get_metrics},
    {NULL, NULL, NULL},
};
