/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames.h - the runtime's streams (docs/api.md): 16 bytes of header, then a payload.
 *
 * Pure.
 */
#ifndef WHARF_CMD_CLIENT_FRAMES_H
#define WHARF_CMD_CLIENT_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum frame_kind { FRAME_STDOUT = 1, FRAME_STDERR = 2, FRAME_END = 3, FRAME_STARTED = 4 };

#define FRAME_HEADER_SIZE 16
#define FRAME_PAYLOAD_LIMIT ((uint32_t)64 * 1024 * 1024)

struct frame {
    enum frame_kind kind;
    int64_t time_ns;     /* since the epoch; 0 at the end frame */
    const char *payload; /* borrowed from the data */
    size_t size;
};

/* The frame at data[*at..size): 1 and *at is moved past it, 0 when more bytes are needed, -1 (ERR_PROTOCOL)
 * when it is no frame. */
int frame_next(const char *data, size_t size, size_t *at, struct frame *ret, struct err *err);

#endif
