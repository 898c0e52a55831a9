/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive.h - a container's files as archives: copies into it and out of it, and its export. Part of the seam
 * to the machine (host.h), for the runtime's socket only.
 *
 * Each is a process of its own (runtime/image/serve.h), which enters the container's root. It holds a
 * container that does not run, so that nothing else mounts its layers meanwhile: others take turns with it,
 * and a start or a removal ends it. It ends with this process.
 *
 * Loop thread only.
 */
#ifndef WHARF_RUNTIME_ARCHIVE_H
#define WHARF_RUNTIME_ARCHIVE_H

#include "runtime/host.h"

struct archive_request {
    const char *container_id;
    bool running;        /* as the log has it */
    int64_t incarnation; /* if so */
    const struct container_spec *spec;
    const char *image_digest;
    enum access_kind access;
    const char *path; /* in the container; "/" for an export */
    bool follow;      /* out: if the path is a link, what it leads to */
    bool keep_owner;  /* in */
    bool any_archive; /* in: not one of ours (runtime/image/unpack.h) */
};

/* A connection to the process, which is waiting to hand out the archive's pipe (serve.h), the caller's to
 * close: that ends the process. -1 when it came to nothing, with an HTTP status and a sentence. */
typedef void (*archive_ready_cb)(int control_fd, int status, const char *message, void *data);

/* Only borrows the request. Fails for lack of memory. */
int archive_open(struct host *host, const struct archive_request *request, archive_ready_cb cb, void *data,
                 struct err *err);

/* Ends those of a container, or all where it is NULL. */
void archives_end(struct host *host, const char *container_id);

#endif
