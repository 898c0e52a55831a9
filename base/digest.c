/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <sodium.h>
#include <string.h>

void sha256_hex(char ret[SHA256_HEX_SIZE], const void *data, size_t size)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, data, size);
    hex_format(ret, digest, sizeof(digest));
}

void uuid_from_key(char ret[UUID_TEXT_SIZE], const char *scope, const char *key)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)scope, strlen(scope) + 1);
    crypto_hash_sha256_update(&state, (const uint8_t *)key, strlen(key));
    crypto_hash_sha256_final(&state, digest);
    uuid_format(ret, digest, 8);
}

void container_id_from_command(char ret[CONTAINER_ID_SIZE], const char *command_id)
{
    sha256_hex(ret, command_id, strlen(command_id));
}
