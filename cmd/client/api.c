/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Happy path of a command: POST /v1/commands?wait=60 -> 200 with the outcome. Otherwise: 202 because the wait
 * was over: the same POST with the same idempotency key, which waits on; connection lost or 503
 * unknown-outcome, or starting from a writer that has just been started anew: the same again, for at most
 * RETRY_MS; any other status: an error from its problem document.
 */
#include "cmd/client/api.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"

#define WAIT_S 60
#define ANSWER_MS 30000
#define RETRY_MS 15000
#define RETRY_PAUSE_MS 200

const char *api_service_name(enum api_service service)
{
    static const char *const names[API_SERVICES] = {
        [API_WRITER] = "writer", [API_QUERY] = "query service", [API_RUNTIME] = "runtime"};
    return names[service];
}

char *api_socket(const struct client *client, enum api_service service)
{
    static const char *const files[API_SERVICES] = {
        [API_WRITER] = "writer.sock", [API_QUERY] = "query.sock", [API_RUNTIME] = "runtime.sock"};
    char *path = NULL;
    return asprintf(&path, "%s/%s", client->config.run_dir, files[service]) < 0 ? NULL : path;
}

int api_connect(const struct client *client, enum api_service service, struct http_call *call,
                char **ret_path, struct err *err)
{
    if (*ret_path == NULL)
        *ret_path = api_socket(client, service);
    if (*ret_path == NULL)
        return err_nomem(err, "connecting");
    return http_connect(call, api_service_name(service), *ret_path, err);
}

const char *json_text(const json_t *object, const char *member, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : otherwise;
}

static json_t *body_json(const struct http_call *call)
{
    const struct buf *body = &call->response.body;
    return body->size > 0 ? json_loadb(body->data, body->size, 0, NULL) : NULL;
}

static enum err_code code_of_status(int status)
{
    switch (status) {
    case 400:
        return ERR_INVALID;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 413:
        return ERR_TOO_LARGE;
    case 503:
        return ERR_UNAVAILABLE;
    case 504:
        return ERR_TIMEOUT;
    default:
        return ERR_PROTOCOL;
    }
}

/* To people a field is what the option is called: '/data/cap_add/0' is cap-add, '/data/labels/a~1b' labels
 * a/b. */
static void add_field(struct buf *text, const char *pointer)
{
    const char *first = pointer + (strncmp(pointer, "/data/", 6) == 0 ? 6 : 1);
    for (const char *at = first; *at != '\0';) {
        size_t size = strcspn(at, "/");
        bool index = at != first && strspn(at, "0123456789") == size;
        buf_add(text, " ", at != first && !index);
        for (size_t i = 0; i < size && !index; i++) {
            bool escape = at[i] == '~' && i + 1 < size; /* RFC 6901 */
            char c = escape ? (at[i + 1] == '1' ? '/' : '~') : at[i];
            buf_printf(text, "%c", c == '_' && at == first ? '-' : c);
            i += escape;
        }
        at += size + (at[size] == '/');
    }
}

int api_problem(const struct http_call *call, struct err *err)
{
    json_auto_t *problem = body_json(call);
    auto_buf struct buf field = BUF_INIT;
    int status = call->response.status;
    const char *detail = json_text(problem, "detail", json_text(problem, "title", NULL));
    const char *pointer = json_text(problem, "pointer", "");
    size_t size = strlen(pointer);
    if (detail == NULL)
        return err_set(err, code_of_status(status), "the %s answered with status %d", call->service, status);
    if (size == 0 || detail[0] != '\'' || strncmp(detail + 1, pointer, size) != 0 || detail[size + 1] != '\'')
        return err_set(err, code_of_status(status), "%s", detail);
    add_field(&field, pointer);
    return err_set(err, code_of_status(status), "%s%s", field.failed ? "a field" : field.data,
                   detail + size + 2);
}

static int get_json(const struct client *client, enum api_service service, const char *target, json_t **ret,
                    char *ret_offset, struct err *err)
{
    struct http_call call = HTTP_CALL_INIT;
    auto_free char *path = NULL;
    const struct http_request request = {.method = "GET", .target = target};
    int rc = api_connect(client, service, &call, &path, err);
    if (rc == 0)
        rc = http_send(&call, &request, err);
    if (rc == 0)
        rc = http_receive_all(&call, ANSWER_MS, err);
    if (rc == 0 && call.response.status != 200)
        rc = api_problem(&call, err);
    if (rc == 0) {
        json_t *body = body_json(&call);
        if (body == NULL)
            rc = err_set(err, ERR_PROTOCOL, "the %s answered with something that is no JSON", call.service);
        else
            *ret = body;
    }
    if (rc == 0 && ret_offset != NULL) {
        const char *offset = http_response_header(&call.response, "wharf-offset");
        if (snprintf(ret_offset, API_OFFSET_SIZE, "%s", offset != NULL ? offset : "") >= API_OFFSET_SIZE)
            *strrchr(ret_offset, ',') = '\0'; /* no half of a position */
    }
    http_release(&call);
    return rc;
}

/* What the log would have to vouch for cannot be had while it is away. The view can, and is better than
 * nothing: asked for once more without the condition, with a word about it. */
int api_get(const struct client *client, enum api_service service, const char *target, json_t **ret,
            char *ret_offset, struct err *err)
{
    struct err first = ERR_INIT;
    const char *condition = strstr(target, "consistent=1");
    if (get_json(client, service, target, ret, ret_offset, &first) == 0)
        return 0;
    bool may_be_behind = first.code == ERR_UNAVAILABLE || first.code == ERR_TIMEOUT;
    auto_free char *without = condition != NULL && may_be_behind ? strdup(target) : NULL;
    if (without != NULL) {
        without[condition - target + (ptrdiff_t)strlen("consistent=")] = '0';
        if (get_json(client, service, without, ret, ret_offset, NULL) == 0) {
            say_warning("what follows may be behind: %s", first.message);
            return 0;
        }
    }
    return err_set(err, first.code, "%s", first.message);
}

int api_get_text(const struct client *client, enum api_service service, const char *target, int timeout_ms,
                 int *ret_status, char **ret_text, struct err *err)
{
    struct http_call call = HTTP_CALL_INIT;
    auto_free char *path = NULL;
    const struct http_request request = {.method = "GET", .target = target};
    int rc = api_connect(client, service, &call, &path, err);
    if (rc == 0)
        rc = http_send(&call, &request, err);
    if (rc == 0)
        rc = http_receive_all(&call, timeout_ms, err);
    if (rc == 0 && (*ret_text = buf_take(&call.response.body, NULL)) == NULL)
        rc = err_nomem(err, "reading an answer");
    if (rc == 0)
        *ret_status = call.response.status;
    http_release(&call);
    return rc;
}

int api_ref_parse(struct api_ref *ret, const char *text, struct err *err)
{
    *ret = (struct api_ref){.container = text};
    const char *slash = strchr(text, '/');
    if (text[0] == '\0' || slash == text || (slash != NULL && slash[1] == '\0'))
        return err_set(err, ERR_INVALID, "'%s' is no container: give an id, a name, or node/name", text);
    if (slash == NULL)
        return 0;
    ret->node = strndup(text, (size_t)(slash - text));
    if (ret->node == NULL)
        return err_nomem(err, "reading a reference");
    ret->container = slash + 1;
    return 0;
}

void api_ref_release(struct api_ref *ref)
{
    free(ref->node);
    *ref = (struct api_ref){NULL, NULL};
}

static int post(struct api_command *command, struct err *err)
{
    if (api_connect(command->client, API_WRITER, &command->call, &command->path, err) < 0)
        return -1;
    char target[64] = "/v1/commands";
    if (command->wait_s > 0)
        snprintf(target, sizeof(target), "/v1/commands?wait=%d", command->wait_s);
    const struct http_request request = {.method = "POST",
                                         .target = target,
                                         .headers = command->headers,
                                         .body = command->body,
                                         .body_size = command->body_size};
    return http_send(&command->call, &request, err);
}

static int begin_take(struct api_command *command, json_t *document, const char *key, struct err *err)
{
    command->body = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (command->body == NULL)
        return err_nomem(err, "making a command");
    command->body_size = strlen(command->body);
    if (asprintf(&command->headers, "Idempotency-Key: %s\r\n", key) < 0) {
        command->headers = NULL;
        return err_nomem(err, "making a command");
    }
    return post(command, err);
}

int api_command_begin(struct api_command *command, const struct client *client, const char *type,
                      const char *node, json_t *data, bool wait, struct err *err)
{
    char key[UUID_TEXT_SIZE];
    *command = (struct api_command){.client = client, .call = HTTP_CALL_INIT, .wait_s = wait ? WAIT_S : 0};
    json_t *document = json_pack("{s:s, s:o*, s:s*}", "type", type, "data", data, "node", node);
    if (uuid_v7_now(key, err) < 0) {
        json_decref(document);
        return -1;
    }
    return begin_take(command, document, key, err);
}

int api_command_begin_once(struct api_command *command, const struct client *client, const char *type,
                           const char *node, json_t *data, const char *key, int64_t if_version,
                           struct err *err)
{
    *command = (struct api_command){.client = client, .call = HTTP_CALL_INIT, .wait_s = WAIT_S};
    return begin_take(command,
                      json_pack("{s:s, s:o*, s:s*, s:I}", "type", type, "data", data, "node", node,
                                "if_version", (json_int_t)if_version),
                      key, err);
}

void api_command_release(struct api_command *command)
{
    http_release(&command->call);
    free(command->path);
    free(command->body);
    free(command->headers);
    *command = (struct api_command){.call = HTTP_CALL_INIT};
}

static bool is_to_be_repeated(const struct http_call *call)
{
    if (call->response.status != 503)
        return false;
    json_auto_t *problem = body_json(call);
    const char *code = json_text(problem, "code", "");
    return strcmp(code, "unknown-outcome") == 0 || strcmp(code, "starting") == 0;
}

/* One answer to the command as last sent: 0, 1 for "ask again", -1. */
static int read_answer(struct api_command *command, json_t **ret, struct err *err)
{
    struct http_call *call = &command->call;
    if (http_receive_all(call, command->wait_s * 1000 + ANSWER_MS, err) < 0)
        return err == NULL || err->code == ERR_UNAVAILABLE ? 1 : -1;
    int status = call->response.status;
    if (status != 200 && status != 202) {
        bool again = is_to_be_repeated(call);
        api_problem(call, err);
        return again ? 1 : -1;
    }
    *ret = body_json(call);
    if (*ret == NULL)
        return err_set(err, ERR_PROTOCOL, "the writer answered with something that is no JSON");
    return 0;
}

static int exchange(struct api_command *command, json_t **ret, struct err *err)
{
    struct err why = ERR_INIT;
    int64_t deadline_ns = clock_monotonic_ns() + (int64_t)RETRY_MS * 1000000;
    int rc = read_answer(command, ret, &why);
    while (rc > 0) {
        if (!command->said)
            say_warning("%s; asking again with the same key", why.message);
        command->said = true;
        if (clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT,
                           "the outcome is not known: %s; 'wharf ps -a' shows what came of it", why.message);
        poll(NULL, 0, RETRY_PAUSE_MS);
        http_release(&command->call);
        err_clear(&why);
        rc = post(command, &why) < 0 ? 1 : read_answer(command, ret, &why);
    }
    return rc < 0 ? err_set(err, why.code, "%s", why.message) : 0;
}

static void read_event(const json_t *answer, struct api_result *ret)
{
    const json_t *event_data = json_object_get(json_object_get(answer, "event"), "data");
    const char *outcome = json_text(answer, "outcome", NULL);
    ret->settled = outcome != NULL;
    ret->ok = outcome != NULL && strcmp(outcome, "ok") == 0;
    snprintf(ret->message, sizeof(ret->message), "%s", json_text(event_data, "message", ""));
    const json_t *exit_code = json_object_get(event_data, "exit_code");
    if (!ret->ok && json_is_integer(exit_code))
        ret->exit_code = (int)json_integer_value(exit_code);
}

int api_command_finish(struct api_command *command, struct api_result *ret, struct err *err)
{
    *ret = (struct api_result){0};
    for (bool again = false;; again = true) {
        json_auto_t *answer = NULL;
        if (again) {
            http_release(&command->call);
            if (post(command, err) < 0)
                return -1;
        }
        if (exchange(command, &answer, err) < 0)
            return -1;
        snprintf(ret->id, sizeof(ret->id), "%s", json_text(answer, "id", ""));
        snprintf(ret->container, sizeof(ret->container), "%s", json_text(answer, "container", ""));
        snprintf(ret->exec, sizeof(ret->exec), "%s", json_text(answer, "exec", ""));
        read_event(answer, ret);
        if (command->wait_s == 0 || ret->settled)
            return 0;
    }
}

int api_command_ask_outcome(struct api_command *command, struct api_result *ret, struct err *err)
{
    command->wait_s = WAIT_S;
    http_release(&command->call);
    return post(command, err) < 0 ? -1 : api_command_finish(command, ret, err);
}

#define EACH_WINDOW 32

static int each_begin(const struct client *client, const struct api_each *each, const char *text,
                      struct api_command *command, struct err *err)
{
    struct api_ref ref;
    *command = (struct api_command){.call = HTTP_CALL_INIT};
    if (api_ref_parse(&ref, text, err) < 0)
        return -1;
    json_t *data = each->make_data(ref.container, each->options);
    int rc = data == NULL ? err_nomem(err, "making a command")
                          : api_command_begin(command, client, each->type, ref.node, data, true, err);
    api_ref_release(&ref);
    return rc;
}

int api_command_conclude(struct api_command *command, int begun, const char *verb, const char *subject,
                         struct err *err)
{
    struct api_result result = {0};
    int rc = begun;
    if (rc == 0)
        rc = api_command_finish(command, &result, err);
    if (rc == 0 && !result.ok)
        rc = err_set(err, ERR_CONFLICT, "%s", result.message);
    if (rc < 0)
        say_error("cannot %s '%s': %s", verb, subject, err->message);
    else
        printf("%s\n", subject);
    api_command_release(command);
    return rc;
}

int api_for_each(const struct client *client, const struct api_each *each, int argc, char **argv)
{
    struct api_command commands[EACH_WINDOW];
    struct err errs[EACH_WINDOW];
    int begun[EACH_WINDOW];
    int code = 0;
    for (int first = 0; first < argc; first += EACH_WINDOW) {
        int n = argc - first < EACH_WINDOW ? argc - first : EACH_WINDOW;
        for (int i = 0; i < n; i++) {
            errs[i] = (struct err)ERR_INIT;
            begun[i] = each_begin(client, each, argv[first + i], &commands[i], &errs[i]);
        }
        for (int i = 0; i < n; i++) {
            bool well =
                api_command_conclude(&commands[i], begun[i], each->verb, argv[first + i], &errs[i]) == 0;
            code = well ? code : 1;
            if (each->went_well != NULL)
                each->went_well[first + i] = well;
        }
    }
    return code;
}
