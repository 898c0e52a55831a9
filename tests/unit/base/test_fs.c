/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

struct fixture {
    char dir[64];
    int fd;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->dir, "/tmp/wharf-fs-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->dir, NULL), 0);
    assert_int_equal(access(f->dir, F_OK), -1);
    close(f->fd);
    free(f);
    return 0;
}

static void writes_and_reads_back(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_file(f->fd, "a", 0640, "one\0two", 7, true, &err), 0);
    assert_int_equal(fs_write_file(f->fd, "a", 0600, "three", 5, false, &err), 0);
    auto_free char *text = NULL;
    size_t size = 0;
    assert_int_equal(fs_read_file(f->fd, "a", 5, &text, &size, &err), 0);
    assert_int_equal(size, 5);
    assert_string_equal(text, "three");
    struct stat st;
    assert_int_equal(fstatat(f->fd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fs_read_file(f->fd, "a", 4, &text, &size, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void reads_an_empty_file(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_file(f->fd, "e", 0600, "", 0, false, &err), 0);
    auto_free char *text = NULL;
    size_t size = 1;
    assert_int_equal(fs_read_file(f->fd, "e", 10, &text, &size, &err), 0);
    assert_int_equal(size, 0);
    assert_string_equal(text, "");
}

static void names_what_is_missing(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    char *text = NULL;
    assert_int_equal(fs_read_file(f->fd, "none", 4, &text, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.message, "cannot open 'none': No such file or directory");
    assert_int_equal(fs_write_file(f->fd, "none/x", 0600, "", 0, false, &err), -1);
    assert_int_equal(err.sys_errno, ENOENT);
}

static void makes_parents(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    assert_int_equal(fs_mkdirs(f->fd, "p/q/r", 0700, &err), 0);
    assert_int_equal(fs_mkdirs(f->fd, "p/q/r", 0700, &err), 0);
    assert_int_equal(fs_write_file(f->fd, "p/file", 0600, "", 0, false, &err), 0);
    assert_int_equal(fs_mkdirs(f->fd, "p/file", 0700, &err), -1);
    assert_int_equal(err.sys_errno, ENOTDIR);
    assert_int_equal(fs_mkdirs(f->fd, "p/file/x", 0700, &err), -1);
}

static void removal_does_not_follow_links(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    assert_int_equal(fs_mkdirs(f->fd, "keep", 0700, &err), 0);
    assert_int_equal(fs_write_file(f->fd, "keep/file", 0600, "x", 1, false, &err), 0);
    assert_int_equal(fs_mkdirs(f->fd, "tree/sub", 0700, &err), 0);
    assert_int_equal(symlinkat("../keep", f->fd, "tree/link"), 0);
    assert_int_equal(symlinkat("keep", f->fd, "top"), 0);
    assert_int_equal(fs_remove_tree(f->fd, "tree", &err), 0);
    assert_int_equal(fs_remove_tree(f->fd, "top", &err), 0);
    assert_int_equal(faccessat(f->fd, "tree", F_OK, AT_SYMLINK_NOFOLLOW), -1);
    assert_int_equal(faccessat(f->fd, "top", F_OK, AT_SYMLINK_NOFOLLOW), -1);
    assert_int_equal(faccessat(f->fd, "keep/file", F_OK, 0), 0);
    assert_int_equal(fs_remove_tree(f->fd, "never-was", &err), 0);
}

/* A container may leave a tree deeper than there are descriptors. */
static void removes_a_very_deep_tree(void **state)
{
    struct fixture *f = *state;
    int at = dup(f->fd);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(mkdirat(at, "d", 0700), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    close(at);
    struct err err = ERR_INIT;
    assert_int_equal(fs_remove_tree(f->fd, "d", &err), 0);
    assert_int_equal(faccessat(f->fd, "d", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_and_reads_back, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_an_empty_file, setup, teardown),
        cmocka_unit_test_setup_teardown(names_what_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_parents, setup, teardown),
        cmocka_unit_test_setup_teardown(removal_does_not_follow_links, setup, teardown),
        cmocka_unit_test_setup_teardown(removes_a_very_deep_tree, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
