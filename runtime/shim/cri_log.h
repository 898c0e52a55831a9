/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cri_log.h - the container's log in the format of Kubernetes' container runtime interface:
 * "TIME stdout|stderr F|P TEXT\n", where P marks a part of a line that goes on in the stream's next entry.
 *
 * Bytes are written as they come: what a read ends with in the middle of a line becomes a P entry at once, so
 * that a follower sees prompts, and nothing is held back in memory. A file that would grow beyond its limit
 * is rotated to log.1, log.2 ...; entries are never split between files. Output that cannot be written (disk
 * full) is counted, and the container goes on; half an entry is ended before the next one.
 *
 * A reader that wants everything takes a shared lock (flock(2)) on the file that it reads: a rotation that
 * would drop that one has to wait, and with it the container's output (cri_log_is_held).
 *
 * One thread; no allocation.
 */
#ifndef WHARF_RUNTIME_SHIM_CRI_LOG_H
#define WHARF_RUNTIME_SHIM_CRI_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRI_TEXT_MAX 16384 /* bytes of text in one entry: longer lines are split into P entries */
#define CRI_FILES 3        /* that a container has: log, log.1, log.2 */
#define CRI_READ_MAX 65536 /* bytes to be added at once: what a pipe holds (pipe(7)) */

struct cri_log {
    int dir_fd; /* borrowed: where the files are */
    int fd;     /* -1 until the first entry */
    uint64_t size_bytes;
    uint64_t max_bytes;
    uint32_t files;
    uint64_t lost_bytes;
    bool torn;    /* the file ends within an entry */
    int watch_fd; /* readable when a file that holds up a rotation may have been let go; -1 until needed */
    size_t used;
    char pending[CRI_READ_MAX + CRI_TEXT_MAX / 4];
};

void cri_log_init(struct cri_log *log, int dir_fd, uint64_t max_bytes, uint32_t files);

/* Appends what was read from a stream at `now_ns` (realtime) and writes it out. */
void cri_log_add(struct cri_log *log, const char *stream, int64_t now_ns, const char *data, size_t size);

/* True while no more should be added, since that could drop a file that is being read. What is added all the
 * same is written. While it is true watch_fd becomes readable when it is worth asking again. */
bool cri_log_is_held(struct cri_log *log);

void cri_log_close(struct cri_log *log);

#endif
