/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/shim/cri_log.h"

#define TIME "2023-11-14T22:13:20.000000005Z "
#define TIME_NS 1700000000000000005

struct fixture {
    char dir[40];
    int fd;
    struct cri_log log;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->dir, "/tmp/wharf-cri-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cri_log_close(&f->log);
    close(f->fd);
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->dir, NULL), 0);
    free(f);
    return 0;
}

static void add(struct fixture *f, const char *stream, const char *text)
{
    cri_log_add(&f->log, stream, TIME_NS, text, strlen(text));
}

static void expect_file(struct fixture *f, const char *name, const char *expected)
{
    auto_free char *text = NULL;
    assert_int_equal(fs_read_file(f->fd, name, 1 << 20, &text, NULL, NULL), 0);
    assert_string_equal(text, expected);
}

static void lines_and_parts(void **state)
{
    struct fixture *f = *state;
    cri_log_init(&f->log, f->fd, 1 << 20, 3);
    add(f, "stdout", "one\ntwo\n\nprompt> ");
    add(f, "stderr", "oops\n");
    add(f, "stdout", "\n");
    expect_file(f, "log",
                TIME "stdout F one\n" TIME "stdout F two\n" TIME "stdout F \n" TIME "stdout P prompt> \n" TIME
                     "stderr F oops\n" TIME "stdout F \n");
}

static void long_lines_are_split(void **state)
{
    struct fixture *f = *state;
    cri_log_init(&f->log, f->fd, 1 << 20, 3);
    auto_free char *line = malloc(CRI_TEXT_MAX + 2);
    assert_non_null(line);
    memset(line, 'x', CRI_TEXT_MAX + 1);
    line[CRI_TEXT_MAX + 1] = '\n';
    cri_log_add(&f->log, "stdout", TIME_NS, line, CRI_TEXT_MAX + 2);
    auto_free char *text = NULL;
    size_t size = 0;
    assert_int_equal(fs_read_file(f->fd, "log", 1 << 20, &text, &size, NULL), 0);
    assert_int_equal(strncmp(text, TIME "stdout P xxx", strlen(TIME "stdout P xxx")), 0);
    assert_non_null(strstr(text, "x\n" TIME "stdout F x\n"));
    assert_int_equal(size, 2 * strlen(TIME "stdout P \n") + CRI_TEXT_MAX + 1);
}

static void rotation_keeps_whole_entries(void **state)
{
    struct fixture *f = *state;
    size_t entry = strlen(TIME "stdout F 0\n");
    cri_log_init(&f->log, f->fd, 2 * entry, 3);
    for (char c = '0'; c < '9'; c++)
        add(f, "stdout", (char[]){c, '\n', '\0'});
    expect_file(f, "log", TIME "stdout F 8\n");
    expect_file(f, "log.1", TIME "stdout F 6\n" TIME "stdout F 7\n");
    expect_file(f, "log.2", TIME "stdout F 4\n" TIME "stdout F 5\n");
    assert_int_equal(faccessat(f->fd, "log.3", F_OK, 0), -1);
    assert_int_equal(f->log.lost_bytes, 0);
}

static void an_old_file_is_gone_on_with(void **state)
{
    struct fixture *f = *state;
    cri_log_init(&f->log, f->fd, 1 << 20, 3);
    add(f, "stdout", "a\n");
    cri_log_close(&f->log);
    cri_log_init(&f->log, f->fd, 1 << 20, 3);
    add(f, "stdout", "b\n");
    expect_file(f, "log", TIME "stdout F a\n" TIME "stdout F b\n");
}

static void lost_output_is_counted(void **state)
{
    struct fixture *f = *state;
    cri_log_init(&f->log, -1, 1 << 20, 3); /* a directory that is not there */
    add(f, "stdout", "a\n");
    assert_int_equal(f->log.lost_bytes, strlen(TIME "stdout F a\n"));
}

/* A file of that size at most is this process's full disk. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void half_an_entry_is_ended_before_the_next(void **state)
{
    struct fixture *f = *state;
    signal(SIGXFSZ, SIG_IGN);
    cri_log_init(&f->log, f->fd, 1 << 20, 3);
    limit_files(strlen(TIME "stdout F one\n" TIME "stdout F tw"));
    add(f, "stdout", "one\ntwo\n");
    add(f, "stdout", "three\n");
    limit_files(RLIM_INFINITY);
    add(f, "stdout", "four\n");
    expect_file(f, "log", TIME "stdout F one\n" TIME "stdout F tw\n" TIME "stdout F four\n");
    assert_int_equal(f->log.lost_bytes, strlen("o\n" TIME "stdout F three\n"));
    cri_log_close(&f->log);
    int torn = openat(f->fd, "log", O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(torn, "2023-", 5), 5);
    close(torn);
    cri_log_init(&f->log, f->fd, 1 << 20, 3);
    add(f, "stdout", "five\n");
    expect_file(f, "log",
                TIME "stdout F one\n" TIME "stdout F tw\n" TIME "stdout F four\n2023-\n" TIME
                     "stdout F five\n");
}

/* Three files at most: the oldest is log.2. */
static void a_file_that_is_read_holds_rotations_up(void **state)
{
    struct fixture *f = *state;
    cri_log_init(&f->log, f->fd, 50, 3);
    for (int i = 0; i < 3; i++)
        add(f, "stdout", "a line that fills a file\n");
    assert_false(cri_log_is_held(&f->log));
    int reader = openat(f->fd, "log.2", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(reader, LOCK_SH), 0);
    assert_true(cri_log_is_held(&f->log));
    struct pollfd found = {.fd = f->log.watch_fd, .events = POLLIN};
    assert_int_equal(poll(&found, 1, 0), 0);
    close(reader);
    assert_int_equal(poll(&found, 1, 5000), 1);
    assert_false(cri_log_is_held(&f->log));
    /* one that is not the oldest holds nothing up */
    reader = openat(f->fd, "log.1", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(reader, LOCK_SH), 0);
    assert_false(cri_log_is_held(&f->log));
    close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_and_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_split, setup, teardown),
        cmocka_unit_test_setup_teardown(rotation_keeps_whole_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_file_is_gone_on_with, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_output_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(half_an_entry_is_ended_before_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_read_holds_rotations_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
