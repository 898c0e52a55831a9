/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As run: detached, one command that waits for its outcome; in the foreground, the command is appended
 * without waiting, and the exec's output is followed from the runtime by the id that the writer gave it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/attaching.h"
#include "cmd/client/spec_options.h"

#define OWN_FAILURE 125

struct exec_options {
    bool detach;
    bool interactive;
    bool tty;
    bool privileged;
    struct option_list env;
    struct option_list env_files;
    const char *user;
    const char *workdir;
    const char *detach_keys;
};

static const struct option_row rows[] = {
    OPTION_ROW(exec_options, detach, 'd', "detach", NULL, OPTION_FLAG,
               "leave it running in the background, once it has been executed"),
    OPTION_ROW(exec_options, interactive, 'i', "interactive", NULL, OPTION_FLAG,
               "keep standard input open and hand it on"),
    OPTION_ROW(exec_options, tty, 't', "tty", NULL, OPTION_FLAG, "give it a terminal"),
    OPTION_ROW(exec_options, env, 'e', "env", "KEY=VALUE", OPTION_LIST,
               "set an environment variable; KEY takes yours"),
    OPTION_ROW(exec_options, env_files, 0, "env-file", "FILE", OPTION_LIST,
               "read environment variables from a file"),
    OPTION_ROW(exec_options, user, 'u', "user", "USER[:GROUP]", OPTION_STRING,
               "user of the command, by name or number; the container's by default"),
    OPTION_ROW(exec_options, workdir, 'w', "workdir", "DIR", OPTION_STRING,
               "working directory; the container's by default"),
    OPTION_ROW(exec_options, privileged, 0, "privileged", NULL, OPTION_FLAG,
               "every capability of the node, no system call filter"),
    OPTION_ROW(exec_options, detach_keys, 0, "detach-keys", "KEYS", OPTION_STRING,
               "keys that leave a terminal; ctrl-p,ctrl-q by default"),
    OPTION_END};

static int make_data(const struct exec_options *options, const char *container, int argc, char **argv,
                     json_t **ret, struct err *err)
{
    json_auto_t *data = json_pack("{s:s, s:s*, s:s*}", "container", container, "user", options->user,
                                  "workdir", options->workdir);
    int rc = data == NULL ? -1 : 0;
    if (rc == 0 && options->privileged)
        rc = json_object_set_new(data, "privileged", json_true());
    if (rc == 0 && !options->detach)
        rc = json_object_set_new(data, "attach", json_true());
    if (rc < 0)
        return err_nomem(err, "making a command");
    if (spec_set_command(data, argc, argv, err) < 0 ||
        spec_set_env(data, &options->env, &options->env_files, err) < 0 ||
        spec_set_streams(data, options->interactive, options->tty, err) < 0)
        return -1;
    *ret = json_incref(data);
    return 0;
}

static int follow(struct attach *attach, struct api_command *command, int *ret_code, struct err *err)
{
    struct api_result result;
    if (api_command_finish(command, &result, err) < 0)
        return -1;
    http_release(&command->call);
    if (!container_id_is_valid(result.exec))
        return err_set(err, ERR_PROTOCOL, "the writer gave the exec no id");
    return attach_follow_command(attach, command, result.exec, ret_code, err);
}

static int execute_in_foreground(struct client *client, const struct exec_options *options, const char *node,
                                 json_t *data_take, int *ret_code, struct err *err)
{
    struct api_command command = {.call = HTTP_CALL_INIT};
    struct attach attach = {.call = HTTP_CALL_INIT, .input = {.fd = -1}, .signals_fd = -1};
    const struct attach_options how = {.input = options->interactive,
                                       .input_ends = true,
                                       .output = true,
                                       .detach_keys = options->detach_keys,
                                       .exec = true};
    if (options->interactive && options->tty && !isatty(STDIN_FILENO)) {
        json_decref(data_take);
        return err_set(err, ERR_INVALID,
                       "standard input is no terminal: leave '--tty' out to hand it on as it is");
    }
    int rc = attach_init(&attach, client, &how, err);
    if (rc == 0)
        rc = api_command_begin(&command, client, "container.exec", node, data_take, false, err);
    else
        json_decref(data_take);
    if (rc == 0)
        rc = follow(&attach, &command, ret_code, err);
    api_command_release(&command);
    attach_release(&attach);
    return rc;
}

static int execute_detached(struct client *client, const char *node, json_t *data_take, int *ret_code,
                            struct err *err)
{
    struct api_command command = {.call = HTTP_CALL_INIT};
    struct api_result result = {0};
    int rc = api_command_begin(&command, client, "container.exec", node, data_take, true, err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, err);
    api_command_release(&command);
    if (rc < 0)
        return -1;
    *ret_code = result.ok ? 0 : result.exit_code > 0 ? result.exit_code : OWN_FAILURE;
    if (!result.ok)
        say_error("%s", result.message);
    return 0;
}

static int execute(struct client *client, const void *values, int argc, char **argv)
{
    const struct exec_options *options = values;
    struct err err = ERR_INIT;
    struct api_ref ref = {NULL, NULL};
    json_t *data = NULL;
    int code = OWN_FAILURE;
    int rc = api_ref_parse(&ref, argv[0], &err);
    if (rc == 0)
        rc = make_data(options, ref.container, argc - 1, argv + 1, &data, &err);
    if (rc == 0)
        rc = options->detach ? execute_detached(client, ref.node, data, &code, &err)
                             : execute_in_foreground(client, options, ref.node, data, &code, &err);
    api_ref_release(&ref);
    if (rc < 0)
        say_error("%s", err.message);
    return code;
}

const struct verb verb_exec = {
    .name = "exec",
    .group = VERB_CONTAINERS,
    .flags = VERB_STOP_AT_OPERAND,
    .synopsis = "CONTAINER COMMAND [ARG...]",
    .summary = "execute one more command in a running container",
    .description =
        "It gets the container's namespaces, limits, user, environment and rights, and is on the log with "
        "its "
        "arguments, who asked for it, and how it ended. In the foreground its output is copied as it comes, "
        "and the exit code is its own; 125 when wharf itself failed or refused, 126 when the command cannot "
        "be executed, 127 when it was not found. Signals end the client, and not the command. What "
        "follows CONTAINER belongs to the command.",
    .operands = "running",
    .options = rows,
    .options_size = sizeof(struct exec_options),
    .min_operands = 2,
    .max_operands = -1,
    .error_code = OWN_FAILURE,
    .execute = execute,
};
