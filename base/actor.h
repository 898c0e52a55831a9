/* SPDX-License-Identifier: Apache-2.0 */
/*
 * actor.h - who asks, for the audit trail: from the socket's credentials and the kernel, never from the
 * client's word.
 *
 * What /proc and the user database say is kept per connection, since the credentials of one never change
 * (unix(7)); a process id alone would not do as a key, since it can be given to another process.
 *
 * Loop thread; reads /proc and, once for each user, the user database.
 */
#ifndef WHARF_BASE_ACTOR_H
#define WHARF_BASE_ACTOR_H

#include <stdint.h>

#include "base/http_server.h"

#define ACTOR_SIZE 192
#define ACTOR_SCOPE_SIZE 24
#define ACTOR_SLOTS 256
#define ACTOR_USER_SLOTS 64
#define ACTOR_USER_SIZE 64

struct actor {
    uint64_t connection; /* 0: the slot is empty */
    char text[ACTOR_SIZE];
    char scope[ACTOR_SCOPE_SIZE]; /* whose idempotency keys: the user id */
};

struct actor_user {
    bool known;
    uid_t uid;
    char name[ACTOR_USER_SIZE]; /* "" where the user database has none */
};

struct actor_cache {
    struct actor slots[ACTOR_SLOTS];
    struct actor_user users[ACTOR_USER_SLOTS];
};

/* "unix:uid=1000,user=alice,loginuid=1000,pid=4242"; what is not known is left out. Valid until the next
 * call. A zeroed cache is an empty one. */
const struct actor *actor_of(struct actor_cache *cache, uint64_t connection, struct http_peer peer);

#endif
