/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and commands. The scripts are recognised by their text and done here in C: script_guard and
 * script_load of projector/scripts.c. Anything else that is sent is a failure of the simulation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projector/scripts.h"
#include "tests/sim/redis_parts.h"

redisReply *reply_new(int type)
{
    redisReply *reply = sim_alloc(sizeof(*reply));
    reply->type = type;
    return reply;
}

redisReply *reply_text(const char *text)
{
    if (text == NULL)
        return reply_new(REDIS_REPLY_NIL);
    redisReply *reply = reply_new(REDIS_REPLY_STRING);
    reply->str = sim_strdup(text);
    reply->len = strlen(text);
    return reply;
}

static redisReply *reply_number(long long number)
{
    redisReply *reply = reply_new(REDIS_REPLY_INTEGER);
    reply->integer = number;
    return reply;
}

static redisReply *reply_array(size_t n)
{
    redisReply *reply = reply_new(REDIS_REPLY_ARRAY);
    reply->elements = n;
    reply->element = sim_alloc((n + 1) * sizeof(redisReply *));
    return reply;
}

redisReply *command_copy(const redisReply *command)
{
    redisReply *copy = reply_array(command->elements);
    for (size_t i = 0; i < command->elements; i++)
        copy->element[i] = reply_text(command->element[i]->str);
    return copy;
}

/* --- keys --- */

struct redis_key *redis_find_key(const struct redis_server *server, const char *name)
{
    struct redis_key *key;
    HASH_FIND_STR(server->keys, name, key);
    return key;
}

struct member *redis_find_member(const struct redis_key *key, const char *name)
{
    struct member *member = NULL;
    if (key != NULL)
        HASH_FIND_STR(key->members, name, member);
    return member;
}

static struct redis_key *ensure(struct redis_server *server, const char *name)
{
    struct redis_key *key = redis_find_key(server, name);
    if (key == NULL) {
        key = sim_alloc(sizeof(*key));
        key->name = sim_strdup(name);
        HASH_ADD_KEYPTR(hh, server->keys, key->name, strlen(key->name), key);
    }
    key->version = ++server->version;
    return key;
}

static void member_free(struct redis_key *key, struct member *member)
{
    HASH_DEL(key->members, member);
    free(member->name);
    free(member->value);
    free(member);
}

static void key_free(struct redis_server *server, struct redis_key *key)
{
    struct member *member, *next;
    HASH_ITER(hh, key->members, member, next)
    member_free(key, member);
    for (size_t i = 0; i < key->n_items; i++)
        free(key->items[i]);
    free(key->items);
    HASH_DEL(server->keys, key);
    free(key->name);
    free(key);
}

static void drop_if_empty(struct redis_server *server, struct redis_key *key)
{
    if (key->members == NULL && key->n_items == 0)
        key_free(server, key);
}

void redis_store_clear(struct redis_server *server)
{
    struct redis_key *key, *next;
    HASH_ITER(hh, server->keys, key, next)
    key_free(server, key);
    server->version++;
}

uint64_t redis_store_version(const struct redis_server *server, const char *name)
{
    const struct redis_key *key = redis_find_key(server, name);
    return key != NULL ? key->version : 0;
}

static void set_member(struct redis_server *server, const char *name, const char *field, const char *value)
{
    struct redis_key *key = ensure(server, name);
    struct member *member = redis_find_member(key, field);
    if (member == NULL) {
        member = sim_alloc(sizeof(*member));
        member->name = sim_strdup(field);
        HASH_ADD_KEYPTR(hh, key->members, member->name, strlen(member->name), member);
    }
    free(member->value);
    member->value = sim_strdup(value);
}

static bool remove_member(struct redis_server *server, const char *name, const char *field)
{
    struct redis_key *key = redis_find_key(server, name);
    struct member *member = redis_find_member(key, field);
    if (member == NULL)
        return false;
    key->version = ++server->version;
    member_free(key, member);
    drop_if_empty(server, key);
    return true;
}

static void push(struct redis_server *server, const char *name, const char *text)
{
    struct redis_key *key = ensure(server, name);
    key->items = realloc(key->items, (key->n_items + 1) * sizeof(char *));
    if (key->items == NULL)
        abort();
    key->items[key->n_items++] = sim_strdup(text);
}

static void pop(struct redis_server *server, const char *name)
{
    struct redis_key *key = redis_find_key(server, name);
    if (key == NULL || key->n_items == 0)
        return;
    free(key->items[0]);
    memmove(key->items, key->items + 1, --key->n_items * sizeof(char *));
    key->version = ++server->version;
    drop_if_empty(server, key);
}

/* --- scripts --- */

static const char *field_of(const struct redis_server *server, const char *key, const char *field)
{
    const struct member *member = redis_find_member(redis_find_key(server, key), field);
    return member != NULL ? member->value : NULL;
}

static redisReply *guard(struct redis_server *server, const char *meta, const char *expected)
{
    const char *offset = field_of(server, meta, "offset");
    if (offset == NULL || strcmp(offset, expected) != 0) {
        const char *refused = field_of(server, meta, "refused");
        char text[24];
        snprintf(text, sizeof(text), "%ld", refused != NULL ? strtol(refused, NULL, 10) + 1 : 1);
        set_member(server, meta, "refused", text);
    }
    return reply_number(0);
}

static redisReply *hmget(const struct redis_server *server, const char *key, redisReply *const *fields,
                         size_t n)
{
    redisReply *reply = reply_array(n);
    for (size_t i = 0; i < n; i++)
        reply->element[i] = reply_text(field_of(server, key, fields[i]->str));
    return reply;
}

static redisReply *load_meta(const struct redis_server *server, const char *meta)
{
    static const char *const fields[] = {"offset", "events", "parked", "fenced", "ignored", "digest"};
    size_t n = sizeof(fields) / sizeof(fields[0]);
    redisReply *reply = reply_array(n);
    for (size_t i = 0; i < n; i++)
        reply->element[i] = reply_text(field_of(server, meta, fields[i]));
    return reply;
}

static redisReply *load_nodes(const struct redis_server *server, const char *prefix)
{
    char name[128];
    snprintf(name, sizeof(name), "%snodes", prefix);
    struct redis_key *key = redis_find_key(server, name);
    redisReply *reply = reply_array(key != NULL ? 2 * HASH_COUNT(key->members) : 0);
    size_t n = 0;
    for (struct member *member = key != NULL ? key->members : NULL; member != NULL;
         member = member->hh.next) {
        reply->element[n++] = reply_text(member->name);
        reply->element[n++] = reply_text(member->value);
    }
    return reply;
}

static redisReply *load_containers(const struct redis_server *server, const char *prefix,
                                   redisReply *const *fields, size_t n_fields)
{
    char name[160];
    snprintf(name, sizeof(name), "%scontainers", prefix);
    struct redis_key *key = redis_find_key(server, name);
    redisReply *reply = reply_array(key != NULL ? HASH_COUNT(key->members) : 0);
    size_t n = 0;
    for (struct member *member = key != NULL ? key->members : NULL; member != NULL;
         member = member->hh.next) {
        snprintf(name, sizeof(name), "%scontainer:%s", prefix, member->name);
        reply->element[n++] = hmget(server, name, fields, n_fields);
    }
    return reply;
}

static redisReply *load_past(const struct redis_server *server, const char *prefix)
{
    char name[128];
    snprintf(name, sizeof(name), "%spast", prefix);
    const struct redis_key *key = redis_find_key(server, name);
    redisReply *reply = reply_array(key != NULL ? key->n_items : 0);
    for (size_t i = 0; i < reply->elements; i++)
        reply->element[i] = reply_text(key->items[i]);
    return reply;
}

static void drop(struct redis_server *server, const char *prefix)
{
    struct redis_key *key, *next;
    HASH_ITER(hh, server->keys, key, next)
    if (strncmp(key->name, prefix, strlen(prefix)) == 0)
        key_free(server, key);
    server->version++;
}

/* EVAL script 1 meta prefix schema fresh field... */
static redisReply *load(struct redis_server *server, const redisReply *command)
{
    static const char *const zeros[] = {"events", "parked", "fenced", "ignored"};
    const char *meta = command->element[3]->str, *prefix = command->element[4]->str;
    const char *schema = command->element[5]->str, *has = field_of(server, meta, "schema");
    bool fresh = strcmp(command->element[6]->str, "1") == 0;
    if (fresh || field_of(server, meta, "offset") == NULL || has == NULL || strcmp(has, schema) != 0) {
        drop(server, prefix);
        set_member(server, meta, "offset", "-1");
        set_member(server, meta, "digest", "");
        for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
            set_member(server, meta, zeros[i], "0");
        set_member(server, meta, "schema", schema);
    }
    redisReply *reply = reply_array(4);
    reply->element[0] = load_meta(server, meta);
    reply->element[1] = load_nodes(server, prefix);
    reply->element[2] = load_containers(server, prefix, command->element + 7, command->elements - 7);
    reply->element[3] = load_past(server, prefix);
    return reply;
}

/* --- commands --- */

static redisReply *hset(struct redis_server *server, const redisReply *command)
{
    for (size_t i = 2; i + 1 < command->elements; i += 2)
        set_member(server, command->element[1]->str, command->element[i]->str, command->element[i + 1]->str);
    return reply_number(1);
}

static redisReply *remove_members(struct redis_server *server, const redisReply *command)
{
    for (size_t i = 2; i < command->elements; i++)
        remove_member(server, command->element[1]->str, command->element[i]->str);
    return reply_number(1);
}

static redisReply *delete_keys(struct redis_server *server, const redisReply *command)
{
    for (size_t i = 1; i < command->elements; i++) {
        struct redis_key *key = redis_find_key(server, command->element[i]->str);
        if (key != NULL)
            key_free(server, key);
    }
    server->version++;
    return reply_number(1);
}

redisReply *redis_store_do(struct redis_server *server, const redisReply *command)
{
    const char *verb = command->element[0]->str;
    const char *key = command->elements > 1 ? command->element[1]->str : "";
    if (strcmp(verb, "EVAL") == 0 && strcmp(key, script_guard) == 0)
        return guard(server, command->element[3]->str, command->element[4]->str);
    if (strcmp(verb, "EVAL") == 0 && strcmp(key, script_load) == 0)
        return load(server, command);
    if (strcmp(verb, "HSET") == 0)
        return hset(server, command);
    if (strcmp(verb, "HGET") == 0)
        return reply_text(field_of(server, key, command->element[2]->str));
    if (strcmp(verb, "HDEL") == 0 || strcmp(verb, "SREM") == 0 || strcmp(verb, "ZREM") == 0)
        return remove_members(server, command);
    if (strcmp(verb, "DEL") == 0)
        return delete_keys(server, command);
    if (strcmp(verb, "SADD") == 0)
        set_member(server, key, command->element[2]->str, "");
    else if (strcmp(verb, "ZADD") == 0)
        set_member(server, key, command->element[3]->str, command->element[2]->str);
    else if (strcmp(verb, "RPUSH") == 0)
        push(server, key, command->element[2]->str);
    else if (strcmp(verb, "LPOP") == 0)
        pop(server, key);
    else if (strcmp(verb, "XADD") == 0)
        push(server, key, command->element[5]->str);
    else if (strcmp(verb, "SMOVE") == 0) {
        if (remove_member(server, key, command->element[3]->str))
            set_member(server, command->element[2]->str, command->element[3]->str, "");
    } else if (strcmp(verb, "PUBLISH") != 0) {
        sim_fail("the simulated Redis does not know '%s'", verb);
    }
    return reply_number(1);
}
