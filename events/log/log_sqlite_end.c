/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sidecar DIR/wharf.TOPIC.end says where each partition ended when its last append was acknowledged.
 *
 * It does two things. It is what readers of other processes watch: a write to the WAL cannot wake them
 * reliably, since the commit becomes visible only when the mapped wal-index changes, after the write, which
 * inotify does not see. And it is a witness: a database that ends before its sidecar says has lost records
 * that had been acknowledged.
 *
 * It is written after the commit and never synced, so it may be behind the database, also because two
 * appenders may write it in either order. That only weakens the witness.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "events/log/log_sqlite.h"

#define PARTITION_DIGITS 10
#define END_DIGITS 20

void sqlite_end_format(char slot[SQLITE_END_SLOT + 1], uint32_t partition, int64_t end)
{
    snprintf(slot, SQLITE_END_SLOT + 1, "%0*u %0*lld\n", PARTITION_DIGITS, partition, END_DIGITS,
             (long long)end);
}

/* `n` digits; -1 on anything else or overflow. */
static int64_t parse_digits(const char *text, size_t n)
{
    int64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text[i] - '0', &value))
            return -1;
    }
    return value;
}

void sqlite_end_parse(const char *text, size_t size, int64_t *ret_ends, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ret_ends[i] = -1;
        if (size / SQLITE_END_SLOT <= i)
            continue;
        const char *slot = text + i * SQLITE_END_SLOT;
        if (parse_digits(slot, PARTITION_DIGITS) == (int64_t)i && slot[PARTITION_DIGITS] == ' ' &&
            slot[SQLITE_END_SLOT - 1] == '\n')
            ret_ends[i] = parse_digits(slot + PARTITION_DIGITS + 1, END_DIGITS);
    }
}

int sqlite_end_open(const char *path, struct err *err)
{
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd >= 0)
        fchmod(fd, 0660); /* whatever the umask; a group that stays outside is told when it cannot open it */
    else if (errno == EEXIST)
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(err, errno, "cannot open '%s'", path);
    return steal_fd(&fd);
}

int sqlite_end_read(int fd, const char *path, int64_t *ret_ends, size_t n, struct err *err)
{
    size_t size = n * SQLITE_END_SLOT;
    auto_free char *text = malloc(size + 1);
    if (text == NULL)
        return err_nomem(err, "opening a log");
    ssize_t got = pread(fd, text, size, 0);
    if (got < 0)
        return err_sys(err, errno, "cannot read '%s'", path);
    sqlite_end_parse(text, (size_t)got, ret_ends, n);
    return 0;
}

void sqlite_end_write(int fd, uint32_t partition, int64_t end)
{
    char slot[SQLITE_END_SLOT + 1];
    sqlite_end_format(slot, partition, end);
    /* A full disk at worst: readers then notice through the WAL, a moment later. */
    ssize_t written = pwrite(fd, slot, SQLITE_END_SLOT, (off_t)partition * SQLITE_END_SLOT);
    (void)written;
}
