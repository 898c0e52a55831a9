/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strike.h - what is done to the stack: kills at the moments of the plan, and each named crash point in turn.
 *
 * A part is started with the next crash point of its queue armed and, when it has died there, with the one
 * after. The main thread's only.
 */
#ifndef WHARF_TESTS_CHAOS_STRIKE_H
#define WHARF_TESTS_CHAOS_STRIKE_H

#include "tests/chaos/plan.h"
#include "tests/chaos/stack.h"
#include "tests/chaos/watch.h"

/* The crash points that a part is to die at, in order. */
struct fault_queue {
    enum fault faults[FAULTS];
    size_t n;
    uint64_t round;
};

struct strikes {
    struct stack *stack;
    struct watch *watch;
    uint64_t seed;
    bool calm; /* nothing more is done, only what ends is started again */
    uint64_t n_strikes;
    struct strike next;
    int64_t next_ns;
    bool empty_redis;      /* before it is started again */
    int64_t due_ns[PARTS]; /* when it is to be started again; 0: it runs */
    struct fault_queue queues[PARTS];
    unsigned n_reached[FAULTS];
};

void strikes_init(struct strikes *strikes, struct stack *stack, struct watch *watch, uint64_t seed);
/* Starts the parts and waits until they are ready; armed unless calm. */
int strikes_start_all(struct strikes *strikes, struct err *err);
/* Does what is due now. */
int strikes_turn(struct strikes *strikes, struct err *err);
/* True once every crash point was reached. */
bool strikes_all_reached(const struct strikes *strikes);
/* No more strikes: everything runs again, nothing is armed. */
int strikes_calm(struct strikes *strikes, struct err *err);

#endif
