/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.h - the only source of chance in a simulation: SplitMix64 generators, one for each stream of decisions,
 * so that what one stream draws does not move another. Pure.
 */
#ifndef WHARF_TESTS_SIM_RNG_H
#define WHARF_TESTS_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

enum rng_stream {
    RNG_SETUP = 1,
    RNG_ITEM,      /* one generator an item of the plan, by its number */
    RNG_TIES,      /* who goes first of those that are ready at the same time */
    RNG_PROCESS,   /* one a process, by its pid */
    RNG_CONTAINER, /* one an incarnation */
    RNG_CLIENT,    /* one a command, by its item's number */
    RNG_MACHINE,
    RNG_LOG,
};

struct rng {
    uint64_t state;
};

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline struct rng rng_make(uint64_t seed, enum rng_stream stream, uint64_t number)
{
    struct rng rng = {seed * 0x2545f4914f6cdd1du + (uint64_t)stream};
    rng.state = rng_next(&rng) + number;
    rng.state = rng_next(&rng);
    return rng;
}

/* 0 to n - 1. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n)
{
    return rng_next(rng) % n;
}

/* `low` to `high`, both included. */
static inline int64_t rng_between(struct rng *rng, int64_t low, int64_t high)
{
    return low + (int64_t)rng_below(rng, (uint64_t)(high - low) + 1);
}

static inline bool rng_chance(struct rng *rng, unsigned percent)
{
    return rng_below(rng, 100) < percent;
}

#endif
