/* SPDX-License-Identifier: Apache-2.0 */
/* A container's log: whatever stands in the file, every byte of every complete line is consumed, and none
 * beyond. */
#include <stdint.h>
#include <stdlib.h>

#include "base/timestamp.h"
#include "runtime/output/cri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    size_t left = size, used;
    struct cri_record record;
    while (left > 0 && (used = cri_parse(at, left, &record)) > 0) {
        if (used > left || record.text < at || record.text + record.size > at + used)
            abort();
        if (record.stream != CRI_STDOUT && record.stream != CRI_STDERR)
            abort();
        at += used;
        left -= used;
    }
    return 0;
}
