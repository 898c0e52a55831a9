/* SPDX-License-Identifier: Apache-2.0 */
/*
 * defence.h - defences that a test build can go without.
 *
 * defence.def has their names. DEFENDED(CONFINED_PATHS) is plain `true`, and costs nothing, unless the build
 * has -DWHARF_FAULTS (`make BUILD=build/faults FAULTS=1`), which is never installed. In such a build the
 * variable TEST_UNDEFENDED of the environment names those that are off, with commas between.
 *
 * libc only, since the static programs have them too. Any thread.
 */
#ifndef WHARF_BASE_DEFENCE_H
#define WHARF_BASE_DEFENCE_H

#include <stdbool.h>

enum defence {
#define DEFENCE(ENUM, name, what) DEFENCE_##ENUM,
#include "base/defence.def"
#undef DEFENCE
    DEFENCES
};

/* Part of builds with -DWHARF_FAULTS only. */
bool defence_is_on(enum defence defence);

#ifdef WHARF_FAULTS
#define DEFENDED(ENUM) defence_is_on(DEFENCE_##ENUM)
#else
#define DEFENDED(ENUM) true
#endif

#endif
