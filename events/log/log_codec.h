/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_codec.h - the bytes of a record: what may be appended at all, and how the SQLite log writes headers and
 * checksum as one JSON object ({"content-type":"...","blake2b":"..."}) and reads them back.
 *
 * Private to events/log. Pure; any thread.
 */
#ifndef WHARF_EVENTS_LOG_LOG_CODEC_H
#define WHARF_EVENTS_LOG_LOG_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "events/log/log.h"

#define LOG_CHECKSUM_NAME "blake2b" /* 16 bytes of BLAKE2b in hex: what `b2sum -l 128` prints */
#define LOG_CHECKSUM_SIZE 33

/* The same rules for every implementation, so that what one log takes no other refuses: key, header names and
 * values are UTF-8, header names are there, distinct and not LOG_CHECKSUM_NAME, and all of it is at most
 * LOG_ENTRY_LIMIT bytes. */
int log_entry_check(const struct log_entry *entry, struct err *err);

/* Well-formed UTF-8 (RFC 3629) without a NUL. */
bool log_is_text(const void *bytes, size_t size);

void log_checksum(char ret[LOG_CHECKSUM_SIZE], const void *value, size_t size);

/* Adds the JSON object of the entry's headers and the value's checksum. */
void log_headers_encode(struct buf *buf, const struct log_entry *entry);

/* Headers of one stored record. Names and values point into `text`. */
struct log_headers {
    struct log_header *items; /* owned, reused from record to record */
    size_t n;
    size_t capacity;
    const char *checksum; /* NULL when there is none; of any length */
    struct buf text;
};

/* Reads a JSON object of strings. Returns -1 on anything else (or no memory), with n = 0. */
int log_headers_decode(struct log_headers *headers, const char *text, size_t size);

void log_headers_release(struct log_headers *headers);

#endif
