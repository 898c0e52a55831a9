/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can happen to a log of files: other programs write to it, processes die, disks fill up, bytes rot,
 * files are cut short or removed, and directories are not ours. Needs root for the small disk and the other
 * user.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "events/log/log_sqlite.h"
#include "tests/support/log_driver.h"

struct fixture {
    char dir[64];
    char url[96];
    char db[128], wal[136], end[128];
    struct driver driver;
};

static const struct log_options appending = {.append_topics = (1u << LOG_TOPICS) - 1};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->dir, "/tmp/wharf-sqlite-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->url, sizeof(f->url), "sqlite:%s/log", f->dir);
    snprintf(f->db, sizeof(f->db), "%s/log/wharf.events.db", f->dir);
    snprintf(f->wal, sizeof(f->wal), "%s-wal", f->db);
    snprintf(f->end, sizeof(f->end), "%s/log/wharf.events.end", f->dir);
    driver_init(&f->driver);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    driver_release(&f->driver);
    umount2(f->dir, MNT_DETACH); /* the small disk, where a test mounted one */
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->dir, NULL), 0);
    free(f);
    return 0;
}

/* Runs the sqlite3 shell, as a person would. */
static void shell(const struct fixture *f, const char *sql)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL)
            _exit(126);
        execlp("sqlite3", "sqlite3", f->db, sql, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void append_some(struct fixture *f, struct log *log, int n)
{
    for (int i = 0; i < n; i++) {
        char text[64];
        snprintf(text, sizeof(text), "{\"the record\":\"number %d\"}", i);
        driver_append_text(&f->driver, log, LOG_EVENTS, text);
    }
}

static void fill(struct fixture *f, int n)
{
    struct log *log = driver_open(&f->driver, f->url, NULL);
    append_some(f, log, n);
    driver_close(&f->driver, log);
}

static void test_a_person_reads_and_writes_with_the_shell(void **state)
{
    struct fixture *f = *state;
    struct log *log = driver_open(&f->driver, f->url, NULL);
    struct collector collector;
    append_some(f, log, 1);
    collector_open(&collector, &f->driver, log, LOG_EVENTS, 0);
    collector_await(&collector, 1);
    shell(
        f,
        "insert into records(partition, offset, time, key, value) values(0, 1, 5, 'k', '{\"by\":\"hand\"}')");
    collector_await(&collector, 2);
    assert_string_equal(collector.items[1].value, "{\"by\":\"hand\"}");
    assert_string_equal(collector.items[1].key, "k");
    assert_null(collector.items[1].damage);
    assert_int_equal(driver_append_text(&f->driver, log, LOG_EVENTS, "next"), 2);
    shell(f, "select 1/(typeof(value) = 'text' and json_valid(value)) from records where offset = 0");
    collector_await(&collector, 3);
    collector_release(&collector, true);
    driver_close(&f->driver, log);
}

static void test_a_reader_may_be_there_first(void **state)
{
    struct fixture *f = *state;
    struct log *reading = driver_open(&f->driver, f->url, &(struct log_options){.append_topics = 0});
    struct collector collector;
    collector_open(&collector, &f->driver, reading, LOG_EVENTS, 0);
    collector_await_caught_up(&collector, 0);
    assert_int_equal(access(f->db, F_OK), -1);
    struct log *log = driver_open(&f->driver, f->url, NULL);
    append_some(f, log, 2);
    collector_await(&collector, 2);
    collector_release(&collector, true);
    driver_close(&f->driver, reading);
    driver_close(&f->driver, log);
    struct stat st;
    assert_int_equal(stat(f->db, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
}

/* Changes a byte of the last place in the file where `what` stands. */
static void flip(const char *path, const char *what)
{
    char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(fs_read_file(AT_FDCWD, path, 1 << 30, &bytes, &size, NULL), 0);
    char *at = memmem(bytes, size, what, strlen(what));
    assert_non_null(at);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "#", 1, at - bytes), 1);
    close(fd);
    free(bytes);
}

static void test_rotten_bytes_are_delivered_as_damaged(void **state)
{
    struct fixture *f = *state;
    fill(f, 5);
    flip(f->db, "number 3");
    struct log *log = driver_open(&f->driver, f->url, NULL);
    struct collector collector;
    collector_open(&collector, &f->driver, log, LOG_EVENTS, 0);
    collector_await(&collector, 5);
    for (size_t i = 0; i < 5; i++)
        assert_true((collector.items[i].damage != NULL) == (i == 3));
    assert_non_null(strstr(collector.items[3].damage, "checksum"));
    collector_release(&collector, true);
    driver_close(&f->driver, log);
}

static void expect_loss(struct fixture *f)
{
    struct log *log = driver_open(&f->driver, f->url, NULL);
    assert_int_equal(f->driver.troubles[LOG_LOSS], 0); /* not from inside log_open */
    driver_await_trouble(&f->driver, LOG_LOSS, 1);
    assert_non_null(strstr(f->driver.last_trouble, f->end));
    struct err err = ERR_INIT;
    struct log_entry entry = {.value = "x", .value_size = 1};
    assert_int_equal(driver_append(&f->driver, log, LOG_EVENTS, &entry, 1, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    driver_close(&f->driver, log);
    assert_int_equal(unlink(f->end), 0);
    log = driver_open(&f->driver, f->url, NULL);
    append_some(f, log, 1);
    driver_close(&f->driver, log);
    assert_int_equal(f->driver.troubles[LOG_LOSS], 1);
}

static void test_a_missing_tail_is_a_loss(void **state)
{
    struct fixture *f = *state;
    fill(f, 5);
    shell(f, "delete from records where offset > 2");
    expect_loss(f);
}

/* A process that appends and dies without closing anything. `n` acknowledged records come through a pipe. */
static void append_and_die(struct fixture *f, int n)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct driver driver;
        driver_init(&driver);
        struct log *log = driver_open(&driver, f->url, NULL);
        for (int i = 0; i < n; i++)
            driver_append_text(&driver, log, LOG_EVENTS, "from one that died");
        raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void test_what_was_acknowledged_survives_the_process(void **state)
{
    struct fixture *f = *state;
    append_and_die(f, 50);
    struct log *log = driver_open(&f->driver, f->url, NULL);
    assert_int_equal(driver_end(&f->driver, log, LOG_EVENTS), 50);
    assert_int_equal(f->driver.troubles[LOG_LOSS], 0);
    driver_close(&f->driver, log);
}

static void test_a_torn_wal_is_a_loss(void **state)
{
    struct fixture *f = *state;
    append_and_die(f, 50);
    struct stat st;
    assert_int_equal(stat(f->wal, &st), 0);
    assert_int_equal(truncate(f->wal, st.st_size / 2 + 100), 0);
    expect_loss(f);
}

static void expect_open_fails(struct fixture *f, enum err_code code, const char *text)
{
    struct log *log = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(driver_try_open(&f->driver, &log, f->url, &appending, &err), -1);
    assert_int_equal(err.code, code);
    if (strstr(err.message, text) == NULL)
        fail_msg("'%s' is not in '%s'", text, err.message);
}

static void test_a_torn_database_is_corrupt(void **state)
{
    struct fixture *f = *state;
    fill(f, 500);
    unlink(f->wal);
    struct stat st;
    assert_int_equal(stat(f->db, &st), 0);
    assert_int_equal(truncate(f->db, st.st_size / 2), 0);
    expect_open_fails(f, ERR_CORRUPT, f->db);
}

static void test_a_file_that_is_no_log_is_left_alone(void **state)
{
    struct fixture *f = *state;
    char dir[80];
    snprintf(dir, sizeof(dir), "%s/log", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(fs_write_file(AT_FDCWD, f->db, 0600, "this is a letter to my aunt", 27, false, NULL), 0);
    expect_open_fails(f, ERR_CORRUPT, f->db);
    assert_int_equal(unlink(f->db), 0);
    shell(f, "create table aunts(name)");
    expect_open_fails(f, ERR_CORRUPT, "is not a log of wharf");
}

static void test_a_gap_is_not_skipped(void **state)
{
    struct fixture *f = *state;
    struct log *log = driver_open(&f->driver, f->url, NULL);
    append_some(f, log, 6);
    shell(f, "delete from records where offset = 3");
    struct collector collector;
    collector_open(&collector, &f->driver, log, LOG_EVENTS, 0);
    collector_await_lost(&collector);
    assert_int_equal(collector.n, 3);
    assert_int_equal(collector.lost_err.code, ERR_CORRUPT);
    collector_release(&collector, true);
    driver_close(&f->driver, log);
}

static void test_a_file_that_is_removed_in_use_is_a_loss(void **state)
{
    struct fixture *f = *state;
    struct log *log = driver_open(&f->driver, f->url, NULL);
    append_some(f, log, 2);
    assert_int_equal(unlink(f->db), 0);
    struct err err = ERR_INIT;
    struct log_entry entry = {.value = "x", .value_size = 1};
    assert_int_equal(driver_append(&f->driver, log, LOG_EVENTS, &entry, 1, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(f->driver.troubles[LOG_LOSS], 1);
    driver_close(&f->driver, log);
}

static void test_a_garbled_sidecar_is_no_witness(void **state)
{
    struct fixture *f = *state;
    fill(f, 3);
    assert_int_equal(
        fs_write_file(AT_FDCWD, f->end, 0660, "0000000000 9999999999999999999x\ngarbage", 39, false, NULL),
        0);
    fill(f, 1);
    assert_int_equal(f->driver.troubles[LOG_LOSS], 0);
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(fs_read_file(AT_FDCWD, f->end, 1000, &text, &size, NULL), 0);
    assert_memory_equal(text, "0000000000 00000000000000000004\n", SQLITE_END_SLOT);
    free(text);
}

static void test_the_sidecars_parser_takes_anything(void **state)
{
    (void)state;
    int64_t ends[2];
    char slots[2 * SQLITE_END_SLOT + 1];
    sqlite_end_format(slots, 0, 7);
    sqlite_end_format(slots + SQLITE_END_SLOT, 1, INT64_MAX);
    for (size_t size = 0; size <= 2 * SQLITE_END_SLOT; size++) {
        sqlite_end_parse(slots, size, ends, 2);
        assert_int_equal(ends[0], size >= SQLITE_END_SLOT ? 7 : -1);
        assert_int_equal(ends[1], size >= 2 * SQLITE_END_SLOT ? INT64_MAX : -1);
    }
    sqlite_end_parse("0000000000 99999999999999999999\n", SQLITE_END_SLOT, ends, 1);
    assert_int_equal(ends[0], -1);
    sqlite_end_parse("0000000001 00000000000000000001\n", SQLITE_END_SLOT, ends, 1);
    assert_int_equal(ends[0], -1);
}

/* A disk of 2 MB in the test's own mount namespace. */
static void mount_small_disk(struct fixture *f)
{
    assert_int_equal(mount("wharf-test", f->dir, "tmpfs", 0, "size=2m,mode=0755"), 0);
}

static void fill_disk(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    char page[4096];
    memset(page, 'f', sizeof(page));
    while (write(fd, page, sizeof(page)) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

struct full_disk {
    struct log_append appends[50];
    int n_done;
    int n_failed;
    struct err err;
};

static void on_full_append(struct log_append *append, int64_t first_offset, const struct err *err)
{
    struct full_disk *all = append->data;
    assert_ptr_equal(append, &all->appends[all->n_done]);
    all->n_done++;
    if (err != NULL) {
        all->n_failed++;
        all->err = *err;
    } else {
        assert_int_equal(first_offset, all->n_done);
    }
}

static bool full_done(void *data)
{
    return ((struct full_disk *)data)->n_done == 50;
}

static void append_to_full(struct log *log, struct full_disk *all)
{
    static const char text[8000];
    for (size_t i = 0; i < 50; i++) {
        struct log_entry entry = {.value = text, .value_size = sizeof(text)};
        all->appends[i].data = all;
        assert_int_equal(log_append(log, &all->appends[i], LOG_EVENTS, 0, &entry, 1, on_full_append, NULL),
                         0);
    }
}

static void test_a_full_disk_is_waited_for(void **state)
{
    struct fixture *f = *state;
    mount_small_disk(f);
    struct log *log =
        driver_open(&f->driver, f->url, &(struct log_options){.append_topics = 1u << LOG_EVENTS});
    append_some(f, log, 1);
    char filler[80];
    snprintf(filler, sizeof(filler), "%s/filler", f->dir);
    fill_disk(filler);
    struct full_disk all = {.n_done = 0};
    append_to_full(log, &all);
    driver_await_trouble(&f->driver, LOG_AWAY, 1);
    assert_non_null(strstr(f->driver.last_trouble, "full"));
    driver_count_wakeups(&f->driver, 200);
    assert_int_equal(all.n_done, 0);
    assert_int_equal(f->driver.troubles[LOG_AWAY], 1);
    assert_int_equal(unlink(filler), 0);
    driver_run_until(&f->driver, full_done, &all, 10000);
    assert_int_equal(all.n_failed, 0);
    assert_int_equal(f->driver.troubles[LOG_BACK], 1);
    driver_close(&f->driver, log);
}

static void test_a_full_disk_is_waited_for_only_so_long(void **state)
{
    struct fixture *f = *state;
    mount_small_disk(f);
    struct log *log =
        driver_open(&f->driver, f->url,
                    &(struct log_options){.append_topics = 1u << LOG_EVENTS, .append_timeout_ms = 200});
    append_some(f, log, 1);
    char filler[80];
    snprintf(filler, sizeof(filler), "%s/filler", f->dir);
    fill_disk(filler);
    struct full_disk all = {.n_done = 0};
    append_to_full(log, &all);
    driver_run_until(&f->driver, full_done, &all, 10000);
    assert_int_equal(all.n_failed, 50);
    assert_int_equal(all.err.code, ERR_UNAVAILABLE);
    assert_int_equal(unlink(filler), 0);
    driver_await_trouble(&f->driver, LOG_BACK, 1);
    assert_int_equal(driver_append_text(&f->driver, log, LOG_EVENTS, "again"), 1);
    driver_close(&f->driver, log);
}

static void test_a_disk_that_is_full_at_the_start(void **state)
{
    struct fixture *f = *state;
    mount_small_disk(f);
    char filler[80];
    snprintf(filler, sizeof(filler), "%s/filler", f->dir);
    char dir[80];
    snprintf(dir, sizeof(dir), "%s/log", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    fill_disk(filler);
    struct log *log =
        driver_open(&f->driver, f->url, &(struct log_options){.append_topics = 1u << LOG_EVENTS});
    driver_await_trouble(&f->driver, LOG_AWAY, 1);
    assert_int_equal(unlink(filler), 0);
    driver_await_trouble(&f->driver, LOG_BACK, 1);
    append_some(f, log, 1);
    driver_close(&f->driver, log);
}

/* In a child that is nobody: what log_open says about the directory. */
static void test_a_directory_that_is_not_ours(void **state)
{
    struct fixture *f = *state;
    fill(f, 1);
    assert_int_equal(chmod(f->dir, 0755), 0);
    char dir[80];
    snprintf(dir, sizeof(dir), "%s/log", f->dir);
    assert_int_equal(chmod(dir, 0755), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct log *log = NULL;
        struct err err = ERR_INIT;
        bool refused = setgid(65534) == 0 && setuid(65534) == 0 &&
                       driver_try_open(&f->driver, &log, f->url, &appending, &err) < 0;
        _exit(refused && err.code == ERR_SYSTEM && strstr(err.message, dir) != NULL &&
                      strstr(err.message, "--log") != NULL
                  ? 0
                  : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define EACH_APPENDS 200

static void test_two_processes_append_to_one_topic(void **state)
{
    struct fixture *f = *state;
    pid_t pids[2];
    for (size_t i = 0; i < 2; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            struct driver driver;
            driver_init(&driver);
            struct log *log =
                driver_open(&driver, f->url, &(struct log_options){.append_topics = 1u << LOG_DEADLETTERS});
            int64_t last = -1, offset = 0;
            for (size_t n = 0; n < EACH_APPENDS && offset > last; n++) {
                last = n == 0 ? -1 : offset;
                offset = driver_append_text(&driver, log, LOG_DEADLETTERS, "mine");
            }
            driver_close(&driver, log);
            _exit(offset > last ? 0 : 1);
        }
    }
    struct log *log = driver_open(&f->driver, f->url, &(struct log_options){.append_topics = 0});
    struct collector collector;
    collector_open(&collector, &f->driver, log, LOG_DEADLETTERS, 0);
    collector_await(&collector, 2 * EACH_APPENDS);
    for (size_t i = 0; i < collector.n; i++)
        assert_int_equal(collector.items[i].offset, (int64_t)i);
    for (size_t i = 0; i < 2; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    collector_release(&collector, true);
    driver_close(&f->driver, log);
}

static void on_flood(struct log_append *append, int64_t first_offset, const struct err *err)
{
    assert_null(err);
    assert_true(first_offset >= 0);
    (*(size_t *)append->data)++;
}

#define FLOOD 60000

static bool flood_over(void *data)
{
    return *(size_t *)data == FLOOD;
}

static void test_the_wal_stays_small(void **state)
{
    struct fixture *f = *state;
    struct log *log = driver_open(&f->driver, f->url, NULL);
    struct log_append *appends = calloc(FLOOD, sizeof(*appends));
    assert_non_null(appends);
    char text[1000];
    memset(text, 'x', sizeof(text));
    struct log_entry entry = {.value = text, .value_size = sizeof(text)};
    size_t n_done = 0;
    for (size_t i = 0; i < FLOOD; i++) {
        appends[i].data = &n_done;
        assert_int_equal(log_append(log, &appends[i], LOG_EVENTS, 0, &entry, 1, on_flood, NULL), 0);
    }
    driver_run_until(&f->driver, flood_over, &n_done, 60000);
    struct stat st;
    assert_int_equal(stat(f->wal, &st), 0);
    assert_in_range(st.st_size, 1, 48 << 20);
    driver_close(&f->driver, log);
    free(appends);
}

#define WITH_DIR(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    /* Mounts made here are seen nowhere else and go with this process. */
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        perror("test_log_sqlite: cannot have mounts of its own (are you root?)");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        WITH_DIR(test_a_person_reads_and_writes_with_the_shell),
        WITH_DIR(test_a_reader_may_be_there_first),
        WITH_DIR(test_rotten_bytes_are_delivered_as_damaged),
        WITH_DIR(test_a_missing_tail_is_a_loss),
        WITH_DIR(test_what_was_acknowledged_survives_the_process),
        WITH_DIR(test_a_torn_wal_is_a_loss),
        WITH_DIR(test_a_torn_database_is_corrupt),
        WITH_DIR(test_a_file_that_is_no_log_is_left_alone),
        WITH_DIR(test_a_gap_is_not_skipped),
        WITH_DIR(test_a_file_that_is_removed_in_use_is_a_loss),
        WITH_DIR(test_a_garbled_sidecar_is_no_witness),
        cmocka_unit_test(test_the_sidecars_parser_takes_anything),
        WITH_DIR(test_a_full_disk_is_waited_for),
        WITH_DIR(test_a_full_disk_is_waited_for_only_so_long),
        WITH_DIR(test_a_disk_that_is_full_at_the_start),
        WITH_DIR(test_a_directory_that_is_not_ours),
        WITH_DIR(test_two_processes_append_to_one_topic),
        WITH_DIR(test_the_wal_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
