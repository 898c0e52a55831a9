/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal.h - the client's own terminal, while it shows a container's.
 */
#ifndef WHARF_CMD_CLIENT_TERMINAL_H
#define WHARF_CMD_CLIENT_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "base/err.h"

struct terminal {
    bool raw; /* `saved` is how it was */
    struct termios saved;
};

/* Size of the terminal that is standard input, output or error; false if none is. */
bool terminal_size(uint16_t *ret_rows, uint16_t *ret_columns);

/* Hands every key on to the container: nothing is echoed or made a signal here. Once more is fine. From here
 * on SIGPIPE is ignored, since it would end us without terminal_restore. */
int terminal_make_raw(struct terminal *terminal, struct err *err);

/* As it was before; nothing if it is not raw. */
void terminal_restore(struct terminal *terminal);

#endif
