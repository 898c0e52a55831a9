/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/preview.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/role.h"
#include "base/say.h"
#include "base/version.h"
#include "events/log/log.h"
#include "runtime/host.h"
#include "runtime/worker.h"

struct preview {
    const struct config *config;
    bool runtime_is_up;
    FILE *out;
    uv_loop_t loop;
    struct host *host;
    struct log *log;
    struct worker *worker;
    json_t *missing; /* digest -> the image line for it */
    bool failed;     /* a line could not be made or written */
    struct err err;  /* why the log could not be folded */
};

/* --- lines --- */

static void print_take(struct preview *preview, json_t *line)
{
    if (line == NULL || json_dumpf(line, preview->out, JSON_COMPACT) < 0 || fputc('\n', preview->out) == EOF)
        preview->failed = true;
    json_decref(line);
}

static void print_node(struct preview *preview, const struct core *core, enum host_identity identity,
                       enum continuity continuity)
{
    static const char *const hosts[] = {
        [SAME_BOOT] = "same", [HOST_RESTARTED] = "restarted", [STATE_LOST] = "lost"};
    print_take(preview,
               json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "kind", "node", "node", core->state.name, "events",
                         (json_int_t)core->state.nodeseq, "state_dir", identity == HOST_NEW ? "new" : "known",
                         "runtime", preview->runtime_is_up ? "up" : "down", "host", hosts[continuity]));
}

static void print_event(struct preview *preview, const struct core *core, const struct decided_event *event)
{
    const struct container *container = node_state_container(&core->state, event->subject);
    if (container == NULL)
        return; /* of the node itself */
    json_auto_t *document = json_loadb(event->bytes, event->size, 0, NULL);
    print_take(preview, json_pack("{s:s, s:s, s:s, s:s, s:O}", "kind", "event", "type",
                                  event_types[event->type].api_name, "container", container->id, "name",
                                  container->name, "data", json_object_get(document, "data")));
}

/* Remembers that the image is to be imported, and for whom. */
static void note_missing(struct preview *preview, const struct container *container)
{
    json_t *line = json_object_get(preview->missing, container->image_digest);
    if (line == NULL) {
        line = json_pack("{s:s, s:s, s:s, s:[]}", "kind", "image", "image", container->spec.image, "digest",
                         container->image_digest, "containers");
        if (json_object_set_new(preview->missing, container->image_digest, line) < 0) {
            preview->failed = true;
            return;
        }
    }
    if (json_array_append_new(json_object_get(line, "containers"), json_string(container->name)) < 0)
        preview->failed = true;
}

static void print_start(struct preview *preview, const struct container *container)
{
    bool by_policy = container->state == CONTAINER_RESTARTING;
    bool image_here = host_image_exists(preview->host, container->image_digest);
    if (!by_policy && !container_is_interrupted(container))
        return;
    if (!image_here)
        note_missing(preview, container);
    print_take(preview,
               json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:b}", "kind", "start", "by",
                         by_policy ? "policy" : "replay", "container", container->id, "name", container->name,
                         "version", (json_int_t)container->version, "why",
                         container->interrupted_by != NULL ? container->interrupted_by : "restarting",
                         "image", container->spec.image, "digest", container->image_digest, "image_here",
                         image_here));
}

static void print_rest(struct preview *preview, const struct core *core)
{
    const struct container *container;
    for (container = core->state.containers; container != NULL; container = container->hh.next)
        print_start(preview, container);
    const char *digest;
    json_t *line;
    json_object_foreach(preview->missing, digest, line) print_take(preview, json_incref(line));
}

/* --- a start that is not carried out --- */

static int recover(struct preview *preview, struct core *core, enum continuity continuity, struct err *err)
{
    const struct core_identity identity = {
        .boot_id = host_boot_id(preview->host), .kernel = "preview", .version = WHARF_VERSION, .pid = 1};
    auto_free struct host_observation *observed = NULL;
    struct decision decision = {0};
    size_t n = 0;
    if (host_observe(preview->host, &observed, &n, err) < 0)
        return -1;
    core_begin(core, clock_realtime_ns(), &identity, &decision);
    core_recover(core, clock_realtime_ns(), continuity, observed, n, &decision);
    for (size_t i = 0; i < decision.n_events; i++)
        print_event(preview, core, &decision.events[i]);
    for (size_t i = 0; i < decision.n_effects; i++) {
        const struct effect *effect = &decision.effects[i];
        const struct container *container = node_state_container(&core->state, effect->container_id);
        if (effect->kind == EFFECT_REMOVE && container != NULL && container->spec.auto_remove)
            print_take(preview, json_pack("{s:s, s:s, s:s}", "kind", "remove", "container", container->id,
                                          "name", container->name));
    }
    decision_release(&decision);
    return core->failed ? err_nomem(err, "looking ahead") : 0;
}

static void on_host_closed(void *data)
{
    log_close(((struct preview *)data)->log, NULL, NULL);
}

static void on_worker_closed(void *data)
{
    host_close(((struct preview *)data)->host, on_host_closed, data);
}

static void finish(struct preview *preview)
{
    struct worker *worker = steal_ptr(preview->worker);
    if (worker != NULL)
        worker_close(worker, on_worker_closed, preview);
}

static void on_folded(struct core *core, enum host_identity identity, void *data)
{
    struct preview *preview = data;
    enum continuity continuity =
        core_continuity(core, host_boot_id(preview->host), identity == HOST_NEW && !preview->runtime_is_up);
    print_node(preview, core, identity, continuity);
    if (core->state.nodeseq > 0 &&
        (preview->runtime_is_up || recover(preview, core, continuity, &preview->err) == 0))
        print_rest(preview, core);
    finish(preview);
}

static void on_stopped(const struct err *err, void *data)
{
    struct preview *preview = data;
    preview->err = *err;
    finish(preview);
}

static void on_unreadable(int64_t n, void *data)
{
    (void)data;
    say_warning("%lld records of wharf.events cannot be read and were passed over", (long long)n);
}

static void on_trouble(const struct log_trouble *trouble, void *data)
{
    (void)data;
    say_warning("%s", trouble->message);
}

static int start(struct preview *preview, struct err *err)
{
    const struct config *config = preview->config;
    const struct host_options host = {.state_dir = config->state_dir, .look_only = true};
    const struct log_options log = {.on_trouble = on_trouble,
                                    .kafka_properties = (const char *const *)config->kafka};
    struct worker_options worker = {.node = config->node,
                                    .version = WHARF_VERSION,
                                    .on_folded = on_folded,
                                    .on_unreadable = on_unreadable,
                                    .on_stopped = on_stopped,
                                    .data = preview};
    /* opening it would make it */
    const char *log_dir = role_log_dir(config->log_url);
    if (log_dir != NULL && access(log_dir, F_OK) < 0)
        return err_sys(err, errno, "cannot read the log in '%s'", log_dir);
    if (host_open(&preview->host, &preview->loop, &host, err) < 0)
        return -1;
    if (log_open(&preview->log, &preview->loop, config->log_url, &log, err) < 0) {
        host_close(preview->host, NULL, NULL);
        return -1;
    }
    worker.log = preview->log;
    worker.host = preview->host;
    if (worker_open(&preview->worker, &preview->loop, &worker, err) == 0)
        return 0;
    on_worker_closed(preview);
    return -1;
}

int preview_run(const struct config *config, bool runtime_is_up, FILE *out, struct err *err)
{
    struct preview preview = {
        .config = config, .runtime_is_up = runtime_is_up, .out = out, .missing = json_object()};
    uv_loop_init(&preview.loop);
    int rc = start(&preview, err);
    uv_run(&preview.loop, UV_RUN_DEFAULT);
    uv_loop_close(&preview.loop);
    json_decref(preview.missing);
    if (rc < 0)
        return -1;
    if (preview.err.code != ERR_NONE)
        return err_set(err, preview.err.code, "%s", preview.err.message);
    if (preview.failed || fflush(out) != 0)
        return err_set(err, ERR_SYSTEM, "cannot write what a start would do");
    return 0;
}
