/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadletter.h - how a record that cannot be read is kept in wharf.deadletters. Pure.
 */
#ifndef WHARF_EVENTS_DEADLETTER_H
#define WHARF_EVENTS_DEADLETTER_H

#include <stddef.h>

#include "events/log/log.h"

/* The letter's key, "wharf.commands/PARTITION/OFFSET", which says what has been parked already; and its
 * value, a JSON object {topic, partition, offset, time_ms, reason, key, value | value_base64} (to be freed by
 * the caller). -1 when memory runs out. */
int deadletter_format(const struct log_record *record, const char *reason, char *ret_key, size_t key_size,
                      char **ret_value, size_t *ret_value_size);

#endif
