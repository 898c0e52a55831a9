/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_tail.h - reads a container's log files from the oldest to the newest and then follows them, through
 * rotations (log -> log.1 -> log.2 ...), woken by inotify.
 *
 * Loop thread only.
 */
#ifndef WHARF_RUNTIME_OUTPUT_LOG_TAIL_H
#define WHARF_RUNTIME_OUTPUT_LOG_TAIL_H

#include <uv.h>

#include "base/err.h"
#include "runtime/output/cri.h"
#include "runtime/shim/cri_log.h"

#define LOG_FILES_MAX (2 * CRI_FILES) /* those of one moment, and what came since */

/* A container's log files as they were at one moment, oldest first. They stay readable when they are
 * unlinked. */
struct log_files {
    int fds[LOG_FILES_MAX]; /* owned */
    size_t n;
};

/* Opens those there are; none is fine. */
int log_files_open(struct log_files *ret, int dir_fd, struct err *err);
int log_files_dup(struct log_files *ret, const struct log_files *from, struct err *err);
void log_files_close(struct log_files *files);

struct log_tail;

struct log_tail_ops {
    /* One record, borrowed for the call. Returns false to be paused until log_tail_resume. */
    bool (*on_record)(const struct cri_record *record, void *data);
    /* No record follows at once: what was gathered from them may go. May be NULL. */
    void (*on_piece)(void *data);
    /* Everything has been read, and nothing is going to follow: last call. */
    void (*on_end)(void *data);
};

/* Begins with `files` (taken over), or with what `dir_fd` holds when files is NULL. dir_fd is duplicated.
 * Callbacks come on later loop turns. `follow` false: ends at the end of what is there. */
int log_tail_open(struct log_tail **ret, uv_loop_t *loop, int dir_fd, struct log_files *files_take,
                  bool follow, const struct log_tail_ops *ops, void *data, struct err *err);

/* From now on the container's output waits where its log would lose what this reader has not had (the lock
 * of runtime/shim/cri_log.h). Before the first callback only. */
void log_tail_hold(struct log_tail *tail);

/* Starts at the last `n` lines instead, of which the last may not have its end yet. Before the first callback
 * only. */
int log_tail_from_last(struct log_tail *tail, size_t n, struct err *err);

/* The files are about to be unlinked, and no more will be written: those there are now are all. */
void log_tail_complete(struct log_tail *tail);

void log_tail_resume(struct log_tail *tail);

/* The container has ended: stop following, on_end comes when all has been delivered. */
void log_tail_finish(struct log_tail *tail);

/* No callback after this returns. NULL is allowed. */
void log_tail_close(struct log_tail *tail);

#endif
