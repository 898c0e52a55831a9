/* SPDX-License-Identifier: Apache-2.0 */
/* Reading containers' logs: the format, the last lines, following through rotation, files that were unlinked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/output/log_tail.h"

struct fixture {
    uv_loop_t loop;
    char dir[64];
    int dir_fd;
    struct buf seen; /* texts of the records, each with its line's end */
    size_t stop_at;  /* records; the loop stops there */
    size_t n_seen;
    size_t pause_after;
    bool ended;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->dir, "/tmp/wharf-tail.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->dir_fd >= 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    close(f->dir_fd);
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->dir, NULL), 0);
    buf_release(&f->seen);
    free(f);
    return 0;
}

static void append(struct fixture *f, int first, int last)
{
    auto_fd int fd = openat(f->dir_fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (int i = first; i <= last; i++)
        assert_true(dprintf(fd, "2026-01-02T03:04:05.%09dZ stdout F %d\n", i, i) > 0);
}

static void append_text(struct fixture *f, const char *text)
{
    auto_fd int fd = openat(f->dir_fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static bool on_record(const struct cri_record *record, void *data)
{
    struct fixture *f = data;
    buf_printf(&f->seen, "%.*s%s", (int)record->size, record->text, record->complete ? "\n" : "");
    f->n_seen++;
    if (f->n_seen == f->stop_at)
        uv_stop(&f->loop);
    return f->pause_after == 0 || f->n_seen % f->pause_after != 0;
}

static void on_end(void *data)
{
    struct fixture *f = data;
    f->ended = true;
    uv_stop(&f->loop);
}

static const struct log_tail_ops ops = {.on_record = on_record, .on_end = on_end};

static struct log_tail *open_tail(struct fixture *f, bool follow)
{
    struct log_tail *tail;
    struct err err = ERR_INIT;
    if (log_tail_open(&tail, &f->loop, f->dir_fd, NULL, follow, &ops, f, &err) < 0)
        fail_msg("%s", err.message);
    return tail;
}

static void run_until(struct fixture *f, size_t n)
{
    f->stop_at = n;
    if (f->n_seen < n)
        uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->n_seen, n);
}

static void assert_seen(const struct fixture *f, int first, int last)
{
    auto_buf struct buf expected = BUF_INIT;
    buf_add_string(&expected, "");
    for (int i = first; i <= last; i++)
        buf_printf(&expected, "%d\n", i);
    assert_string_equal(f->seen.data, expected.data);
}

static void reads_what_is_there_and_ends(void **state)
{
    struct fixture *f = *state;
    append(f, 1, 3);
    assert_int_equal(renameat(f->dir_fd, "log", f->dir_fd, "log.1"), 0);
    append(f, 4, 20000);
    struct log_tail *tail = open_tail(f, false);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->ended);
    assert_seen(f, 1, 20000);
    log_tail_close(tail);
}

static void follows_through_rotations(void **state)
{
    struct fixture *f = *state;
    struct log_tail *tail = open_tail(f, true); /* before there is a file */
    append(f, 1, 10);
    run_until(f, 10);
    append(f, 11, 12);
    assert_int_equal(renameat(f->dir_fd, "log", f->dir_fd, "log.1"), 0);
    append(f, 13, 14);
    assert_int_equal(renameat(f->dir_fd, "log.1", f->dir_fd, "log.2"), 0);
    assert_int_equal(renameat(f->dir_fd, "log", f->dir_fd, "log.1"), 0);
    append(f, 15, 16);
    run_until(f, 16);
    log_tail_finish(tail);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->ended);
    assert_seen(f, 1, 16);
    log_tail_close(tail);
}

static void goes_on_where_a_slow_reader_paused(void **state)
{
    struct fixture *f = *state;
    append(f, 1, 100);
    f->pause_after = 7;
    struct log_tail *tail = open_tail(f, false);
    while (!f->ended) {
        log_tail_resume(tail);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_seen(f, 1, 100);
    log_tail_close(tail);
}

static void shows_the_last_lines(void **state)
{
    static const struct {
        size_t n;
        int first;
    } rows[] = {{0, 21}, {1, 20}, {3, 18}, {20, 1}, {21, 1}, {1000, 1}};
    struct fixture *f = *state;
    append(f, 1, 15);
    assert_int_equal(renameat(f->dir_fd, "log", f->dir_fd, "log.1"), 0);
    append(f, 16, 20);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_reset(&f->seen);
        buf_add_string(&f->seen, "");
        f->ended = false;
        struct log_tail *tail = open_tail(f, false);
        assert_int_equal(log_tail_from_last(tail, rows[i].n, NULL), 0);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        assert_seen(f, rows[i].first, 20);
        log_tail_close(tail);
    }
}

/* A prompt, say: nobody has ended that line yet. */
static void a_last_line_without_its_end_is_a_line(void **state)
{
    static const struct {
        size_t n;
        const char *expected;
    } rows[] = {{0, ""}, {1, "name? "}, {2, "2\nname? "}, {INT32_MAX, "1\n2\nname? "}};
    struct fixture *f = *state;
    append(f, 1, 2);
    append_text(f,
                "2026-01-02T03:04:06.000000000Z stdout P name\n2026-01-02T03:04:06.000000000Z stdout P ? \n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_reset(&f->seen);
        buf_add_string(&f->seen, "");
        struct log_tail *tail = open_tail(f, false);
        assert_int_equal(log_tail_from_last(tail, rows[i].n, NULL), 0);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        assert_string_equal(f->seen.data, rows[i].expected);
        log_tail_close(tail);
    }
}

static void rotate(struct fixture *f)
{
    renameat(f->dir_fd, "log.1", f->dir_fd, "log.2"); /* which may not be there yet */
    assert_int_equal(renameat(f->dir_fd, "log", f->dir_fd, "log.1"), 0);
}

/* Files that came after the tail was opened, and go before it gets to them. */
static void files_that_are_unlinked_are_read_whole(void **state)
{
    struct fixture *f = *state;
    append(f, 1, 5);
    struct log_tail *tail = open_tail(f, true);
    run_until(f, 5);
    append(f, 6, 8);
    rotate(f);
    append(f, 9, 10);
    rotate(f);
    append(f, 11, 12);
    log_tail_complete(tail);
    for (int i = 0; i < 2; i++)
        assert_int_equal(unlinkat(f->dir_fd, i == 0 ? "log.2" : "log.1", 0), 0);
    append(f, 13, 13); /* of the container's next start, which is not this reader's */
    assert_int_equal(unlinkat(f->dir_fd, "log", 0), 0);
    append(f, 14, 14);
    log_tail_finish(tail);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->ended);
    assert_seen(f, 1, 13);
    log_tail_close(tail);
}

static bool is_locked(const struct fixture *f, const char *name)
{
    auto_fd int fd = openat(f->dir_fd, name, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return flock(fd, LOCK_EX | LOCK_NB) < 0;
}

static void holds_the_file_it_reads(void **state)
{
    struct fixture *f = *state;
    append(f, 1, 3);
    rotate(f);
    append(f, 4, 5);
    f->pause_after = 2;
    struct log_tail *tail = open_tail(f, true);
    log_tail_hold(tail);
    assert_true(is_locked(f, "log.1"));
    assert_false(is_locked(f, "log"));
    run_until(f, 2);
    assert_true(is_locked(f, "log.1"));
    log_tail_resume(tail);
    run_until(f, 4);
    log_tail_resume(tail);
    run_until(f, 5);
    assert_false(is_locked(f, "log.1"));
    assert_true(is_locked(f, "log"));
    log_tail_close(tail);
}

static void ignore_end(void *data)
{
    (void)data;
}

/* More than the kernel keeps for us, all of them about another directory. */
static void overflow_events(int dir_fd)
{
    char limit[24] = "";
    auto_fd int limit_fd = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY | O_CLOEXEC);
    auto_fd int a = openat(dir_fd, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    auto_fd int b = openat(dir_fd, "b", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(read(limit_fd, limit, sizeof(limit) - 1) > 0);
    for (long i = strtol(limit, NULL, 10); i >= 0; i--) /* two in a row that are alike are one */
        assert_int_equal(pwrite(i % 2 == 0 ? a : b, "x", 1, 0), 1);
}

static void sees_what_the_kernel_did_not_tell(void **state)
{
    static const struct log_tail_ops none = {.on_record = on_record, .on_end = ignore_end};
    struct fixture *f = *state, other = {0};
    struct log_tail *others;
    assert_int_equal(mkdirat(f->dir_fd, "other", 0700), 0);
    struct log_tail *tail = open_tail(f, true);
    append(f, 1, 1);
    run_until(f, 1);
    uv_run(&f->loop, UV_RUN_NOWAIT); /* what was told of that, too */
    auto_fd int other_fd = openat(f->dir_fd, "other", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(log_tail_open(&others, &f->loop, other_fd, NULL, true, &none, &other, NULL), 0);
    overflow_events(other_fd);
    append(f, 2, 2);
    run_until(f, 2);
    log_tail_close(others);
    log_tail_close(tail);
}

static void kept_files_outlive_their_names(void **state)
{
    struct fixture *f = *state;
    struct log_files files;
    struct log_tail *tail;
    append(f, 1, 5);
    assert_int_equal(log_files_open(&files, f->dir_fd, NULL), 0);
    assert_int_equal(unlinkat(f->dir_fd, "log", 0), 0);
    assert_int_equal(log_tail_open(&tail, &f->loop, files.fds[0], &files, true, &ops, f, NULL), 0);
    run_until(f, 5);
    log_tail_finish(tail);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->ended);
    assert_seen(f, 1, 5);
    log_tail_close(tail);
}

static void knows_the_format(void **state)
{
    struct cri_record record;
    const char *partial = "2026-01-02T03:04:05Z stderr P half\n";
    (void)state;
    assert_int_equal(cri_parse(partial, strlen(partial) - 1, &record), 0);
    assert_int_equal(cri_parse(partial, strlen(partial), &record), strlen(partial));
    assert_int_equal(record.stream, CRI_STDERR);
    assert_false(record.complete);
    assert_memory_equal(record.text, "half", 4);
    const char *foreign = "no such format\nrest";
    assert_int_equal(cri_parse(foreign, strlen(foreign), &record), 15);
    assert_true(record.complete);
    assert_int_equal(record.size, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_format),
        cmocka_unit_test_setup_teardown(reads_what_is_there_and_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(follows_through_rotations, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_where_a_slow_reader_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(shows_the_last_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(a_last_line_without_its_end_is_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(sees_what_the_kernel_did_not_tell, setup, teardown),
        cmocka_unit_test_setup_teardown(kept_files_outlive_their_names, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_are_unlinked_are_read_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(holds_the_file_it_reads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
