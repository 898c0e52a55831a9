/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's parser of HTTP responses. The first byte says how the rest is cut into pieces; fed whole, it
 * must come to the same result.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/client/http_response.h"

#define BODY_LIMIT 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(struct http_response *ret, const char *bytes, size_t size, size_t piece)
{
    http_response_init(ret, BODY_LIMIT);
    for (size_t at = 0; at < size; at += piece)
        if (http_response_feed(ret, bytes + at, size - at < piece ? size - at : piece, NULL) < 0)
            return -1;
    return http_response_end(ret, NULL);
}

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct http_response whole, pieces;
    const char *bytes = (const char *)data + 1;
    int rc = parse(&whole, bytes, size - 1, size);
    require(parse(&pieces, bytes, size - 1, (size_t)data[0] % 16 + 1) == rc);
    if (rc == 0) {
        require(whole.status == pieces.status && whole.status >= 101);
        require(whole.body.size == pieces.body.size);
        require(whole.body.size == 0 || memcmp(whole.body.data, pieces.body.data, whole.body.size) == 0);
        require(whole.headers.size == pieces.headers.size);
    }
    http_response_release(&whole);
    http_response_release(&pieces);
    return 0;
}
