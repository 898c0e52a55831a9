/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal.h - text that tells whether it is whole: its last line, {"sha256":"HEX"}, is the digest of all the
 * bytes before it, which `head -n -1 | sha256sum` gives too. Against accidents, not against people.
 *
 * Pure; any thread.
 */
#ifndef WHARF_BASE_SEAL_H
#define WHARF_BASE_SEAL_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Adds the last line. */
void seal_add(struct buf *text);

/* How many bytes come before the last line. -1 with ERR_CORRUPT, a sentence without its subject, for text
 * that was cut or changed. */
ssize_t seal_check(const char *text, size_t size, struct err *err);

#endif
