/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.h - the writer role around its loop: commands come in over HTTP and go to the log; outcomes come
 * from the log and go to whoever waits. docs/api.md describes what clients see.
 *
 * admit.h, placement.h and pending.h decide; the files behind this header only move bytes and time.
 *
 * Everything runs on the loop thread.
 */
#ifndef WHARF_WRITER_WRITER_H
#define WHARF_WRITER_WRITER_H

#include <sys/types.h>
#include <uv.h>

#include "base/err.h"
#include "events/log/log.h"

struct writer;

struct writer_options {
    const char *socket_path;
    mode_t socket_mode;
    gid_t socket_gid;             /* (gid_t)-1 leaves it */
    const char *state_dir;        /* where it keeps its cache of the log; NULL: nowhere */
    int64_t snapshot_every;       /* after how many events it is written; 0: never */
    unsigned idle_timeout_s;      /* of connections; 0 means the HTTP server's default */
    void (*on_ready)(void *data); /* once: it serves, or would if the log were not away */
    void (*on_failed)(const struct err *err, void *data); /* it cannot go on: stop it and exit */
    void *data;
};

/* Listens; clients are answered 503 until writer_start has succeeded and the log has been read. */
int writer_open(struct writer **ret, uv_loop_t *loop, const struct writer_options *options, struct err *err);

/* Opens the log, which may be away: it is waited for in the background. Of `log_options`, append_timeout_ms
 * (0 means 5000), partitions, replication and kafka_properties count. On error the writer is still to be
 * stopped. */
int writer_start(struct writer *writer, const char *log_url, const struct log_options *log_options,
                 struct err *err);

/* An orderly end: new requests are refused, appends under way are finished and answered, waiting clients are
 * told 503; then on_stopped runs and the writer is gone. */
void writer_stop(struct writer *writer, void (*on_stopped)(void *data), void *data);

#endif
