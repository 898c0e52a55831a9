/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_feed.h - appends records to a log from a test, and waits until they are durable. Failures end the test
 * program.
 */
#ifndef WHARF_TESTS_SUPPORT_LOG_FEED_H
#define WHARF_TESTS_SUPPORT_LOG_FEED_H

#include <uv.h>

#include "base/buf.h"
#include "events/log/log.h"

struct log_feed {
    uv_loop_t loop;
    struct log *log;
    int64_t n_appended;
};

/* Opens the log at `url` for appending events. */
void log_feed_open(struct log_feed *feed, const char *url);
/* The same for a log whose topics get so many partitions if they have to be made. */
void log_feed_open_partitions(struct log_feed *feed, const char *url, uint32_t partitions);
/* Appends to any partition of wharf.events. */
void log_feed_append_to(struct log_feed *feed, uint32_t partition, char *const *values, const size_t *sizes,
                        size_t n);
/* Appends `n` values to wharf.events, partition 0, as one append. */
void log_feed_append(struct log_feed *feed, char *const *values, const size_t *sizes, size_t n);
/* How many records a topic's partition 0 has. */
int64_t log_feed_end(struct log_feed *feed, enum log_topic topic);
void log_feed_close(struct log_feed *feed);

#endif
