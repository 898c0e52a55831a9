/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/role.h"
#include "cmd/client/stack.h"
#include "cmd/client/verb.h"

struct rebuild_options {
    bool verify;
};

static const struct option_row rows[] = {
    OPTION_ROW(rebuild_options, verify, 0, "verify", NULL, OPTION_FLAG,
               "change nothing, show whether it equals the fold of the log"),
    OPTION_END};

static int rebuild(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct rebuild_options *options = values;
    struct config *config = &client->config;
    struct err err = ERR_INIT;
    auto_free char *path = NULL;
    if (stack_take_settings(config, &err) == 0 && role_find("projector", &path, &err) == 0) {
        char *arguments[] = {path,
                             "--rebuild",
                             "--state-dir",
                             config->state_dir,
                             "--run-dir",
                             config->run_dir,
                             "--log",
                             config->log_url,
                             "--redis",
                             config->redis_url,
                             "--node",
                             config->node,
                             options->verify ? "--verify" : NULL,
                             NULL};
        if (client->config_file != NULL)
            setenv("WHARF_CONFIG", client->config_file, 1);
        execv(path, arguments);
        err_sys(&err, errno, "cannot execute '%s'", path);
    }
    say_error("%s", err.message);
    return 1;
}

const struct verb verb_rebuild = {
    .name = "rebuild",
    .group = VERB_HISTORY,
    .synopsis = "",
    .summary = "make the read model anew from the log",
    .description = "Builds the new view beside the live one and swaps them at the end.",
    .options = rows,
    .options_size = sizeof(struct rebuild_options),
    .execute = rebuild,
};
