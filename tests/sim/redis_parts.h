/* SPDX-License-Identifier: Apache-2.0 */
/* redis_parts.h - what the files of the simulated Redis share. */
#ifndef WHARF_TESTS_SIM_REDIS_PARTS_H
#define WHARF_TESTS_SIM_REDIS_PARTS_H

#include <uthash.h>

#include "tests/sim/redis.h"

struct member {
    char *name; /* key; of a list its position does not matter to anybody */
    char *value;
    UT_hash_handle hh;
};

/* Hash, set, sorted set: members with values; list and stream: `items` in order. */
struct redis_key {
    char *name; /* key */
    struct member *members;
    char **items;
    size_t n_items;
    uint64_t version;
    UT_hash_handle hh;
};

/* A command that changed something, for coming back with older data. */
struct written {
    redisReply *command;
    bool ends; /* a transaction, or a command of its own */
};

struct late;

struct redis_server {
    bool up;
    struct late *late;
    struct redis_key *keys;
    uint64_t version; /* counts changes */
    struct written *written;
    size_t n_written, written_capacity;
    bool replaying;
};

redisReply *command_copy(const redisReply *command);
void redis_store_clear(struct redis_server *server);
struct redis_key *redis_find_key(const struct redis_server *server, const char *name);
struct member *redis_find_member(const struct redis_key *key, const char *name);

#endif
