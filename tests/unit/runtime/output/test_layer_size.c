/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "runtime/output/layer_size.h"

static void put(int dir_fd, const char *path, const char *text)
{
    assert_int_equal(fs_write_file(dir_fd, path, 0644, text, strlen(text), false, NULL), 0);
}

static void files_count_once(void **state)
{
    (void)state;
    char dir[] = "/tmp/test-layer-size-XXXXXX";
    assert_non_null(mkdtemp(dir));
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(layer_size(fd), 0);
    assert_int_equal(fs_mkdirs(fd, "upper/etc", 0755, NULL), 0);
    assert_int_equal(fs_mkdirs(fd, "upper/d/etc", 0755, NULL), 0);
    assert_int_equal(layer_size(fd), 0);
    put(fd, "upper/a", "12345");
    put(fd, "upper/d/b", "123");
    put(fd, "upper/etc/hosts", "ours");
    put(fd, "upper/etc/other", "1");
    put(fd, "upper/d/etc/hosts", "12");
    assert_int_equal(linkat(fd, "upper/a", fd, "upper/d/again", 0), 0);
    assert_int_equal(symlinkat("/etc", fd, "upper/link"), 0); /* not followed: its own length */
    assert_int_equal(layer_size(fd), 5 + 3 + 1 + 2 + 4);
    close(fd);
    assert_int_equal(fs_remove_tree(AT_FDCWD, dir, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_count_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
