/* SPDX-License-Identifier: Apache-2.0 */
/* base/clock.h, base/say.h, base/actor.h, getpid(2) and uname(2), as the simulated world has them. */
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/say.h"
#include "tests/sim/world.h"
#include "base/actor.h"

/* 2026-01-01: any day will do. */
#define EPOCH_NS (INT64_C(1767225600) * SECOND_NS)

int64_t clock_realtime_ns(void)
{
    return EPOCH_NS + sim->now_ns + sim->realtime_offset_ns;
}

int64_t clock_monotonic_ns(void)
{
    return SECOND_NS + sim->now_ns;
}

int64_t clock_boottime_ns(void)
{
    return clock_monotonic_ns();
}

int random_bytes(void *ret, size_t size, struct err *err)
{
    (void)err;
    uint8_t *at = ret;
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)rng_next(&sim->ties);
    return 0;
}

/* The linker gives us their calls (--wrap). */
pid_t __wrap_getpid(void);
int __wrap_uname(struct utsname *ret);

pid_t __wrap_getpid(void)
{
    return sim->current != NULL ? sim->current->pid : 1;
}

int __wrap_uname(struct utsname *ret)
{
    *ret = (struct utsname){.release = "simulated"};
    return 0;
}

static void say(const char *fmt, va_list args)
{
    char text[ERR_MESSAGE_SIZE];
    vsnprintf(text, sizeof(text), fmt, args);
    sim_note("says: %s", text);
}

void say_info(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
}

void say_warning(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
}

void say_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
}

const struct actor *actor_of(struct actor_cache *cache, uint64_t connection, struct http_peer peer)
{
    struct actor *actor = &cache->slots[0];
    (void)connection;
    snprintf(actor->text, sizeof(actor->text), "unix:uid=%u,pid=%d", peer.uid, (int)peer.pid);
    snprintf(actor->scope, sizeof(actor->scope), "uid=%u", peer.uid);
    return actor;
}
