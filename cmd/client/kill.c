/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where containers are in the log is read before they are killed, so that the end that follows is one that
 * the kill has brought about, whatever starts them again.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/reading.h"
#include "cmd/client/waiting.h"
#include "events/message.h"

struct kill_options {
    const char *signal;
};

static const struct option_row rows[] = {{.letter = 's',
                                          .name = "signal",
                                          .argument = "SIGNAL",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct kill_options, signal),
                                          .help = "name or number of the signal; KILL by default",
                                          .words = "HUP INT QUIT USR1 USR2 TERM KILL STOP CONT"},
                                         OPTION_END};

static json_t *make_data(const char *container, const void *values)
{
    const struct kill_options *options = values;
    return json_pack("{s:s, s:s*}", "container", container, "signal", options->signal);
}

/* One that is killed. */
struct victim {
    char id[CONTAINER_ID_SIZE]; /* "" if its end is not waited for */
    char *offsets;
};

/* Without a query service nothing is waited for: killing does not need it. */
static void find(const struct client *client, const char *ref, struct victim *ret)
{
    json_auto_t *container = NULL;
    char offsets[API_OFFSET_SIZE];
    if (reading_container(client, ref, &container, offsets, NULL) < 0 ||
        json_is_null(json_object_get(container, "pid")))
        return;
    ret->offsets = strdup(offsets);
    if (ret->offsets != NULL)
        snprintf(ret->id, sizeof(ret->id), "%s", json_text(container, "id", ""));
}

static void wait_for_end(const struct client *client, const struct victim *victim)
{
    struct waiting waiting = {.condition = NEXT_EXIT};
    struct err err = ERR_INIT;
    if (victim->id[0] != '\0' && waiting_follow(client, victim->id, victim->offsets, &waiting, &err) < 0)
        say_warning("the signal was sent, but not when the container ended is known: %s", err.message);
}

static int kill_and_wait(const struct client *client, struct api_each *each, int argc, char **argv)
{
    auto_free struct victim *victims = calloc((size_t)argc, sizeof(*victims));
    auto_free bool *went_well = calloc((size_t)argc, sizeof(*went_well));
    if (victims == NULL || went_well == NULL) {
        say_error("out of memory");
        return 1;
    }
    for (int i = 0; i < argc; i++)
        find(client, argv[i], &victims[i]);
    each->went_well = went_well;
    int code = api_for_each(client, each, argc, argv);
    for (int i = 0; i < argc; i++) {
        if (went_well[i])
            wait_for_end(client, &victims[i]);
        free(victims[i].offsets);
    }
    return code;
}

static int send_signal(struct client *client, const void *values, int argc, char **argv)
{
    const struct kill_options *options = values;
    struct api_each each = {
        .type = "container.kill", .verb = "kill", .make_data = make_data, .options = values};
    bool kills = options->signal == NULL || signal_by_name(options->signal) == SIGKILL;
    return kills ? kill_and_wait(client, &each, argc, argv) : api_for_each(client, &each, argc, argv);
}

const struct verb verb_kill = {
    .name = "kill",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "send a signal to containers",
    .description = "With SIGKILL, which is the default, it waits until they have ended.",
    .operands = "running",
    .options = rows,
    .options_size = sizeof(struct kill_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = send_signal,
};
