/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function an effect, one callback an answer. A call that cannot even begin is answered as a failure at
 * once, so that every effect that wants an answer gets one.
 */
#define HASH_NONFATAL_OOM 1
#include "runtime/effect/effect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/say.h"
#include "runtime/worker_impl.h"

/* An effect whose answer is to come. */
struct pending_effect {
    struct worker *worker;
    char container_id[CONTAINER_ID_SIZE];
    char command_id[UUID_TEXT_SIZE];
    char volume[129]; /* the longest name (check_volume_name) */
    int64_t incarnation;
};

/* A launch beyond the limit. */
struct launch_waiting {
    char container_id[CONTAINER_ID_SIZE];
    int64_t incarnation;
    int64_t command_offset;
    struct launch_waiting *next;
};

struct effect_timer {
    uv_timer_t handle;
    struct worker *worker;
    char container_id[CONTAINER_ID_SIZE];
    int64_t incarnation;
    enum timer_kind kind;
    int64_t sequence;
    int64_t after_batches; /* may fire once so many batches are durable */
    bool due;
    bool closing;
    struct effect_timer *next;
};

static struct pending_effect *pending_new(struct worker *worker, const struct effect *effect)
{
    struct pending_effect *pending = calloc(1, sizeof(*pending));
    if (pending == NULL) {
        worker->core.failed = true;
        return NULL;
    }
    pending->worker = worker;
    memcpy(pending->container_id, effect->container_id, sizeof(pending->container_id));
    memcpy(pending->command_id, effect->command_id, sizeof(pending->command_id));
    pending->incarnation = effect->incarnation;
    worker->effects_under_way++;
    return pending;
}

/* Frees the pending effect; the last thing its callback does, since the worker may be gone afterwards. */
static void pending_end(struct pending_effect *pending)
{
    struct worker *worker = pending->worker;
    free(pending);
    worker->effects_under_way--;
    worker_maybe_closed(worker);
}

/* --- launch --- */

static void launch_next(struct worker *worker);

static void on_launched(const struct host_launched *launched, void *data)
{
    struct pending_effect *pending = data;
    struct worker *worker = pending->worker;
    FAULT_POINT(RUNTIME_LAUNCHED);
    worker->counts.launches_under_way--;
    if (launched->ok)
        worker->options.on_launched(launched->container_id, worker->options.data);
    struct input input = {.kind = INPUT_LAUNCHED, .launched = launched};
    worker_step(worker, &input);
    launch_next(worker);
    pending_end(pending);
}

static void launch_failed_to_begin(struct worker *worker, const struct effect *effect, const struct err *err)
{
    struct host_launched launched = {
        .incarnation = effect->incarnation, .exit_code = 125, .code = "setup-failed"};
    memcpy(launched.container_id, effect->container_id, sizeof(launched.container_id));
    memcpy(launched.message, err->message, sizeof(launched.message));
    struct input input = {.kind = INPUT_LAUNCHED, .launched = &launched};
    worker_step(worker, &input);
}

static void launch(struct worker *worker, const struct effect *effect)
{
    const struct container *container = node_state_container(&worker->core.state, effect->container_id);
    struct err err = ERR_INIT;
    if (container == NULL)
        return; /* recovery has removed it meanwhile */
    struct pending_effect *pending = pending_new(worker, effect);
    if (pending == NULL)
        return;
    /* The image's defaults were filled into the spec when the container was created. */
    struct image image = {.reference = container->spec.image, .digest = container->image_digest};
    struct host_launch request = {.container_id = effect->container_id,
                                  .incarnation = effect->incarnation,
                                  .command_offset = effect->command_offset,
                                  .spec = &container->spec,
                                  .image = &image};
    worker->counts.launches_under_way++;
    if (host_launch(worker->options.host, &request, on_launched, pending, &err) < 0) {
        worker->counts.launches_under_way--;
        launch_failed_to_begin(worker, effect, &err);
        pending_end(pending);
    }
}

static void exec_failed_to_begin(struct worker *worker, const struct effect *effect, const struct err *err)
{
    struct host_launched launched = {
        .incarnation = effect->incarnation, .exit_code = 125, .code = "setup-failed"};
    memcpy(launched.container_id, effect->container_id, sizeof(launched.container_id));
    memcpy(launched.exec_id, effect->exec_id, sizeof(launched.exec_id));
    memcpy(launched.message, err->message, sizeof(launched.message));
    struct input input = {.kind = INPUT_LAUNCHED, .launched = &launched};
    worker_step(worker, &input);
}

static void on_executed(const struct host_launched *launched, void *data)
{
    struct pending_effect *pending = data;
    struct worker *worker = pending->worker;
    FAULT_POINT(RUNTIME_EXECUTED);
    struct input input = {.kind = INPUT_LAUNCHED, .launched = launched};
    worker_step(worker, &input);
    if (launched->ok) /* the state knows it only now */
        worker->options.on_launched(launched->exec_id, worker->options.data);
    pending_end(pending);
}

static void run_exec(struct worker *worker, const struct effect *effect)
{
    const struct container *container = node_state_container(&worker->core.state, effect->container_id);
    struct err err = ERR_INIT;
    struct pending_effect *pending = container != NULL ? pending_new(worker, effect) : NULL;
    if (pending == NULL)
        return;
    const struct host_exec request = {.container_id = effect->container_id,
                                      .incarnation = effect->incarnation,
                                      .exec_id = effect->exec_id,
                                      .command_offset = effect->command_offset,
                                      .spec = &container->spec,
                                      .image_digest = container->image_digest,
                                      .exec = effect->exec};
    if (host_exec(worker->options.host, &request, on_executed, pending, &err) < 0) {
        exec_failed_to_begin(worker, effect, &err);
        pending_end(pending);
    }
}

static void launch_later(struct worker *worker, const struct effect *effect)
{
    struct launch_waiting *waiting = calloc(1, sizeof(*waiting));
    if (waiting == NULL) {
        worker->core.failed = true;
        return;
    }
    memcpy(waiting->container_id, effect->container_id, sizeof(waiting->container_id));
    waiting->incarnation = effect->incarnation;
    waiting->command_offset = effect->command_offset;
    struct launch_waiting **end = &worker->launches;
    while (*end != NULL)
        end = &(*end)->next;
    *end = waiting;
}

static void launch_next(struct worker *worker)
{
    if (worker->launches == NULL || worker->counts.launches_under_way >= EFFECT_LAUNCHES_MAX)
        return;
    struct launch_waiting *waiting = worker->launches;
    worker->launches = waiting->next;
    struct effect effect = {.kind = EFFECT_LAUNCH,
                            .incarnation = waiting->incarnation,
                            .command_offset = waiting->command_offset};
    memcpy(effect.container_id, waiting->container_id, sizeof(effect.container_id));
    free(waiting);
    launch(worker, &effect);
}

/* --- signal --- */

static void run_signal(struct worker *worker, const struct effect *effect)
{
    struct err err = ERR_INIT;
    const char *id = effect->exec_id[0] != '\0' ? effect->exec_id : effect->container_id;
    int sent = host_signal(worker->options.host, id, effect->incarnation, effect->signal, &err);
    if (effect->thaws)
        host_thaw(worker->options.host, effect->container_id);
    FAULT_POINT(RUNTIME_SIGNALED);
    struct input input = {.kind = INPUT_SIGNALED, .signaled = {.effect = effect, .ok = sent == 0}};
    worker_step(worker, &input);
}

/* --- adjust --- */

static void on_adjusted(const struct err *err, void *data)
{
    struct pending_effect *pending = data;
    struct input input = {.kind = INPUT_ADJUSTED,
                          .adjusted = {.container_id = pending->container_id, .err = err}};
    worker_step(pending->worker, &input);
    pending_end(pending);
}

static void run_adjust(struct worker *worker, const struct effect *effect)
{
    const struct container *container = node_state_container(&worker->core.state, effect->container_id);
    struct container_spec spec;
    struct err err = ERR_INIT;
    struct pending_effect *pending = container != NULL ? pending_new(worker, effect) : NULL;
    if (pending == NULL)
        return;
    if (schema_copy(&container_spec_schema, &spec, &container->spec) < 0) {
        err_nomem(&err, "adjusting a container");
        on_adjusted(&err, pending);
        return;
    }
    int begun = effect->update != NULL ? container_spec_update(&spec, effect->update) : 0;
    if (begun == 0)
        begun = host_adjust(worker->options.host, effect->container_id, effect->incarnation,
                            effect->adjustment, &spec, &container->spec, on_adjusted, pending, &err);
    else
        err_nomem(&err, "adjusting a container");
    schema_release(&container_spec_schema, &spec);
    if (begun < 0)
        on_adjusted(&err, pending);
}

/* --- remove --- */

static void on_removed(const struct err *err, void *data)
{
    FAULT_POINT(RUNTIME_REMOVED);
    struct pending_effect *pending = data;
    struct input input = {.kind = INPUT_REMOVED,
                          .removed = {.container_id = pending->container_id, .err = err}};
    if (err != NULL)
        say_warning("cannot remove container '%.12s': %s", pending->container_id, err->message);
    worker_step(pending->worker, &input);
    pending_end(pending);
}

static void on_exec_removed(const struct err *err, void *data)
{
    struct pending_effect *pending = data;
    if (err != NULL)
        say_warning("cannot remove exec '%.12s': %s; the next start tries again", pending->container_id,
                    err->message);
    pending_end(pending);
}

/* What is left of an exec, whose end is kept until it is on the log; of an orphan no end will ever be. */
static void run_exec_remove(struct worker *worker, const struct effect *effect)
{
    struct err err = ERR_INIT;
    struct pending_effect *pending = pending_new(worker, effect);
    if (pending == NULL)
        return;
    memcpy(pending->container_id, effect->exec_id, sizeof(pending->container_id));
    if (effect->orphan)
        host_forget_exit(worker->options.host, effect->exec_id, HOST_ANY_INCARNATION);
    worker->options.on_remove(effect->exec_id, worker->options.data);
    if (host_remove(worker->options.host, effect->exec_id, on_exec_removed, pending, &err) < 0)
        on_exec_removed(&err, pending);
}

static void run_remove(struct worker *worker, const struct effect *effect)
{
    struct err err = ERR_INIT;
    struct pending_effect *pending = pending_new(worker, effect);
    if (pending == NULL)
        return;
    /* of an orphan no exit will ever be on the log */
    if (node_state_container(&worker->core.state, effect->container_id) == NULL)
        host_forget_exit(worker->options.host, effect->container_id, HOST_ANY_INCARNATION);
    worker->options.on_remove(effect->container_id, worker->options.data);
    if (host_remove(worker->options.host, effect->container_id, on_removed, pending, &err) < 0)
        on_removed(&err, pending);
}

/* --- images --- */

static void on_imported(const struct host_imported *imported, const struct err *err, void *data)
{
    FAULT_POINT(RUNTIME_IMPORTED);
    struct pending_effect *pending = data;
    struct input input = {.kind = INPUT_IMPORTED,
                          .imported = {.command_id = pending->command_id,
                                       .imported = err == NULL ? imported : NULL,
                                       .err = err}};
    worker_step(pending->worker, &input);
    pending_end(pending);
}

static void run_import(struct worker *worker, const struct effect *effect)
{
    struct err err = ERR_INIT;
    struct pending_effect *pending = pending_new(worker, effect);
    if (pending == NULL)
        return;
    if (host_image_import(worker->options.host, effect->source, on_imported, pending, &err) < 0)
        on_imported(NULL, &err, pending);
}

static void run_commit(struct worker *worker, const struct effect *effect)
{
    struct err err = ERR_INIT;
    const struct container *container = node_state_container(&worker->core.state, effect->container_id);
    struct host_commit commit = {.container_id = effect->container_id,
                                 .incarnation = effect->incarnation,
                                 .own_users = container != NULL && container->spec.id_size != SCHEMA_ABSENT,
                                 .image_digest = effect->digest,
                                 .pause = effect->pauses};
    struct pending_effect *pending = pending_new(worker, effect);
    if (pending == NULL)
        return;
    if (host_commit(worker->options.host, &commit, on_imported, pending, &err) < 0)
        on_imported(NULL, &err, pending);
}

static void on_image_deleted(const struct err *err, void *data)
{
    struct pending_effect *pending = data;
    struct input input = {.kind = INPUT_IMAGE_DELETED};
    if (err != NULL)
        say_warning("cannot delete an image's contents: %s; the next start tries again", err->message);
    worker_step(pending->worker, &input);
    pending_end(pending);
}

static void run_image_remove(struct worker *worker, const struct effect *effect)
{
    struct err err = ERR_INIT;
    struct pending_effect *pending = pending_new(worker, effect);
    if (pending == NULL)
        return;
    if (host_image_remove(worker->options.host, effect->digest, on_image_deleted, pending, &err) < 0)
        on_image_deleted(&err, pending);
}

/* --- volumes --- */

static void on_volume_removed(const struct err *err, void *data)
{
    struct pending_effect *pending = data;
    struct input input = {.kind = INPUT_VOLUME_REMOVED,
                          .volume_removed = {.name = pending->volume, .err = err}};
    if (err != NULL)
        say_warning("cannot remove the volume '%s': %s", pending->volume, err->message);
    worker_step(pending->worker, &input);
    pending_end(pending);
}

static void run_volume_remove(struct worker *worker, const struct effect *effect)
{
    struct err err = ERR_INIT;
    struct pending_effect *pending = pending_new(worker, effect);
    if (pending == NULL)
        return;
    snprintf(pending->volume, sizeof(pending->volume), "%s", effect->volume);
    if (host_volume_remove(worker->options.host, effect->volume, on_volume_removed, pending, &err) < 0)
        on_volume_removed(&err, pending);
}

/* --- timers --- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct effect_timer *timer = handle->data;
    struct worker *worker = timer->worker;
    struct effect_timer **at = &worker->timers;
    while (*at != timer)
        at = &(*at)->next;
    *at = timer->next;
    free(timer);
    worker_maybe_closed(worker);
}

static void timer_end(struct effect_timer *timer)
{
    if (timer->closing)
        return;
    timer->closing = true;
    uv_close((uv_handle_t *)&timer->handle, on_timer_closed);
}

static void timer_try(struct effect_timer *timer)
{
    struct worker *worker = timer->worker;
    if (!timer->due || timer->closing || worker->durable_batches < timer->after_batches)
        return;
    struct input input = {.kind = INPUT_TIMER,
                          .timer = {.container_id = timer->container_id,
                                    .kind = timer->kind,
                                    .incarnation = timer->incarnation,
                                    .sequence = timer->sequence}};
    FAULT_POINT(RUNTIME_TIMER_DUE);
    timer_end(timer);
    worker_step(worker, &input);
}

static void on_timer(uv_timer_t *handle)
{
    struct effect_timer *timer = handle->data;
    timer->due = true;
    timer_try(timer);
}

/* A worker that is closing waits for none: the next start takes it up. */
static void run_timer(struct worker *worker, const struct effect *effect)
{
    if (worker->phase == WORKER_CLOSING)
        return; /* the end would wait for it, and the next start finds in the log what is due */
    struct effect_timer *timer = calloc(1, sizeof(*timer));
    int64_t wait_ns = effect->due_ns - clock_realtime_ns();
    if (timer == NULL) {
        worker->core.failed = true;
        return;
    }
    timer->worker = worker;
    timer->kind = effect->timer;
    timer->incarnation = effect->incarnation;
    timer->sequence = effect->sequence;
    timer->after_batches = worker->decided_batches;
    memcpy(timer->container_id, effect->container_id, sizeof(timer->container_id));
    timer->next = worker->timers;
    worker->timers = timer;
    uv_timer_init(worker->loop, &timer->handle); /* cannot fail (libuv's documentation) */
    timer->handle.data = timer;
    uv_update_time(worker->loop);
    uv_timer_start(&timer->handle, on_timer, wait_ns > 0 ? (uint64_t)(wait_ns + 999999) / 1000000 : 0, 0);
}

void effects_on_durable(struct worker *worker)
{
    struct effect_timer *timer = worker->timers;
    while (timer != NULL) {
        struct effect_timer *next = timer->next;
        timer_try(timer);
        timer = next;
    }
}

/* --- all --- */

static void run(struct worker *worker, const struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_LAUNCH:
        if (worker->counts.launches_under_way < EFFECT_LAUNCHES_MAX)
            launch(worker, effect);
        else
            launch_later(worker, effect);
        break;
    case EFFECT_SIGNAL:
        run_signal(worker, effect);
        break;
    case EFFECT_ADJUST:
        run_adjust(worker, effect);
        break;
    case EFFECT_EXEC:
        run_exec(worker, effect);
        break;
    case EFFECT_REMOVE:
        if (effect->exec_id[0] != '\0')
            run_exec_remove(worker, effect);
        else
            run_remove(worker, effect);
        break;
    case EFFECT_TIMER:
        run_timer(worker, effect);
        break;
    case EFFECT_IMPORT:
        run_import(worker, effect);
        break;
    case EFFECT_COMMIT:
        run_commit(worker, effect);
        break;
    case EFFECT_IMAGE_REMOVE:
        run_image_remove(worker, effect);
        break;
    case EFFECT_VOLUME_REMOVE:
        run_volume_remove(worker, effect);
        break;
    }
}

void effects_run(struct worker *worker, const struct decision *decision)
{
    for (size_t i = 0; i < decision->n_effects; i++) {
        FAULT_POINT(RUNTIME_BEFORE_EFFECT);
        run(worker, &decision->effects[i]);
        FAULT_POINT(RUNTIME_EFFECT_BEGUN);
    }
}

void effects_close(struct worker *worker)
{
    for (struct effect_timer *timer = worker->timers; timer != NULL; timer = timer->next)
        timer_end(timer);
    while (worker->launches != NULL) {
        struct launch_waiting *waiting = worker->launches;
        worker->launches = waiting->next;
        free(waiting);
    }
}
