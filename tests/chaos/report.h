/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - what a chaos run says: what was done when, and what does not hold. Any thread.
 */
#ifndef WHARF_TESTS_CHAOS_REPORT_H
#define WHARF_TESTS_CHAOS_REPORT_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

struct report {
    pthread_mutex_t mutex;
    FILE *journal; /* everything, with times; owned */
    int64_t begin_ns;
    int n_failures;
};

/* Opens DIR/journal. Ends the program if it cannot. */
void report_init(struct report *report, const char *dir);
void report_release(struct report *report);

/* Into the journal only. */
void report_note(struct report *report, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* And to standard output. */
void report_say(struct report *report, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A promise that does not hold. `check` is the promise's short name. */
void report_fail(struct report *report, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int report_failures(struct report *report);

#endif
