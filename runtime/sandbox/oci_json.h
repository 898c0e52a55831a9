/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_json.h - parsing a config.json, and reading one whose shape oci_check.c has approved: what is missing
 * is empty.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_JSON_H
#define WHARF_RUNTIME_SANDBOX_OCI_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Parses a document with numbers up to 2^64-1 where the spec has them: `soft` and `hard` of rlimits, `value`
 * and `valueTwo` of system call filters. They come out as the signed numbers of the same bits, since jansson
 * has no others. NULL and *ret_error for what is no JSON, has a member twice, or has no memory. */
json_t *oci_json_parse(const char *text, size_t size, json_error_t *ret_error);

/* "" if it is missing; borrowed from the document. */
static inline const char *oci_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static inline int64_t oci_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static inline bool oci_flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

#endif
