/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads single records by offset. One reader at a time: it starts at the next wanted offset and reads on
 * while the one after is near; a far one gets a new reader, so that a long log is not read for a short
 * history.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "projector/query/call.h"

/* Reading on is cheaper than seeking up to about here: a batch of a reader. */
#define NEAR 512

struct fetch {
    struct log *log;
    uint32_t partition;
    int64_t *offsets;
    size_t n;
    size_t next; /* index of the next one wanted */
    fetch_record_cb on_record;
    fetch_done_cb on_done;
    void *data;
    struct log_reader *reader;
};

static int open_reader(struct fetch *fetch, struct err *err);

void fetch_close(struct fetch *fetch)
{
    if (fetch == NULL)
        return;
    log_reader_close(fetch->reader);
    free(fetch->offsets);
    free(fetch);
}

static void finish(struct fetch *fetch, const struct err *err)
{
    log_reader_close(fetch->reader);
    fetch->reader = NULL;
    fetch->on_done(err, fetch->data); /* closes the fetch */
}

static void on_records(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    (void)reader;
    struct fetch *fetch = data;
    struct err err = ERR_INIT;
    int64_t at = -1;
    for (size_t i = 0; i < n && fetch->next < fetch->n; i++) {
        at = records[i].offset;
        while (fetch->next < fetch->n && fetch->offsets[fetch->next] < at)
            fetch->next++; /* a compacted or missing record */
        if (fetch->next < fetch->n && fetch->offsets[fetch->next] == at) {
            fetch->on_record(&records[i], fetch->data);
            fetch->next++;
        }
    }
    if (fetch->next == fetch->n) {
        finish(fetch, NULL);
    } else if (fetch->offsets[fetch->next] > at + NEAR) {
        log_reader_close(fetch->reader);
        fetch->reader = NULL;
        if (open_reader(fetch, &err) < 0)
            finish(fetch, &err);
    }
}

static void on_caught_up(struct log_reader *reader, int64_t end_offset, void *data)
{
    (void)reader;
    struct fetch *fetch = data;
    if (fetch->offsets[fetch->next] >= end_offset)
        finish(fetch, NULL); /* the view knows more than the log has: it is of another log */
}

static void on_lost(struct log_reader *reader, const struct err *err, void *data)
{
    (void)reader;
    finish(data, err);
}

static int open_reader(struct fetch *fetch, struct err *err)
{
    static const struct log_reader_ops ops = {
        .on_records = on_records, .on_caught_up = on_caught_up, .on_lost = on_lost};
    return log_reader_open(&fetch->reader, fetch->log, LOG_EVENTS, fetch->partition,
                           fetch->offsets[fetch->next], &ops, fetch, err);
}

int fetch_open(struct fetch **ret, struct log *log, uint32_t partition, int64_t *offsets, size_t n,
               fetch_record_cb on_record, fetch_done_cb on_done, void *data, struct err *err)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL) {
        free(offsets);
        return err_nomem(err, "reading the log");
    }
    *fetch = (struct fetch){.log = log,
                            .partition = partition,
                            .offsets = offsets,
                            .n = n,
                            .on_record = on_record,
                            .on_done = on_done,
                            .data = data};
    if (open_reader(fetch, err) < 0) {
        fetch_close(fetch);
        return -1;
    }
    *ret = fetch;
    return 0;
}
