/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/terminal.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_size(uint16_t *ret_rows, uint16_t *ret_columns)
{
    struct winsize size;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
            continue;
        *ret_rows = size.ws_row;
        *ret_columns = size.ws_col;
        return true;
    }
    return false;
}

int terminal_make_raw(struct terminal *terminal, struct err *err)
{
    if (!terminal->raw && tcgetattr(STDIN_FILENO, &terminal->saved) < 0)
        return err_sys(err, errno, "cannot use the terminal");
    struct termios raw = terminal->saved;
    cfmakeraw(&raw);
    signal(SIGPIPE, SIG_IGN);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return err_sys(err, errno, "cannot use the terminal");
    terminal->raw = true;
    return 0;
}

void terminal_restore(struct terminal *terminal)
{
    if (terminal->raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->saved);
    terminal->raw = false;
}
