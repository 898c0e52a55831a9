/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the transcripts in tests/transcripts/: inputs and what the core must answer. Each file is a story that
 * can be read without this program:
 *
 *     # a comment
 *     > image busybox
 *     > run web {"image":"busybox","command":["true"]}
 *     event container.created web
 *     effect launch web 1
 *
 * Lines that start with '>' are inputs; the lines until the next one are all that the core answers.
 * Containers are called by their name in place of their id, an exec by the offset of its command: exec-5, and
 * a check of the health of `web` by incarnation, epoch and number: check-1-1-3. WHARF_TRANSCRIPT_WRITE=1
 * rewrites the answers in place (read the diff!).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "events/snapshot.h"
#include "runtime/decide/decide.h"
#include "tests/support/node_state_compare.h"

#define SECOND_NS 1000000000LL

struct story {
    struct core core;
    struct node_state expected; /* the fold of the events, to compare with */
    int64_t now_ns;
    int64_t next_offset;
    struct decided_event *log; /* all events so far, bytes owned */
    size_t n_log;
    struct effect *kept; /* signal effects with a cause, to be answered; owned by kept_decision */
    struct decision kept_decision;
    int64_t health_sequence; /* of the newest timer of a health check */
    struct buf output;
};

/* The id of a command, by its offset. */
static void command_id_of(int64_t offset, char ret[UUID_TEXT_SIZE])
{
    char key[32];
    snprintf(key, sizeof(key), "%" PRId64, offset);
    uuid_from_key(ret, "story", key);
}

/* A name's container id, or that of an exec; the core knows only ids. */
static void id_of(const char *name, char ret[CONTAINER_ID_SIZE])
{
    char uuid[UUID_TEXT_SIZE], web[CONTAINER_ID_SIZE], text[CONTAINER_ID_SIZE + 96];
    int64_t offset;
    int incarnation, epoch, number;
    sha256_hex(ret, name, strlen(name));
    if (sscanf(name, "check-%d-%d-%d", &incarnation, &epoch, &number) == 3) {
        sha256_hex(web, "web", 3);
        snprintf(text, sizeof(text), "health/%s/%d/%d/%d", web, incarnation, epoch, number);
        sha256_hex(ret, text, strlen(text));
    }
    if (sscanf(name, "exec-%" SCNd64, &offset) != 1)
        return;
    command_id_of(offset, uuid);
    container_id_from_command(ret, uuid);
}

static const char *known_names[] = {
    "web",         "db",          "job",         "other",       "ghost",       "api",         "once",
    "exec-2",      "exec-3",      "exec-4",      "exec-5",      "exec-6",      "exec-7",      "exec-8",
    "exec-9",      "exec-10",     "exec-11",     "exec-12",     "exec-13",     "exec-14",     "exec-15",
    "exec-16",     "exec-17",     "exec-18",     "exec-19",     "check-1-1-1", "check-1-1-2", "check-1-1-3",
    "check-1-1-4", "check-1-1-5", "check-1-1-6", "check-1-1-7", "check-2-1-1", "check-2-2-1"};

/* Names in place of ids in a text of ours. */
static void add_named(struct buf *out, const char *text)
{
    for (size_t i = 0; i < sizeof(known_names) / sizeof(known_names[0]); i++) {
        char id[CONTAINER_ID_SIZE];
        id_of(known_names[i], id);
        const char *at = strstr(text, id);
        if (at != NULL) {
            buf_printf(out, "%.*s%s", (int)(at - text), text, known_names[i]);
            add_named(out, at + CONTAINER_ID_SIZE - 1);
            return;
        }
    }
    buf_add_string(out, text);
}

/* A name that was made up is not for readers. */
static void add_volume(struct story *story, const char *name)
{
    buf_printf(&story->output, " %s", container_id_is_valid(name) ? "made-up" : name);
}

static void describe_event(struct story *story, const struct decided_event *decided)
{
    json_auto_t *document = json_loadb(decided->bytes, decided->size, 0, NULL);
    assert_non_null(document);
    json_t *data = json_object_get(document, "data"), *spec = json_object_get(data, "spec");
    int64_t id_base = json_integer_value(json_object_get(spec, "id_base"));
    int64_t id_size = json_integer_value(json_object_get(spec, "id_size"));
    json_object_del(data, "spec");
    json_object_del(data, "image_digest");
    json_object_del(data, "kernel");
    json_object_del(data, "version");
    auto_free char *text = json_dumps(data, JSON_COMPACT);
    buf_printf(&story->output, "event %s ", event_types[decided->type].api_name);
    add_named(&story->output, decided->subject);
    buf_add_string(&story->output, " ");
    add_named(&story->output, text);
    if (id_size > 0)
        buf_printf(&story->output, " ids %" PRId64 "+%" PRId64, id_base, id_size);
    const char *actor = json_string_value(json_object_get(document, "actor"));
    buf_printf(&story->output, " by %s", actor);
    if (decided->outcome != OUTCOME_NONE)
        buf_printf(&story->output, " => %s of %" JSON_INTEGER_FORMAT, outcome_name(decided->outcome),
                   json_integer_value(json_object_get(document, "commandoffset")));
    buf_add_string(&story->output, "\n");
}

static bool is_paused(const struct story *story, const char *container_id)
{
    const struct container *container = node_state_container(&story->core.state, container_id);
    return container != NULL && container->state == CONTAINER_PAUSED;
}

static void describe_effect(struct story *story, const struct effect *effect)
{
    static const char *const names[] = {[EFFECT_LAUNCH] = "launch",
                                        [EFFECT_EXEC] = "exec",
                                        [EFFECT_SIGNAL] = "signal",
                                        [EFFECT_REMOVE] = "remove",
                                        [EFFECT_ADJUST] = "adjust",
                                        [EFFECT_TIMER] = "timer",
                                        [EFFECT_IMPORT] = "import",
                                        [EFFECT_COMMIT] = "commit",
                                        [EFFECT_IMAGE_REMOVE] = "image-remove",
                                        [EFFECT_VOLUME_REMOVE] = "volume-remove"};
    static const char *const timers[] = {[TIMER_STOP_DEADLINE] = "stop-deadline",
                                         [TIMER_RESTART_DUE] = "restart-due",
                                         [TIMER_HEALTH] = "health",
                                         [TIMER_HEALTH_LATE] = "health-late"};
    if (effect->kind == EFFECT_TIMER && (effect->timer == TIMER_HEALTH || effect->timer == TIMER_HEALTH_LATE))
        story->health_sequence = effect->sequence;
    buf_printf(&story->output, "effect %s", names[effect->kind]);
    if (effect->container_id[0] != '\0') {
        buf_add_string(&story->output, " ");
        add_named(&story->output, effect->container_id);
    }
    if (effect->exec_id[0] != '\0') {
        buf_add_string(&story->output, " ");
        add_named(&story->output, effect->exec_id);
    }
    if (effect->kind == EFFECT_LAUNCH || effect->kind == EFFECT_EXEC)
        buf_printf(&story->output, " incarnation %" PRId64, effect->incarnation);
    else if (effect->kind == EFFECT_SIGNAL)
        buf_printf(&story->output, " %d%s", effect->signal,
                   effect->thaws && is_paused(story, effect->container_id) ? " and thaw" : "");
    else if (effect->kind == EFFECT_ADJUST)
        buf_printf(&story->output, " %s",
                   effect->adjustment == HOST_PAUSE     ? "pause"
                   : effect->adjustment == HOST_UNPAUSE ? "unpause"
                                                        : "limits");
    else if (effect->kind == EFFECT_TIMER && effect->timer == TIMER_COLLECT)
        buf_add_string(&story->output, " collect");
    else if (effect->kind == EFFECT_TIMER)
        buf_printf(&story->output, " %s in %" PRId64 " ms", timers[effect->timer],
                   (effect->due_ns - story->now_ns) / 1000000);
    else if (effect->kind == EFFECT_COMMIT)
        buf_printf(&story->output, "%s%s", effect->incarnation > 0 ? " running" : "",
                   effect->pauses ? " paused meanwhile" : "");
    else if (effect->kind == EFFECT_IMPORT)
        buf_printf(&story->output, " %s", effect->source);
    else if (effect->kind == EFFECT_VOLUME_REMOVE)
        add_volume(story, effect->volume);
    else if (effect->kind == EFFECT_IMAGE_REMOVE)
        buf_printf(&story->output, " %.14s", effect->digest);
    buf_add_string(&story->output, "\n");
}

/* The state that was decided, the fold of the events, and what a snapshot of it gives are the same. */
static void compare_states(const struct story *story)
{
    auto_buf struct buf text = BUF_INIT;
    struct node_state back;
    struct err err = ERR_INIT;
    int64_t next_offset;
    const char *difference = node_state_difference(&story->core.state, &story->expected);
    if (difference != NULL)
        fail_msg("the state is not the fold of its events: %s", difference);
    if (snapshot_encode(&story->expected, 1, &text, &err) < 0 ||
        snapshot_decode(&back, &next_offset, "n1", text.data, text.size, &err) < 0)
        fail_msg("%s", err.message);
    difference = node_state_difference(&story->expected, &back);
    if (difference != NULL)
        fail_msg("a snapshot does not give the state: %s", difference);
    node_state_release(&back);
}

/* Writes down what was decided, checks that the state is the fold of the events, and keeps what answers need.
 */
static void conclude(struct story *story, struct decision *decision)
{
    assert_false(story->core.failed);
    for (size_t i = 0; i < decision->n_events; i++) {
        struct decided_event *decided = &decision->events[i];
        describe_event(story, decided);
        struct event event;
        struct err err = ERR_INIT;
        if (event_decode(&event, decided->bytes, decided->size, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(node_state_apply(&story->expected, &event, decided->bytes, decided->size),
                         APPLY_DONE);
        event_release(&event);
        story->log = realloc(story->log, (story->n_log + 1) * sizeof(*story->log));
        assert_non_null(story->log);
        story->log[story->n_log] = *decided;
        story->log[story->n_log++].bytes = steal_ptr(decided->bytes);
    }
    for (size_t i = 0; i < decision->n_effects; i++)
        describe_effect(story, &decision->effects[i]);
    compare_states(story);
    decision_release(&story->kept_decision);
    story->kept_decision = *decision;
}

static void step(struct story *story, struct input *input)
{
    struct decision decision = {0};
    input->now_ns = story->now_ns;
    core_step(&story->core, input, &decision);
    conclude(story, &decision);
}

/* > COMMAND NAME JSON: the data of a command; for run and create NAME is the new container's. */
static void do_command(struct story *story, const char *api_name, const char *name, const char *json,
                       int64_t offset)
{
    char text[2048], id[CONTAINER_ID_SIZE], uuid[UUID_TEXT_SIZE];
    int type = command_type_by_api_name(api_name);
    assert_true(type >= 0);
    id_of(name, id);
    command_id_of(offset, uuid);
    snprintf(text, sizeof(text),
             "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"/wharf/"
             "writer\",\"type\":\"%s\",\"subject\":\"%s\","
             "\"time\":\"2026-01-01T00:00:00Z\",\"datacontenttype\":\"application/json\",\"node\":\"n1\","
             "\"actor\":\"unix:uid=1000\",\"correlationid\":\"%s\",\"data\":%s}",
             uuid, command_types[type].log_name, id, uuid, json);
    struct command command;
    struct err err = ERR_INIT;
    if (command_decode(&command, text, strlen(text), &err) < 0)
        fail_msg("%s: %s", err.message, text);
    struct input input = {.kind = INPUT_COMMAND, .command = {.command = &command, .offset = offset}};
    step(story, &input);
    command_release(&command);
}

static void do_import(struct story *story, const char *reference)
{
    char json[512];
    snprintf(json, sizeof(json), "{\"source\":\"/src\",\"reference\":\"%s\",\"env\":[\"PATH=/bin\"]}",
             reference);
    do_command(story, "image.import", reference, json, story->next_offset++);
    struct host_imported imported = {.size_bytes = 1000};
    strcpy(imported.digest, "sha256:");
    sha256_hex(imported.digest + 7, reference, strlen(reference));
    assert_int_equal(story->kept_decision.n_effects, 1);
    char command_id[UUID_TEXT_SIZE];
    memcpy(command_id, story->kept_decision.effects[0].command_id, sizeof(command_id));
    struct input input = {.kind = INPUT_IMPORTED,
                          .imported = {.command_id = command_id, .imported = &imported}};
    step(story, &input);
}

/* > committed OFFSET [failed]: the answer to the commit that was asked for there. */
static void do_committed(struct story *story, const char *offset, bool ok)
{
    struct host_imported imported = {.size_bytes = 2000};
    struct err err = ERR_INIT;
    char command_id[UUID_TEXT_SIZE];
    uuid_from_key(command_id, "story", offset);
    err_set(&err, ERR_SYSTEM, "no space left");
    strcpy(imported.digest, "sha256:");
    sha256_hex(imported.digest + 7, offset, strlen(offset));
    struct input input = {
        .kind = INPUT_IMPORTED,
        .imported = {.command_id = command_id, .imported = ok ? &imported : NULL, .err = ok ? NULL : &err}};
    step(story, &input);
}

/* > deleted: the contents of an image are. */
static void do_deleted(struct story *story)
{
    struct input input = {.kind = INPUT_IMAGE_DELETED};
    step(story, &input);
}

/* > volume-removed NAME [no]: made-up is the one that was last asked for. */
static void do_volume_removed(struct story *story, const char *name, bool ok)
{
    struct err err = ERR_INIT;
    char last[160] = "";
    err_set(&err, ERR_SYSTEM, "device busy");
    for (size_t i = 0; i < story->kept_decision.n_effects; i++)
        if (story->kept_decision.effects[i].kind == EFFECT_VOLUME_REMOVE)
            snprintf(last, sizeof(last), "%s", story->kept_decision.effects[i].volume);
    struct input input = {
        .kind = INPUT_VOLUME_REMOVED,
        .volume_removed = {.name = strcmp(name, "made-up") == 0 ? last : name, .err = ok ? NULL : &err}};
    step(story, &input);
}

/* > volumes NAME...: recovery finds these directories. */
static void do_volumes(struct story *story, char *rest)
{
    struct strings names = {0};
    char *save = NULL;
    for (const char *each = strtok_r(rest, " ", &save); each != NULL; each = strtok_r(NULL, " ", &save))
        assert_int_equal(strings_add(&names, each), 0);
    struct decision decision = {0};
    core_recover_volumes(&story->core, story->now_ns, &names, &decision);
    strings_release(&names);
    conclude(story, &decision);
}

/* > store REFERENCE...: recovery finds the contents of these images. */
static void do_store(struct story *story, char *references)
{
    struct strings digests = {0};
    char digest[7 + SHA256_HEX_SIZE] = "sha256:", *save = NULL;
    for (const char *each = strtok_r(references, " ", &save); each != NULL;
         each = strtok_r(NULL, " ", &save)) {
        sha256_hex(digest + 7, each, strlen(each));
        assert_int_equal(strings_add(&digests, digest), 0);
    }
    struct decision decision = {0};
    core_collect(&story->core, &digests, &decision);
    strings_release(&digests);
    conclude(story, &decision);
}

/* web, or web/exec-5 */
static void name_process(const char *name, char container_id[CONTAINER_ID_SIZE],
                         char exec_id[CONTAINER_ID_SIZE])
{
    const char *slash = strchr(name, '/');
    char container[64];
    snprintf(container, sizeof(container), "%.*s", (int)strcspn(name, "/"), name);
    id_of(container, container_id);
    if (slash != NULL)
        id_of(slash + 1, exec_id);
}

/* > launched NAME[/EXEC] INCARNATION PID: 0 if it cannot be found. */
static void do_launched(struct story *story, const char *name, int64_t incarnation, int64_t pid)
{
    struct host_launched launched = {.incarnation = incarnation,
                                     .ok = pid > 0,
                                     .pid = pid,
                                     .shim_pid = pid - 1,
                                     .started_at_ns = story->now_ns,
                                     .exit_code = 127,
                                     .code = "command-not-found"};
    strcpy(launched.message, "cannot run 'x': not found");
    name_process(name, launched.container_id, launched.exec_id);
    struct input input = {.kind = INPUT_LAUNCHED, .launched = &launched};
    step(story, &input);
}

/* > unstarted NAME INCARNATION: the image's contents are not on this host. */
static void do_image_missing(struct story *story, const char *name, int64_t incarnation)
{
    struct host_launched launched = {.incarnation = incarnation, .exit_code = 125, .code = "image-missing"};
    strcpy(launched.message, "image contents of 'busybox' are not on this host: import it again");
    id_of(name, launched.container_id);
    struct input input = {.kind = INPUT_LAUNCHED, .launched = &launched};
    step(story, &input);
}

/* > interrupted: what `wharf replay` would start now. */
static void list_interrupted(struct story *story)
{
    for (const struct container *each = story->core.state.containers; each != NULL; each = each->hh.next)
        if (container_is_interrupted(each))
            buf_printf(&story->output, "interrupted %s by %s\n", each->name, each->interrupted_by);
}

static struct host_exit make_exit(struct story *story, const char *name, int64_t incarnation, int code)
{
    struct host_exit exit = {.incarnation = incarnation,
                             .reason = code < 0     ? "shim-lost"
                                       : code > 128 ? "signaled"
                                                    : "exited",
                             .exit_code = code,
                             .signal = code > 128 ? code - 128 : 0,
                             .finished_at_ns = code < 0 ? 0 : story->now_ns};
    name_process(name, exit.container_id, exit.exec_id);
    if (code < 0)
        strcpy(exit.observed, "shim 99 is gone");
    return exit;
}

static void do_exited(struct story *story, const char *name, int64_t incarnation, int code)
{
    struct host_exit exit = make_exit(story, name, incarnation, code);
    struct input input = {.kind = INPUT_EXITED, .exited = &exit};
    if (core_is_health_check(&story->core, exit.exec_id))
        input.output = "what it wrote";
    step(story, &input);
}

static void do_timer(struct story *story, const char *name, const char *kind, int64_t incarnation)
{
    char id[CONTAINER_ID_SIZE];
    id_of(name, id);
    struct input input = {
        .kind = INPUT_TIMER,
        .timer = {.container_id = id,
                  .kind = strcmp(kind, "stop") == 0          ? TIMER_STOP_DEADLINE
                          : strcmp(kind, "collect") == 0     ? TIMER_COLLECT
                          : strcmp(kind, "health") == 0      ? TIMER_HEALTH
                          : strncmp(kind, "health-", 7) == 0 ? TIMER_HEALTH_LATE
                                                             : TIMER_RESTART_DUE,
                  .incarnation = incarnation,
                  .sequence = story->health_sequence - (strcmp(kind, "health-stale") == 0)}};
    step(story, &input);
}

static void do_signaled(struct story *story, bool ok)
{
    struct decision decision = story->kept_decision;
    story->kept_decision = (struct decision){0};
    assert_true(decision.n_effects > 0);
    struct input input = {.kind = INPUT_SIGNALED, .signaled = {.effect = &decision.effects[0], .ok = ok}};
    step(story, &input);
    decision_release(&decision);
}

static void do_removed(struct story *story, const char *name, bool ok)
{
    char id[CONTAINER_ID_SIZE];
    struct err err = ERR_INIT;
    id_of(name, id);
    err_set(&err, ERR_SYSTEM, "device busy");
    struct input input = {.kind = INPUT_REMOVED, .removed = {.container_id = id, .err = ok ? NULL : &err}};
    step(story, &input);
}

static void do_adjusted(struct story *story, const char *name, const char *word)
{
    char id[CONTAINER_ID_SIZE];
    struct err err = ERR_INIT;
    id_of(name, id);
    bool gone = strcmp(word, "gone") == 0, ok = word[0] == '\0';
    err_set(&err, gone ? ERR_NOT_FOUND : ERR_SYSTEM, "device busy");
    struct input input = {.kind = INPUT_ADJUSTED, .adjusted = {.container_id = id, .err = ok ? NULL : &err}};
    step(story, &input);
}

/* > access NAME in|out PATH, and > access NAME export */
static void do_access(struct story *story, const char *name, const char *rest)
{
    char id[CONTAINER_ID_SIZE], word[16] = "", path[256] = "";
    sscanf(rest, "%*s %15s %255s", word, path);
    id_of(name, id);
    struct input input = {.kind = INPUT_ACCESSED,
                          .accessed = {.container_id = id, .path = path, .actor = "unix:uid=1001"}};
    input.accessed.access = strcmp(word, "in") == 0       ? ACCESS_COPY_IN
                            : strcmp(word, "out") == 0    ? ACCESS_COPY_OUT
                            : strcmp(word, "attach") == 0 ? ACCESS_ATTACH
                                                          : ACCESS_EXPORT;
    step(story, &input);
}

static void begin(struct story *story, const char *boot_id)
{
    uint8_t seed[DECIDE_SEED_SIZE] = {1};
    struct core_identity identity = {.boot_id = boot_id, .kernel = "k", .version = "v", .pid = 7};
    assert_int_equal(core_init(&story->core, "n1", seed), 0);
    story->core.id_pool = (struct id_pool){.base = 1000000, .size = 3 * ID_RANGE_SIZE - 1}; /* two ranges */
    for (size_t i = 0; i < story->n_log; i++) {
        struct event event;
        assert_int_equal(event_decode(&event, story->log[i].bytes, story->log[i].size, NULL), 0);
        assert_int_equal(
            node_state_apply(&story->core.state, &event, story->log[i].bytes, story->log[i].size),
            APPLY_DONE);
        event_release(&event);
    }
    struct decision decision = {0};
    core_begin(&story->core, story->now_ns, &identity, &decision);
    conclude(story, &decision);
}

/* > restart BOOT_ID [NAME[/EXEC] running|exited|lost|interrupted INCARNATION NUMBER OFFSET]...: the runtime
 * was killed and comes back, on the same log; NUMBER is a pid or an exit code. > fresh BOOT_ID ... is the
 * same with a state directory that is new. */
static void do_restart(struct story *story, char *rest, bool state_is_new)
{
    struct host_observation seen[8] = {0};
    size_t n = 0;
    char *save = NULL;
    const char *boot_id = strtok_r(rest, " ", &save);
    enum continuity continuity = core_continuity(&story->core, boot_id, state_is_new);
    core_release(&story->core);
    for (const char *name; (name = strtok_r(NULL, " ", &save)) != NULL; n++) {
        const char *found = strtok_r(NULL, " ", &save);
        int64_t incarnation = atoll(strtok_r(NULL, " ", &save));
        int number = atoi(strtok_r(NULL, " ", &save));
        seen[n].paused = strcmp(found, "paused") == 0 ? 1 : 0;
        seen[n].found = strcmp(found, "running") == 0  ? HOST_RUNNING
                        : seen[n].paused               ? HOST_RUNNING
                        : strcmp(found, "exited") == 0 ? HOST_EXITED
                        : strcmp(found, "lost") == 0   ? HOST_LOST
                                                       : HOST_INTERRUPTED;
        name_process(name, seen[n].container_id, seen[n].exec_id);
        seen[n].incarnation = incarnation;
        seen[n].pid = number;
        seen[n].shim_pid = number - 1;
        seen[n].command_offset = atoll(strtok_r(NULL, " ", &save));
        seen[n].exit = make_exit(story, name, incarnation, seen[n].found == HOST_LOST ? -1 : number);
        snprintf(seen[n].what, sizeof(seen[n].what), "%s", found);
    }
    begin(story, boot_id);
    struct decision decision = {0};
    core_recover(&story->core, story->now_ns, continuity, seen, n, &decision);
    conclude(story, &decision);
}

/* > lost N: the runtime was killed before the last N events were durable. A restart must follow. */
static void lose_events(struct story *story, size_t n)
{
    assert_in_range(n, 1, story->n_log);
    while (n-- > 0)
        free(story->log[--story->n_log].bytes);
    node_state_release(&story->expected);
    assert_int_equal(node_state_init(&story->expected, "n1"), 0);
    for (size_t i = 0; i < story->n_log; i++) {
        struct event event;
        assert_int_equal(event_decode(&event, story->log[i].bytes, story->log[i].size, NULL), 0);
        assert_int_equal(node_state_apply(&story->expected, &event, story->log[i].bytes, story->log[i].size),
                         APPLY_DONE);
        event_release(&event);
    }
}

static void run_input(struct story *story, char *line)
{
    char verb[32] = "", name[64] = "", word[32] = "";
    int used = 0;
    int64_t number = 0;
    sscanf(line, "%31s %n", verb, &used);
    char *rest = line + used;
    story->now_ns += SECOND_NS;
    if (strchr(verb, '.') != NULL) { /* a command: TYPE NAME JSON, or again=OFFSET before the JSON */
        sscanf(rest, "%63s %n", name, &used);
        rest += used;
        int64_t offset = story->next_offset;
        if (sscanf(rest, "again=%" SCNd64 " %n", &offset, &used) == 1)
            rest += used;
        else
            story->next_offset++;
        do_command(story, verb, name, rest, offset);
        return;
    }
    int fields = sscanf(rest, "%63s %31s %" SCNd64, name, word, &number);
    if (strcmp(verb, "import") == 0)
        do_import(story, name);
    else if (strcmp(verb, "launched") == 0)
        do_launched(story, name, atoll(word), number);
    else if (strcmp(verb, "exited") == 0)
        do_exited(story, name, atoll(word), (int)number);
    else if (strcmp(verb, "timer") == 0)
        do_timer(story, name, word, number);
    else if (strcmp(verb, "signaled") == 0)
        do_signaled(story, strcmp(name, "ok") == 0);
    else if (strcmp(verb, "adjusted") == 0)
        do_adjusted(story, name, fields < 2 ? "" : word);
    else if (strcmp(verb, "access") == 0)
        do_access(story, name, rest);
    else if (strcmp(verb, "removed") == 0)
        do_removed(story, name, fields < 2);
    else if (strcmp(verb, "pass") == 0)
        story->now_ns += atoll(name) * SECOND_NS;
    else if (strcmp(verb, "restart") == 0)
        do_restart(story, rest, false);
    else if (strcmp(verb, "fresh") == 0)
        do_restart(story, rest, true);
    else if (strcmp(verb, "lost") == 0)
        lose_events(story, (size_t)atoll(name));
    else if (strcmp(verb, "unstarted") == 0)
        do_image_missing(story, name, atoll(word));
    else if (strcmp(verb, "committed") == 0)
        do_committed(story, name, fields < 2);
    else if (strcmp(verb, "deleted") == 0)
        do_deleted(story);
    else if (strcmp(verb, "volume-removed") == 0)
        do_volume_removed(story, name, strcmp(word, "no") != 0);
    else if (strcmp(verb, "volumes") == 0)
        do_volumes(story, rest);
    else if (strcmp(verb, "store") == 0)
        do_store(story, rest);
    else if (strcmp(verb, "interrupted") == 0)
        list_interrupted(story);
    else
        fail_msg("unknown input '%s'", line);
}

static void story_release(struct story *story)
{
    core_release(&story->core);
    node_state_release(&story->expected);
    for (size_t i = 0; i < story->n_log; i++)
        free(story->log[i].bytes);
    free(story->log);
    decision_release(&story->kept_decision);
    buf_release(&story->output);
}

static void run_file(const char *path)
{
    auto_file FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct story story = {.now_ns = 1767225600LL * SECOND_NS, .output = BUF_INIT};
    assert_int_equal(node_state_init(&story.expected, "n1"), 0);
    begin(&story, "boot-1");
    buf_reset(&story.output);
    auto_buf struct buf expected = BUF_INIT;
    char line[4096];
    while (fgets(line, sizeof(line), file) != NULL) {
        buf_add_string(&expected, line);
        if (line[0] == '#' || line[0] == '\n')
            buf_add_string(&story.output, line);
        if (line[0] != '>')
            continue;
        buf_add_string(&story.output, line);
        line[strcspn(line, "\n")] = '\0';
        run_input(&story, line + 2);
    }
    if (getenv("WHARF_TRANSCRIPT_WRITE") != NULL) {
        auto_file FILE *out = fopen(path, "w");
        assert_non_null(out);
        fputs(story.output.data, out);
    } else if (strcmp(story.output.data, expected.data) != 0) {
        fail_msg("%s: expected\n%s\nbut the core says\n%s", path, expected.data, story.output.data);
    }
    story_release(&story);
}

static void every_transcript(void **state)
{
    (void)state;
    auto_dir DIR *dir = opendir("tests/transcripts");
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512];
        if (strstr(entry->d_name, ".txt") == NULL)
            continue;
        snprintf(path, sizeof(path), "tests/transcripts/%s", entry->d_name);
        print_message("%s\n", path);
        run_file(path);
        n++;
    }
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_transcript)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
