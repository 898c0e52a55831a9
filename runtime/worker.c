/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The happy path: on_replayed -> begin -> begun_if_due (recover) -> on_commands -> step -> append and effects
 * -> answers of effects -> step ...
 *
 * Failure modes: a record that cannot be read is parked (a dead letter, then an event) and passed over; an
 * append that fails for good, a core that ran out of memory, a lost reading position and a newer epoch all
 * end the worker through give_up(). It suspends only in the log and in the host; every callback ends in one
 * step of the core.
 */
#define HASH_NONFATAL_OOM 1
#include "runtime/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/say.h"
#include "base/fault.h"
#include "runtime/effect/effect.h"
#include "runtime/worker_impl.h"

#define HEALTH_OUTPUT_SIZE 512 /* of what a check wrote, for the log */
#define ASK_AGAIN_MS 500

void worker_give_up(struct worker *worker, const struct err *err)
{
    if (worker->phase == WORKER_STOPPED || worker->phase == WORKER_CLOSING)
        return;
    worker->phase = WORKER_STOPPED;
    log_reader_close(worker->commands_reader);
    worker->commands_reader = NULL;
    worker->options.on_stopped(err, worker->options.data);
}

static void check_core(struct worker *worker)
{
    struct err err = ERR_INIT;
    if (!worker->core.failed)
        return;
    err_set(&err, ERR_INTERNAL, "the runtime of node '%s' cannot go on: out of memory or an illegal decision",
            worker->core.state.name);
    worker_give_up(worker, &err);
}

void worker_step(struct worker *worker, struct input *input)
{
    if (worker->phase != WORKER_SERVING && worker->phase != WORKER_CLOSING)
        return;
    struct decision decision = {0};
    input->now_ns = clock_realtime_ns();
    core_step(&worker->core, input, &decision);
    worker_carry_out(worker, &decision);
}

void worker_carry_out(struct worker *worker, struct decision *decision)
{
    if (!worker->core.failed) {
        worker_append(worker, decision);
        effects_run(worker, decision);
    }
    decision_release(decision);
    check_core(worker);
}

/* Whether the log has the end of the incarnation. */
static bool has_exit(const struct container *container, int64_t incarnation)
{
    return incarnation < container->incarnation ||
           (incarnation == container->incarnation && !container_state_is_running(container->state));
}

void worker_on_exit(struct worker *worker, const struct host_exit *exit)
{
    FAULT_POINT(RUNTIME_EXIT_SEEN);
    const struct container *container = node_state_container(&worker->core.state, exit->container_id);
    bool is_known = container != NULL && exit->exec_id[0] == '\0' && has_exit(container, exit->incarnation);
    struct input input = {.kind = INPUT_EXITED, .exited = exit};
    char output[HEALTH_OUTPUT_SIZE];
    if (exit->exec_id[0] != '\0' && core_is_health_check(&worker->core, exit->exec_id)) {
        host_output_begins(worker->options.host, exit->exec_id, output, sizeof(output));
        input.output = output;
    }
    worker_step(worker, &input);
    if (is_known)
        host_forget_exit(worker->options.host, exit->container_id, exit->incarnation);
}

/* --- commands --- */

/* Offsets that hold nothing (Kafka has such) are settled by definition. */
static void skip_gap(struct worker *worker, int64_t offset)
{
    for (; worker->next_command < offset; worker->next_command++) {
        struct input input = {.kind = INPUT_SKIPPED, .skipped = {.offset = worker->next_command}};
        worker_step(worker, &input);
    }
    worker->next_command = offset + 1;
}

static void on_command(struct worker *worker, const struct log_record *record)
{
    struct err err = ERR_INIT;
    struct command command;
    if (record->offset < worker->next_command)
        return;
    skip_gap(worker, record->offset);
    if (record->damage != NULL)
        err_set(&err, ERR_CORRUPT, "%s", record->damage);
    if (record->damage != NULL || command_decode(&command, record->value, record->value_size, &err) < 0) {
        worker_park(worker, record, err.message);
        return;
    }
    FAULT_POINT(RUNTIME_COMMAND_READ);
    worker->counts.commands++;
    struct input input = {.kind = INPUT_COMMAND, .command = {.command = &command, .offset = record->offset}};
    worker_step(worker, &input);
    command_release(&command);
}

static void on_commands(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    struct worker *worker = data;
    (void)reader;
    for (size_t i = 0; i < n && worker->phase == WORKER_SERVING; i++)
        on_command(worker, &records[i]);
}

static void on_position_lost(struct log_reader *reader, const struct err *err, void *data)
{
    (void)reader;
    worker_give_up(data, err);
}

/* --- begin and recover --- */

static void serve(struct worker *worker)
{
    static const struct log_reader_ops ops = {.on_records = on_commands, .on_lost = on_position_lost};
    struct err err = ERR_INIT;
    worker->next_command = core_commands_from(&worker->core);
    if (log_reader_open(&worker->commands_reader, worker->options.log, LOG_COMMANDS,
                        (uint32_t)worker->core.state.partition, worker->next_command, &ops, worker,
                        &err) < 0) {
        worker_give_up(worker, &err);
        return;
    }
    worker->options.on_ready(worker->options.data);
    worker_snapshot_if_due(worker); /* after a long replay */
}

/* Before any effect: a removal or a start would destroy what the next recovery needs, should this one be cut
 * off before its events are durable. */
static void keep_exits(struct worker *worker, const struct decision *decision)
{
    for (size_t i = 0; i < decision->n_events; i++) {
        const char *id = decided_event_exit(&decision->events[i]);
        if (id != NULL)
            host_keep_exit(worker->options.host, id, decision->events[i].incarnation);
    }
}

/* Contents that cannot be listed take space until a later start, and no more. */
static void collect_images(struct worker *worker, struct decision *decision)
{
    struct strings digests = {0};
    struct err err = ERR_INIT;
    if (host_images(worker->options.host, &digests, &err) < 0)
        say_warning("%s: contents that nothing needs any more are not deleted", err.message);
    core_collect(&worker->core, &digests, decision);
    strings_release(&digests);
}

/* Without the list nothing is lost: what is there is found by a later start. */
static void recover_volumes(struct worker *worker, struct decision *decision)
{
    struct strings names = {0};
    struct err err = ERR_INIT;
    if (host_volumes(worker->options.host, &names, &err) < 0)
        say_warning("%s: volumes that the log does not know are not looked for", err.message);
    core_recover_volumes(&worker->core, clock_realtime_ns(), &names, decision);
    strings_release(&names);
}

/* The host finds what is below its own parent, and what its own directories tell of. */
static void clear_stray_cgroups(struct worker *worker)
{
    const struct container *each = worker->core.state.containers;
    for (; each != NULL; each = each->hh.next)
        if (each->spec.cgroup_parent != NULL)
            host_clear_stray_cgroup(worker->options.host, each->id, each->spec.cgroup_parent);
}

static void recover(struct worker *worker)
{
    struct host_observation *observed = NULL;
    size_t n = 0;
    struct err err = ERR_INIT;
    FAULT_POINT(RUNTIME_BEGUN);
    clear_stray_cgroups(worker);
    if (host_observe(worker->options.host, &observed, &n, &err) < 0) {
        worker_give_up(worker, &err);
        return;
    }
    FAULT_POINT(RUNTIME_OBSERVED);
    struct decision decision = {0};
    worker->phase = WORKER_SERVING;
    if (worker->options.on_recovering != NULL)
        worker->options.on_recovering(worker->options.data);
    core_recover(&worker->core, clock_realtime_ns(), worker->continuity, observed, n, &decision);
    free(observed);
    keep_exits(worker, &decision);
    collect_images(worker, &decision);
    recover_volumes(worker, &decision);
    worker_carry_out(worker, &decision);
    worker->claim_due = worker->identity != HOST_CLAIMED;
    worker->claim_batches = worker->decided_batches;
    worker_claim_if_due(worker);
    FAULT_POINT(RUNTIME_RECOVERED);
    if (worker->phase == WORKER_SERVING)
        serve(worker);
}

/* Until then a crash finds the state directory as new as this start did. */
void worker_claim_if_due(struct worker *worker)
{
    struct err err = ERR_INIT;
    if (!worker->claim_due || worker->durable_batches < worker->claim_batches)
        return;
    worker->claim_due = false;
    if (host_claim(worker->options.host, worker->core.state.name, &err) < 0)
        say_warning("cannot make the state directory node '%s's: %s", worker->core.state.name, err.message);
}

void worker_begun_if_due(struct worker *worker)
{
    if (worker->phase == WORKER_BEGINNING && worker->durable_batches == worker->decided_batches &&
        worker->snapshot.events_seen == worker->snapshot.events_decided)
        recover(worker);
}

/* Between the end that we replayed to and our node.started there must be nothing that counts: a late produce
 * of the runtime before us, or of one that begins at the same time, has taken the place in the chain that we
 * thought was ours. Everybody passes over our node.started then, and so do we by starting again. */
static void give_up_beginning(struct worker *worker)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_CONFLICT,
            "another runtime's events of node '%s' came in while this one began: starting again will do",
            worker->core.state.name);
    worker_give_up(worker, &err);
}

static bool is_beginning(const struct worker *worker)
{
    return worker->phase == WORKER_BEGINNING &&
           worker->snapshot.events_seen < worker->snapshot.events_decided;
}

static void begin(struct worker *worker)
{
    struct utsname kernel;
    const char *boot_id = host_boot_id(worker->options.host);
    worker->phase = WORKER_BEGINNING;
    worker->continuity = core_continuity(&worker->core, boot_id, worker->identity == HOST_NEW);
    struct core_identity identity = {
        .partition = (int64_t)(worker_name_hash(worker->core.state.name) % worker->n_partitions),
        .boot_id = boot_id,
        .kernel = uname(&kernel) == 0 ? kernel.release : "unknown",
        .version = worker->options.version,
        .pid = getpid()};
    struct decision decision = {0};
    core_begin(&worker->core, clock_realtime_ns(), &identity, &decision);
    worker_carry_out(worker, &decision);
}

/* --- replay --- */

static void replay_event(struct worker *worker, const struct event *event, const struct log_record *record)
{
    struct node_state *state = &worker->core.state;
    int64_t nodeseq = state->nodeseq;
    if (node_state_apply(state, event, record->value, record->value_size) == APPLY_NOMEM)
        worker->core.failed = true;
    if (state->nodeseq != nodeseq)
        worker_snapshot_replayed(worker, record->offset);
}

static void on_event_record(struct worker *worker, const struct log_record *record)
{
    struct event event;
    /* A damaged event is the projector's to park; for the state it is as if it had never been. */
    if (record->damage != NULL || event_decode(&event, record->value, record->value_size, NULL) < 0) {
        worker->events_unreadable++;
        return;
    }
    bool ours = strcmp(event.envelope.node, worker->core.state.name) == 0;
    if (worker->phase == WORKER_REPLAYING) {
        replay_event(worker, &event, record);
    } else if (ours && is_beginning(worker) && event.envelope.epoch >= worker->core.epoch - 1) {
        give_up_beginning(worker);
    } else if (ours && event.envelope.epoch > worker->core.epoch) {
        struct err err = ERR_INIT;
        worker_snapshot_drop(worker); /* also while closing: what we still append is fenced */
        err_set(&err, ERR_FENCED, "node '%s' was taken over by another runtime (epoch %lld, ours is %lld)",
                worker->core.state.name, (long long)event.envelope.epoch, (long long)worker->core.epoch);
        worker_give_up(worker, &err);
    } else if (ours && event.envelope.epoch < worker->core.epoch) {
        /* a late produce of a dead runtime: fenced, and counted */
        node_state_apply(&worker->core.state, &event, record->value, record->value_size);
    }
    event_release(&event);
}

static void replay_from_start(struct worker *worker);

static void on_event_records(struct log_reader *reader, const struct log_record *records, size_t n,
                             void *data)
{
    struct replay *replay = data;
    struct worker *worker = replay->worker;
    size_t first = 0;
    (void)reader;
    if (worker->snapshot.unchecked) {
        if (!worker_snapshot_fits(worker, &records[0])) {
            replay_from_start(worker);
            return;
        }
        first = 1;
    }
    for (size_t i = first; i < n; i++)
        if (!worker_recognise_own(worker, &records[i]))
            on_event_record(worker, &records[i]);
    check_core(worker);
    worker_begun_if_due(worker);
    worker_snapshot_if_due(worker);
    worker_maybe_closed(worker); /* the last: it may be gone then */
}

static void finish_replay(struct worker *worker)
{
    FAULT_POINT(RUNTIME_REPLAYED);
    if (worker->events_unreadable > 0)
        worker->options.on_unreadable(worker->events_unreadable, worker->options.data);
    if (worker->options.on_folded != NULL) {
        worker->phase = WORKER_STOPPED;
        worker->options.on_folded(&worker->core, worker->identity, worker->options.data);
        return;
    }
    begin(worker);
    /* From here on only our own partition matters: for a newer epoch. */
    for (uint32_t i = 0; i < worker->n_partitions; i++) {
        if ((int64_t)i == worker->core.state.partition)
            continue;
        log_reader_close(worker->replays[i].reader);
        worker->replays[i].reader = NULL;
    }
}

static void on_replayed(struct log_reader *reader, int64_t end_offset, void *data)
{
    struct replay *replay = data;
    struct worker *worker = replay->worker;
    (void)reader;
    (void)end_offset;
    if (worker->phase != WORKER_REPLAYING)
        return;
    if (worker->snapshot.unchecked) {
        replay_from_start(worker); /* there is no such record */
        return;
    }
    if (replay->caught_up)
        return;
    replay->caught_up = true;
    if (++worker->n_caught_up == worker->n_replaying)
        finish_replay(worker);
}

static void on_replay_lost(struct log_reader *reader, const struct err *err, void *data)
{
    struct worker *worker = ((struct replay *)data)->worker;
    (void)reader;
    if (worker->snapshot.unchecked)
        replay_from_start(worker);
    else
        worker_give_up(worker, err);
}

static void open_replay(struct worker *worker, uint32_t partition, int64_t from_offset)
{
    static const struct log_reader_ops ops = {
        .on_records = on_event_records, .on_caught_up = on_replayed, .on_lost = on_replay_lost};
    struct err err = ERR_INIT;
    struct replay *replay = &worker->replays[partition];
    *replay = (struct replay){.worker = worker};
    worker->n_replaying++;
    if (log_reader_open(&replay->reader, worker->options.log, LOG_EVENTS, partition, from_offset, &ops,
                        replay, &err) < 0)
        worker_give_up(worker, &err);
}

static void replay_all(struct worker *worker)
{
    worker->n_replaying = 0;
    worker->n_caught_up = 0;
    for (uint32_t i = 0; i < worker->n_partitions && worker->phase == WORKER_REPLAYING; i++)
        open_replay(worker, i, 0);
}

/* The snapshot that was begun with is not of this log. */
static void replay_from_start(struct worker *worker)
{
    struct err err = ERR_INIT;
    log_reader_close(worker->replays[worker->core.state.partition].reader);
    worker->replays[worker->core.state.partition].reader = NULL;
    if (worker_snapshot_forget(worker, &err) < 0)
        worker_give_up(worker, &err);
    else
        replay_all(worker);
}

/* After a snapshot only the node's own partition is read; before the node has joined nobody knows which that
 * is. */
static void start_replay(struct worker *worker, uint32_t n_partitions)
{
    struct err err = ERR_INIT;
    worker->replays = calloc(n_partitions, sizeof(*worker->replays));
    if (worker->replays == NULL) {
        err_nomem(&err, "starting to replay");
        worker_give_up(worker, &err);
        return;
    }
    worker->n_partitions = n_partitions;
    if (worker_snapshot_load(worker))
        open_replay(worker, (uint32_t)worker->core.state.partition, worker->snapshot.newest_offset);
    else
        replay_all(worker);
}

static void on_partitions(struct log_query *query, int64_t value, const struct err *err);

static void ask_partitions(struct worker *worker)
{
    struct err err = ERR_INIT;
    worker->asking = true;
    if (log_partitions(worker->options.log, &worker->query, LOG_EVENTS, on_partitions, &err) == 0)
        return;
    worker->asking = false;
    worker_give_up(worker, &err);
}

static void on_ask_again(uv_timer_t *timer)
{
    ask_partitions(timer->data);
}

/* The first thing there is to know; a log that is away is asked until it is there. */
static void on_partitions(struct log_query *query, int64_t value, const struct err *err)
{
    struct worker *worker = query->data;
    worker->asking = false;
    if (worker->phase == WORKER_CLOSING)
        worker_maybe_closed(worker);
    else if (err == NULL)
        start_replay(worker, (uint32_t)value);
    else if (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT)
        uv_timer_start(&worker->ask_again, on_ask_again, ASK_AGAIN_MS, 0);
    else
        worker_give_up(worker, err);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct worker *worker = handle->data;
    worker->ask_again_closed = true;
    worker_maybe_closed(worker);
}

void worker_stop_asking(struct worker *worker)
{
    if (!uv_is_closing((uv_handle_t *)&worker->ask_again))
        uv_close((uv_handle_t *)&worker->ask_again, on_timer_closed);
}

int worker_open(struct worker **ret, uv_loop_t *loop, const struct worker_options *options, struct err *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    uint8_t seed[DECIDE_SEED_SIZE];
    if (worker == NULL)
        return err_nomem(err, "starting the runtime");
    worker->loop = loop;
    worker->options = *options;
    worker->query.data = worker;
    worker->counts.snapshot_offset = -1;
    if (host_identify(options->host, options->node, &worker->identity, err) < 0 ||
        random_bytes(seed, sizeof(seed), err) < 0 || core_init(&worker->core, options->node, seed) < 0) {
        core_release(&worker->core);
        free(worker);
        return -1;
    }
    worker->core.id_pool = options->id_pool;
    uv_timer_init(loop, &worker->ask_again); /* cannot fail (libuv's documentation) */
    worker->ask_again.data = worker;
    uv_timer_start(&worker->ask_again, on_ask_again, 0, 0);
    *ret = worker;
    return 0;
}

const struct core *worker_core(const struct worker *worker)
{
    return &worker->core;
}

struct worker_counts worker_counts(const struct worker *worker)
{
    return worker->counts;
}
