/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_ids.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_MAPPINGS 340 /* user_namespaces(7) */

static bool read_id(const json_t *mapping, const char *key, uint32_t *ret)
{
    const json_t *value = json_object_get(mapping, key);
    json_int_t number = json_integer_value(value);
    *ret = (uint32_t)number;
    return json_is_integer(value) && number >= 0 && number <= (json_int_t)UINT32_MAX;
}

int oci_ids(const json_t *mappings, const char *where, struct buf *ret, struct err *err)
{
    size_t i;
    json_t *mapping;
    if (json_array_size(mappings) > MAX_MAPPINGS)
        return err_set(err, ERR_INVALID, "'%s' has more than %d mappings", where, MAX_MAPPINGS);
    json_array_foreach(mappings, i, mapping)
    {
        uint32_t inside, outside, size;
        char line[64];
        if (!read_id(mapping, "containerID", &inside) || !read_id(mapping, "hostID", &outside) ||
            !read_id(mapping, "size", &size) || size == 0)
            return err_set(err, ERR_INVALID,
                           "'%s[%zu]' must have 'containerID', 'hostID' and a 'size' above 0, all below 2^32",
                           where, i);
        snprintf(line, sizeof(line), "%u %u %u\n", inside, outside, size);
        buf_add_string(ret, line);
    }
    buf_add_string(ret, "");
    return ret->failed ? err_nomem(err, "reading mappings of ids") : 0;
}
