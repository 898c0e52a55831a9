/* SPDX-License-Identifier: Apache-2.0 */
/* The plan that the shim is handed: bounds are checked whatever the bytes say. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sandbox/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan plan = {0};
    /* The shim maps the plan, so it starts at a page; the heap's alignment is what the decoder needs of that.
     */
    void *bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL)
        return 0;
    memcpy(bytes, data, size);
    if (plan_decode(&plan, bytes, size) == NULL) {
        struct plan_step step;
        struct plan_rlimit limit;
        for (size_t cursor = 0; plan_next_step(&plan, &cursor, &step);)
            continue;
        for (size_t cursor = 0; plan_next_rlimit(&plan, &cursor, &limit);)
            continue;
        plan_release(&plan);
    }
    free(bytes);
    return 0;
}
