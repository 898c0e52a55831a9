/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <jansson.h>

void utf8_or_ascii(char *text)
{
    json_auto_t *valid = json_string(text);
    for (char *at = text; valid == NULL && *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    }
}
