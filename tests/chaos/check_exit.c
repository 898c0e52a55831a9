/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/timestamp.h"
#include "tests/chaos/check.h"

static struct expected *find_expected(const struct load *load, const char *id)
{
    struct expected *found;
    HASH_FIND_STR(load->expected, id, found);
    return found;
}

static enum ending ending_of(const struct expected *expected, int64_t incarnation)
{
    return incarnation < WATCH_INCARNATIONS ? expected->endings[incarnation] : ENDS_BY_ITSELF;
}

static int code_of(const struct expected *expected, int64_t incarnation)
{
    switch (ending_of(expected, incarnation)) {
    case ENDS_STOPPED:
        return expected->story.term_code;
    case ENDS_KILLED:
        return 137;
    case ENDS_BY_ITSELF:
        break;
    }
    return expected->story.exit_code;
}

/* --- exit codes --- */

static void check_exit(struct report *report, const struct expected *expected, const json_t *event,
                       bool struck)
{
    const json_t *data = event_data(event);
    const json_t *code = json_object_get(data, "exit_code");
    const char *reason = event_text(data, "reason");
    int64_t incarnation = event_number(data, "incarnation");
    int wanted = code_of(expected, incarnation);
    const char *wanted_reason = wanted == 137 ? "signaled" : "exited";
    bool lost = strcmp(reason, "shim-lost") == 0;
    if (lost && struck && code == NULL)
        return;
    if (lost && !struck)
        report_fail(report, "exits", "container %.12s, incarnation %lld: %s, but nobody killed its shim (%s)",
                    expected->id, (long long)incarnation, reason, event_text(data, "observed"));
    else if (lost)
        report_fail(report, "exits",
                    "container %.12s, incarnation %lld: its shim was killed, so that nobody can know "
                    "the exit code %lld",
                    expected->id, (long long)incarnation, (long long)json_integer_value(code));
    else if (strcmp(reason, wanted_reason) != 0 || code == NULL || json_integer_value(code) != wanted)
        report_fail(
            report, "exits",
            "container %.12s, incarnation %lld, story %llu: %s with code %lld, should have %s with %d",
            expected->id, (long long)incarnation, (unsigned long long)expected->story.number, reason,
            code != NULL ? (long long)json_integer_value(code) : -1, wanted_reason, wanted);
    if (!lost && json_object_get(data, "finished_at") == NULL)
        report_fail(report, "exits", "container %.12s, incarnation %lld: nobody knows when it ended",
                    expected->id, (long long)incarnation);
}

struct start {
    char key[CONTAINER_ID_SIZE + 24]; /* container and incarnation */
    bool struck;
    UT_hash_handle hh;
};

static void start_key(char ret[CONTAINER_ID_SIZE + 24], const json_t *event)
{
    snprintf(ret, CONTAINER_ID_SIZE + 24, "%.64s/%lld", event_text(event, "subject"),
             (long long)event_number(event_data(event), "incarnation"));
}

static void note_start(struct start **starts, const struct stack *stack, const json_t *event)
{
    struct start *start = calloc(1, sizeof(*start));
    int64_t started_ns = 0;
    if (start == NULL)
        abort();
    timestamp_parse(event_text(event_data(event), "started_at"), &started_ns, NULL);
    start_key(start->key, event);
    start->struck = stack_was_struck(stack, event_number(event_data(event), "shim_pid"), started_ns);
    HASH_ADD_STR(*starts, key, start);
}

void check_exits(struct report *report, const struct history *history, const struct stack *stack,
                 const struct load *load)
{
    struct start *starts = NULL, *start, *next;
    char name[64], key[CONTAINER_ID_SIZE + 24];
    for (size_t i = 0; i < history->n; i++) {
        const json_t *event = history->events[i];
        event_name(event, name);
        if (strcmp(name, "container.started") == 0)
            note_start(&starts, stack, event);
        if (strcmp(name, "container.exited") != 0)
            continue;
        const struct expected *expected = find_expected(load, event_text(event, "subject"));
        start_key(key, event);
        HASH_FIND_STR(starts, key, start);
        if (start == NULL || expected == NULL) {
            report_fail(report, "exits", "container %.12s exited, but was never %s",
                        event_text(event, "subject"), start == NULL ? "started" : "asked for");
            continue;
        }
        check_exit(report, expected, event, start->struck);
        HASH_DEL(starts, start);
        free(start);
    }
    HASH_ITER(hh, starts, start, next)
    {
        report_fail(report, "exits", "container %.12s (incarnation %s) was started and has no exit",
                    start->key, strchr(start->key, '/') + 1);
        HASH_DEL(starts, start);
        free(start);
    }
}

/* --- lines --- */

/* One run of the payload as one stream of its log shows it. */
struct stretch {
    int lines; /* the last of "line 1", "line 2" ... */
    bool ready;
    bool bye;
};

/* The two streams go through pipes of their own and are in no order with each other. */
enum stream { OUT, ERR, STREAMS };
static const struct {
    const char *tag;
    const char *line;
} STREAM_ROWS[STREAMS] = {[OUT] = {" stdout ", "line %d%c"}, [ERR] = {" stderr ", "note %d%c"}};

struct stretches {
    struct stretch items[WATCH_INCARNATIONS];
    size_t n;
};

/* Takes one line of a stream; NULL, or what is wrong with it. */
static const char *take_line(struct stretches *all, enum stream stream, const char *text)
{
    int number;
    char end;
    if (sscanf(text, STREAM_ROWS[stream].line, &number, &end) == 1) { // NOLINT(cert-err34-c)
        if (number == 1 && all->n == WATCH_INCARNATIONS)
            return "more output than starts";
        if (number == 1)
            all->items[all->n++] = (struct stretch){.lines = 0};
        struct stretch *now = all->n > 0 ? &all->items[all->n - 1] : NULL;
        if (now == NULL || number != now->lines + 1 || now->ready)
            return "a line that does not follow the one before";
        now->lines = number;
        return NULL;
    }
    struct stretch *now = all->n > 0 ? &all->items[all->n - 1] : NULL;
    if (stream == OUT && now != NULL && strcmp(text, "ready") == 0 && !now->ready)
        now->ready = true;
    else if (stream == OUT && now != NULL && strcmp(text, "bye") == 0 && now->ready && !now->bye)
        now->bye = true;
    else
        return "a line twice, or one that was never written";
    return NULL;
}

/* What the streams have shown, and of each the beginning of a line that the log has in parts. */
struct shown {
    struct stretches streams[STREAMS];
    char begun[STREAMS][64];
};

/* "TIME stdout F text", or P for a part of a line, whose rest follows. */
static const char *take_entry(struct shown *shown, const char *entry)
{
    for (int i = 0; i < STREAMS; i++) {
        const char *tag = strstr(entry, STREAM_ROWS[i].tag);
        const char *flag = tag != NULL ? tag + strlen(STREAM_ROWS[i].tag) : "";
        if ((flag[0] != 'F' && flag[0] != 'P') || flag[1] != ' ')
            continue;
        char *begun = shown->begun[i];
        if (strlen(begun) + strlen(flag + 2) >= sizeof(shown->begun[i]))
            return "a line longer than any that was written";
        strcat(begun, flag + 2);
        if (flag[0] == 'P')
            return NULL;
        const char *wrong = take_line(&shown->streams[i], (enum stream)i, begun);
        begun[0] = '\0';
        return wrong;
    }
    return "no entry of the log's format";
}

static bool parse_log(struct report *report, const struct expected *expected, char *text, struct shown *ret)
{
    char *rest = text;
    for (char *entry = strsep(&rest, "\n"); rest != NULL; entry = strsep(&rest, "\n")) {
        const char *wrong = take_entry(ret, entry);
        if (wrong != NULL) {
            report_fail(report, "lines", "the log of container %.12s, story %llu, has %s: '%.80s'",
                        expected->id, (unsigned long long)expected->story.number, wrong, entry);
            return false;
        }
    }
    return true;
}

static bool is_whole(const struct stretch *stretch, const struct expected *expected, enum stream stream,
                     int64_t incarnation)
{
    enum ending ending = ending_of(expected, incarnation);
    return stretch->lines == expected->story.lines &&
           (stream == ERR ||
            (stretch->ready == (ending != ENDS_BY_ITSELF) && stretch->bye == (ending == ENDS_STOPPED)));
}

/* What one stream of a container's log has to be told apart into. */
struct match {
    const struct expected *expected;
    const struct stretches *found;
    enum stream stream;
    int64_t newest;
    bool struck[WATCH_INCARNATIONS]; /* the shim was killed, or the start failed */
    int64_t stuck_at; /* the newest start that could not be matched, and what was held against it */
    const struct stretch *stuck_with;
};

static void find_struck(struct match *match, const struct watched *container, const struct stack *stack)
{
    match->newest = container->newest < WATCH_INCARNATIONS ? container->newest : WATCH_INCARNATIONS - 1;
    for (int64_t i = 1; i <= match->newest; i++)
        match->struck[i] =
            container->incarnations[i].failed || stack_was_struck(stack, container->incarnations[i].shim_pid,
                                                                  container->incarnations[i].started_ns);
}

/* Whether the stretches from at on can be those of the incarnations from i on. The log does not say which
 * start a stretch is of, and one whose shim was killed may have none: both are tried. */
static bool can_match(struct match *match, int64_t i, size_t at)
{
    if (i > match->newest)
        return at == match->found->n;
    const struct stretch *stretch = at < match->found->n ? &match->found->items[at] : NULL;
    if (match->struck[i])
        return can_match(match, i + 1, at) || (stretch != NULL && can_match(match, i + 1, at + 1));
    if (stretch != NULL && is_whole(stretch, match->expected, match->stream, i))
        return can_match(match, i + 1, at + 1);
    if (i >= match->stuck_at) {
        match->stuck_at = i;
        match->stuck_with = stretch;
    }
    return false;
}

/* Each start whose shim lived has its whole output, in order; one whose shim was killed has the beginning of
 * it, or nothing. */
static void match_log(struct report *report, const struct expected *expected, const struct watched *container,
                      const struct stack *stack, enum stream stream, const struct stretches *found)
{
    struct match match = {.expected = expected, .found = found, .stream = stream};
    find_struck(&match, container, stack);
    if (can_match(&match, 1, 0))
        return;
    const struct stretch *stretch = match.stuck_with;
    report_note(report, "the log of container %.12s:\n%s", expected->id,
                expected->log != NULL ? expected->log : "");
    if (match.stuck_at == 0)
        report_fail(report, "lines", "container %.12s has printed more often than it was started",
                    expected->id);
    else
        report_fail(
            report, "lines",
            "the%soutput of container %.12s, incarnation %lld, story %llu, is not whole: %d of %d lines%s%s",
            stream == ERR ? " error " : " ", expected->id, (long long)match.stuck_at,
            (unsigned long long)expected->story.number, stretch != NULL ? stretch->lines : 0,
            expected->story.lines, stretch != NULL && stretch->ready ? ", ready" : "",
            stretch != NULL && stretch->bye ? ", bye" : "");
}

void check_lines(struct report *report, const struct watch *watch, const struct stack *stack,
                 const struct load *load)
{
    struct expected *expected, *next;
    HASH_ITER(hh, load->expected, expected, next)
    {
        const struct watched *container;
        auto_free char *text = expected->log != NULL ? strdup(expected->log) : NULL;
        struct shown found = {.begun = {""}};
        HASH_FIND_STR(watch->containers, expected->id, container);
        if (container == NULL || expected->story.kind == STORY_AUTO || expected->story.kind == STORY_IMAGE ||
            expected->story.kind == STORY_FORCE || expected->story.kind == STORY_COMMIT)
            continue; /* its log went with it */
        if (text != NULL && !parse_log(report, expected, text, &found))
            continue;
        for (int i = 0; i < STREAMS; i++)
            match_log(report, expected, container, stack, (enum stream)i, &found.streams[i]);
    }
}
