/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file. */
#include <stdint.h>
#include <stdlib.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct config_settings *settings = config_settings_new();
    if (settings == NULL)
        abort();
    if (config_parse_text(settings, (const char *)data, size, "file", &err) < 0 &&
        (err.code != ERR_INVALID || err.message[0] == '\0'))
        abort();
    config_settings_free(settings);
    return 0;
}
