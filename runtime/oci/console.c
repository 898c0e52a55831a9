/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/console.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/descriptor.h"

static int connect_to(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, ERR_INVALID, "the console socket's path '%s' is too long", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_sys(err, errno, "cannot connect to the console socket '%s'", path);
    return steal_fd(&fd);
}

int oci_console_open(struct oci_console *ret, const struct oci_options *options, bool terminal, bool stays,
                     struct err *err)
{
    if (!terminal && options->console_socket != NULL)
        return err_set(
            err, ERR_INVALID,
            "--console-socket was given, but 'process.terminal' is not true: there is no terminal");
    if (!terminal)
        return 0;
    if (options->console_socket != NULL) {
        ret->socket_fd = connect_to(options->console_socket, err);
        return ret->socket_fd < 0 ? -1 : 0;
    }
    if (!stays)
        return err_set(err, ERR_INVALID,
                       "'process.terminal' is true: name a socket for the terminal with --console-socket");
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "cannot make a socket for the terminal");
    *ret = (struct oci_console){.socket_fd = pair[0], .own_fd = pair[1]};
    return 0;
}

static int receive_descriptor(int socket_fd)
{
    char name[16];
    int fd;
    ssize_t n = descriptor_receive(socket_fd, name, sizeof(name), &fd);
    if (n > 0 && fd < 0)
        errno = EPROTO;
    return fd;
}

int oci_console_take(struct oci_console *console, int *ret_master_fd, struct err *err)
{
    struct winsize size;
    if (console->own_fd < 0)
        return 0;
    close(steal_fd(&console->socket_fd)); /* so that nothing sent is an end of file */
    int fd = receive_descriptor(console->own_fd);
    if (fd < 0)
        return err_sys(err, errno, "cannot get the container's terminal");
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        ioctl(fd, TIOCSWINSZ, &size);
    *ret_master_fd = fd;
    return 0;
}

void oci_console_close(struct oci_console *console)
{
    if (console->socket_fd >= 0)
        close(console->socket_fd);
    if (console->own_fd >= 0)
        close(console->own_fd);
    *console = (struct oci_console)OCI_CONSOLE_INIT;
}
