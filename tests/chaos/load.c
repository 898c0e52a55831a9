/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/chaos/load.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "tests/chaos/teller.h"

#define FACT_TIMEOUT_S 120
#define LOG_LIMIT ((size_t)64 << 20)
#define PAUSE_US 5000 /* between two looks at a log file */
#define IMPORTS_MAX 20

/* --- what is waited for --- */

static bool has_ended(const struct watched *container, int64_t incarnation)
{
    return container->newest > incarnation || container->incarnations[incarnation].exited ||
           container->incarnations[incarnation].failed;
}

static bool newest_failed(const struct watched *container)
{
    return container->newest < WATCH_INCARNATIONS && container->incarnations[container->newest].failed;
}

/* No start will follow: all restarts are used up, or a start failed. */
static bool has_given_up(const struct watched *container, int64_t last)
{
    return !container->running && !container->restarting &&
           (container->incarnations[last].exited || newest_failed(container));
}

static bool has_restarted(const struct watched *container, int64_t incarnation)
{
    return container->newest >= incarnation || newest_failed(container);
}

static bool is_removed(const struct watched *container, int64_t unused)
{
    (void)unused;
    return container->removed;
}

static bool await(struct teller *teller, const char *id, watched_is is, int64_t arg, const char *what)
{
    struct watched now = {.newest = 0};
    if (watch_wait(teller->load->watch, id, is, arg, FACT_TIMEOUT_S, &now))
        return true;
    report_fail(teller->load->report, "stuck",
                "container %.12s of story %llu: %s is not on the log after %d s", id,
                (unsigned long long)teller->story.number, what, FACT_TIMEOUT_S);
    teller->broken = true;
    return false;
}

static char *read_log(const struct load *load, const char *id)
{
    char path[PATH_MAX];
    char *text = NULL;
    snprintf(path, sizeof(path), "%s/state/containers/%s/log", load->dir, id);
    return fs_read_file(AT_FDCWD, path, LOG_LIMIT, &text, NULL, NULL) == 0 ? text : NULL;
}

static unsigned count_ready(const struct load *load, const char *id)
{
    auto_free char *text = read_log(load, id);
    unsigned n = 0;
    for (const char *at = text; at != NULL && (at = strstr(at, " F ready\n")) != NULL; at++)
        n++;
    return n;
}

/* Until the payload waits for SIGTERM; or has ended, because its shim was killed. */
static void await_ready(struct teller *teller, const char *id, unsigned before, int64_t incarnation)
{
    struct watched now;
    int64_t deadline_ns = clock_monotonic_ns() + FACT_TIMEOUT_S * 1000000000LL;
    while (count_ready(teller->load, id) <= before &&
           !watch_wait(teller->load->watch, id, has_ended, incarnation, 0, &now)) {
        if (clock_monotonic_ns() > deadline_ns) {
            report_fail(teller->load->report, "stuck", "container %.12s runs, but prints nothing", id);
            teller->broken = true;
            return;
        }
        usleep(PAUSE_US);
    }
}

/* --- commands --- */

static struct expected *expect(struct teller *teller, const char *id)
{
    struct load *load = teller->load;
    struct expected *expected = calloc(1, sizeof(*expected));
    if (expected == NULL)
        abort();
    snprintf(expected->id, sizeof(expected->id), "%s", id);
    expected->story = teller->story;
    pthread_mutex_lock(&load->mutex);
    HASH_ADD_STR(load->expected, id, expected);
    pthread_mutex_unlock(&load->mutex);
    return expected;
}

static json_t *run_data(const struct teller *teller, const char *image, bool waits)
{
    const struct story *story = &teller->story;
    char lines[16], exit_code[16], term_code[16], name[48];
    snprintf(lines, sizeof(lines), "%d", story->lines);
    snprintf(exit_code, sizeof(exit_code), "%d", story->exit_code);
    snprintf(term_code, sizeof(term_code), "%d", story->term_code);
    snprintf(name, sizeof(name), "story-%llu-%u", (unsigned long long)story->number, teller->n_commands);
    json_t *command = json_pack("[s, s, s]", "/payload", lines, exit_code);
    if (waits)
        json_array_append_new(command, json_string(term_code));
    return json_pack("{s:s, s:s, s:o, s:i}", "image", image, "name", name, "command", command,
                     "stop_timeout_s", 100);
}

/* NULL if the story is broken. */
static struct expected *run(struct teller *teller, json_t *data_take, struct told *ret)
{
    json_auto_t *copy = json_deep_copy(data_take);
    if (!tell(teller, "container.run", data_take, ret))
        return NULL;
    if (teller->story.repeat)
        tell_again(teller, "container.run", steal_ptr(copy), ret);
    return expect(teller, ret->container);
}

static bool about(struct teller *teller, const char *type, const char *id, struct told *ret)
{
    return tell(teller, type, json_pack("{s:s}", "container", id), ret);
}

static bool went_well(const struct told *told)
{
    return strcmp(told->outcome, "ok") == 0;
}

/* Only a shim that was killed makes a start fail; check_commands counts them. */
static void must_go_well(struct teller *teller, const struct told *told, const char *allowed_code)
{
    if (went_well(told) || strcmp(told->code, allowed_code) == 0)
        return;
    report_fail(teller->load->report, "commands", "%s of story %llu (container %.12s) ended as %s, %s",
                told->type, (unsigned long long)teller->story.number, told->container, told->outcome,
                told->code);
}

static void remove_container(struct teller *teller, struct expected *expected)
{
    struct told told;
    expected->log = read_log(teller->load, expected->id);
    if (!about(teller, "container.remove", expected->id, &told))
        return;
    must_go_well(teller, &told, "ok");
    await(teller, expected->id, is_removed, 0, "its removal");
}

/* --- stories --- */

static void story_once(struct teller *teller)
{
    struct told told;
    struct expected *expected = run(teller, run_data(teller, "payload", false), &told);
    if (expected == NULL)
        return;
    must_go_well(teller, &told, "setup-failed");
    if (await(teller, expected->id, has_ended, 1, "its end"))
        remove_container(teller, expected);
}

static void run_and_forget(struct teller *teller, const char *image)
{
    struct told told;
    json_t *data = run_data(teller, image, false);
    json_object_set_new(data, "auto_remove", json_true());
    struct expected *expected = run(teller, data, &told);
    if (expected == NULL)
        return;
    must_go_well(teller, &told, "setup-failed");
    await(teller, expected->id, is_removed, 0, "its removal");
}

static void story_auto(struct teller *teller)
{
    run_and_forget(teller, "payload");
}

/* Begins an incarnation by a command and waits until it is ready. Its number, or 0 if it could not be
 * started. */
static int64_t begin(struct teller *teller, const char *type, const char *id)
{
    struct told told;
    unsigned before = count_ready(teller->load, id);
    if (!about(teller, type, id, &told))
        return 0;
    must_go_well(teller, &told, "setup-failed");
    if (!went_well(&told))
        return 0;
    await_ready(teller, id, before, told.incarnation);
    return teller->broken || told.incarnation >= WATCH_INCARNATIONS ? 0 : told.incarnation;
}

static void stop_and_restart(struct teller *teller, struct expected *expected)
{
    struct told told;
    expected->endings[1] = ENDS_STOPPED;
    if (!about(teller, "container.stop", expected->id, &told))
        return;
    must_go_well(teller, &told, "ok");
    int64_t second = begin(teller, "container.start", expected->id);
    if (second == 0)
        return;
    expected->endings[second] = ENDS_STOPPED;
    int64_t third = begin(teller, "container.restart", expected->id);
    if (third == 0)
        return;
    expected->endings[third] = ENDS_KILLED;
    if (!about(teller, "container.kill", expected->id, &told))
        return;
    /* A runtime that dies between the signal and its event decides the command again, and may find nothing to
     * kill. */
    must_go_well(teller, &told, "not-running");
    await(teller, expected->id, has_ended, third, "its end after the kill");
}

/* A payload that waits to be ended; NULL if the story is over. */
static struct expected *run_until_ready(struct teller *teller, enum ending ending, struct told *ret)
{
    struct expected *expected = run(teller, run_data(teller, "payload", true), ret);
    if (expected == NULL)
        return NULL;
    must_go_well(teller, ret, "setup-failed");
    expected->endings[1] = ending;
    if (went_well(ret))
        await_ready(teller, expected->id, 0, 1);
    return expected;
}

static void story_stop(struct teller *teller)
{
    struct told told;
    struct expected *expected = run(teller, run_data(teller, "payload", true), &told);
    if (expected == NULL)
        return;
    must_go_well(teller, &told, "setup-failed");
    if (went_well(&told)) {
        await_ready(teller, expected->id, 0, 1);
        if (!teller->broken)
            stop_and_restart(teller, expected);
    }
    if (!teller->broken)
        remove_container(teller, expected);
}

static bool has_so_many_execs(const struct watched *container, int64_t n)
{
    return container->execs <= n || container->removed;
}

/* Only a shim that was killed, its own or the container's, makes an exec fail. Its number of lines and its
 * exit code are the command's; with `waits` it ends with its container. */
static void execute(struct teller *teller, const char *id, bool waits)
{
    struct told told;
    char lines[16], exit_code[16];
    snprintf(lines, sizeof(lines), "%d", teller->story.lines);
    snprintf(exit_code, sizeof(exit_code), "%d", teller->story.exit_code + (int)teller->n_commands);
    json_t *command = json_pack("[s, s, s]", "/payload", lines, exit_code);
    if (waits)
        json_array_append_new(command, json_string("0"));
    json_t *data = json_pack("{s:s, s:o}", "container", id, "command", command);
    json_auto_t *copy = json_deep_copy(data);
    if (!tell(teller, "container.exec", data, &told))
        return;
    if (strcmp(told.code, "not-running") != 0)
        must_go_well(teller, &told, "setup-failed");
    if (teller->story.repeat)
        tell_again(teller, "container.exec", steal_ptr(copy), &told);
}

static void story_exec(struct teller *teller)
{
    struct told told;
    struct expected *expected = run_until_ready(teller, ENDS_STOPPED, &told);
    if (expected == NULL)
        return;
    for (int i = 0; i < 4 && went_well(&told) && !teller->broken; i++)
        execute(teller, expected->id, false);
    if (teller->broken || !await(teller, expected->id, has_so_many_execs, 0, "the end of its execs"))
        return;
    if (went_well(&told))
        execute(teller, expected->id, true);
    if (teller->broken || !about(teller, "container.stop", expected->id, &told))
        return;
    must_go_well(teller, &told, "ok");
    remove_container(teller, expected);
}

static void story_force(struct teller *teller)
{
    struct told told;
    struct expected *expected = run_until_ready(teller, ENDS_KILLED, &told);
    if (expected == NULL)
        return;
    if (teller->broken || !tell(teller, "container.remove",
                                json_pack("{s:s, s:b}", "container", expected->id, "force", 1), &told))
        return;
    must_go_well(teller, &told, "ok");
    await(teller, expected->id, is_removed, 0, "its removal");
}

static void story_retry(struct teller *teller)
{
    struct told told;
    json_t *data = run_data(teller, "payload", false);
    json_object_set_new(data, "restart", json_string("on-failure"));
    json_object_set_new(data, "restart_max", json_integer(teller->story.restart_max));
    struct expected *expected = run(teller, data, &told);
    if (expected == NULL)
        return;
    must_go_well(teller, &told, "setup-failed");
    if (await(teller, expected->id, has_given_up, 1 + teller->story.restart_max, "its last end"))
        remove_container(teller, expected);
}

static void story_always(struct teller *teller)
{
    struct told told;
    json_t *data = run_data(teller, "payload", false);
    json_object_set_new(data, "restart", json_string("always"));
    struct expected *expected = run(teller, data, &told);
    if (expected == NULL)
        return;
    must_go_well(teller, &told, "setup-failed");
    if (!await(teller, expected->id, has_restarted, 3, "its restart") ||
        !about(teller, "container.stop", expected->id, &told))
        return;
    must_go_well(teller, &told, "ok");
    remove_container(teller, expected);
}

static void must_end_as(struct teller *teller, const struct told *told, const char *code)
{
    if (strcmp(told->code, code) != 0)
        report_fail(teller->load->report, "commands",
                    "%s of story %llu should have ended as %s, but is %s, %s", told->type,
                    (unsigned long long)teller->story.number, code, told->outcome, told->code);
}

static void story_refused(struct teller *teller)
{
    struct told told;
    if (!tell(teller, "container.run", run_data(teller, "no-such-image", false), &told))
        return;
    must_end_as(teller, &told, "unknown-image");
    if (!about(teller, "container.start", "no-such-container", &told))
        return;
    must_end_as(teller, &told, "unknown-container");
    json_t *data = run_data(teller, "payload", false);
    json_object_set_new(data, "command", json_pack("[s]", "/no-such-command"));
    struct expected *expected = run(teller, data, &told);
    if (expected == NULL)
        return;
    /* Where the shim was killed, nobody knows whether the command was executed; check_exits sees to it that
     * it was. */
    if (!went_well(&told) && strcmp(told.code, "setup-failed") != 0)
        must_end_as(teller, &told, "command-not-found");
    if (await(teller, expected->id, has_ended, 1, "its end"))
        remove_container(teller, expected);
}

/* A root file system of its own, so that the image's digest is its own too. */
static int make_rootfs(const struct teller *teller, char ret[PATH_MAX])
{
    char path[PATH_MAX + 16], payload[PATH_MAX], text[32];
    snprintf(ret, PATH_MAX, "%s/rootfs-%llu", teller->load->dir, (unsigned long long)teller->story.number);
    snprintf(payload, sizeof(payload), "%s/rootfs/payload", teller->load->dir);
    snprintf(path, sizeof(path), "%s/payload", ret);
    int size = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)teller->story.number);
    if (mkdir(ret, 0755) < 0 || link(payload, path) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/number", ret);
    return fs_write_file(AT_FDCWD, path, 0644, text, (size_t)size, false, NULL);
}

/* Makes an image. Only an attempt that was killed fails; check_commands counts them. */
static bool make(struct teller *teller, const char *type, json_t *data_take)
{
    json_auto_t *data = data_take;
    struct told told = {.outcome = ""};
    for (int i = 0; i < IMPORTS_MAX && !went_well(&told); i++) {
        if (!tell(teller, type, json_deep_copy(data), &told))
            return false;
        pthread_mutex_lock(&teller->load->mutex);
        teller->load->n_imports_failed += went_well(&told) ? 0 : 1;
        pthread_mutex_unlock(&teller->load->mutex);
    }
    must_go_well(teller, &told, "ok");
    return went_well(&told);
}

static bool import(struct teller *teller, const char *source, const char *reference)
{
    return make(teller, "image.import", json_pack("{s:s, s:s}", "source", source, "reference", reference));
}

/* Runs from an image that was just made, and removes it. */
static void use_up_image(struct teller *teller, const char *reference)
{
    struct told told;
    run_and_forget(teller, reference);
    if (!teller->broken && tell(teller, "image.remove", json_pack("{s:s}", "image", reference), &told))
        must_go_well(teller, &told, "ok");
}

static void story_image(struct teller *teller)
{
    char source[PATH_MAX], reference[48];
    snprintf(reference, sizeof(reference), "image-%llu:latest", (unsigned long long)teller->story.number);
    if (make_rootfs(teller, source) < 0) {
        report_fail(teller->load->report, "harness", "cannot make '%s'", source);
        return;
    }
    if (import(teller, source, reference))
        use_up_image(teller, reference);
    fs_remove_tree(AT_FDCWD, source, NULL);
}

/* Paused meanwhile, unless it has just ended. */
static void story_commit(struct teller *teller)
{
    char reference[48];
    struct told told;
    snprintf(reference, sizeof(reference), "commit-%llu:latest", (unsigned long long)teller->story.number);
    struct expected *expected = run_until_ready(teller, ENDS_KILLED, &told);
    if (expected == NULL)
        return;
    if (teller->broken)
        return;
    if (make(teller, "container.commit",
             json_pack("{s:s, s:s}", "container", expected->id, "reference", reference)))
        use_up_image(teller, reference);
    if (!teller->broken && tell(teller, "container.remove",
                                json_pack("{s:s, s:b}", "container", expected->id, "force", 1), &told)) {
        must_go_well(teller, &told, "ok");
        await(teller, expected->id, is_removed, 0, "its removal");
    }
}

/* --- clients --- */

static void tell_story(struct load *load, uint64_t number)
{
    static void (*const stories[STORY_KINDS])(struct teller *) = {
        [STORY_ONCE] = story_once,       [STORY_AUTO] = story_auto,   [STORY_STOP] = story_stop,
        [STORY_FORCE] = story_force,     [STORY_RETRY] = story_retry, [STORY_ALWAYS] = story_always,
        [STORY_REFUSED] = story_refused, [STORY_EXEC] = story_exec,   [STORY_IMAGE] = story_image,
        [STORY_COMMIT] = story_commit,
    };
    struct teller teller = {.load = load};
    plan_story(&teller.story, load->seed, number);
    stories[teller.story.kind](&teller);
    pthread_mutex_lock(&load->mutex);
    load->n_stories++;
    pthread_mutex_unlock(&load->mutex);
}

static void *run_client(void *data)
{
    struct load *load = ((struct client_thread *)data)->load;
    for (;;) {
        uint64_t number = atomic_fetch_add(&load->next, 1);
        if (number >= atomic_load(&load->limit))
            return NULL;
        tell_story(load, number);
    }
}

void load_init(struct load *load, struct report *report, struct watch *watch, const char *dir, uint64_t seed)
{
    *load = (struct load){.report = report, .watch = watch, .dir = dir, .seed = seed};
    pthread_mutex_init(&load->mutex, NULL);
}

bool load_import(struct load *load, const char *reference)
{
    char source[PATH_MAX];
    struct teller teller = {.load = load, .story = {.number = UINT64_MAX}};
    snprintf(source, sizeof(source), "%s/rootfs", load->dir);
    return import(&teller, source, reference);
}

void load_start(struct load *load, uint64_t limit)
{
    atomic_store(&load->limit, limit);
    for (int i = 0; i < LOAD_CLIENTS; i++) {
        load->clients[i].load = load;
        if (pthread_create(&load->clients[i].thread, NULL, run_client, &load->clients[i]) != 0)
            abort();
    }
}

void load_join(struct load *load)
{
    for (int i = 0; i < LOAD_CLIENTS; i++)
        pthread_join(load->clients[i].thread, NULL);
}

void load_stop(struct load *load)
{
    atomic_store(&load->limit, 0);
    load_join(load);
}

void load_release(struct load *load)
{
    struct expected *expected, *next;
    HASH_ITER(hh, load->expected, expected, next)
    {
        HASH_DEL(load->expected, expected);
        free(expected->log);
        free(expected);
    }
    free(load->told);
}
