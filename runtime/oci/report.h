/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - what a verb did, for the log: one oci.report command (../../events/oci.def) for each action.
 *
 * A report is a file of ROOT/@reports from before the verb begins until a writer has it on the log:
 *
 *   KEY.pending   what is about to be done; flock(2) is held by who does it
 *   KEY           what was done; KEY is the idempotency key, and its order is that of time
 *   KEY.refused   the writer understood it and will never take it
 *   lock          flock(2) held by who delivers
 *
 * Each changes into the next by rename(2), so a report is neither lost nor made twice whatever is killed
 * when: one that nobody holds any more becomes "failed" with what is known, and a delivery that was cut off
 * is repeated under its key. Delivery comes after the verb and takes half a second at most; what is left
 * waits for the next call.
 *
 * Without options->event_log everything here does nothing. A report never makes a verb fail: trouble is told
 * to options->warn.
 */
#ifndef WHARF_RUNTIME_OCI_REPORT_H
#define WHARF_RUNTIME_OCI_REPORT_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/oci/oci.h"

struct oci_report {
    const struct oci_options *options; /* NULL: nothing is reported */
    json_t *data;
    char key[96];
    int dir_fd;
    int pending_fd;
};

/* Before the verb changes anything. */
void oci_report_begin(struct oci_report *ret, const struct oci_options *options, const char *verb,
                      const char *id);

/* Takes the value. */
void oci_report_set(struct oci_report *report, const char *member, json_t *value_take);

/* `result` of the verb: 0 is `action`, anything else "failed" because of `err` (may be NULL). That there is
 * no such container is no action. Delivers, and returns `result`. */
int oci_report_end(struct oci_report *report, const char *action, int result, const struct err *err);

#endif
