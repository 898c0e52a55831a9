/* SPDX-License-Identifier: Apache-2.0 */
/*
 * teller.h - one story being told: its commands, each sent until its outcome is known. Part of the load.
 */
#ifndef WHARF_TESTS_CHAOS_TELLER_H
#define WHARF_TESTS_CHAOS_TELLER_H

#include <jansson.h>

#include "tests/chaos/load.h"

struct teller {
    struct load *load;
    struct story story;
    unsigned n_commands;
    bool broken; /* a promise did not hold: the story ends */
};

/* Sends a command until it has an outcome; false, and reported, if that takes too long or the answer is none.
 * Takes `data`. */
bool tell(struct teller *teller, const char *type, json_t *data_take, struct told *ret);
/* The same command under the same key once more: it must be told the same. */
void tell_again(struct teller *teller, const char *type, json_t *data_take, const struct told *first);

#endif
