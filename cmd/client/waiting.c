/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/waiting.h"

#include <string.h>

#include "base/cleanup.h"
#include "cmd/client/reading.h"

bool waiting_type_is(const json_t *envelope, const char *name)
{
    const char *type = json_text(envelope, "type", "");
    size_t size = strlen(name);
    return strncmp(type, "wharf.container.", 16) == 0 && strncmp(type + 16, name, size) == 0 &&
           type[16 + size] == '.';
}

int64_t waiting_exit_code(const json_t *object)
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
    if (waiting_type_is(envelope, "exited") || waiting_type_is(envelope, "start_failed")) {
        waiting->exited = true;
        waiting->exit_code = waiting_exit_code(json_object_get(envelope, "data"));
        waiting->done = waiting->condition == NEXT_EXIT;
        return waiting->condition != REMOVED; /* else ask for the state: it tells whether a restart follows */
    }
    bool settled = waiting_type_is(envelope, "restart_canceled") && waiting->condition == NOT_RUNNING;
    waiting->done = settled || waiting_type_is(envelope, "removed");
    return waiting->done;
}

int waiting_follow(const struct client *client, const char *id, const char *offsets, struct waiting *waiting,
                   struct err *err)
{
    auto_buf struct buf target = BUF_INIT;
    buf_printf(&target, "/v1/events?follow=1&container=%s", id);
    if (offsets[0] != '\0')
        buf_printf(&target, "&after=%s", offsets);
    if (target.failed)
        return err_nomem(err, "waiting");
    return reading_lines(client, target.data, on_event, waiting, err);
}
