/* SPDX-License-Identifier: Apache-2.0 */
#include "base/seal.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"

#define LINE "{\"sha256\":\"%s\"}\n"
#define LINE_SIZE (sizeof("{\"sha256\":\"\"}\n") - 1 + SHA256_HEX_SIZE - 1)

void seal_add(struct buf *text)
{
    char digest[SHA256_HEX_SIZE];
    if (text->failed)
        return;
    sha256_hex(digest, text->data, text->size);
    buf_printf(text, LINE, digest);
}

ssize_t seal_check(const char *text, size_t size, struct err *err)
{
    char digest[SHA256_HEX_SIZE], expected[LINE_SIZE + 1];
    if (size < LINE_SIZE)
        return err_set(err, ERR_CORRUPT, "is cut off: it has %zu bytes", size);
    sha256_hex(digest, text, size - LINE_SIZE);
    snprintf(expected, sizeof(expected), LINE, digest);
    if (memcmp(text + size - LINE_SIZE, expected, LINE_SIZE) != 0)
        return err_set(err, ERR_CORRUPT,
                       "is cut off or was changed: its digest is not what its last line says");
    return (ssize_t)(size - LINE_SIZE);
}
