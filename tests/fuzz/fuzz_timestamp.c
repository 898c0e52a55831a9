/* SPDX-License-Identifier: Apache-2.0 */
/* Times as users and records write them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[64], printed[TIMESTAMP_SIZE];
    int64_t ns, again;
    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    timestamp_parse_user(text, INT64_C(1767225600000000000), &ns, NULL);
    if (timestamp_parse(text, &ns, NULL) < 0)
        return 0;
    timestamp_format(printed, ns);
    if (timestamp_parse(printed, &again, NULL) < 0 || again != ns)
        abort();
    return 0;
}
