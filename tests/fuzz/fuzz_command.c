/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of POST /v1/commands. The first byte chooses whether there are an idempotency key and a traceparent,
 * which are then the first lines. Whatever is admitted must survive the log: encoded, decoded and encoded
 * again it is the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "writer/admit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Copies the first line and steps over it. */
static char *take_line(const char **at, size_t *size)
{
    const char *end = memchr(*at, '\n', *size);
    size_t length = end != NULL ? (size_t)(end - *at) : *size;
    char *line = strndup(*at, length);
    size_t used = end != NULL ? length + 1 : length;
    *at += used;
    *size -= used;
    return line;
}

static void check_admitted(const struct command *command)
{
    struct err err = ERR_INIT;
    struct command stored;
    size_t size, again_size;
    char first[SHA256_HEX_SIZE], second[SHA256_HEX_SIZE];
    require(uuid_is_valid(command->envelope.id) && command->envelope.subject != NULL);
    char *text = command_encode(command, &size, &err);
    require(text != NULL && command_decode(&stored, text, size, &err) == 0);
    char *again = command_encode(&stored, &again_size, &err);
    require(again != NULL && size == again_size && memcmp(text, again, size) == 0);
    require(admit_fingerprint(command, first, &err) == 0 && admit_fingerprint(&stored, second, &err) == 0);
    require(strcmp(first, second) == 0);
    command_release(&stored);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t flags = data[0];
    const char *body = (const char *)data + 1;
    size_t body_size = size - 1;
    char *key = flags & 1 ? take_line(&body, &body_size) : NULL;
    char *traceparent = flags & 2 ? take_line(&body, &body_size) : NULL;
    const struct admit_stamp stamp = {.now_ns = 1767323045000000006,
                                      .actor = "unix:uid=0",
                                      .key_scope = "uid=0",
                                      .idempotency_key = key,
                                      .traceparent = traceparent};
    struct command command;
    struct admit_refusal refusal;
    struct err err = ERR_INIT;
    if (admit(&command, body, body_size, &stamp, &refusal, &err) == 0) {
        if (command.envelope.node == NULL)
            command.envelope.node = strdup("n1"); /* as placement does */
        check_admitted(&command);
        command_release(&command);
    } else {
        require(err.code == ERR_INVALID && err.message[0] != '\0' && refusal.code != NULL);
    }
    free(key);
    free(traceparent);
    return 0;
}
