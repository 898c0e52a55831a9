/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id.h - identifiers: UUIDs for commands and events, 64-hex container ids. digest.h has those made by
 * hashing.
 *
 * Time and randomness are arguments, so everything here is pure and a simulation can replay it.
 */
#ifndef WHARF_BASE_ID_H
#define WHARF_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 37     /* 36 characters and the NUL (RFC 9562, section 4) */
#define CONTAINER_ID_SIZE 65  /* 64 lower-case hex digits and the NUL */
#define SHA256_HEX_SIZE 65    /* 64 lower-case hex digits and the NUL */
#define UUID_RANDOM_BYTES 10  /* what uuid_v7 consumes */
#define CONTAINER_ID_BYTES 32 /* what container_id_format consumes */

/* Version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits. */
void uuid_v7(char ret[UUID_TEXT_SIZE], int64_t realtime_ns, const uint8_t random[UUID_RANDOM_BYTES]);

/* True for 36 characters of lower-case hex and dashes in the right places. */
bool uuid_is_valid(const char *text);

void container_id_format(char ret[CONTAINER_ID_SIZE], const uint8_t random[CONTAINER_ID_BYTES]);

/* True for exactly 64 lower-case hex digits. */
bool container_id_is_valid(const char *text);

/* Lower-case hex of `size` bytes; ret holds 2 * size + 1. */
void hex_format(char *ret, const uint8_t *bytes, size_t size);

/* Prints 16 bytes as a UUID of the version (4 bits), setting version and variant; changes the bytes. */
void uuid_format(char ret[UUID_TEXT_SIZE], uint8_t bytes[16], uint8_t version);

#endif
