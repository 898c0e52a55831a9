/* SPDX-License-Identifier: Apache-2.0 */
#include "events/log/log_codec.h"

#include <jansson.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECKSUM_BYTES 16

/* How many bytes the well-formed sequence at `s` takes, 0 if it is none (RFC 3629, section 4). */
static size_t sequence_size(const uint8_t *s, size_t left)
{
    uint8_t a = s[0];
    size_t size = a < 0xc2 ? 0 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : a < 0xf5 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    uint8_t low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    uint8_t high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool log_is_text(const void *bytes, size_t size)
{
    const uint8_t *s = bytes;
    for (size_t at = 0; at < size;) {
        if (s[at] != 0 && s[at] < 0x80) {
            at++;
            continue;
        }
        size_t n = sequence_size(s + at, size - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

static int check_header(const struct log_entry *entry, size_t i, struct err *err)
{
    const struct log_header *header = &entry->headers[i];
    if (header->name == NULL || header->value == NULL || header->name[0] == '\0')
        return err_set(err, ERR_INVALID, "header %zu needs a name and a value", i);
    if (!log_is_text(header->name, strlen(header->name)) ||
        !log_is_text(header->value, strlen(header->value)))
        return err_set(err, ERR_INVALID, "header %zu is not UTF-8", i);
    if (strcmp(header->name, LOG_CHECKSUM_NAME) == 0)
        return err_set(err, ERR_INVALID, "header name '%s' is the log's own", header->name);
    for (size_t k = 0; k < i; k++)
        if (strcmp(entry->headers[k].name, header->name) == 0)
            return err_set(err, ERR_INVALID, "header '%s' is given twice", header->name);
    return 0;
}

int log_entry_check(const struct log_entry *entry, struct err *err)
{
    size_t size = entry->value_size;
    if (entry->value == NULL && entry->value_size > 0)
        return err_set(err, ERR_INVALID, "the entry has no value");
    for (size_t i = 0; i < entry->n_headers; i++) {
        if (check_header(entry, i, err) < 0)
            return -1;
        size += strlen(entry->headers[i].name) + strlen(entry->headers[i].value);
    }
    if (entry->key != NULL) {
        size_t key_size = strlen(entry->key);
        if (!log_is_text(entry->key, key_size))
            return err_set(err, ERR_INVALID, "the key is not UTF-8");
        size += key_size;
    }
    if (size > LOG_ENTRY_LIMIT)
        return err_set(err, ERR_TOO_LARGE, "the entry has %zu bytes, and %d is the limit", size,
                       LOG_ENTRY_LIMIT);
    return 0;
}

void log_checksum(char ret[LOG_CHECKSUM_SIZE], const void *value, size_t size)
{
    uint8_t digest[CHECKSUM_BYTES];
    /* Cannot fail: the sizes are within what crypto_generichash(3) allows. */
    crypto_generichash(digest, sizeof(digest), value, size, NULL, 0);
    sodium_bin2hex(ret, LOG_CHECKSUM_SIZE, digest, sizeof(digest));
}

/* Adds a JSON string (RFC 8259, section 7) of text that is known to be UTF-8. */
static void add_json_string(struct buf *buf, const char *text)
{
    buf_add(buf, "\"", 1);
    while (*text != '\0') {
        size_t plain = 0;
        while ((uint8_t)text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        buf_add(buf, text, plain);
        text += plain;
        if (*text != '\0') {
            buf_printf(buf, "\\u%04x", (unsigned)(uint8_t)*text);
            text++;
        }
    }
    buf_add(buf, "\"", 1);
}

void log_headers_encode(struct buf *buf, const struct log_entry *entry)
{
    char checksum[LOG_CHECKSUM_SIZE];
    log_checksum(checksum, entry->value, entry->value_size);
    buf_add(buf, "{", 1);
    for (size_t i = 0; i < entry->n_headers; i++) {
        add_json_string(buf, entry->headers[i].name);
        buf_add(buf, ":", 1);
        add_json_string(buf, entry->headers[i].value);
        buf_add(buf, ",", 1);
    }
    add_json_string(buf, LOG_CHECKSUM_NAME);
    buf_add(buf, ":", 1);
    add_json_string(buf, checksum);
    buf_add(buf, "}", 1);
}

/* `name` and `value` point into headers->text, which no longer moves. */
static int take_member(struct log_headers *headers, const char *name, const char *value)
{
    if (strcmp(name, LOG_CHECKSUM_NAME) == 0) {
        headers->checksum = value;
        return 0;
    }
    if (headers->n == headers->capacity) {
        size_t capacity = headers->capacity == 0 ? 8 : headers->capacity * 2;
        struct log_header *items = reallocarray(headers->items, capacity, sizeof(*items));
        if (items == NULL)
            return -1;
        headers->items = items;
        headers->capacity = capacity;
    }
    headers->items[headers->n++] = (struct log_header){.name = name, .value = value};
    return 0;
}

/* One string without escapes at *at; NUL-terminates it in place. NULL if there is none. */
static char *plain_string(char **at)
{
    if (**at != '"')
        return NULL;
    char *start = *at + 1;
    char *end = strchr(start, '"');
    if (end == NULL)
        return NULL;
    *end = '\0';
    *at = end + 1;
    return start;
}

/* What log_headers_encode writes for ordinary headers: no escapes, no white space. -1 for everything else. It
 * is what nearly every record has, and ten times as fast as building a document. */
static int decode_plain(struct log_headers *headers)
{
    char *at = headers->text.data;
    if (*at++ != '{')
        return -1;
    do {
        char *name = plain_string(&at);
        if (name == NULL || *at++ != ':')
            return -1;
        char *value = plain_string(&at);
        if (value == NULL || take_member(headers, name, value) < 0)
            return -1;
    } while (*at++ == ',');
    return at[-1] == '}' && *at == '\0' ? 0 : -1;
}

static int decode_document(struct log_headers *headers, const char *text, size_t size)
{
    json_auto_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(document))
        return -1;
    const char *name;
    json_t *value;
    json_object_foreach(document, name, value)
    {
        if (!json_is_string(value))
            return -1;
        buf_add(&headers->text, name, strlen(name) + 1);
        buf_add(&headers->text, json_string_value(value), json_string_length(value) + 1);
    }
    if (headers->text.failed)
        return -1;
    /* Two passes, since the text moves while it grows. */
    for (const char *at = headers->text.data, *end = at + headers->text.size; at < end;) {
        const char *key = at;
        const char *string = key + strlen(key) + 1;
        if (take_member(headers, key, string) < 0)
            return -1;
        at = string + strlen(string) + 1;
    }
    return 0;
}

static void forget(struct log_headers *headers)
{
    headers->n = 0;
    headers->checksum = NULL;
    buf_reset(&headers->text);
}

int log_headers_decode(struct log_headers *headers, const char *text, size_t size)
{
    forget(headers);
    if (memchr(text, '\\', size) == NULL && log_is_text(text, size)) {
        buf_add(&headers->text, text, size);
        if (!headers->text.failed && size > 0 && decode_plain(headers) == 0)
            return 0;
        forget(headers);
    }
    if (decode_document(headers, text, size) == 0)
        return 0;
    forget(headers);
    return -1;
}

void log_headers_release(struct log_headers *headers)
{
    free(headers->items);
    buf_release(&headers->text);
    *headers = (struct log_headers){.n = 0};
}
