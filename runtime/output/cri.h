/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cri.h - reads the shim's log format, one record a line (Kubernetes' CRI logging format):
 *
 *     2026-01-02T03:04:05.123456789Z stdout F the line without its end
 *     2026-01-02T03:04:06.123456789Z stderr P a piece that did not end its line
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_OUTPUT_CRI_H
#define WHARF_RUNTIME_OUTPUT_CRI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cri_stream { CRI_STDOUT = 1, CRI_STDERR = 2 };

struct cri_record {
    int64_t time_ns;
    enum cri_stream stream;
    bool complete; /* the line ended here: its end is not part of the text */
    const char *text;
    size_t size;
};

/* Reads the first record of `data`. Returns the bytes it takes, 0 when the record is not complete yet. A line
 * in no known form is given as complete text of stdout at time 0: showing what is there beats hiding it. */
size_t cri_parse(const char *data, size_t size, struct cri_record *ret);

#endif
