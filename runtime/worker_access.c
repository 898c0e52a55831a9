/* SPDX-License-Identifier: Apache-2.0 */
/* Facts that the runtime's socket reports, and who waits until they are on the log. */
#include <stdlib.h>

#include "runtime/worker_impl.h"

/* Somebody to be told once so many batches are durable. */
struct access_waiting {
    int64_t after_batches;
    void (*on_durable)(void *data);
    void *data;
    struct access_waiting *next;
};

int worker_access(struct worker *worker, const struct access *access, void (*on_durable)(void *data),
                  void *data, struct err *err)
{
    const struct core *core = &worker->core;
    if (worker->phase != WORKER_SERVING)
        return err_set(err, ERR_UNAVAILABLE, "the runtime is not ready to record what is done");
    if (node_state_container(&core->state, access->container_id) == NULL)
        return err_set(err, ERR_NOT_FOUND, "the container was removed");
    struct access_waiting *waiting = calloc(1, sizeof(*waiting));
    if (waiting == NULL)
        return err_nomem(err, "recording what is done");
    struct input input = {.kind = INPUT_ACCESSED, .accessed = *access};
    worker_step(worker, &input);
    *waiting = (struct access_waiting){
        .after_batches = worker->decided_batches, .on_durable = on_durable, .data = data};
    struct access_waiting **end = &worker->accesses;
    while (*end != NULL)
        end = &(*end)->next;
    *end = waiting;
    return 0;
}

void worker_access_durable(struct worker *worker)
{
    while (worker->accesses != NULL && worker->durable_batches >= worker->accesses->after_batches) {
        struct access_waiting *waiting = worker->accesses;
        worker->accesses = waiting->next;
        waiting->on_durable(waiting->data);
        free(waiting);
    }
}

void worker_access_close(struct worker *worker)
{
    while (worker->accesses != NULL) {
        struct access_waiting *waiting = worker->accesses;
        worker->accesses = waiting->next;
        free(waiting);
    }
}
