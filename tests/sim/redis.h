/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis.h - the simulated Redis: base/redis.h over a store of keys that knows the commands and the scripts
 * that the projector sends. Transactions are applied as a whole; what was watched and changed makes EXEC do
 * nothing. The server may go away with commands on their way, some of them carried out and unanswered, and
 * come back as it was, empty, or with an older copy of its data.
 */
#ifndef WHARF_TESTS_SIM_REDIS_H
#define WHARF_TESTS_SIM_REDIS_H

#include "base/redis.h"
#include "tests/sim/world.h"

struct redis_server;

struct redis_server *redis_server_new(void);
void redis_server_free(struct redis_server *server);

enum redis_return { REDIS_AS_IT_WAS, REDIS_EMPTY, REDIS_OLDER };

void redis_server_down(struct redis_server *server);
void redis_server_up(struct redis_server *server, enum redis_return how, struct rng *rng);

/* Everything under the prefix as text, sorted, one member a line; without what differs by nature (clocks,
 * the stream of changes, the count of refusals). */
char *redis_server_dump(const struct redis_server *server, const char *prefix);
/* A hash's field, or NULL; borrowed. */
const char *redis_server_hget(const struct redis_server *server, const char *key, const char *field);
bool redis_server_is_up(const struct redis_server *server);
bool redis_server_has(const struct redis_server *server, const char *key, const char *member);
size_t redis_server_count(const struct redis_server *server, const char *key);

bool sim_redis_bury(struct process *process);

/* --- redis_store.c: the keys and the commands; redis.c: connections --- */

/* Carries one command out; the reply is the caller's. */
redisReply *redis_store_do(struct redis_server *server, const struct redisReply *command);
redisReply *reply_new(int type);
redisReply *reply_text(const char *text);
uint64_t redis_store_version(const struct redis_server *server, const char *key);

#endif
