/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal of the container's own. What is at /dev/pts is the container's word: the directory is looked at
 * before anything in it is opened, and neither links nor mounts are followed from there (CVE-2025-52565), so
 * that what is opened is a devpts's ptmx. The other end comes from the kernel, by no path (TIOCGPTPEER).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "base/defence.h"
#include "base/descriptor.h"
#include "runtime/shim/shim.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41) /* ioctl_tty(2); not in musl's headers of Debian 12 */
#endif

static int open_master(int root_fd)
{
    struct open_how how = {.flags = O_RDWR | O_NOCTTY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    struct statfs about;
    if (!DEFENDED(OWN_TERMINAL))
        return open_in_root(root_fd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
    int dir_fd = open_in_root(root_fd, "/dev/pts", O_RDONLY | O_DIRECTORY);
    if (dir_fd < 0)
        return -1;
    int fd = -1;
    errno = ENODEV;
    if (fstatfs(dir_fd, &about) == 0 && about.f_type == DEVPTS_SUPER_MAGIC)
        fd = (int)syscall(SYS_openat2, dir_fd, "ptmx", &how, sizeof(how));
    int cause = errno;
    close(dir_fd);
    errno = cause;
    return fd;
}

static int clone_slave(int root_fd, int master, int slave)
{
    char path[32];
    if (!DEFENDED(OWN_TERMINAL) && ptsname_r(master, path, sizeof(path)) == 0)
        slave = open_in_root(root_fd, path, O_PATH);
    return (int)syscall(SYS_open_tree, slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
}

static int mount_console(int root_fd, int master, int slave)
{
    int console_fd = open_file_in_root(root_fd, "/dev/console");
    if (console_fd < 0)
        return -1;
    int tree_fd = clone_slave(root_fd, master, slave);
    int result = tree_fd < 0 ? -1 : mount_move(tree_fd, console_fd);
    int cause = errno;
    if (tree_fd >= 0)
        close(tree_fd);
    close(console_fd);
    errno = cause;
    return result;
}

int terminal_open(const struct plan *plan, int root_fd, bool console, int socket_fd,
                  struct plan_failure *failure)
{
    static const char NAME[] = "/dev/ptmx";
    const struct plan_header *header = &plan->header;
    struct winsize size = {.ws_row = header->console_rows, .ws_col = header->console_columns};
    int unlocked = 0;
    int master = open_master(root_fd);
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        return fail(failure, PLAN_STAGE_TERMINAL, "/dev/pts/ptmx");
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || (size.ws_row != 0 && ioctl(slave, TIOCSWINSZ, &size) < 0) ||
        fchown(slave, header->uid, (gid_t)-1) < 0)
        return fail(failure, PLAN_STAGE_TERMINAL, "/dev/pts");
    if (console && mount_console(root_fd, master, slave) < 0)
        return fail(failure, PLAN_STAGE_TERMINAL, "/dev/console");
    if (descriptor_send(socket_fd, NAME, sizeof(NAME) - 1, master, 0) < 0)
        return fail(failure, PLAN_STAGE_TERMINAL, "console socket");
    if (ioctl(slave, TIOCSCTTY, 0) < 0 || dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0)
        return fail(failure, PLAN_STAGE_TERMINAL, "standard streams");
    close(slave);
    close(master);
    return 0;
}

int terminal_receive(int socket_fd)
{
    char name[16];
    int fd = -1;
    descriptor_receive(socket_fd, name, sizeof(name), &fd);
    return fd;
}
