/* SPDX-License-Identifier: Apache-2.0 */
#include "events/deadletter.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text stands as it is; what is not UTF-8 goes as base64. */
static int set_value(json_t *letter, const struct log_record *record)
{
    json_t *text = json_stringn(record->value, record->value_size);
    if (text != NULL)
        return json_object_set_new(letter, "value", text);
    size_t size = sodium_base64_encoded_len(record->value_size, sodium_base64_VARIANT_ORIGINAL);
    char *base64 = malloc(size);
    if (base64 == NULL)
        return -1;
    sodium_bin2base64(base64, size, record->value, record->value_size, sodium_base64_VARIANT_ORIGINAL);
    int result = json_object_set_new(letter, "value_base64", json_string(base64));
    free(base64);
    return result;
}

int deadletter_format(const struct log_record *record, const char *reason, char *ret_key, size_t key_size,
                      char **ret_value, size_t *ret_value_size)
{
    const char *topic = log_topic_name(record->topic);
    snprintf(ret_key, key_size, "%s/%u/%" PRId64, topic, record->partition, record->offset);
    json_auto_t *letter = json_pack("{s:s, s:I, s:I, s:I, s:s}", "topic", topic, "partition",
                                    (json_int_t)record->partition, "offset", (json_int_t)record->offset,
                                    "time_ms", (json_int_t)record->time_ms, "reason", reason);
    if (letter == NULL || set_value(letter, record) < 0)
        return -1;
    /* a key that is not UTF-8 is not worth more than its absence */
    json_t *key = record->key != NULL ? json_string(record->key) : NULL;
    if (key != NULL && json_object_set_new(letter, "key", key) < 0)
        return -1;
    *ret_value = json_dumps(letter, JSON_COMPACT);
    if (*ret_value == NULL)
        return -1;
    *ret_value_size = strlen(*ret_value);
    return 0;
}
