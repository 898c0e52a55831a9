/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/timestamp.h"
#include "tests/chaos/check.h"

/* --- events --- */

const char *event_text(const json_t *event, const char *member)
{
    const char *text = json_string_value(json_object_get(event, member));
    return text != NULL ? text : "";
}

int64_t event_number(const json_t *event, const char *member)
{
    return json_integer_value(json_object_get(event, member));
}

const json_t *event_data(const json_t *event)
{
    return json_object_get(event, "data");
}

const char *event_name(const json_t *event, char ret[64])
{
    const char *type = event_text(event, "type");
    const char *version = strrchr(type, '.');
    if (strncmp(type, "wharf.", 6) != 0 || version == NULL || version < type + 6)
        return "";
    snprintf(ret, 64, "%.*s", (int)(version - type - 6), type + 6);
    return ret;
}

void history_init(struct history *history, const struct records *events)
{
    int64_t epoch = 0;
    *history = (struct history){.events = calloc(events->n + 1, sizeof(json_t *))};
    for (size_t i = 0; history->events != NULL && i < events->n; i++) {
        json_t *event = json_loadb(events->items[i].bytes, events->items[i].size, 0, NULL);
        if (event == NULL || event_number(event, "epoch") < epoch) {
            history->n_fenced += event != NULL ? 1 : 0;
            json_decref(event);
            continue;
        }
        epoch = event_number(event, "epoch");
        history->events[history->n++] = event;
    }
}

void history_release(struct history *history)
{
    for (size_t i = 0; i < history->n; i++)
        json_decref(history->events[i]);
    free(history->events);
}

void check_parse(struct report *report, const struct records *records, const char *topic)
{
    for (size_t i = 0; i < records->n; i++) {
        json_auto_t *event = json_loadb(records->items[i].bytes, records->items[i].size, 0, NULL);
        if (event == NULL)
            report_fail(report, "log", "record %lld of %s is no JSON", (long long)records->items[i].offset,
                        topic);
    }
}

/* --- one outcome --- */

struct settled {
    const char *command; /* key: its id */
    const json_t *event;
    int n;
    UT_hash_handle hh;
};

static struct settled *find_settled(struct settled *all, const char *command)
{
    struct settled *found;
    HASH_FIND_STR(all, command, found);
    return found;
}

static struct settled *collect_settled(const struct history *history)
{
    struct settled *all = NULL;
    for (size_t i = 0; i < history->n; i++) {
        const char *command = event_text(history->events[i], "causationid");
        if (event_text(history->events[i], "outcome")[0] == '\0')
            continue;
        struct settled *settled = find_settled(all, command);
        if (settled == NULL) {
            settled = calloc(1, sizeof(*settled));
            if (settled == NULL)
                abort();
            settled->command = command;
            settled->event = history->events[i];
            HASH_ADD_KEYPTR(hh, all, settled->command, strlen(settled->command), settled);
        }
        settled->n++;
    }
    return all;
}

static void check_told(struct report *report, struct settled *all, const struct told *told)
{
    const struct settled *settled = find_settled(all, told->id);
    if (settled == NULL)
        report_fail(report, "outcomes", "%s %s was told to be %s, but no event on the log says so",
                    told->type, told->id, told->outcome);
    else if (strcmp(event_text(settled->event, "id"), told->event_id) != 0 ||
             strcmp(event_text(settled->event, "outcome"), told->outcome) != 0)
        report_fail(report, "outcomes",
                    "%s %s was told to be %s by event %s, but on the log it is %s by event %s", told->type,
                    told->id, told->outcome, told->event_id, event_text(settled->event, "outcome"),
                    event_text(settled->event, "id"));
}

void check_outcomes(struct report *report, const struct history *history, const struct records *commands,
                    const struct load *load)
{
    struct settled *all = collect_settled(history);
    for (size_t i = 0; i < commands->n; i++) {
        json_auto_t *command = json_loadb(commands->items[i].bytes, commands->items[i].size, 0, NULL);
        const char *id = event_text(command, "id");
        const struct settled *settled = find_settled(all, id);
        if (settled == NULL)
            report_fail(report, "outcomes", "command %s at offset %lld (%s) has no outcome", id,
                        (long long)commands->items[i].offset, event_text(command, "type"));
        else if (settled->n > 1)
            report_fail(report, "outcomes", "command %s at offset %lld (%s) has %d outcomes", id,
                        (long long)commands->items[i].offset, event_text(command, "type"), settled->n);
    }
    for (size_t i = 0; i < load->n_told; i++)
        check_told(report, all, &load->told[i]);
    struct settled *settled, *next;
    HASH_ITER(hh, all, settled, next)
    {
        HASH_DEL(all, settled);
        free(settled);
    }
}

/* --- failures --- */

/* Each shim that was killed before its start was on the log explains one failed start, each import that was
 * killed one failed import; there must be no other. */
void check_failures(struct report *report, const struct history *history, const struct stack *stack,
                    const struct load *load)
{
    size_t n_failed = 0, n_explained = stack->n_struck;
    char name[64];
    for (size_t i = 0; i < history->n; i++) {
        const json_t *data = event_data(history->events[i]);
        event_name(history->events[i], name);
        if (strcmp(name, "container.start_failed") == 0 &&
            strcmp(event_text(data, "code"), "setup-failed") == 0)
            n_failed++;
        if (strcmp(name, "container.started") == 0 && n_explained > 0) {
            int64_t started_ns = 0;
            timestamp_parse(event_text(data, "started_at"), &started_ns, NULL);
            n_explained -= stack_was_struck(stack, event_number(data, "shim_pid"), started_ns) ? 1 : 0;
        }
    }
    if (n_failed > n_explained)
        report_fail(report, "failures",
                    "%zu starts failed, but only %zu shims were killed before they were on the log", n_failed,
                    n_explained);
    if (load->n_imports_failed > stack->n_images_struck)
        report_fail(report, "failures", "%zu imports failed, but only %zu were killed",
                    load->n_imports_failed, stack->n_images_struck);
}

/* --- legal paths --- */

enum place { ABSENT, CREATED, RUNNING, STOPPING, EXITED, RESTARTING, REMOVED, PLACES };
static const char *const PLACE_NAMES[PLACES] = {"absent", "created",    "running", "stopping",
                                                "exited", "restarting", "removed"};

/* Written down here once more, and not taken from the product. */
static const struct {
    const char *event;
    enum place from, to;
} MOVES[] = {
    {"container.created", ABSENT, CREATED},         {"container.started", CREATED, RUNNING},
    {"container.start_failed", CREATED, CREATED},   {"container.removed", CREATED, REMOVED},
    {"container.adopted", RUNNING, RUNNING},        {"container.signaled", RUNNING, RUNNING},
    {"container.committed", RUNNING, RUNNING},      {"container.committed", CREATED, CREATED},
    {"container.committed", EXITED, EXITED},        {"container.stopping", RUNNING, STOPPING},
    {"container.exited", RUNNING, EXITED},          {"container.adopted", STOPPING, STOPPING},
    {"container.signaled", STOPPING, STOPPING},     {"container.stopping", STOPPING, STOPPING},
    {"container.exited", STOPPING, EXITED},         {"container.started", EXITED, RUNNING},
    {"container.start_failed", EXITED, EXITED},     {"container.restarting", EXITED, RESTARTING},
    {"container.removed", EXITED, REMOVED},         {"container.started", RESTARTING, RUNNING},
    {"container.start_failed", RESTARTING, EXITED}, {"container.restart_canceled", RESTARTING, EXITED},
};

struct walker {
    const char *container; /* key */
    enum place place;
    int64_t version;
    int64_t incarnation;
    UT_hash_handle hh;
};

static bool move(struct walker *walker, const char *name)
{
    for (size_t i = 0; i < sizeof(MOVES) / sizeof(MOVES[0]); i++) {
        if (MOVES[i].from == walker->place && strcmp(MOVES[i].event, name) == 0) {
            walker->place = MOVES[i].to;
            return true;
        }
    }
    return false;
}

static void walk(struct report *report, struct walker *walker, const json_t *event, const char *name)
{
    enum place before = walker->place;
    if (before == REMOVED && strncmp(name, "container.", 10) != 0)
        return; /* of what was left of it, or of a command that came too late: another stream */
    int64_t incarnation = event_number(event_data(event), "incarnation");
    int64_t version = event_number(event, "streamversion");
    bool of_exec = strncmp(name, "container.exec_", 15) == 0; /* may be told late, and changes nothing */
    bool begins = strcmp(name, "container.started") == 0 || strcmp(name, "container.start_failed") == 0;
    if ((!of_exec || before == ABSENT || before == REMOVED) && !move(walker, name) &&
        strncmp(name, "container.", 10) == 0)
        report_fail(report, "paths", "container %.12s: %s while %s (nodeseq %lld)", walker->container, name,
                    PLACE_NAMES[before], (long long)event_number(event, "nodeseq"));
    if (version != walker->version + 1)
        report_fail(report, "paths", "container %.12s: %s has streamversion %lld after %lld",
                    walker->container, name, (long long)version, (long long)walker->version);
    walker->version = version;
    if (of_exec)
        return;
    if (incarnation != 0 && incarnation != walker->incarnation + (begins ? 1 : 0))
        report_fail(report, "paths", "container %.12s: %s of incarnation %lld after %lld", walker->container,
                    name, (long long)incarnation, (long long)walker->incarnation);
    if (incarnation != 0)
        walker->incarnation = incarnation;
}

void check_paths(struct report *report, const struct history *history)
{
    struct walker *all = NULL, *walker, *next;
    char name[64];
    for (size_t i = 0; i < history->n; i++) {
        const json_t *event = history->events[i];
        const char *subject = event_text(event, "subject");
        event_name(event, name);
        HASH_FIND_STR(all, subject, walker);
        if (walker == NULL && strncmp(name, "container.", 10) != 0)
            continue;
        if (walker == NULL) {
            walker = calloc(1, sizeof(*walker));
            if (walker == NULL)
                abort();
            walker->container = subject;
            HASH_ADD_KEYPTR(hh, all, walker->container, strlen(subject), walker);
            walker->version = event_number(event, "streamversion") - 1; /* a refusal may have come before */
        }
        walk(report, walker, event, name);
    }
    HASH_ITER(hh, all, walker, next)
    {
        if (walker->place != REMOVED)
            report_fail(report, "paths", "container %.12s was not removed at the end: it is %s",
                        walker->container, PLACE_NAMES[walker->place]);
        HASH_DEL(all, walker);
        free(walker);
    }
}

/* --- the chain --- */

void check_chain(struct report *report, const struct records *events)
{
    char expected[65], found[65];
    unsigned char hash[crypto_hash_sha256_BYTES];
    int64_t nodeseq = 0, epoch = 0;
    memset(expected, '0', 64);
    expected[64] = '\0';
    for (size_t i = 0; i < events->n; i++) {
        json_auto_t *event = json_loadb(events->items[i].bytes, events->items[i].size, 0, NULL);
        if (event_number(event, "epoch") < epoch)
            continue;
        epoch = event_number(event, "epoch");
        snprintf(found, sizeof(found), "%s", event_text(event, "prevhash"));
        if (strcmp(found, expected) != 0 || event_number(event, "nodeseq") != nodeseq + 1) {
            report_fail(
                report, "chain",
                "the hash chain breaks at offset %lld: nodeseq %lld after %lld, prevhash %.12s, not %.12s",
                (long long)events->items[i].offset, (long long)event_number(event, "nodeseq"),
                (long long)nodeseq, found, expected);
            return;
        }
        nodeseq++;
        crypto_hash_sha256(hash, (const unsigned char *)events->items[i].bytes, events->items[i].size);
        sodium_bin2hex(expected, sizeof(expected), hash, sizeof(hash));
    }
}

void check_sqlite(struct report *report, const struct stack *stack)
{
    static const char *const topics[] = {"wharf.commands", "wharf.events"};
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        sqlite3 *db = NULL;
        sqlite3_stmt *statement = NULL;
        snprintf(path, sizeof(path), "%s/state/log/%s.db", stack->dir, topics[i]);
        const char *answer = NULL;
        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
            sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK &&
            sqlite3_step(statement) == SQLITE_ROW)
            answer = (const char *)sqlite3_column_text(statement, 0);
        if (answer == NULL || strcmp(answer, "ok") != 0)
            report_fail(report, "log", "'%s' is damaged: %s", path,
                        answer != NULL ? answer : sqlite3_errmsg(db));
        sqlite3_finalize(statement);
        sqlite3_close(db);
    }
}
