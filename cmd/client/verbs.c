/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/verb.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/help.h"

extern const struct verb verb_run, verb_create, verb_start, verb_exec, verb_attach, verb_stop, verb_restart,
    verb_kill, verb_pause, verb_unpause, verb_update, verb_rename, verb_rm, verb_wait, verb_logs, verb_top,
    verb_diff, verb_cp, verb_export, verb_commit, verb_stats, verb_ps, verb_inspect, verb_import, verb_images,
    verb_rmi, verb_volume, verb_history, verb_events, verb_rebuild, verb_replay, verb_up, verb_down,
    verb_status, verb_doctor, verb_oci, verb_writer, verb_runtime, verb_projector, verb_query, verb_help,
    verb_version, verb_completion, verb_man;

/* In the order of the help. */
const struct verb *const verbs[] = {
    &verb_run,    &verb_create,  &verb_start,      &verb_exec,      &verb_attach,
    &verb_stop,   &verb_restart, &verb_kill,       &verb_pause,     &verb_unpause,
    &verb_update, &verb_rename,  &verb_rm,         &verb_wait,      &verb_logs,
    &verb_top,    &verb_diff,    &verb_cp,         &verb_export,    &verb_commit,
    &verb_stats,  &verb_ps,      &verb_inspect,    &verb_import,    &verb_images,
    &verb_rmi,    &verb_volume,  &verb_history,    &verb_events,    &verb_rebuild,
    &verb_replay, &verb_up,      &verb_down,       &verb_status,    &verb_doctor,
    &verb_oci,    &verb_writer,  &verb_runtime,    &verb_projector, &verb_query,
    &verb_help,   &verb_version, &verb_completion, &verb_man,       NULL};

const struct option_row common_option_rows[] = {
    OPTION_ROW(common_options, run_dir, 0, "run-dir", "DIR", OPTION_STRING,
               "which stack to talk to; /run/wharf by default"),
    OPTION_ROW(common_options, config, 0, "config", "FILE", OPTION_STRING,
               "configuration; /etc/wharf/wharf.conf by default"),
    OPTION_ROW(common_options, help, 'h', "help", NULL, OPTION_FLAG, "explain this command"), OPTION_END};

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; verbs[i] != NULL; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

int verb_error_code(const struct verb *verb)
{
    return verb->error_code != 0 ? verb->error_code : 1;
}

static int bad_usage(const struct verb *verb, const char *message)
{
    say_error("%s; 'wharf %s --help' shows what it takes", message, verb->name);
    return verb_error_code(verb);
}

static int check_operands(const struct verb *verb, int argc, char **argv, struct err *err)
{
    if (argc < verb->min_operands)
        return err_set(err, ERR_INVALID, "'wharf %s' needs %s", verb->name, verb->synopsis);
    if (verb->max_operands < 0 || argc <= verb->max_operands)
        return 0;
    const char *extra = argv[verb->max_operands];
    if (verb->max_operands == 0)
        return err_set(err, ERR_INVALID, "'wharf %s' takes no operand, but was given '%s'", verb->name,
                       extra);
    return err_set(err, ERR_INVALID, "'wharf %s' takes %s and nothing more, but was given '%s'", verb->name,
                   verb->synopsis, extra);
}

static int execute(const struct verb *verb, const struct common_options *common, const void *options,
                   int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct client client = {.verb = verb, .config_file = common->config};
    struct config_flag flag = {.key = "run-dir", .value = common->run_dir};
    bool with_config = (verb->flags & VERB_NO_CONFIG) == 0;
    if (with_config &&
        config_load(&client.config, common->config, &flag, common->run_dir != NULL ? 1 : 0, &err) < 0) {
        say_error("%s", err.message);
        return verb_error_code(verb);
    }
    int code = verb->execute(&client, options, argc, argv);
    if (with_config)
        config_release(&client.config);
    return code;
}

int verb_main(const struct verb *verb, struct common_options common, int argc, char **argv)
{
    struct err err = ERR_INIT;
    if ((verb->flags & VERB_RAW) != 0 && !(argc > 0 && strcmp(argv[0], "--help") == 0))
        return execute(verb, &common, NULL, argc, argv);
    auto_free void *options = calloc(1, verb->options_size + 1);
    if (options == NULL) {
        say_error("out of memory");
        return verb_error_code(verb);
    }
    const struct option_target targets[] = {{verb->options, options}, {common_option_rows, &common}};
    bool stop = (verb->flags & VERB_STOP_AT_OPERAND) != 0;
    if (verb->prepare != NULL)
        verb->prepare(argc, argv);
    int code;
    int rc = options_parse(targets, 2, stop, &argc, argv, &err);
    if (rc == 0 && common.help) {
        help_print_verb(stdout, verb);
        code = 0;
    } else if (rc < 0 || check_operands(verb, argc, argv, &err) < 0) {
        code = bad_usage(verb, err.message);
    } else {
        argv[argc] = NULL;
        code = execute(verb, &common, options, argc, argv);
    }
    options_release(verb->options, options);
    return code;
}
