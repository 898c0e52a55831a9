/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/reading.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/client/table.h"

#define LINE_LIMIT ((size_t)16 * 1024 * 1024)

static int get_ref(const struct client *client, const char *ref, const char *tail, json_t **ret,
                   char *ret_offset, struct err *err)
{
    auto_buf struct buf target = BUF_INIT;
    if (ref[0] == '\0') /* it is the beginning of every id */
        return err_set(err, ERR_INVALID, "'' is no container: give an id, a name, or node/name");
    buf_add_string(&target, "/v1/containers/");
    http_add_encoded(&target, ref);
    buf_printf(&target, "%s?consistent=1", tail);
    if (target.failed)
        return err_nomem(err, "making a request");
    return api_get(client, API_QUERY, target.data, ret, ret_offset, err);
}

int reading_container(const struct client *client, const char *ref, json_t **ret, char *ret_offset,
                      struct err *err)
{
    return get_ref(client, ref, "", ret, ret_offset, err);
}

int reading_history(const struct client *client, const char *ref, json_t **ret, struct err *err)
{
    struct err why = ERR_INIT;
    int rc = get_ref(client, ref, "/history", ret, NULL, &why);
    if (rc < 0 && why.code == ERR_NOT_FOUND)
        rc = reading_past_history(client, ref, ret, err);
    else if (rc < 0)
        return err_set(err, why.code, "%s", why.message);
    return rc > 0 ? err_set(err, ERR_NOT_FOUND, "%s", why.message) : rc;
}

int reading_resolve(const struct client *client, const char *ref, char ret[CONTAINER_ID_SIZE],
                    struct err *err)
{
    if (container_id_is_valid(ref)) {
        memcpy(ret, ref, CONTAINER_ID_SIZE);
        return 0;
    }
    json_auto_t *container = NULL;
    json_auto_t *history = NULL;
    struct err why = ERR_INIT;
    const char *id = NULL;
    if (reading_container(client, ref, &container, NULL, &why) == 0)
        id = json_text(container, "id", "");
    else if (why.code != ERR_NOT_FOUND)
        return err_set(err, why.code, "%s", why.message);
    else if (reading_history(client, ref, &history, err) < 0)
        return -1;
    else
        id = json_text(history, "container", "");
    if (!container_id_is_valid(id))
        return err_set(err, ERR_PROTOCOL, "the query service gave container '%s' no id", ref);
    memcpy(ret, id, CONTAINER_ID_SIZE);
    return 0;
}

/* Complete lines of the body; 1 when on_line ended the stream. */
static int take_lines(struct buf *body, bool ended, reading_line_cb on_line, void *data, struct err *err)
{
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && at < body->size) {
        char *end = memchr(body->data + at, '\n', body->size - at);
        if (end == NULL && !ended)
            break;
        size_t size = end != NULL ? (size_t)(end - body->data) - at : body->size - at;
        if (end != NULL)
            *end = '\0';
        if (size > 0)
            rc = on_line(body->data + at, size, data, err);
        at += size + (end != NULL ? 1 : 0);
    }
    buf_consume(body, at);
    if (rc == 0 && body->size > LINE_LIMIT)
        return err_set(err, ERR_PROTOCOL, "the query service sent a line without end");
    return rc;
}

static int stream(struct http_call *call, reading_line_cb on_line, void *data, struct err *err)
{
    for (;;) {
        int rc = http_receive(call, -1, err);
        if (rc < 0)
            return -1;
        if (!http_response_has_headers(&call->response))
            continue;
        if (call->response.status != 200) {
            if (rc > 0 && http_receive_all(call, 5000, err) < 0)
                return -1;
            return api_problem(call, err);
        }
        int done = take_lines(&call->response.body, rc == 0, on_line, data, err);
        if (done != 0)
            return done < 0 ? -1 : 0;
        fflush(stdout);
        if (rc == 0)
            return 0;
    }
}

int reading_lines(const struct client *client, const char *target, reading_line_cb on_line, void *data,
                  struct err *err)
{
    struct http_call call = HTTP_CALL_INIT;
    auto_free char *path = NULL;
    const struct http_request request = {.method = "GET", .target = target};
    int rc = api_connect(client, API_QUERY, &call, &path, err);
    if (rc == 0)
        rc = http_send(&call, &request, err);
    if (rc == 0)
        rc = stream(&call, on_line, data, err);
    http_release(&call);
    return rc;
}

#define WORDS_SHOWN 120 /* characters of a command line; the stored envelope has all of it */

static void add_words(struct buf *text, const char *key, const json_t *words)
{
    auto_buf struct buf line = BUF_INIT;
    size_t i;
    json_t *word;
    json_array_foreach(words, i, word)
    {
        const char *value = json_string_value(word);
        buf_printf(&line, "%s%s", i > 0 ? " " : "", value != NULL ? value : "?");
    }
    if (line.size > 0)
        buf_printf(text, " %s=\"%.*s%s\"", key, WORDS_SHOWN, line.data, line.size > WORDS_SHOWN ? "..." : "");
}

static void add_value(struct buf *text, const char *key, const json_t *value)
{
    if (json_is_array(value))
        add_words(text, key, value);
    else if (strcmp(key, "exec") == 0) /* an id, of which as much is shown as of a container's */
        buf_printf(text, " %s=%.12s", key, json_string_value(value));
    else if (json_is_string(value))
        buf_printf(text, " %s=%s", key, json_string_value(value));
    else if (json_is_integer(value))
        buf_printf(text, " %s=%lld", key, (long long)json_integer_value(value));
    else if (json_is_true(value))
        buf_printf(text, " %s", key);
}

/* The short members of the data, which is what a person wants to see; the message last and as it is. */
static void add_data(struct buf *text, const json_t *data)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)data, key, value)
    {
        if (strcmp(key, "message") != 0 && strcmp(key, "privileged") != 0)
            add_value(text, key, value);
    }
    const json_t *spec = json_object_get(data, "spec");
    if (spec != NULL)
        add_value(text, "image", json_object_get(spec, "image"));
    if (json_is_true(json_object_get(spec != NULL ? spec : data, "privileged")))
        buf_add_string(text, " PRIVILEGED"); /* not to be overlooked */
    const char *message = json_text(data, "message", NULL);
    if (message != NULL)
        buf_printf(text, ": %s", message);
}

void reading_print_event(const json_t *envelope, bool with_subject)
{
    const char *type = json_text(envelope, "type", "");
    if (strncmp(type, "wharf.", 6) == 0)
        type += 6;
    const char *version = strrchr(type, '.');
    size_t type_size = version != NULL && version[1] == 'v' ? (size_t)(version - type) : strlen(type);
    auto_buf struct buf text = BUF_INIT;
    buf_printf(&text, "%.23s  %-26.*s", json_text(envelope, "time", ""), (int)type_size, type);
    if (with_subject)
        buf_printf(&text, " %-12.12s", json_text(envelope, "subject", ""));
    const char *outcome = json_text(envelope, "outcome", NULL);
    if (outcome != NULL && strcmp(outcome, "ok") != 0)
        buf_printf(&text, " %s", outcome);
    add_data(&text, json_object_get(envelope, "data"));
    buf_printf(&text, "  by %s", json_text(envelope, "actor", "?"));
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            text.data[i] = '?';
    if (!text.failed)
        printf("%s\n", text.data);
}
