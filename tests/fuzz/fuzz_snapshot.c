/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot's text, sealed so that its members are reached: whatever is read can be written again, and what
 * is written is read as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "events/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode(const struct buf *text, struct node_state *ret, int64_t *ret_next)
{
    return snapshot_decode(ret, ret_next, "n1", text->data, text->size, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char digest[SHA256_HEX_SIZE];
    struct buf text = BUF_INIT, again = BUF_INIT, third = BUF_INIT;
    struct node_state state, back;
    int64_t next = 0, next_back = 0;
    buf_add(&text, data, size);
    if (decode(&text, &state, &next) == 0)
        node_state_release(&state);
    sha256_hex(digest, text.data, text.size);
    buf_printf(&text, "{\"sha256\":\"%s\"}\n", digest);
    if (decode(&text, &state, &next) == 0) {
        if (snapshot_encode(&state, next, &again, NULL) < 0 || decode(&again, &back, &next_back) < 0 ||
            snapshot_encode(&back, next_back, &third, NULL) < 0 || again.size != third.size ||
            memcmp(again.data, third.data, again.size) != 0)
            abort();
        node_state_release(&state);
        node_state_release(&back);
    }
    buf_release(&text);
    buf_release(&again);
    buf_release(&third);
    return 0;
}
