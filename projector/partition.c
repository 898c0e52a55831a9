/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Happy path: partition_redis_up -> load -> on_loaded -> open_reader -> on_records -> project into `ops` ->
 * send_batch
 * -> on_sent. While a batch is under way the next one gathers; full batches go out without waiting, up to
 * BATCHES_UNDER_WAY, and then the reader pauses.
 *
 * Trouble: a batch that was not applied, or a lost connection, begins a new `generation`; replies to batches
 * of older ones are ignored. A record that is no event holds the batch back until its dead letter is durable,
 * so that the position never moves past a record that is not kept. A stored view is taken further only if the
 * record at its offset is the one it was made from: Redis may have outlived the log.
 */
#include "projector/partition.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/say.h"
#include "events/deadletter.h"
#include "events/message.h"
#include "projector/project.h"

#define BATCH_EVENTS 1000
#define BATCHES_UNDER_WAY 4
#define RELOAD_DELAY_MS 1000
/* A dead letter is kept whole up to this; the log takes no entry of much more than that. */
#define LETTER_VALUE_LIMIT 100000

enum partition_state {
    PARTITION_DOWN,    /* Redis is away, or reloading is due */
    PARTITION_LOADING, /* the view is being read back */
    PARTITION_RUNNING,
};

struct partition {
    struct partition_options options;
    char prefix[SINK_PREFIX_SIZE];
    enum partition_state state;
    uint64_t generation;
    struct view view;
    struct ops ops;       /* of the batch that gathers */
    size_t n_gathered;    /* records in it */
    int64_t sent;         /* the view's offset after the newest batch that was sent */
    int64_t applied;      /* ... that was applied */
    unsigned n_under_way; /* batches of this generation */
    unsigned n_parking;   /* dead letters not yet durable, of this generation */
    unsigned n_requests;  /* batches, loads and letters of any generation: what closing waits for */
    bool nodes_changed;   /* wharf:v1:nodes is to be written after the next batch */
    bool fresh;
    bool verified; /* the record at the loaded offset is the one that the view knows */
    bool told;     /* on_caught_up, for the current end */
    bool paused;
    bool halted;
    bool closing;
    int64_t log_end; /* where the reader caught up; -1 before */
    struct log_reader *reader;
    struct buf scratch;
    struct sink_load load;
    uint64_t load_generation;
    uv_timer_t reload_timer;
    void (*on_closed)(void *data);
    void *closed_data;
};

struct batch {
    struct sink_batch sink;
    struct partition *partition;
    uint64_t generation;
    int64_t offset;
};

struct letter {
    struct log_append append;
    struct partition *partition;
    uint64_t generation;
};

static void load_view(struct partition *partition);
static void send_batch(struct partition *partition);

static void finish_closing(struct partition *partition)
{
    if (!partition->closing || partition->n_requests > 0)
        return;
    void (*on_closed)(void *) = partition->on_closed;
    void *data = partition->closed_data;
    view_release(&partition->view);
    ops_release(&partition->ops);
    buf_release(&partition->scratch);
    free(partition);
    if (on_closed != NULL)
        on_closed(data);
}

static void request_done(struct partition *partition)
{
    partition->n_requests--;
    finish_closing(partition);
}

/* Forgets everything that is under way. */
static void new_generation(struct partition *partition, enum partition_state state)
{
    partition->generation++;
    partition->state = state;
    partition->n_under_way = 0;
    partition->n_parking = 0;
    partition->n_gathered = 0;
    partition->paused = false;
    partition->told = false;
    partition->log_end = -1;
    ops_reset(&partition->ops);
    log_reader_close(partition->reader);
    partition->reader = NULL;
}

static void on_reload_timer(uv_timer_t *timer)
{
    struct partition *partition = timer->data;
    if (partition->state == PARTITION_DOWN && redis_is_up(partition->options.redis))
        load_view(partition);
}

/* What does not go away at once is tried again in a while, and told. */
static void reload_later(struct partition *partition, const char *why)
{
    if (partition->closing)
        return;
    new_generation(partition, PARTITION_DOWN);
    say_warning("partition %" PRIu32 ": %s; loading its view again", partition->options.number, why);
    uv_timer_start(&partition->reload_timer, on_reload_timer, RELOAD_DELAY_MS, 0);
}

static void tell_caught_up(struct partition *partition)
{
    if (partition->told || partition->log_end < 0 || partition->applied < partition->log_end - 1)
        return;
    partition->told = true;
    if (partition->options.events.on_caught_up != NULL)
        partition->options.events.on_caught_up(partition, partition->log_end, partition->options.data);
}

/* --- batches --- */

static void pace_reader(struct partition *partition)
{
    bool pause = partition->n_under_way >= BATCHES_UNDER_WAY || partition->n_parking > 0;
    if (partition->reader == NULL || pause == partition->paused)
        return;
    partition->paused = pause;
    if (pause)
        log_reader_pause(partition->reader);
    else
        log_reader_resume(partition->reader);
}

static void batch_applied(struct partition *partition, const struct batch *batch)
{
    partition->n_under_way--;
    partition->applied = batch->offset;
    if (partition->nodes_changed && strcmp(partition->options.base, SINK_LIVE) == 0) {
        partition->nodes_changed = false;
        sink_publish_nodes(partition->options.redis, &partition->view, NULL);
    }
    if (partition->n_gathered > 0)
        send_batch(partition);
    pace_reader(partition);
    tell_caught_up(partition);
}

static void on_sent(struct sink_batch *sink, enum sink_result result, const struct err *err)
{
    struct batch *batch = sink->data;
    struct partition *partition = batch->partition;
    bool current = batch->generation == partition->generation && !partition->closing;
    FAULT_POINT(PROJECTOR_AFTER_EXEC);
    if (current && result == SINK_APPLIED) {
        batch_applied(partition, batch);
    } else if (current && result == SINK_REFUSED) {
        new_generation(partition, PARTITION_DOWN);
        say_info("partition %" PRIu32
                 ": the view in Redis is not where it was left; going on from what is there",
                 partition->options.number);
        load_view(partition);
    } else if (current && redis_is_up(partition->options.redis)) {
        reload_later(partition, err->message);
    } else if (current) {
        new_generation(partition, PARTITION_DOWN);
    }
    free(batch);
    request_done(partition);
}

/* True if a gathered batch should go now: the line is free, or it is full. */
static bool should_send(const struct partition *partition)
{
    return partition->state == PARTITION_RUNNING && partition->n_parking == 0 && partition->n_gathered > 0 &&
           (partition->n_under_way == 0 || partition->n_gathered >= BATCH_EVENTS);
}

static void send_batch(struct partition *partition)
{
    if (partition->n_parking > 0)
        return;
    struct err err = ERR_INIT;
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL || project_flush(&partition->view, clock_realtime_ns(), &partition->ops) < 0) {
        free(batch);
        reload_later(partition, "out of memory");
        return;
    }
    batch->partition = partition;
    batch->generation = partition->generation;
    batch->offset = partition->view.offset;
    batch->sink.cb = on_sent;
    batch->sink.data = batch;
    FAULT_POINT(PROJECTOR_BEFORE_SEND);
    int64_t published = partition->n_gathered > 0 ? partition->view.offset : -1;
    if (sink_send(partition->options.redis, partition->prefix, &partition->ops, partition->sent, published,
                  &partition->scratch, &batch->sink, &err) < 0) {
        free(batch);
        new_generation(partition, PARTITION_DOWN); /* the connection is going; partition_redis_up follows */
        return;
    }
    FAULT_POINT(PROJECTOR_AFTER_SEND);
    partition->n_requests++;
    partition->n_under_way++;
    partition->sent = partition->view.offset;
    partition->n_gathered = 0;
    ops_reset(&partition->ops);
}

void partition_touch(struct partition *partition)
{
    if (partition->state == PARTITION_RUNNING && partition->n_under_way == 0 && partition->n_gathered == 0)
        send_batch(partition);
}

/* --- records --- */

static void on_parked(struct log_append *append, int64_t first_offset, const struct err *err)
{
    (void)first_offset;
    struct letter *letter = append->data;
    struct partition *partition = letter->partition;
    if (letter->generation == partition->generation && !partition->closing) {
        if (err != NULL) {
            reload_later(partition, err->message);
        } else {
            partition->n_parking--;
            if (should_send(partition))
                send_batch(partition);
            pace_reader(partition);
        }
    }
    free(letter);
    request_done(partition);
}

/* Appends the dead letter. A value that is too long for the log is kept up to a limit: the record itself
 * stays where it is, and the letter says where. */
static int park(struct partition *partition, const struct log_record *record, const char *reason,
                struct err *err)
{
    char key[128];
    size_t size;
    auto_free char *text = NULL;
    struct log_record cut = *record;
    if (cut.value_size > LETTER_VALUE_LIMIT)
        cut.value_size = LETTER_VALUE_LIMIT;
    struct letter *letter = calloc(1, sizeof(*letter));
    if (letter == NULL || deadletter_format(&cut, reason, key, sizeof(key), &text, &size) < 0) {
        free(letter);
        return err_nomem(err, "parking a record");
    }
    letter->partition = partition;
    letter->generation = partition->generation;
    letter->append.data = letter;
    struct log_entry entry = {.key = key, .value = text, .value_size = size};
    if (log_append(partition->options.log, &letter->append, LOG_DEADLETTERS, 0, &entry, 1, on_parked, err) <
        0) {
        free(letter);
        return -1;
    }
    partition->n_parking++;
    partition->n_requests++;
    return 0;
}

/* A record that is no event. -1 if the partition was given up. */
static int take_garbage(struct partition *partition, const struct log_record *record, const char *reason)
{
    struct err err = ERR_INIT;
    if (partition->options.park && record->offset > partition->options.parked_through) {
        if (park(partition, record, reason, &err) < 0) {
            reload_later(partition, err.message);
            return -1;
        }
        partition->options.parked_through = record->offset;
        say_warning("record %" PRId64 " of wharf.events, partition %" PRIu32
                    ", is no event and goes to wharf.deadletters: %s",
                    record->offset, record->partition, reason);
    }
    project_parked(&partition->view, record->offset);
    return 0;
}

static int take_record(struct partition *partition, const struct log_record *record)
{
    struct err err = ERR_INIT;
    struct event event;
    if (record->damage != NULL)
        return take_garbage(partition, record, record->damage);
    if (event_decode(&event, record->value, record->value_size, &err) < 0) {
        if (err.code != ERR_NOMEM)
            return take_garbage(partition, record, err.message);
        reload_later(partition, err.message);
        return -1;
    }
    enum project_result result = project_event(&partition->view, &event, record->offset, &partition->ops);
    if (event.type == EVENT_NODE_STARTED || event.type == EVENT_NODE_JOINED)
        partition->nodes_changed = true;
    event_release(&event);
    if (result == PROJECT_NOMEM) {
        reload_later(partition, "out of memory");
        return -1;
    }
    return 0;
}

/* The first record, which is the one that the stored view ends with. */
static void verify_log(struct partition *partition, const struct log_record *record)
{
    char digest[SHA256_HEX_SIZE];
    sha256_hex(digest, record->value, record->value_size);
    partition->verified =
        record->offset == partition->view.offset && strcmp(digest, partition->view.digest) == 0;
    if (partition->verified)
        return;
    partition->fresh = true;
    reload_later(partition, "the view in Redis was made from another log");
}

static void take_records(struct partition *partition, const struct log_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (take_record(partition, &records[i]) < 0)
            return;
        partition->n_gathered++;
        bool full = partition->n_gathered >= BATCH_EVENTS && should_send(partition);
        if (full || i + 1 == n)
            sha256_hex(partition->view.digest, records[i].value, records[i].value_size);
        if (full)
            send_batch(partition);
        if (partition->state != PARTITION_RUNNING)
            return;
    }
}

static void on_records(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    (void)reader;
    struct partition *partition = data;
    if (!partition->verified) {
        verify_log(partition, records);
        records++;
        n--;
    }
    if (partition->state == PARTITION_RUNNING)
        take_records(partition, records, n);
    if (partition->state != PARTITION_RUNNING)
        return;
    partition->told = false;
    if (should_send(partition))
        send_batch(partition);
    pace_reader(partition);
}

static void on_caught_up(struct log_reader *reader, int64_t end_offset, void *data)
{
    (void)reader;
    struct partition *partition = data;
    partition->log_end = end_offset;
    tell_caught_up(partition);
}

/* The stored position is not in the log: it is another log, or an older copy of it. The view follows the log.
 */
static void on_lost(struct log_reader *reader, const struct err *err, void *data)
{
    (void)reader;
    struct partition *partition = data;
    partition->fresh = true;
    reload_later(partition, err->message);
}

static const struct log_reader_ops reader_ops = {
    .on_records = on_records, .on_caught_up = on_caught_up, .on_lost = on_lost};

/* --- loading --- */

static void on_loaded(struct sink_load *load, const struct err *err)
{
    struct partition *partition = load->data;
    struct err why = ERR_INIT;
    bool current = partition->load_generation == partition->generation && !partition->closing;
    if (current && err != NULL && redis_is_up(partition->options.redis)) {
        partition->fresh = partition->fresh || err->code == ERR_CORRUPT;
        reload_later(partition, err->message);
    } else if (current && err != NULL) {
        new_generation(partition, PARTITION_DOWN);
    } else if (current) {
        FAULT_POINT(PROJECTOR_LOADED);
        partition->fresh = false;
        partition->state = PARTITION_RUNNING;
        partition->sent = partition->applied = partition->view.offset;
        partition->nodes_changed = true;
        partition->verified = partition->view.offset < 0;
        int64_t from = partition->verified ? 0 : partition->view.offset;
        if (log_reader_open(&partition->reader, partition->options.log, LOG_EVENTS, partition->options.number,
                            from, &reader_ops, partition, &why) < 0)
            reload_later(partition, why.message);
        else
            send_batch(partition); /* says at once that somebody looks after this view */
    }
    request_done(partition);
}

static void load_view(struct partition *partition)
{
    if (partition->n_requests > 0 && partition->state == PARTITION_LOADING)
        return;
    new_generation(partition, PARTITION_LOADING);
    partition->load = (struct sink_load){.cb = on_loaded, .data = partition, .view = &partition->view};
    partition->load_generation = partition->generation;
    if (sink_load(partition->options.redis, partition->prefix, partition->fresh, &partition->load, NULL) < 0)
        partition->state = PARTITION_DOWN;
    else
        partition->n_requests++;
}

int partition_open(struct partition **ret, const struct partition_options *options, struct err *err)
{
    struct partition *partition = calloc(1, sizeof(*partition));
    if (partition == NULL)
        return err_nomem(err, "opening a partition");
    partition->options = *options;
    partition->fresh = options->fresh;
    partition->applied = -1;
    partition->log_end = -1;
    sink_prefix(partition->prefix, options->base, options->number);
    view_init(&partition->view);
    uv_timer_init(options->loop, &partition->reload_timer);
    partition->reload_timer.data = partition;
    *ret = partition;
    return 0;
}

void partition_redis_up(struct partition *partition)
{
    if (partition->state == PARTITION_DOWN && !partition->closing && !partition->halted)
        load_view(partition);
}

void partition_halt(struct partition *partition)
{
    new_generation(partition, PARTITION_DOWN);
    uv_timer_stop(&partition->reload_timer);
    partition->halted = true;
}

void partition_redis_down(struct partition *partition)
{
    if (!partition->closing)
        new_generation(partition, PARTITION_DOWN);
}

uint32_t partition_number(const struct partition *partition)
{
    return partition->options.number;
}

const char *partition_prefix(const struct partition *partition)
{
    return partition->prefix;
}

int64_t partition_applied(const struct partition *partition)
{
    return partition->applied;
}

const struct view *partition_view(const struct partition *partition)
{
    return &partition->view;
}

static void on_timer_closed(uv_handle_t *handle)
{
    request_done(handle->data);
}

void partition_close(struct partition *partition, void (*on_closed)(void *data), void *data)
{
    partition->closing = true;
    partition->on_closed = on_closed;
    partition->closed_data = data;
    new_generation(partition, PARTITION_DOWN);
    partition->n_requests++;
    uv_close((uv_handle_t *)&partition->reload_timer, on_timer_closed);
}
