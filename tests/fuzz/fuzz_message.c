/* SPDX-License-Identifier: Apache-2.0 */
/* Records of both topics: what is refused says why; what is accepted is written again as what can be read
 * again, the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "events/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_command(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct command command, again;
    if (command_decode(&command, data, size, &err) < 0) {
        if (err.message[0] == '\0')
            abort();
        return;
    }
    size_t first_size, second_size;
    char *first = command_encode(&command, &first_size, &err);
    if (first == NULL || command_decode(&again, first, first_size, &err) < 0)
        abort();
    char *second = command_encode(&again, &second_size, &err);
    if (second == NULL || strcmp(first, second) != 0)
        abort();
    command_release(&command);
    command_release(&again);
    free(first);
    free(second);
}

static void check_event(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct event event, again;
    if (event_decode(&event, data, size, &err) < 0) {
        if (err.message[0] == '\0')
            abort();
        return;
    }
    size_t first_size, second_size;
    char *first = event_encode(&event, &first_size, &err);
    if (first == NULL || event_decode(&again, first, first_size, &err) < 0)
        abort();
    char *second = event_encode(&again, &second_size, &err);
    if (second == NULL || strcmp(first, second) != 0)
        abort();
    event_release(&event);
    event_release(&again);
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_command(data, size);
    check_event(data, size);
    return 0;
}
