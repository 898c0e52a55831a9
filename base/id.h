/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id.h - identifiers: UUIDs for commands and events, 64-hex container ids, SHA-256 digests.
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

/* Version 8 (RFC 9562, section 5.8): the first 122 usable bits of SHA-256(scope, NUL, key). The same scope and key
 * always give the same id: the identity of a command that came with an idempotency key. */
void uuid_from_key(char ret[UUID_TEXT_SIZE], const char *scope, const char *key);

/* True for 36 characters of lower-case hex and dashes in the right places. */
bool uuid_is_valid(const char *text);

void container_id_format(char ret[CONTAINER_ID_SIZE], const uint8_t random[CONTAINER_ID_BYTES]);

/* The container id that belongs to a command id: SHA-256 of it, so that a retried command names the same
 * container. */
void container_id_from_command(char ret[CONTAINER_ID_SIZE], const char *command_id);

/* True for exactly 64 lower-case hex digits. */
bool container_id_is_valid(const char *text);

/* Lower-case hex of `size` bytes; ret holds 2 * size + 1. */
void hex_format(char *ret, const uint8_t *bytes, size_t size);

/* SHA-256 (FIPS 180-4, by libsodium) of the bytes, in lower-case hex: what sha256sum prints. */
void sha256_hex(char ret[SHA256_HEX_SIZE], const void *data, size_t size);

#endif
