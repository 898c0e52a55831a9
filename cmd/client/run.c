/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached: one command that waits for its outcome. In the foreground: the command is appended without
 * waiting and the output is followed from the runtime, whose end frame says how it ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/attaching.h"
#include "cmd/client/spec_options.h"
#include "cmd/client/values.h"

#define OWN_FAILURE 125

static int own_failure(const struct err *err)
{
    say_error("%s", err->message);
    return OWN_FAILURE;
}

static int run_detached(struct client *client, const struct spec_options *options, json_t *spec)
{
    struct err err = ERR_INIT;
    struct api_command command;
    struct api_result result = {0};
    int rc = api_command_begin(&command, client, "container.run", options->node, spec, true, &err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, &err);
    api_command_release(&command);
    if (rc < 0)
        return own_failure(&err);
    if (!result.ok) {
        say_error("%s", result.message);
        return result.exit_code > 0 ? result.exit_code : OWN_FAILURE;
    }
    puts(result.container);
    return 0;
}

static int follow(struct attach *attach, struct api_command *command, const char *node, int *ret_code,
                  struct err *err)
{
    struct api_result result;
    if (api_command_finish(command, &result, err) < 0)
        return -1;
    http_release(&command->call);
    if (node != NULL && (attach->node = strdup(node)) == NULL)
        return err_nomem(err, "following the container");
    if (!container_id_is_valid(result.container))
        return err_set(err, ERR_PROTOCOL, "the writer gave the container no id");
    return attach_follow_command(attach, command, result.container, ret_code, err);
}

/* Before anything is created. */
static int check_streams(const struct spec_options *options, struct attach_options *how, struct err *err)
{
    struct detach_keys keys;
    if (options->interactive && options->tty && !isatty(STDIN_FILENO))
        return err_set(err, ERR_INVALID,
                       "standard input is no terminal: leave '--tty' out to hand it on as it is");
    if (options->detach_keys != NULL && detach_keys_parse(&keys, options->detach_keys, err) < 0)
        return -1;
    return value_switch(options->sig_proxy, "sig-proxy", true, &how->signals, err);
}

static int run_in_foreground(struct client *client, const struct spec_options *options, json_t *spec)
{
    struct err err = ERR_INIT;
    struct api_command command;
    struct attach attach = {.call = HTTP_CALL_INIT, .input = {.fd = -1}, .signals_fd = -1};
    struct attach_options how = {.input = options->interactive,
                                 .input_ends = true,
                                 .output = true,
                                 .detach_keys = options->detach_keys};
    int code = OWN_FAILURE;
    if (check_streams(options, &how, &err) < 0) {
        json_decref(spec);
        return own_failure(&err);
    }
    int rc = api_command_begin(&command, client, "container.run", options->node, spec, false, &err);
    if (rc == 0)
        rc = attach_init(&attach, client, &how, &err);
    if (rc == 0)
        rc = follow(&attach, &command, options->node, &code, &err);
    api_command_release(&command);
    if (rc < 0)
        code = own_failure(&err);
    attach_release(&attach);
    return code;
}

static int run(struct client *client, const void *values, int argc, char **argv)
{
    const struct spec_options *options = values;
    struct err err = ERR_INIT;
    json_t *spec = NULL;
    if (spec_make(options, argc, argv, !options->detach, &spec, &err) < 0)
        return own_failure(&err);
    return options->detach ? run_detached(client, options, spec) : run_in_foreground(client, options, spec);
}

const struct verb verb_run = {
    .name = "run",
    .group = VERB_CONTAINERS,
    .flags = VERB_STOP_AT_OPERAND,
    .synopsis = "IMAGE [COMMAND [ARG...]]",
    .summary = "create a container and start it",
    .description =
        "In the foreground the container's output is copied as it comes, signals are forwarded, "
        "and the exit code is "
        "the container's own; 125 when wharf itself failed or refused, 126 when the command "
        "cannot be executed, 127 "
        "when it was not found. With --interactive standard input is handed on; with --tty as well, "
        "keys and the size of the terminal, and the detach keys leave the container running. What follows "
        "IMAGE belongs to the command.",
    .operands = "image",
    .options = run_option_rows,
    .options_size = sizeof(struct spec_options),
    .min_operands = 1,
    .max_operands = -1,
    .error_code = OWN_FAILURE,
    .execute = run,
};
