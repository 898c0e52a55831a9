/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - one question under way: waits until the view is fresh enough, asks every partition, and answers.
 * The parts of the query role that the handlers share. Loop thread.
 */
#ifndef WHARF_PROJECTOR_QUERY_CALL_H
#define WHARF_PROJECTOR_QUERY_CALL_H

#include "base/http_server.h"
#include "base/redis.h"
#include "projector/query/query.h"
#include "projector/sink.h"

/* "5 s at most" (docs/api.md). */
#define CALL_TIMEOUT_MS 5000

struct call;
struct fetch;

struct query_partition {
    char prefix[SINK_PREFIX_SIZE];
    int64_t applied; /* newest offset the view is known to contain; -1 for none */
    bool seen;       /* there is a view */
};

struct query {
    struct query_options options;
    uv_loop_t *loop;
    struct log *log;
    struct redis *redis;    /* for commands */
    struct redis *messages; /* for PREFIXapplied */
    struct http_server *server;
    struct query_partition *partitions;
    size_t n_partitions; /* 0 until the log has said */
    struct log_query partitions_query;
    bool partitions_query_under_way;
    bool log_away;
    bool redis_told;
    bool ready_told;
    bool closing;
    uv_timer_t timer;     /* deadlines */
    uv_timer_t ask_timer; /* asks the log for its partitions: there may be more, or none yet */
    struct call *calls;   /* all of them, newest first */
    unsigned n_closing;
    uint64_t n_requests, n_unavailable, n_streams;
    void (*on_closed)(void *data);
    void *closed_data;
};

struct call_kind {
    /* Sends one partition's script through call_eval. -1 with err set. */
    int (*ask)(struct call *call, uint32_t partition, struct err *err);
    /* One partition's reply: an array whose first element, the offset, is not nil. -1 with err set. */
    int (*on_part)(struct call *call, uint32_t partition, const redisReply *reply, struct err *err);
    /* All partitions have answered. Ends in call_reply_json or call_reply_problem, at once or later. */
    void (*on_complete)(struct call *call);
    /* Forgets the parts: the view turned out to be too old, and all partitions are asked again later. */
    void (*restart)(void *state);
    /* Frees call->state. */
    void (*release)(void *state);
    bool wants_ends;           /* ask for the log's ends before on_complete, even if nobody waits for them */
    bool answers_without_view; /* on_complete also when Redis or the log do not answer: see `unavailable` */
};

struct call {
    struct query *query;
    struct http_request *request; /* NULL once answered or cancelled */
    const struct call_kind *kind;
    void *state;            /* the kind's own, owned */
    int64_t *needed;        /* by partition: offsets that the view must contain */
    int64_t *offsets;       /* by partition: of the view that answered */
    struct log_query *ends; /* by partition; `value` is -1 until known */
    bool consistent;
    bool waiting;        /* for offsets */
    bool completing;     /* on_complete has been called */
    bool unavailable;    /* with answers_without_view: something did not answer */
    size_t n_ends;       /* queries under way */
    size_t n_parts;      /* scripts under way */
    struct fetch *fetch; /* a read of the log under way, which ends with the call */
    int64_t deadline_ns;
    struct call *next, *prev;
};

/* Begins a question; takes `state` whatever happens. Answers by itself when it cannot begin. */
void call_begin(struct query *query, struct http_request *request, const struct call_kind *kind, void *state);

/* Sends EVAL script 1 PREFIXmeta PREFIX argv... to one partition. */
int call_eval(struct call *call, uint32_t partition, const char *script, const char *const *argv,
              size_t n_args, struct err *err);

/* Asks for the offset and all values of the hash PREFIX + name as one transaction: the reply is {offset,
 * {value, ...}}. Also from on_part, which is then called again for the partition. */
int call_values(struct call *call, uint32_t partition, const char *name, struct err *err);

/* Answers, with Wharf-Offset, and ends the call. */
void call_reply(struct call *call, unsigned status, const char *content_type, const void *body, size_t size);
void call_reply_json_take(struct call *call, unsigned status, json_t *document);
void call_reply_problem(struct call *call, unsigned status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* 503 view-unavailable with Retry-After. */
void call_reply_unavailable(struct call *call, const char *why);

/* A view has moved; a partition's position is known. */
void call_note_applied(struct query *query, uint32_t partition, int64_t offset);
/* Redis is away: whoever waits for it is told. */
void calls_fail_waiting(struct query *query);
/* Deadlines. */
void calls_expire(struct query *query);
void calls_arm_timer(struct query *query);

/* --- reading records by offset --- */

typedef void (*fetch_record_cb)(const struct log_record *record, void *data);
typedef void (*fetch_done_cb)(const struct err *err, void *data);

/* Reads the records at `offsets` (rising, taken over) of a partition; neighbours are read in one go. */
int fetch_open(struct fetch **ret, struct log *log, uint32_t partition, int64_t *offsets, size_t n,
               fetch_record_cb on_record, fetch_done_cb on_done, void *data, struct err *err);
/* No callback after this. NULL is allowed. */
void fetch_close(struct fetch *fetch);

/* --- the handlers --- */

void handle_containers(struct http_request *request, void *data);
void handle_container(struct http_request *request, void *data);
void handle_history(struct http_request *request, void *data);
void handle_images(struct http_request *request, void *data);
void handle_volumes(struct http_request *request, void *data);
void handle_nodes(struct http_request *request, void *data);
void handle_events(struct http_request *request, void *data);
void handle_health(struct http_request *request, void *data);
void handle_ready(struct http_request *request, void *data);
void handle_metrics(struct http_request *request, void *data);

#endif
