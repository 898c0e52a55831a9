/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest.h - SHA-256 by libsodium, and the identifiers made with it. Apart from id.h so that the client,
 * which needs none, does not link libsodium.
 *
 * Pure; any thread.
 */
#ifndef WHARF_BASE_DIGEST_H
#define WHARF_BASE_DIGEST_H

#include <stddef.h>

#include "base/id.h"

/* SHA-256 (FIPS 180-4) of the bytes, in lower-case hex: what sha256sum prints. */
void sha256_hex(char ret[SHA256_HEX_SIZE], const void *data, size_t size);

/* Version 8 (RFC 9562, section 5.8) from SHA-256(scope, NUL, key). The same scope and key always give the
 * same id: the identity of a command that came with an idempotency key. */
void uuid_from_key(char ret[UUID_TEXT_SIZE], const char *scope, const char *key);

/* The container id that belongs to a command id, so that a retried command names the same container: its
 * SHA-256. */
void container_id_from_command(char ret[CONTAINER_ID_SIZE], const char *command_id);

#endif
