/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis.h - one asynchronous Redis connection on a libuv loop, which reconnects by itself (hiredis inside,
 * with our own libuv adapter, since the packaged one ignores poll errors).
 *
 * States: down -> connecting -> up -> down ... A command given while the connection is not up fails at once
 * with ERR_UNAVAILABLE; every command that was sent gets exactly one callback, with an error if the
 * connection was lost before its reply came (it may or may not have been carried out: callers make their
 * writes conditional).
 *
 * Everything runs on the loop thread.
 */
#ifndef WHARF_BASE_REDIS_H
#define WHARF_BASE_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

struct redis;

/* `reply` is borrowed and never NULL on success; on failure it is NULL and `err` says why. A Redis error
 * reply (REDIS_REPLY_ERROR) is a success here: the caller knows what it asked. */
typedef void (*redis_reply_cb)(const redisReply *reply, const struct err *err, void *data);

struct redis_events {
    void (*on_up)(void *data); /* connected and answering PING */
    void (*on_down)(const struct err *err,
                    void *data); /* lost, or an attempt failed; the next attempt is under way */
};

/* URL: "unix:/path/redis.sock" or "redis://host:port". Starts connecting at once; attempts repeat with a
 * back-off capped at one second until redis_close. Fails only on a bad URL or lack of memory. */
int redis_open(struct redis **ret, uv_loop_t *loop, const char *url, const struct redis_events *events,
               void *data, struct err *err);

bool redis_is_up(const struct redis *redis);

/* Sends one command (pipelined: no waiting for earlier replies). Returns -1 at once, without calling back,
 * when the connection is not up or memory runs out. `cb` may be NULL. */
int redis_command(struct redis *redis, redis_reply_cb cb, void *data, struct err *err, int argc,
                  const char *const *argv, const size_t *argv_size_bytes);

/* The same for a printf-like text in hiredis' own format (%s, %b; see redisCommand). */
int redis_commandf(struct redis *redis, redis_reply_cb cb, void *data, struct err *err, const char *fmt, ...);

/* Sends one command that is already in the wire protocol (RESP, redis.io/docs/reference/protocol-spec),
 * exactly one: what a sink uses that formats thousands of commands into one buffer. Otherwise as
 * redis_command. */
int redis_command_formatted(struct redis *redis, redis_reply_cb cb, void *data, struct err *err,
                            const char *bytes, size_t size);

/* Called with the channel and payload of each message, and once with both NULL when Redis has confirmed the
 * subscription: what is published from then on is delivered. */
typedef void (*redis_message_cb)(const char *channel, const char *payload, void *data);

/* PSUBSCRIBE to one glob pattern. The connection then serves this subscription alone, until it is lost; on_up
 * is the place to subscribe (again). Returns -1 when the connection is not up or memory runs out. */
int redis_psubscribe(struct redis *redis, const char *pattern, redis_message_cb cb, void *data,
                     struct err *err);

/* Drops the connection, fails what is outstanding, frees everything, then calls on_closed (may be NULL). */
void redis_close(struct redis *redis, void (*on_closed)(void *data), void *data);

#endif
