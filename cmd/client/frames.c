/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/frames.h"

static uint64_t read_big_endian(const unsigned char *bytes, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

int frame_next(const char *data, size_t size, size_t *at, struct frame *ret, struct err *err)
{
    if (size - *at < FRAME_HEADER_SIZE)
        return 0;
    const unsigned char *header = (const unsigned char *)data + *at;
    uint64_t payload = read_big_endian(header + 4, 4);
    if (header[0] < FRAME_STDOUT || header[0] > FRAME_STARTED || payload > FRAME_PAYLOAD_LIMIT)
        return err_set(err, ERR_PROTOCOL, "the runtime's stream is damaged: no frame starts with byte %d",
                       header[0]);
    if (size - *at - FRAME_HEADER_SIZE < payload)
        return 0;
    ret->kind = (enum frame_kind)header[0];
    ret->time_ns = (int64_t)read_big_endian(header + 8, 8);
    ret->payload = data + *at + FRAME_HEADER_SIZE;
    ret->size = (size_t)payload;
    *at += FRAME_HEADER_SIZE + (size_t)payload;
    return 1;
}
