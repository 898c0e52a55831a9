/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/chaos/plan.h"

/* splitmix64 (Steele, Lea, Flood 2014). Each part of the plan draws from a stream of its own. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t stream(uint64_t seed, uint64_t part, uint64_t number)
{
    uint64_t state = seed ^ (part << 56);
    return draw(&state) ^ (number * 0xd1342543de82ef95u);
}

static int between(uint64_t *state, int low, int high)
{
    return low + (int)(draw(state) % (uint64_t)(high - low + 1));
}

void plan_story(struct story *ret, uint64_t seed, uint64_t number)
{
    static const enum story_kind weights[] = {
        STORY_ONCE, STORY_ONCE, STORY_ONCE,  STORY_AUTO,  STORY_AUTO,   STORY_STOP,
        STORY_STOP, STORY_STOP, STORY_FORCE, STORY_RETRY, STORY_ALWAYS, STORY_REFUSED,
        STORY_EXEC, STORY_EXEC, STORY_EXEC,  STORY_IMAGE, STORY_COMMIT};
    uint64_t state = stream(seed, 1, number);
    *ret = (struct story){.number = number};
    ret->kind = weights[draw(&state) % (sizeof(weights) / sizeof(weights[0]))];
    ret->lines = between(&state, 0, 9) == 0 ? between(&state, 200, 2000) : between(&state, 1, 30);
    ret->exit_code = between(&state, 1, 60);
    ret->term_code = between(&state, 61, 120);
    ret->restart_max = between(&state, 1, 3);
    ret->repeat = between(&state, 0, 2) == 0;
}

void plan_strike(struct strike *ret, uint64_t seed, uint64_t number, bool kafka)
{
    static const enum strike_kind weights[] = {
        STRIKE_WRITER, STRIKE_WRITER,  STRIKE_RUNTIME,     STRIKE_PROJECTOR, STRIKE_PROJECTOR,
        STRIKE_QUERY,  STRIKE_REDIS,   STRIKE_REDIS_EMPTY, STRIKE_SHIM,      STRIKE_SHIM,
        STRIKE_SHIM,   STRIKE_REBUILD, STRIKE_BROKER};
    size_t n = sizeof(weights) / sizeof(weights[0]) - (kafka ? 0 : 1);
    uint64_t state = stream(seed, 2, number);
    *ret = (struct strike){.kind = weights[draw(&state) % n]};
    ret->pause_ms = between(&state, 100, 700);
    ret->absent_ms = between(&state, 0, 2) == 0 ? between(&state, 100, 600) : 0;
    ret->graceful = between(&state, 0, 3) == 0;
    ret->pick = draw(&state);
}

void plan_faults(enum fault ret[FAULTS], uint64_t seed, uint64_t round)
{
    uint64_t state = stream(seed, 3, round);
    for (int i = 0; i < FAULTS; i++)
        ret[i] = (enum fault)i;
    for (int i = FAULTS - 1; i > 0; i--) {
        int j = between(&state, 0, i);
        enum fault swapped = ret[i];
        ret[i] = ret[j];
        ret[j] = swapped;
    }
}

int plan_fault_nth(uint64_t seed, uint64_t round, enum fault fault)
{
    uint64_t state = stream(seed, 4, round * FAULTS + (uint64_t)fault);
    return round == 0 ? 1 : between(&state, 1, 4);
}
