/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_internal.h - what the files of the writer's shell share:
 *
 *   writer.c     opening, starting, stopping, trouble with the log
 *   follow.c     reads events and the newest commands, at start and from then on
 *   follow_file.c what of the events need not be read again
 *   commands.c   the HTTP handlers, appends, and who waits for what
 *   metrics.c    the counters as text
 */
#ifndef WHARF_WRITER_WRITER_INTERNAL_H
#define WHARF_WRITER_WRITER_INTERNAL_H

#include "base/actor.h"
#include "base/buf.h"
#include "base/http_server.h"
#include "events/log/log.h"
#include "writer/pending.h"
#include "writer/placement.h"
#include "writer/placement_file.h"
#include "writer/writer.h"

/* Records of each partition, read at start to recognise repeated keys. */
#define WRITER_COMMANDS_TAIL PENDING_COMMANDS_MAX

enum writer_result {
    RESULT_ACCEPTED,    /* appended */
    RESULT_REPEATED,    /* answered as an earlier one with the same key */
    RESULT_REFUSED,     /* the client's fault */
    RESULT_UNAVAILABLE, /* the log's, or nobody to send it to */
    WRITER_RESULTS,
};

struct writer_metrics {
    uint64_t commands[COMMAND_TYPES + 1][WRITER_RESULTS]; /* the last row: of no known type */
    uint64_t appends;
    uint64_t append_ns;
    uint64_t records_skipped; /* damaged or not to be understood */
    uint64_t events_fenced;   /* of runtimes that had been taken over */
};

/* One partition that is read. */
struct follow_partition {
    struct writer *writer;
    uint32_t partition;
    struct log_reader *reader;
    struct log_query end; /* commands: where the tail begins is counted from here */
    bool caught_up;
    /* events: */
    struct placement_mark mark; /* what the file has; next_offset 0: nothing */
    bool checked;               /* the mark fits the log */
    int64_t next_offset;        /* one past the newest record read */
    struct buf newest;          /* its value */
};

/* One topic that is read. */
struct follow {
    struct writer *writer;
    enum log_topic topic;
    const struct log_reader_ops *ops;
    struct log_query count;
    size_t n; /* partitions; 0 until their number is known */
    struct follow_partition *partitions;
    uv_timer_t retry; /* the number could not be asked for */
    bool caught_up;
};

struct writer {
    uv_loop_t *loop;
    struct writer_options options;
    struct http_server *http;
    struct log *log; /* NULL before writer_start */
    struct follow events;
    struct follow commands;
    struct placement placement;
    struct pending pending;
    struct actor_cache actors;
    struct writer_metrics metrics;
    uv_timer_t ready_timer;
    bool told_ready;
    bool caught_up;
    int64_t events_since_file; /* read since the placement was written */
    bool told_file;            /* that it cannot be written */
    json_t *warnings;          /* what was said of settings that can lose history, or NULL */
    unsigned away; /* topics that cannot be reached or written, as a mask of 1u << enum log_topic */
    bool stopping;
    bool http_closing;
    size_t n_appending;
    size_t n_waiting;
    unsigned timers_open;
    void (*on_stopped)(void *data);
    void *on_stopped_data;
};

/* ---- writer.c ---- */
void writer_caught_up(struct writer *writer);
void writer_fail(struct writer *writer, const struct err *err);
/* The next step of the end, once no append is outstanding. */
void writer_stop_step(struct writer *writer);

/* ---- follow.c ---- */
void follow_init(struct writer *writer);
void follow_start(struct writer *writer);
void follow_stop(struct writer *writer);

/* ---- follow_file.c ---- */

/* Reads the placement and the marks, if there is such a file and it is whole. The partitions are known. */
void follow_file_load(struct writer *writer);
/* Where the partition is to be read from. */
int64_t follow_file_from(const struct follow_partition *partition);
/* True until a record has shown whether the mark fits the log. */
bool follow_file_is_unchecked(const struct follow_partition *partition);
/* False if the record shows that it does not. */
bool follow_file_fits(struct follow_partition *partition, const struct log_record *record);
/* The file does not fit: the placement and the marks are empty again. */
void follow_file_forget(struct writer *writer);
/* n >= 1 records have been read. */
void follow_file_note(struct follow_partition *partition, const struct log_record *records, size_t n);
/* Writes the placement if everything is read and there are so many new events. */
void follow_file_write(struct writer *writer, int64_t at_least);

/* ---- commands.c ---- */
extern const struct http_route writer_routes[];
/* Answers who waits for the command, now that it has its outcome. */
void commands_settled(struct writer *writer, struct pending_command *entry);
/* Tells everybody who waits for an outcome that we stop; those whose append is outstanding wait on. */
void commands_stop(struct writer *writer);

/* ---- metrics.c ---- */
void metrics_format(const struct writer *writer, struct buf *ret);

#endif
