/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history of a container that was removed so long ago that the read model has forgotten it, from the log
 * itself: slower, but the log forgets nothing.
 */
#include <string.h>

#include "base/cleanup.h"
#include "cmd/client/reading.h"
#include "cmd/client/table.h"

/* The events of the one container whose id begins with `prefix`. */
struct past_search {
    char id[CONTAINER_ID_SIZE]; /* "" until one is found */
    bool ambiguous;
    json_t *events;
};

/* The newest container that had a name. */
struct name_search {
    const char *name; /* NAME or NODE/NAME */
    char id[CONTAINER_ID_SIZE];
};

/* What the stream of events adds to an envelope is not part of it. */
static json_t *load_envelope(const char *line, size_t size)
{
    json_t *envelope = json_loadb(line, size, 0, NULL);
    json_object_del(envelope, "_partition");
    json_object_del(envelope, "_offset");
    return envelope;
}

static int on_event(const char *line, size_t size, void *data, struct err *err)
{
    struct past_search *search = data;
    json_t *envelope = load_envelope(line, size);
    const char *subject = json_text(envelope, "subject", "");
    if (!container_id_is_valid(subject)) {
        json_decref(envelope);
        return 0;
    }
    if (search->id[0] == '\0')
        memcpy(search->id, subject, CONTAINER_ID_SIZE);
    search->ambiguous = search->ambiguous || strcmp(search->id, subject) != 0;
    return json_array_append_new(search->events, envelope) < 0 ? err_nomem(err, "reading a history") : 0;
}

static int on_created(const char *line, size_t size, void *data, struct err *err)
{
    (void)err;
    struct name_search *search = data;
    json_auto_t *envelope = load_envelope(line, size);
    const char *node = json_text(envelope, "node", ""), *id = json_text(envelope, "subject", "");
    const char *name = json_text(json_object_get(envelope, "data"), "name", "");
    const char *wanted = search->name;
    if (strchr(wanted, '/') != NULL && strncmp(wanted, node, strlen(node)) == 0 &&
        wanted[strlen(node)] == '/')
        wanted += strlen(node) + 1;
    if (strcmp(name, wanted) == 0 && container_id_is_valid(id))
        memcpy(search->id, id, CONTAINER_ID_SIZE);
    return 0;
}

/* 1 when no id begins so. */
static int search_id(const struct client *client, const char *prefix, json_t **ret, struct err *err)
{
    auto_buf struct buf target = BUF_INIT;
    json_auto_t *events = json_array();
    struct past_search search = {.events = events};
    buf_printf(&target, "/v1/events?container=%s", prefix);
    if (target.failed || events == NULL)
        return err_nomem(err, "reading a history");
    if (reading_lines(client, target.data, on_event, &search, err) < 0)
        return -1;
    if (search.id[0] == '\0')
        return 1;
    if (search.ambiguous)
        return err_set(err, ERR_CONFLICT, "more than one container is meant by '%s'", prefix);
    *ret = json_pack("{s:s, s:O}", "container", search.id, "events", events);
    return *ret != NULL ? 0 : err_nomem(err, "reading a history");
}

int reading_past_history(const struct client *client, const char *ref, json_t **ret, struct err *err)
{
    struct name_search by_name = {.name = ref};
    int rc = 1;
    if (strspn(ref, "0123456789abcdef") == strlen(ref))
        rc = search_id(client, ref, ret, err);
    if (rc <= 0)
        return rc;
    if (reading_lines(client, "/v1/events?type=container.created", on_created, &by_name, err) < 0)
        return -1;
    return by_name.id[0] == '\0' ? 1 : search_id(client, by_name.id, ret, err);
}
