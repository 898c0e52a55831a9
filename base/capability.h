/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capability.h - names and numbers of Linux capabilities (capabilities(7), <linux/capability.h>).
 *
 * Pure.
 */
#ifndef WHARF_BASE_CAPABILITY_H
#define WHARF_BASE_CAPABILITY_H

#include <stdint.h>

/* All that have a name here, a bit each. A kernel may know fewer or more. */
#define CAPABILITY_ALL ((UINT64_C(1) << 41) - 1)

/* "CAP_CHOWN", spelled exactly so, to its number; -1 if there is none of that name. */
int capability_by_name(const char *name);

/* "CAP_CHOWN"; NULL for a number without a name. */
const char *capability_name(int number);

/* As people write it: any case, with or without CAP_. -1 if there is none of that name. */
int capability_by_word(const char *word);

#endif
