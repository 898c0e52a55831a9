/* SPDX-License-Identifier: Apache-2.0 */
/* Part of builds with -DWHARF_FAULTS only. */
#include "base/defence.h"

#include <stdlib.h>
#include <string.h>

static const char *const NAMES[DEFENCES] = {
#define DEFENCE(ENUM, name, what) [DEFENCE_##ENUM] = (name),
#include "base/defence.def"
#undef DEFENCE
};

static bool is_off[DEFENCES];

static void switch_off(const char *name, size_t size)
{
    for (int i = 0; i < DEFENCES; i++) {
        if (strlen(NAMES[i]) == size && memcmp(NAMES[i], name, size) == 0) {
            is_off[i] = true;
            return;
        }
    }
    abort(); /* a name that is none would make a test pass that tests nothing */
}

/* Before main, so that a change of the environment changes nothing. */
__attribute__((constructor)) static void choose(void)
{
    const char *names = getenv("TEST_UNDEFENDED");
    while (names != NULL && *names != '\0') {
        size_t size = strcspn(names, ",");
        switch_off(names, size);
        names += size + (names[size] == ',');
    }
}

bool defence_is_on(enum defence defence)
{
    return !is_off[defence];
}
