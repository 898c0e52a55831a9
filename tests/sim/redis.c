/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: commands go out in one stream, are carried out in pieces of it, and are answered in order. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/sim/redis_parts.h"

#define RETRY_MS 50

struct request {
    redisReply *command;
    redisReply *reply; /* NULL before it was carried out */
    redis_reply_cb cb;
    void *data;
    struct request *next;
};

struct redis {
    struct process *process;
    struct redis_server *server;
    struct redis_events events;
    void *data;
    bool up;
    bool closing;
    struct request *requests; /* oldest first: those carried out, then those on their way */
    char watched[128];
    uint64_t watched_version;
    redisReply *queued[2048]; /* since MULTI, borrowed; -1: none open */
    int n_queued;
    struct task connect;
    struct task carry;
    struct task answer;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

/* What a process that died had sent, and the server has not read yet. */
struct late {
    struct redis connection;
    struct task task;
    struct late *next;
};

struct redis_server *redis_server_new(void)
{
    struct redis_server *server = sim_alloc(sizeof(*server));
    server->up = true;
    return server;
}

static void request_free(struct request *request)
{
    freeReplyObject(request->command);
    if (request->reply != NULL)
        freeReplyObject(request->reply);
    free(request);
}

static void late_free(struct late *late)
{
    struct late **at = &late->connection.server->late;
    while (*at != late)
        at = &(*at)->next;
    *at = late->next;
    task_cancel(&late->task);
    for (struct request *request; (request = late->connection.requests) != NULL;) {
        late->connection.requests = request->next;
        request_free(request);
    }
    free(late);
}

static void late_free_all(struct redis_server *server)
{
    while (server->late != NULL)
        late_free(server->late);
}

void redis_server_free(struct redis_server *server)
{
    late_free_all(server);
    redis_store_clear(server);
    for (size_t i = 0; i < server->n_written; i++)
        freeReplyObject(server->written[i].command);
    free(server->written);
    free(server);
}

/* --- carrying out --- */

static void remember_write(struct redis_server *server, const redisReply *command, bool ends)
{
    if (server->n_written == server->written_capacity) {
        server->written_capacity = server->written_capacity == 0 ? 256 : 2 * server->written_capacity;
        server->written = realloc(server->written, server->written_capacity * sizeof(*server->written));
        if (server->written == NULL)
            abort();
    }
    server->written[server->n_written++] = (struct written){command_copy(command), ends};
}

static redisReply *do_and_remember(struct redis_server *server, const redisReply *command, bool ends)
{
    remember_write(server, command, ends);
    return redis_store_do(server, command);
}

static redisReply *execute(struct redis *redis)
{
    int n = redis->n_queued;
    redis->n_queued = -1;
    if (redis->watched[0] != '\0' &&
        redis_store_version(redis->server, redis->watched) != redis->watched_version) {
        redis->watched[0] = '\0';
        return reply_new(REDIS_REPLY_NIL);
    }
    redis->watched[0] = '\0';
    redisReply *reply = reply_new(REDIS_REPLY_ARRAY);
    reply->elements = (size_t)n;
    reply->element = sim_alloc(((size_t)n + 1) * sizeof(redisReply *));
    for (int i = 0; i < n; i++)
        reply->element[i] = do_and_remember(redis->server, redis->queued[i], i + 1 == n);
    return reply;
}

static redisReply *carry_out(struct redis *redis, redisReply *command)
{
    const char *verb = command->element[0]->str;
    if (strcmp(verb, "WATCH") == 0) {
        snprintf(redis->watched, sizeof(redis->watched), "%s", command->element[1]->str);
        redis->watched_version = redis_store_version(redis->server, redis->watched);
    } else if (strcmp(verb, "MULTI") == 0) {
        redis->n_queued = 0;
    } else if (strcmp(verb, "EXEC") == 0) {
        return execute(redis);
    } else if (redis->n_queued >= 0) {
        if (redis->n_queued == (int)(sizeof(redis->queued) / sizeof(redis->queued[0])))
            sim_fail("a transaction is longer than the simulated Redis takes");
        else
            redis->queued[redis->n_queued++] = command;
    } else {
        return do_and_remember(redis->server, command, true);
    }
    return reply_text("OK");
}

/* --- requests --- */

static struct request *take_first(struct redis *redis)
{
    struct request *request = redis->requests;
    redis->requests = request->next;
    return request;
}

static bool fail_one(struct redis *redis)
{
    if (redis->requests == NULL)
        return false;
    struct request *request = take_first(redis);
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "lost the connection to Redis");
    if (request->cb != NULL)
        request->cb(NULL, &err, request->data);
    request_free(request);
    return true;
}

/* The commands of an open transaction are still needed by EXEC, so a request is freed only when nothing is
 * queued. */
static void on_answer(void *data)
{
    struct redis *redis = data;
    while (redis->requests != NULL && redis->requests->reply != NULL && redis->n_queued < 0) {
        if (!process_point(redis->process))
            return;
        struct request *request = take_first(redis);
        if (request->cb != NULL)
            request->cb(request->reply, NULL, request->data);
        request_free(request);
    }
}

static void carry_some(struct redis *redis, bool all)
{
    for (struct request *request = redis->requests; request != NULL; request = request->next) {
        if (request->reply != NULL)
            continue;
        if (!all && rng_chance(&redis->process->rng, 3))
            break;
        request->reply = carry_out(redis, request->command);
    }
}

static bool has_uncarried(const struct redis *redis)
{
    for (const struct request *request = redis->requests; request != NULL; request = request->next)
        if (request->reply == NULL)
            return true;
    return false;
}

static void on_carry(void *data)
{
    struct redis *redis = data;
    carry_some(redis, false);
    if (has_uncarried(redis))
        task_schedule(&redis->carry, redis->process, process_latency_ns(redis->process), on_carry, redis);
    task_schedule(&redis->answer, redis->process, process_latency_ns(redis->process), on_answer, redis);
}

/* Takes the command. */
static int send_take(struct redis *redis, redisReply *command, redis_reply_cb cb, void *data, struct err *err)
{
    if (!process_point(redis->process) || !redis->up || redis->closing) {
        freeReplyObject(command);
        return err_set(err, ERR_UNAVAILABLE, "Redis is away");
    }
    struct request *request = sim_alloc(sizeof(*request));
    *request = (struct request){.command = command, .cb = cb, .data = data};
    struct request **end = &redis->requests;
    while (*end != NULL)
        end = &(*end)->next;
    *end = request;
    if (redis->carry.index == 0)
        task_schedule(&redis->carry, redis->process, process_latency_ns(redis->process), on_carry, redis);
    return 0;
}

/* RESP as hiredis' formatter and ops_format write it: an array of bulk strings. */
static redisReply *parse(const char *bytes)
{
    char *at;
    redisReply *command = reply_new(REDIS_REPLY_ARRAY);
    command->elements = strtoul(bytes + 1, &at, 10);
    command->element = sim_alloc((command->elements + 1) * sizeof(redisReply *));
    for (size_t i = 0; i < command->elements; i++) {
        size_t size = strtoul(at + 3, &at, 10);
        command->element[i] = reply_new(REDIS_REPLY_STRING);
        command->element[i]->str = sim_alloc(size + 1);
        memcpy(command->element[i]->str, at + 2, size);
        command->element[i]->len = size;
        at += 2 + size;
    }
    return command;
}

int redis_command(struct redis *redis, redis_reply_cb cb, void *data, struct err *err, int argc,
                  const char *const *argv, const size_t *argv_size_bytes)
{
    (void)argv_size_bytes;
    redisReply *command = reply_new(REDIS_REPLY_ARRAY);
    command->elements = (size_t)argc;
    command->element = sim_alloc(((size_t)argc + 1) * sizeof(redisReply *));
    for (int i = 0; i < argc; i++)
        command->element[i] = reply_text(argv[i]);
    return send_take(redis, command, cb, data, err);
}

int redis_commandf(struct redis *redis, redis_reply_cb cb, void *data, struct err *err, const char *fmt, ...)
{
    char *bytes = NULL;
    va_list args;
    va_start(args, fmt);
    int size = redisvFormatCommand(&bytes, fmt, args);
    va_end(args);
    if (size < 0)
        return err_nomem(err, "formatting a command");
    redisReply *command = parse(bytes);
    free(bytes);
    return send_take(redis, command, cb, data, err);
}

int redis_command_formatted(struct redis *redis, redis_reply_cb cb, void *data, struct err *err,
                            const char *bytes, size_t size)
{
    (void)size;
    return send_take(redis, parse(bytes), cb, data, err);
}

/* --- coming and going --- */

static void on_connect(void *data)
{
    struct redis *redis = data;
    if (!process_point(redis->process) || redis->closing)
        return;
    if (redis->server->up) {
        redis->up = true;
        redis->n_queued = -1;
        redis->watched[0] = '\0';
        redis->events.on_up(redis->data);
        return;
    }
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "cannot reach Redis");
    task_schedule(&redis->connect, redis->process, RETRY_MS * MS_NS, on_connect, redis);
    redis->events.on_down(&err, redis->data);
}

/* Some of what is on its way still arrives; no answer does. */
static void lose(struct redis *redis)
{
    struct err err = ERR_INIT;
    carry_some(redis, rng_chance(&redis->process->rng, 30));
    task_cancel(&redis->carry);
    task_cancel(&redis->answer);
    redis->up = false;
    redis->n_queued = -1;
    while (fail_one(redis) && !redis->process->dead)
        ;
    if (redis->process->dead || redis->closing)
        return;
    task_schedule(&redis->connect, redis->process, RETRY_MS * MS_NS, on_connect, redis);
    err_set(&err, ERR_UNAVAILABLE, "lost the connection to Redis");
    redis->events.on_down(&err, redis->data);
}

void redis_server_down(struct redis_server *server)
{
    sim_note("Redis goes away");
    server->up = false;
    late_free_all(server);
    for (struct process *process = sim->processes; process != NULL; process = process->next)
        if (!process->dead && process->redis != NULL && process->redis->server == server &&
            process->redis->up) {
            sim->current = process;
            lose(process->redis);
            sim->current = NULL;
        }
}

static void replay_to(struct redis_server *server, size_t n)
{
    redis_store_clear(server);
    for (size_t i = 0; i < n; i++)
        freeReplyObject(redis_store_do(server, server->written[i].command));
    for (size_t i = n; i < server->n_written; i++)
        freeReplyObject(server->written[i].command);
    server->n_written = n;
}

void redis_server_up(struct redis_server *server, enum redis_return how, struct rng *rng)
{
    size_t n = server->n_written;
    if (how == REDIS_EMPTY)
        n = 0;
    if (how == REDIS_OLDER && n > 0)
        n = rng_below(rng, n);
    while (n > 0 && !server->written[n - 1].ends)
        n--;
    if (n < server->n_written)
        replay_to(server, n);
    sim_note("Redis is back with %zu writes", n);
    server->up = true;
}

int redis_open(struct redis **ret, uv_loop_t *loop, const char *url, const struct redis_events *events,
               void *data, struct err *err)
{
    (void)url;
    struct process *process = loop->data;
    if (!process_point(process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct redis *redis = sim_alloc(sizeof(*redis));
    *redis = (struct redis){
        .process = process, .server = sim->redis, .events = *events, .data = data, .n_queued = -1};
    task_schedule(&redis->connect, process, process_latency_ns(process), on_connect, redis);
    process->redis = redis;
    *ret = redis;
    return 0;
}

bool redis_is_up(const struct redis *redis)
{
    return redis->up && !redis->closing;
}

static void finish_close(void *data)
{
    struct redis *redis = data;
    while (fail_one(redis))
        ;
    task_cancel(&redis->connect);
    task_cancel(&redis->carry);
    task_cancel(&redis->answer);
    redis->process->redis = NULL;
    void (*on_closed)(void *) = redis->on_closed;
    void *closed_data = redis->on_closed_data;
    free(redis);
    if (on_closed != NULL)
        on_closed(closed_data);
}

void redis_close(struct redis *redis, void (*on_closed)(void *data), void *data)
{
    redis->closing = true;
    redis->on_closed = on_closed;
    redis->on_closed_data = data;
    task_schedule(&redis->connect, redis->process, 0, finish_close, redis);
}

static void on_late(void *data)
{
    struct late *late = data;
    carry_some(&late->connection, true);
    late_free(late);
}

/* Takes over the connection as it is, with all that a transaction still needs. */
static void leave_behind(struct redis *redis)
{
    struct late *late = sim_alloc(sizeof(*late));
    late->connection = *redis;
    late->next = redis->server->late;
    redis->server->late = late;
    struct request **end = &late->connection.requests;
    *end = NULL;
    late->connection.n_queued = redis->n_queued < 0 ? -1 : 0;
    for (const struct request *from = redis->requests; from != NULL; from = from->next) {
        struct request *request = sim_alloc(sizeof(*request));
        *request = (struct request){.command = command_copy(from->command)};
        for (int i = 0; i < redis->n_queued; i++)
            if (redis->queued[i] == from->command)
                late->connection.queued[late->connection.n_queued++] = request->command;
        if (from->reply != NULL)
            request->reply = reply_text("");
        *end = request;
        end = &request->next;
    }
    task_schedule(&late->task, NULL, rng_between(&redis->process->rng, 0, 100) * MS_NS, on_late, late);
}

/* What had been sent may still be carried out, at once or when the next process is there. */
bool sim_redis_bury(struct process *process)
{
    struct redis *redis = process->redis;
    if (redis == NULL)
        return false;
    if (redis->up && redis->server->up) {
        if (rng_chance(&process->rng, 50))
            leave_behind(redis);
        else
            carry_some(redis, rng_chance(&process->rng, 50));
    }
    redis->up = false;
    if (fail_one(redis))
        return true;
    if (!redis->closing)
        return false;
    finish_close(redis);
    return true;
}

/* --- looking --- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool differs_by_nature(const char *key, const char *member)
{
    size_t size = strlen(key);
    if (size > 8 && strcmp(key + size - 8, ":changes") == 0)
        return true;
    return strcmp(member, "updated_at") == 0 || strcmp(member, "refused") == 0;
}

char *redis_server_dump(const struct redis_server *server, const char *prefix)
{
    char **lines = NULL;
    size_t n = 0;
    for (struct redis_key *key = server->keys; key != NULL; key = key->hh.next) {
        if (strncmp(key->name, prefix, strlen(prefix)) != 0)
            continue;
        size_t more = HASH_COUNT(key->members) + key->n_items;
        lines = realloc(lines, (n + more) * sizeof(char *));
        if (lines == NULL)
            abort();
        for (struct member *m = key->members; m != NULL; m = m->hh.next)
            if (!differs_by_nature(key->name, m->name) &&
                asprintf(&lines[n++], "%s %s = %s\n", key->name, m->name, m->value) < 0)
                abort();
        for (size_t i = 0; i < key->n_items; i++)
            if (!differs_by_nature(key->name, "") &&
                asprintf(&lines[n++], "%s [%zu] %s\n", key->name, i, key->items[i]) < 0)
                abort();
    }
    qsort(lines, n, sizeof(char *), by_text);
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        buf_add_string(&text, lines[i]);
        free(lines[i]);
    }
    free(lines);
    char *ret = buf_take(&text, NULL);
    return ret != NULL ? ret : sim_strdup("");
}

const char *redis_server_hget(const struct redis_server *server, const char *key, const char *field)
{
    const struct member *member = redis_find_member(redis_find_key(server, key), field);
    return member != NULL ? member->value : NULL;
}

bool redis_server_has(const struct redis_server *server, const char *key, const char *member)
{
    return redis_server_hget(server, key, member) != NULL;
}

size_t redis_server_count(const struct redis_server *server, const char *name)
{
    const struct redis_key *key = redis_find_key(server, name);
    return key != NULL ? HASH_COUNT(key->members) + key->n_items : 0;
}

bool redis_server_is_up(const struct redis_server *server)
{
    return server->up;
}
