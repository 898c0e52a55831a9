/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h - the runtime's socket: containers' output to clients (docs/api.md, runtime.sock), health and
 * metrics.
 *
 * A foreground `wharf run` asks for a container's output before the container exists; that is an attachment,
 * kept by container id. It lives from the first sign of the container (a client, or container.created with
 * `attach`) until its client has been told the end, or nobody came for ten seconds after it. Before a
 * container's files are removed their descriptors are kept, so a client that comes late misses nothing.
 *
 * Loop thread only.
 */
#ifndef WHARF_RUNTIME_OUTPUT_OUTPUT_H
#define WHARF_RUNTIME_OUTPUT_OUTPUT_H

#include <uv.h>

#include "base/err.h"
#include "runtime/worker.h"

struct output;

struct output_options {
    const char *socket_path;
    gid_t socket_gid;
    struct host *host;
};

int output_open(struct output **ret, uv_loop_t *loop, const struct output_options *options, struct err *err);

/* The worker whose containers are shown, and NULL when it is gone. */
void output_set_worker(struct output *output, struct worker *worker);

/* The worker serves: /readyz says so. */
void output_on_ready(struct output *output);

/* What the worker tells (struct worker_options). Before recovery attachments are made for what ran, so that
 * clients which come back get the rest of the output, and the end, even of what has ended and is removed. */
void output_on_recovering(struct output *output);
void output_on_launched(struct output *output, const char *container_id);
void output_on_event(struct output *output, const struct decided_event *event,
                     const struct container *container);
void output_on_remove(struct output *output, const char *container_id);

/* Ends all streams; then on_closed. */
void output_close(struct output *output, void (*on_closed)(void *data), void *data);

#endif
