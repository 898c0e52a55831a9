/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive.h - the client's end of a container's archives (docs/api.md, runtime.sock): a connection to the
 * process that makes or takes the archive, a pipe that it goes through, and its result.
 *
 * Archives are made and unpacked on this side by wharf-image, so that the client links no library for it.
 */
#ifndef WHARF_CMD_CLIENT_ARCHIVE_H
#define WHARF_CMD_CLIENT_ARCHIVE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "cmd/client/api.h"

struct archive_call {
    int control_fd;
    int data_fd; /* the pipe */
};

#define ARCHIVE_CALL_INIT                                                                                    \
    {                                                                                                        \
        .control_fd = -1, .data_fd = -1                                                                      \
    }

/* "GET" for an archive of the container's, "PUT" for one to it. Waits for as long as it takes: a container
 * that does not run serves one at a time. */
int archive_begin(struct archive_call *call, const struct client *client, const char *method,
                  const char *target, struct err *err);

/* What became of it, once the pipe is closed. ERR_UNAVAILABLE when it failed because of our end of the pipe.
 * *ret_bytes gets the number of bytes in files. */
int archive_finish(struct archive_call *call, int64_t *ret_bytes, struct err *err);

void archive_release(struct archive_call *call);

/* Copies until the end. ERR_UNAVAILABLE when nobody reads `to_fd`, which is called `to` in messages, any
 * more.
 */
int archive_pump(int from_fd, int to_fd, const char *from, const char *to, struct err *err);

/* Runs wharf-image with a verb, an option that may be NULL and a path, `fd` as its standard input or output,
 * and waits for its end. ERR_UNAVAILABLE when nobody read its output. Takes the descriptor. */
int archive_run_helper(const char *verb, const char *option, const char *path, int fd_take, int as_fd,
                       struct err *err);

#endif
