/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.h - the query role: answers over HTTP from the read model in Redis, and histories from the log.
 * Read-only. docs/api.md is its contract. Loop thread.
 */
#ifndef WHARF_PROJECTOR_QUERY_QUERY_H
#define WHARF_PROJECTOR_QUERY_QUERY_H

#include "events/log/log.h"

struct query;

struct query_options {
    const char *log_url;
    const char *redis_url;
    struct log_options log; /* on_trouble and append_topics are the query's own */
    const char *socket_path;
    gid_t socket_gid;
    void (*on_ready)(void *data); /* Redis and the log have been reached and there is a view; may be NULL */
    void *data;
};

/* Listens; the socket may be where only root can make it. */
int query_open(struct query **ret, uv_loop_t *loop, const struct query_options *options, struct err *err);

/* Opens log and Redis, before the loop runs and after privileges were given up. From then on it serves;
 * questions are answered 503 until both are there. After a failure it is still to be closed. */
int query_start(struct query *query, struct err *err);
void query_close(struct query *query, void (*on_closed)(void *data), void *data);

#endif
