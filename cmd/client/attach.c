/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/attaching.h"
#include "cmd/client/reading.h"
#include "cmd/client/values.h"

struct attach_verb_options {
    bool no_stdin;
    const char *sig_proxy;
    const char *detach_keys;
};

static const struct option_row rows[] = {
    OPTION_ROW(attach_verb_options, no_stdin, 0, "no-stdin", NULL, OPTION_FLAG, "only show what it writes"),
    ATTACHING_ROWS(attach_verb_options), OPTION_END};

/* What runs, by any reference to it. */
static int find_running(const struct client *client, const char *ref, char ret[CONTAINER_ID_SIZE],
                        struct err *err)
{
    json_auto_t *container = NULL;
    if (reading_container(client, ref, &container, NULL, err) < 0)
        return -1;
    const char *id = json_text(container, "id", "");
    const char *state = json_text(container, "state", "");
    if (!container_id_is_valid(id))
        return err_set(err, ERR_PROTOCOL, "the query service gave no container id");
    if (strcmp(state, "running") != 0 && strcmp(state, "stopping") != 0 && strcmp(state, "paused") != 0)
        return err_set(err, ERR_CONFLICT,
                       "container '%s' is %s: 'wharf start --attach %s' starts it and shows what it writes",
                       ref, state, ref);
    memcpy(ret, id, CONTAINER_ID_SIZE);
    return 0;
}

static int show(const struct client *client, const struct attach_verb_options *options, const char *ref,
                int *ret_code, struct err *err)
{
    struct attach attach = {.call = HTTP_CALL_INIT, .input = {.fd = -1}, .signals_fd = -1};
    struct attach_options how = {
        .input = !options->no_stdin, .output = true, .detach_keys = options->detach_keys};
    char id[CONTAINER_ID_SIZE];
    if (value_switch(options->sig_proxy, "sig-proxy", true, &how.signals, err) < 0 ||
        find_running(client, ref, id, err) < 0)
        return -1;
    int rc = attach_init(&attach, client, &how, err);
    if (rc == 0) {
        attach.since_ns = clock_realtime_ns();
        rc = attach_follow(&attach, id, err);
    }
    if (rc == 0)
        *ret_code = attach_code(&attach);
    attach_release(&attach);
    return rc;
}

static int attach(struct client *client, const void *options, int argc, char **argv)
{
    (void)argc;
    struct err err = ERR_INIT;
    int code = 1;
    if (show(client, options, argv[0], &code, &err) < 0)
        say_error("%s", err.message);
    return code;
}

const struct verb verb_attach = {
    .name = "attach",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER",
    .summary = "show what a running container writes, and type into it",
    .description =
        "Copies the output from now on until the container ends, whose exit code is then ours. What is typed "
        "goes "
        "to a container that was created with --interactive; one with --tty is left by the detach keys, and "
        "runs on. Any number of clients may be attached.",
    .operands = "running",
    .options = rows,
    .options_size = sizeof(struct attach_verb_options),
    .min_operands = 1,
    .max_operands = 1,
    .execute = attach,
};
