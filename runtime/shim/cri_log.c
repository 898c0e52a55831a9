/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/shim/cri_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX_MAX 64 /* time, stream and tag of one entry, and the newline */
/* What one read can become at most: an entry for each byte. */
#define GROWTH_MAX ((uint64_t)CRI_READ_MAX * (PREFIX_MAX + 2))

void cri_log_init(struct cri_log *log, int dir_fd, uint64_t max_bytes, uint32_t files)
{
    log->dir_fd = dir_fd;
    log->fd = -1;
    log->size_bytes = 0;
    log->max_bytes = max_bytes;
    log->files = files;
    log->lost_bytes = 0;
    log->torn = false;
    log->watch_fd = -1;
    log->used = 0;
}

static int open_current(struct cri_log *log)
{
    log->fd = openat(log->dir_fd, "log", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    struct stat st;
    char last = '\n';
    if (log->fd < 0 || fstat(log->fd, &st) < 0)
        return -1;
    log->size_bytes = (uint64_t)st.st_size;
    /* a shim or a machine that died may have left half an entry */
    log->torn = st.st_size > 0 && pread(log->fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
    return 0;
}

/* Ends half an entry, so that what follows is not taken for its rest. */
static bool end_torn(struct cri_log *log)
{
    if (!log->torn)
        return true;
    if (write(log->fd, "\n", 1) != 1)
        return false;
    log->size_bytes++;
    log->torn = false;
    return true;
}

static void file_name(char ret[24], uint32_t i)
{
    snprintf(ret, 24, i == 0 ? "log" : "log.%u", i);
}

/* The oldest is unlinked and not renamed over: ext4 writes to the disk what replaces a file (auto_da_alloc,
 * ext4(5)), at each rotation another log that may never be needed. */
static void rotate(struct cri_log *log)
{
    char from[24], to[24];
    close(log->fd);
    log->fd = -1;
    file_name(to, log->files - 1);
    unlinkat(log->dir_fd, to, 0);
    for (uint32_t i = log->files - 1; i > 0; i--) {
        file_name(from, i - 1);
        renameat(log->dir_fd, from, log->dir_fd, to); /* a missing one is as good as renamed */
        memcpy(to, from, sizeof(to));
    }
}

static size_t write_pending(struct cri_log *log)
{
    size_t done = 0;
    while (done < log->used) {
        ssize_t n = write(log->fd, log->pending + done, log->used - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        done += (size_t)n;
    }
    log->torn = done > 0 && log->pending[done - 1] != '\n';
    return done;
}

static void flush(struct cri_log *log)
{
    size_t done = 0;
    bool ready = (log->fd >= 0 || open_current(log) == 0) && end_torn(log);
    if (ready && log->size_bytes > 0 && log->size_bytes + log->used > log->max_bytes) {
        rotate(log);
        ready = open_current(log) == 0;
    }
    if (ready)
        done = write_pending(log);
    log->size_bytes += done;
    log->lost_bytes += log->used - done;
    log->used = 0;
}

static size_t format_prefix(char ret[PREFIX_MAX], const char *stream, int64_t now_ns)
{
    time_t seconds = (time_t)(now_ns / 1000000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    int n =
        snprintf(ret, PREFIX_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ %s ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now_ns % 1000000000), stream);
    return n < 0 || n >= PREFIX_MAX ? 0 : (size_t)n;
}

static void put(struct cri_log *log, const char *data, size_t size)
{
    memcpy(log->pending + log->used, data, size);
    log->used += size;
}

void cri_log_add(struct cri_log *log, const char *stream, int64_t now_ns, const char *data, size_t size)
{
    char prefix[PREFIX_MAX];
    size_t prefix_size = format_prefix(prefix, stream, now_ns);
    while (size > 0) {
        const char *newline = memchr(data, '\n', size < CRI_TEXT_MAX ? size : CRI_TEXT_MAX);
        size_t text = newline != NULL ? (size_t)(newline - data) : size < CRI_TEXT_MAX ? size : CRI_TEXT_MAX;
        size_t limit = sizeof(log->pending);
        if (log->max_bytes > log->size_bytes && log->max_bytes - log->size_bytes < limit)
            limit = (size_t)(log->max_bytes - log->size_bytes);
        if (log->used > 0 && log->used + text + PREFIX_MAX > limit)
            flush(log);
        put(log, prefix, prefix_size);
        put(log, newline != NULL ? "F " : "P ", 2);
        put(log, data, text);
        put(log, "\n", 1);
        size_t eaten = newline != NULL ? text + 1 : text;
        data += eaten;
        size -= eaten;
    }
    if (log->used > 0)
        flush(log);
}

static bool is_locked(const struct cri_log *log, const char *name)
{
    int fd = openat(log->dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool locked = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

/* A reader ends with a close of what it opened for reading; ours above was open for writing. */
static bool watch(struct cri_log *log, const char *name)
{
    char path[64], ignored[512];
    if (log->watch_fd < 0)
        log->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    while (log->watch_fd >= 0 && read(log->watch_fd, ignored, sizeof(ignored)) > 0)
        ;
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", log->dir_fd, name);
    return log->watch_fd >= 0 && inotify_add_watch(log->watch_fd, path, IN_CLOSE_NOWRITE | IN_ONESHOT) >= 0;
}

/* With one file there is nothing older to wait for: who reads it reads what is being written. */
bool cri_log_is_held(struct cri_log *log)
{
    char oldest[24];
    if (log->files < 2 || log->size_bytes + GROWTH_MAX <= log->max_bytes)
        return false;
    file_name(oldest, log->files - 1);
    return is_locked(log, oldest) && watch(log, oldest) && is_locked(log, oldest);
}

void cri_log_close(struct cri_log *log)
{
    if (log->watch_fd >= 0)
        close(log->watch_fd);
    log->watch_fd = -1;
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}
