/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <string.h>

void hex_format(char *ret, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * size] = '\0';
}

void uuid_format(char ret[UUID_TEXT_SIZE], uint8_t bytes[16], uint8_t version)
{
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | (version << 4));
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    static const size_t group_bytes[] = {4, 2, 2, 2, 6};
    size_t at = 0;
    for (size_t g = 0; g < sizeof(group_bytes) / sizeof(group_bytes[0]); g++) {
        hex_format(ret, bytes + at, group_bytes[g]);
        ret += 2 * group_bytes[g];
        at += group_bytes[g];
        *ret++ = '-';
    }
    ret[-1] = '\0';
}

void uuid_v7(char ret[UUID_TEXT_SIZE], int64_t realtime_ns, const uint8_t random[UUID_RANDOM_BYTES])
{
    uint8_t bytes[16];
    uint64_t ms = (uint64_t)realtime_ns / 1000000;
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(bytes + 6, random, UUID_RANDOM_BYTES);
    uuid_format(ret, bytes, 7);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool uuid_is_valid(const char *text)
{
    for (size_t i = 0; i < UUID_TEXT_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text[i]))
            return false;
    }
    return text[UUID_TEXT_SIZE - 1] == '\0';
}

void container_id_format(char ret[CONTAINER_ID_SIZE], const uint8_t random[CONTAINER_ID_BYTES])
{
    hex_format(ret, random, CONTAINER_ID_BYTES);
}

bool container_id_is_valid(const char *text)
{
    size_t n = 0;
    while (is_hex(text[n]))
        n++;
    return n == CONTAINER_ID_SIZE - 1 && text[n] == '\0';
}
