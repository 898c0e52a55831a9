/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/past.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static struct view_past *find(const struct view *view, const char *id)
{
    struct view_past *found = NULL;
    HASH_FIND_STR(view->past, id, found);
    return found;
}

static struct view_past *find_name(const struct view *view, const char *qualified_name)
{
    struct view_past *found = NULL;
    HASH_FIND(hh_name, view->past_names, qualified_name, strlen(qualified_name), found);
    return found;
}

bool past_has(const struct view *view, const char *id)
{
    return find(view, id) != NULL;
}

static void past_free(struct view_past *past)
{
    free(past->qualified_name);
    free(past);
}

/* The name means this one from now on. */
static int take_name(struct view *view, struct view_past *past)
{
    if (past->qualified_name[0] == '\0')
        return 0;
    struct view_past *before = find_name(view, past->qualified_name);
    if (before != NULL)
        HASH_DELETE(hh_name, view->past_names, before);
    HASH_ADD_KEYPTR(hh_name, view->past_names, past->qualified_name, strlen(past->qualified_name), past);
    return past->hh_name.tbl != NULL ? 0 : -1;
}

static int append(struct view *view, const char *id, const char *qualified_name)
{
    struct view_past *past = calloc(1, sizeof(*past));
    if (past == NULL)
        return -1;
    memcpy(past->id, id, sizeof(past->id));
    past->qualified_name = strdup(qualified_name);
    if (past->qualified_name != NULL)
        HASH_ADD_STR(view->past, id, past);
    if (past->qualified_name == NULL || past->hh.tbl == NULL) {
        past_free(past);
        return -1;
    }
    return take_name(view, past);
}

static void forget_oldest(struct view *view, struct ops *ret)
{
    struct view_past *oldest = view->past; /* uthash keeps the order of insertion */
    ops_add(ret, OP_LPOP, VIEW_PAST, "", NULL);
    ops_add(ret, OP_DEL, VIEW_HISTORY, oldest->id, NULL);
    ops_add(ret, OP_ZREM, VIEW_IDS, "", oldest->id, NULL);
    if (find_name(view, oldest->qualified_name) == oldest) {
        ops_add(ret, OP_HDEL, VIEW_PAST_NAMES, "", oldest->qualified_name, NULL);
        HASH_DELETE(hh_name, view->past_names, oldest);
    }
    HASH_DEL(view->past, oldest);
    past_free(oldest);
}

void past_add(struct view *view, const char *id, const char *qualified_name, struct ops *ret)
{
    auto_buf struct buf line = BUF_INIT;
    buf_printf(&line, "%s %s", id, qualified_name);
    if (line.failed || append(view, id, qualified_name) < 0) {
        ret->failed = true;
        return;
    }
    ops_add(ret, OP_RPUSH, VIEW_PAST, "", line.data, NULL);
    if (qualified_name[0] != '\0')
        ops_add(ret, OP_HSET, VIEW_PAST_NAMES, "", qualified_name, id, NULL);
    while (HASH_COUNT(view->past) > view->past_kept)
        forget_oldest(view, ret);
}

int past_load(struct view *view, const char *line, struct err *err)
{
    char id[CONTAINER_ID_SIZE] = "";
    const char *space = strchr(line, ' ');
    if (space != NULL && (size_t)(space - line) < sizeof(id))
        memcpy(id, line, (size_t)(space - line));
    if (!container_id_is_valid(id) || find(view, id) != NULL)
        return err_set(err, ERR_CORRUPT, "the removed container '%.80s' in Redis does not make sense", line);
    return append(view, id, space + 1) < 0 ? err_nomem(err, "reading the view back") : 0;
}

void past_release(struct view *view)
{
    HASH_CLEAR(hh_name, view->past_names);
    struct view_past *past, *next;
    HASH_ITER(hh, view->past, past, next)
    {
        HASH_DEL(view->past, past);
        past_free(past);
    }
}
