/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The happy path: pump() reads a piece, hands its records out, and comes again on the next loop turn until
 * the newest file is at its end; then a change in the directory wakes it.
 *
 * Failure modes: a file that cannot be read is passed over; a rotation that dropped files before they were
 * read loses what rotation drops, unless the tail holds them: the file that is read is locked, and the next
 * one before it is let go, so that no rotation can get between. It suspends at the end of the newest file,
 * and while its reader does not keep up (paused).
 */
#include "runtime/output/log_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define PIECE_SIZE (64 * 1024)
/* The kernel drops events where too many wait (IN_Q_OVERFLOW, inotify(7)), and libuv does not say so. */
#define LOOK_AGAIN_MS 1000

struct log_tail {
    uv_loop_t *loop;
    uv_fs_event_t watch;
    uv_timer_t look_again;
    uv_idle_t again; /* active while there is something to do */
    int n_handles;
    int dir_fd;
    struct log_files files;
    size_t at_file;
    off_t at_offset;
    struct buf pending; /* bytes read and not yet made into records */
    bool follow;
    bool hold;
    bool complete; /* no file is going to be added */
    bool paused;
    bool closed;
    const struct log_tail_ops *ops;
    void *data;
};

/* Unlocked first: a close by itself is told to the shim, which waits for it, before the lock is gone. */
static void close_file(int fd)
{
    flock(fd, LOCK_UN);
    close(fd);
}

void log_files_close(struct log_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        if (files->fds[i] >= 0)
            close_file(files->fds[i]);
    files->n = 0;
}

static void name_of(int i, char ret[32])
{
    if (i == 0)
        strcpy(ret, "log");
    else
        snprintf(ret, 32, "log.%d", i);
}

static int open_names(struct log_files *ret, int dir_fd, struct err *err)
{
    char name[32];
    *ret = (struct log_files){0};
    for (int i = CRI_FILES - 1; i >= 0; i--) {
        name_of(i, name);
        int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0) {
            ret->fds[ret->n++] = fd;
        } else if (errno != ENOENT) {
            err_sys(err, errno, "cannot open log file '%s'", name);
            log_files_close(ret);
            return -1;
        }
    }
    return 0;
}

/* A rotation that goes on while the names are opened one by one moves files past them. */
static bool are_as_named(const struct log_files *files, int dir_fd)
{
    char name[32];
    struct stat named, opened;
    size_t n = 0;
    for (int i = CRI_FILES - 1; i >= 0; i--) {
        name_of(i, name);
        if (fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (n == files->n || fstat(files->fds[n], &opened) < 0 || named.st_ino != opened.st_ino)
            return false;
        n++;
    }
    return n == files->n;
}

int log_files_open(struct log_files *ret, int dir_fd, struct err *err)
{
    for (;;) {
        if (open_names(ret, dir_fd, err) < 0)
            return -1;
        if (are_as_named(ret, dir_fd))
            return 0;
        log_files_close(ret);
    }
}

int log_files_dup(struct log_files *ret, const struct log_files *from, struct err *err)
{
    *ret = (struct log_files){0};
    for (size_t i = 0; i < from->n; i++) {
        int fd = fcntl(from->fds[i], F_DUPFD_CLOEXEC, 3);
        if (fd < 0) {
            err_sys(err, errno, "cannot duplicate a descriptor");
            log_files_close(ret);
            return -1;
        }
        ret->fds[ret->n++] = fd;
    }
    return 0;
}

static bool same_file(int a, int b)
{
    struct stat of_a, of_b;
    return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

static void lock_current(const struct log_tail *tail)
{
    if (tail->hold && tail->at_file < tail->files.n)
        flock(tail->files.fds[tail->at_file], LOCK_SH); /* nobody keeps it locked otherwise */
}

/* Goes on with the next file: locked before the one that was read is let go. */
static void step_forward(struct log_tail *tail)
{
    int done = tail->files.fds[tail->at_file];
    tail->files.fds[tail->at_file++] = -1;
    tail->at_offset = 0;
    lock_current(tail);
    close_file(done);
}

/* The files that are newer than the newest one we know; all of them if rotation has dropped that one. */
static int open_newer(const struct log_tail *tail, struct log_files *ret)
{
    struct log_files now;
    size_t next = 0;
    *ret = (struct log_files){0};
    if (log_files_open(&now, tail->dir_fd, NULL) < 0)
        return -1;
    for (size_t i = 0; tail->files.n > 0 && i < now.n; i++)
        if (same_file(now.fds[i], tail->files.fds[tail->files.n - 1]))
            next = i + 1;
    for (size_t i = 0; i < now.n; i++) {
        if (i < next)
            close(now.fds[i]);
        else
            ret->fds[ret->n++] = now.fds[i];
    }
    return 0;
}

/* What is written goes to `log`: where that is the newest file we know, there is no newer one. */
static bool knows_newest(const struct log_tail *tail)
{
    struct stat named, known;
    return tail->files.n > 0 && fstatat(tail->dir_fd, "log", &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(tail->files.fds[tail->files.n - 1], &known) == 0 && named.st_ino == known.st_ino;
}

/* At the end of the newest file we know: are there newer ones? */
static bool find_newer(struct log_tail *tail)
{
    struct log_files newer;
    if (tail->complete || knows_newest(tail) || open_newer(tail, &newer) < 0 || newer.n == 0)
        return false;
    struct log_files before = tail->files;
    tail->files = newer;
    tail->at_file = 0;
    tail->at_offset = 0;
    lock_current(tail);
    log_files_close(&before);
    return true;
}

/* Those that are read already make room. */
static void append_newer(struct log_tail *tail)
{
    struct log_files newer, all = {0};
    if (open_newer(tail, &newer) < 0)
        return;
    for (size_t i = tail->at_file; i < tail->files.n; i++)
        all.fds[all.n++] = tail->files.fds[i];
    for (size_t i = 0; i < newer.n; i++) {
        if (all.n < LOG_FILES_MAX)
            all.fds[all.n++] = newer.fds[i];
        else
            close(newer.fds[i]);
    }
    for (size_t i = 0; i < tail->at_file; i++)
        if (tail->files.fds[i] >= 0)
            close(tail->files.fds[i]);
    tail->files = all;
    tail->at_file = 0;
}

void log_tail_complete(struct log_tail *tail)
{
    if (!tail->complete)
        append_newer(tail);
    tail->complete = true;
}

/* Hands out complete records; false when the reader wants a pause. */
static bool deliver(struct log_tail *tail)
{
    size_t used = 0;
    bool more = true;
    struct cri_record record;
    while (more && !tail->closed) {
        size_t size = cri_parse(tail->pending.data + used, tail->pending.size - used, &record);
        if (size == 0)
            break;
        used += size;
        more = tail->ops->on_record(&record, tail->data);
    }
    buf_consume(&tail->pending, used);
    if (used > 0 && tail->ops->on_piece != NULL)
        tail->ops->on_piece(tail->data);
    return more;
}

/* Reads a piece; 0 at the end of everything. */
static size_t read_piece(struct log_tail *tail)
{
    while (tail->at_file < tail->files.n) {
        char *to = buf_reserve(&tail->pending, PIECE_SIZE);
        if (to == NULL)
            return 0;
        ssize_t n = pread(tail->files.fds[tail->at_file], to, PIECE_SIZE, tail->at_offset);
        if (n > 0) {
            tail->at_offset += n;
            tail->pending.size += (size_t)n;
            return (size_t)n;
        }
        if (tail->at_file + 1 < tail->files.n)
            step_forward(tail);
        else if (!find_newer(tail))
            return 0;
    }
    return find_newer(tail) ? read_piece(tail) : 0;
}

static void pump(struct log_tail *tail)
{
    if (tail->pending.size > 0 && !deliver(tail)) {
        tail->paused = true;
        uv_idle_stop(&tail->again);
        return;
    }
    if (tail->closed || read_piece(tail) > 0)
        return;
    uv_idle_stop(&tail->again);
    if (!tail->follow)
        tail->ops->on_end(tail->data);
}

static void on_again(uv_idle_t *handle)
{
    pump(handle->data);
}

static void wake(struct log_tail *tail)
{
    if (!tail->paused && !tail->closed)
        uv_idle_start(&tail->again, on_again);
}

/* What has changed does not matter: the files are looked at anyway. */
static void on_change(uv_fs_event_t *handle, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    wake(handle->data);
}

static void on_look_again(uv_timer_t *timer)
{
    wake(timer->data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct log_tail *tail = handle->data;
    if (--tail->n_handles > 0)
        return;
    if (tail->dir_fd >= 0)
        close(tail->dir_fd);
    log_files_close(&tail->files);
    buf_release(&tail->pending);
    free(tail);
}

/* Before the files are opened, so that nothing goes unseen. By libuv, whose watches share one inotify
 * descriptor: a close of one's own waits for the kernel's readers (fsnotify_destroy_group), for some 20 ms,
 * and the loop with it. */
static int start_watching(struct log_tail *tail, struct err *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", tail->dir_fd);
    int status = uv_fs_event_start(&tail->watch, on_change, path, 0);
    uv_timer_start(&tail->look_again, on_look_again, LOOK_AGAIN_MS, LOOK_AGAIN_MS);
    return status < 0 ? err_sys(err, -status, "cannot watch a container's log") : 0;
}

int log_tail_open(struct log_tail **ret, uv_loop_t *loop, int dir_fd, struct log_files *files_take,
                  bool follow, const struct log_tail_ops *ops, void *data, struct err *err)
{
    struct log_tail *tail = calloc(1, sizeof(*tail));
    if (tail == NULL)
        return err_nomem(err, "opening a container's log");
    *tail = (struct log_tail){.loop = loop, .dir_fd = -1, .follow = follow, .ops = ops, .data = data};
    uv_fs_event_init(loop, &tail->watch); /* none of them can fail (libuv's documentation) */
    uv_timer_init(loop, &tail->look_again);
    uv_idle_init(loop, &tail->again);
    tail->n_handles = 3;
    tail->watch.data = tail->look_again.data = tail->again.data = tail;
    tail->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    int result = tail->dir_fd < 0 ? err_sys(err, errno, "cannot follow a container's log") : 0;
    if (result == 0)
        result = start_watching(tail, err);
    if (result == 0 && files_take == NULL)
        result = log_files_open(&tail->files, tail->dir_fd, err);
    if (result < 0) {
        log_tail_close(tail);
        return -1;
    }
    if (files_take != NULL) {
        tail->files = *files_take;
        files_take->n = 0;
    }
    wake(tail);
    *ret = tail;
    return 0;
}

/* Where a line begins. */
struct line_start {
    size_t file;
    off_t offset;
};

/* The last lines that were passed; the ring has room for one more than is looked for. */
struct line_search {
    struct line_start *ring;
    size_t room;
    size_t seen;
    bool in_line; /* behind a record without its line's end, which may be the last that was written */
    struct line_start end;
};

static void pass_record(struct line_search *search, const struct cri_record *record, size_t size)
{
    if (!search->in_line)
        search->ring[search->seen++ % search->room] = search->end;
    search->in_line = !record->complete;
    search->end.offset += (off_t)size;
}

static void pass_file(struct line_search *search, int fd)
{
    auto_buf struct buf bytes = BUF_INIT;
    for (;;) {
        char *to = buf_reserve(&bytes, PIECE_SIZE);
        ssize_t got = to != NULL ? pread(fd, to, PIECE_SIZE, search->end.offset + (off_t)bytes.size) : -1;
        if (got <= 0)
            return;
        bytes.size += (size_t)got;
        struct cri_record record;
        size_t used = 0, size;
        while ((size = cri_parse(bytes.data + used, bytes.size - used, &record)) > 0) {
            used += size;
            pass_record(search, &record, size);
        }
        buf_consume(&bytes, used);
    }
}

/* However many lines are asked for, there are no more than bytes. */
static size_t limit_lines(const struct log_files *files, size_t n)
{
    struct stat st;
    size_t most = 0;
    for (size_t i = 0; i < files->n; i++)
        if (fstat(files->fds[i], &st) == 0)
            most += (size_t)st.st_size;
    return n < most ? n : most;
}

int log_tail_from_last(struct log_tail *tail, size_t n, struct err *err)
{
    size_t wanted = limit_lines(&tail->files, n);
    auto_free struct line_start *ring = calloc(wanted + 1, sizeof(*ring));
    if (ring == NULL)
        return err_nomem(err, "finding the last lines of a log");
    struct line_search search = {.ring = ring, .room = wanted + 1};
    for (size_t file = 0; file < tail->files.n; file++) {
        search.end = (struct line_start){.file = file};
        pass_file(&search, tail->files.fds[file]);
    }
    struct line_start start = search.end;
    if (n > 0)
        start = search.seen <= wanted ? (struct line_start){0} : ring[(search.seen - wanted) % search.room];
    tail->at_file = start.file;
    tail->at_offset = start.offset;
    return 0;
}

/* What was dropped before it was locked is no longer there to hold anything up: the files are listed again.
 */
void log_tail_hold(struct log_tail *tail)
{
    struct stat st;
    tail->hold = true;
    lock_current(tail);
    while (tail->files.n > 0 && fstat(tail->files.fds[0], &st) == 0 && st.st_nlink == 0) {
        struct log_files now;
        if (log_files_open(&now, tail->dir_fd, NULL) < 0)
            return;
        log_files_close(&tail->files);
        tail->files = now;
        lock_current(tail);
    }
}

void log_tail_resume(struct log_tail *tail)
{
    tail->paused = false;
    wake(tail);
}

void log_tail_finish(struct log_tail *tail)
{
    tail->follow = false;
    wake(tail);
}

void log_tail_close(struct log_tail *tail)
{
    if (tail == NULL || tail->closed)
        return;
    tail->closed = true;
    uv_close((uv_handle_t *)&tail->watch, on_handle_closed);
    uv_close((uv_handle_t *)&tail->look_again, on_handle_closed);
    uv_close((uv_handle_t *)&tail->again, on_handle_closed);
}
