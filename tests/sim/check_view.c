/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The read model: against one that a fresh projector makes in an empty Redis, and its states against the
 * events as the checkers read them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/redis.h"
#include "tests/sim/roles.h"

#define REBUILD_STEP_NS (100 * MS_NS)
#define REBUILD_STEPS_MAX 600
#define PREFIX "wharf:v1:"

static bool is_behind(const struct redis_server *server, const struct facts *facts)
{
    char key[64];
    snprintf(key, sizeof(key), PREFIX "{%u}:meta", facts->partition);
    const char *offset = redis_server_hget(server, key, "offset");
    return offset == NULL ||
           strtoll(offset, NULL, 10) != sim->store->topics[LOG_EVENTS][facts->partition].end - 1;
}

static void compare(const char *is, const char *should)
{
    size_t line = 0;
    if (strcmp(is, should) == 0)
        return;
    for (size_t at = 0; is[at] == should[at]; at++)
        line = is[at] == '\n' ? at + 1 : line;
    sim_fail("the view is not what a rebuild gives:\n  is        %.300s\n  should be %.300s", is + line,
             should + line);
}

/* Everybody is stopped, so that both views are looked at as of the same moment. */
static void check_rebuild(const struct facts *facts)
{
    struct redis_server *live = sim->redis;
    sim->stopping = true;
    for (struct process *process = sim->processes; process != NULL; process = process->next)
        process_kill(process);
    world_run(sim->now_ns);
    sim->redis = redis_server_new();
    role_start_rebuild();
    for (int i = 0; i < REBUILD_STEPS_MAX && is_behind(sim->redis, facts) && !sim_failed(); i++)
        world_run(sim->now_ns + REBUILD_STEP_NS);
    process_kill(role_find(ROLE_PROJECTOR, NULL));
    world_run(sim->now_ns);
    char prefix[64];
    snprintf(prefix, sizeof(prefix), PREFIX "{%u}:", facts->partition);
    char *is = redis_server_dump(live, prefix), *should = redis_server_dump(sim->redis, prefix);
    compare(is, should);
    free(is);
    free(should);
    redis_server_free(sim->redis);
    sim->redis = live;
}

static void check_states(const struct facts *facts)
{
    size_t n = 0;
    char key[256];
    for (size_t i = 0; i < facts->n && !sim_failed(); i++) {
        const struct fact *fact = &facts->items[i], *last;
        if (!fact->counts || !fact_is(fact, "container.created"))
            continue;
        const char *state = facts_state(facts, fact->subject, &last);
        snprintf(key, sizeof(key), PREFIX "{%u}:container:%s", facts->partition, fact->subject);
        const char *shown = redis_server_hget(sim->redis, key, "state");
        bool absent = strcmp(state, "absent") == 0;
        n += !absent;
        if (absent != (shown == NULL) || (shown != NULL && strcmp(shown, state) != 0))
            sim_fail("the view shows %.12s as %s, but it is %s", fact->subject,
                     shown != NULL ? shown : "absent", state);
        snprintf(key, sizeof(key), PREFIX "{%u}:state:%s", facts->partition, state);
        if (!absent && !redis_server_has(sim->redis, key, fact->subject))
            sim_fail("%.12s is %s, but not in the set of those", fact->subject, state);
    }
    snprintf(key, sizeof(key), PREFIX "{%u}:containers", facts->partition);
    if (redis_server_count(sim->redis, key) != n)
        sim_fail("the view has %zu containers, but there are %zu", redis_server_count(sim->redis, key), n);
}

void check_view(void)
{
    struct facts facts;
    facts_read(&facts);
    check_states(&facts);
    if (!sim_failed())
        check_rebuild(&facts);
    facts_release(&facts);
}
