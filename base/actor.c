/* SPDX-License-Identifier: Apache-2.0 */
#include "base/actor.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define LOGINUID_UNSET UINT32_MAX
#define PASSWD_BUFFER_SIZE 16384

/* The audit subsystem's login uid (proc(5)): who logged in, whatever su or sudo came after. */
static uint32_t read_loginuid(pid_t pid)
{
    char path[64];
    char text[16] = "";
    snprintf(path, sizeof(path), "/proc/%d/loginuid", (int)pid);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return LOGINUID_UNSET;
    return (uint32_t)strtoul(text, NULL, 10);
}

/* The text is a list of key=value: a name may not break out of its place. */
static void copy_name(char ret[ACTOR_USER_SIZE], const char *name)
{
    snprintf(ret, ACTOR_USER_SIZE, "%s", name);
    for (char *at = ret; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~' || *at == ',' || *at == '=')
            *at = '?';
}

static const char *user_name(struct actor_cache *cache, uid_t uid)
{
    struct actor_user *user = &cache->users[uid % ACTOR_USER_SLOTS];
    if (user->known && user->uid == uid)
        return user->name;
    char buffer[PASSWD_BUFFER_SIZE];
    struct passwd entry;
    struct passwd *found = NULL;
    *user = (struct actor_user){.known = true, .uid = uid};
    if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL)
        copy_name(user->name, entry.pw_name);
    return user->name;
}

const struct actor *actor_of(struct actor_cache *cache, uint64_t connection, struct http_peer peer)
{
    struct actor *actor = &cache->slots[connection % ACTOR_SLOTS];
    if (actor->connection == connection)
        return actor;
    const char *name = user_name(cache, peer.uid);
    uint32_t loginuid = read_loginuid(peer.pid);
    char login[32] = "";
    if (loginuid != LOGINUID_UNSET)
        snprintf(login, sizeof(login), ",loginuid=%u", loginuid);
    snprintf(actor->text, sizeof(actor->text), "unix:uid=%u%s%s%s,pid=%d", peer.uid,
             name[0] != '\0' ? ",user=" : "", name, login, (int)peer.pid);
    snprintf(actor->scope, sizeof(actor->scope), "uid=%u", peer.uid);
    actor->connection = connection;
    return actor;
}
