/* SPDX-License-Identifier: Apache-2.0 */
/* /etc/subuid and /etc/subgid: the text up to a NUL, and what comes behind it, or the same twice. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/id_pool.h"

#define SIZE_MAX_BYTES 4096 /* the ranges of both are compared each with each */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct id_pool pool;
    if (size > SIZE_MAX_BYTES)
        return 0;
    char *text = malloc(size + 1);
    if (text == NULL)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    size_t first = strlen(text);
    const char *other = first < size ? text + first + 1 : text;
    if (id_pool_parse(&pool, text, other, "wharf") &&
        (pool.base < ID_RANGE_SIZE || pool.size < ID_RANGE_SIZE || pool.base + pool.size > UINT32_MAX))
        abort();
    free(text);
    return 0;
}
