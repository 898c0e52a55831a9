/* SPDX-License-Identifier: Apache-2.0 */
/* An upper layer and an image made by hand: overlayfs is not needed, only what it leaves. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "runtime/output/changes.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LOWER "images/" HEX "/rootfs"
#define UPPER "containers/c/upper"

struct fixture {
    char dir[64];
    int fd;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/test-changes-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(fs_mkdirs(f->fd, LOWER, 0755, NULL), 0);
    assert_int_equal(fs_mkdirs(f->fd, UPPER, 0755, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close(f->fd);
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->dir, NULL), 0);
    free(f);
    return 0;
}

static void put(const struct fixture *f, const char *path)
{
    assert_int_equal(fs_write_file(f->fd, path, 0644, "x", 1, false, NULL), 0);
}

/* "A /x;C /y;" */
static void expect(const struct fixture *f, const char *expected)
{
    char text[1024] = "";
    struct err err = ERR_INIT;
    int dir_fd = openat(f->fd, "containers/c", O_RDONLY | O_DIRECTORY);
    json_t *list = changes_list(dir_fd, "sha256:" HEX, &err), *item;
    size_t i;
    assert_non_null(list);
    json_array_foreach(list, i, item)
    {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%.1s %s;",
                 json_string_value(json_object_get(item, "kind")),
                 json_string_value(json_object_get(item, "path")));
    }
    json_decref(list);
    close(dir_fd);
    assert_string_equal(text, expected);
}

static void added_changed_deleted(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fs_mkdirs(f->fd, LOWER "/etc/old", 0755, NULL), 0);
    assert_int_equal(fs_mkdirs(f->fd, LOWER "/same", 0755, NULL), 0);
    put(f, LOWER "/etc/passwd");
    put(f, LOWER "/gone");
    put(f, LOWER "/was-file");
    expect(f, "");
    assert_int_equal(fs_mkdirs(f->fd, UPPER "/etc/new/deep", 0755, NULL), 0);
    assert_int_equal(fs_mkdirs(f->fd, UPPER "/same", 0755, NULL), 0); /* copied up, and as it was */
    assert_int_equal(fs_mkdirs(f->fd, UPPER "/was-file", 0755, NULL), 0);
    put(f, UPPER "/etc/hosts"); /* wharf's own */
    expect(f, "c /etc;a /etc/new;a /etc/new/deep;c /was-file;");
    put(f, UPPER "/etc/passwd");
    put(f, UPPER "/etc/new/deep/caf\xc3\xa9");
    put(f, UPPER "/\xff");
    assert_int_equal(mknodat(f->fd, UPPER "/gone", S_IFCHR, makedev(0, 0)), 0);
    assert_int_equal(mknodat(f->fd, UPPER "/never", S_IFCHR, makedev(0, 0)), 0);
    assert_int_equal(symlinkat("/etc/shadow", f->fd, UPPER "/link"), 0);
    expect(f, "c /etc;a /etc/new;a /etc/new/deep;a /etc/new/deep/caf\xc3\xa9;c /etc/passwd;d /gone;a /link;"
              "c /was-file;a /?;");
}

/* Links in the layers lead nowhere: neither out of them nor in a circle. */
static void links_are_not_followed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fs_mkdirs(f->fd, UPPER "/dir", 0755, NULL), 0);
    assert_int_equal(symlinkat("..", f->fd, UPPER "/dir/up"), 0);
    assert_int_equal(symlinkat("/etc", f->fd, UPPER "/etc"), 0);
    assert_int_equal(symlinkat("/etc", f->fd, LOWER "/dir"), 0);
    expect(f, "c /dir;a /dir/up;a /etc;");
}

static void no_image(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    int dir_fd = openat(f->fd, "containers/c", O_RDONLY | O_DIRECTORY);
    assert_null(changes_list(dir_fd, "sha256:ff", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    close(dir_fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(added_changed_deleted), TEST(links_are_not_followed),
                                       TEST(no_image)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
