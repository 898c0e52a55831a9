/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/image_changes.h"

struct commit_options {
    const char *author;
    const char *message;
    struct option_list changes;
    bool no_pause;
};

static const struct option_row rows[] = {
    OPTION_ROW(commit_options, author, 'a', "author", "WHO", OPTION_STRING, "who made the image"),
    OPTION_ROW(commit_options, message, 'm', "message", "TEXT", OPTION_STRING, "what it is"),
    OPTION_ROW(commit_options, changes, 'c', "change", "LINE", OPTION_LIST,
               "a change to its configuration: CMD, ENTRYPOINT, ENV, HEALTHCHECK, LABEL, STOPSIGNAL, USER or "
               "WORKDIR, as in a Dockerfile"),
    OPTION_ROW(commit_options, no_pause, 'p', "pause", NULL, OPTION_ON,
               "pause the container meanwhile; on, unless =false"),
    OPTION_ROW(commit_options, no_pause, 0, "no-pause", NULL, OPTION_FLAG, "do not pause it"),
    OPTION_END};

static int make_data(const struct commit_options *options, const char *container, const char *reference,
                     json_t **ret, struct err *err)
{
    json_auto_t *data = json_pack("{s:s, s:s, s:s*, s:s*}", "container", container, "reference", reference,
                                  "author", options->author, "message", options->message);
    if (data == NULL)
        return err_set(err, ERR_INVALID, "'%s' or another value is not UTF-8", reference);
    if (options->no_pause && json_object_set_new(data, "no_pause", json_true()) < 0)
        return err_nomem(err, "making a command");
    for (size_t i = 0; i < options->changes.n; i++)
        if (image_change(data, options->changes.items[i], err) < 0)
            return -1;
    *ret = json_incref(data);
    return 0;
}

static int commit(struct client *client, const void *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct api_ref ref = {NULL, NULL};
    struct api_command command = {.call = HTTP_CALL_INIT};
    struct api_result result = {0};
    json_t *data = NULL;
    (void)argc;
    int rc = api_ref_parse(&ref, argv[0], &err);
    if (rc == 0)
        rc = make_data(options, ref.container, argv[1], &data, &err);
    if (rc == 0)
        rc = api_command_begin(&command, client, "container.commit", ref.node, data, true, &err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, &err);
    if (rc == 0 && !result.ok)
        rc = err_set(&err, ERR_CONFLICT, "%s", result.message);
    api_command_release(&command);
    api_ref_release(&ref);
    if (rc < 0)
        say_error("cannot commit '%s': %s", argv[0], err.message);
    else
        printf("%s\n", argv[1]);
    return rc < 0 ? 1 : 0;
}

const struct verb verb_commit = {
    .name = "commit",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER NAME[:TAG]",
    .summary = "make an image of a container's files and configuration",
    .description =
        "What is mounted in it, such as volumes, is not part of it. The container is paused meanwhile, "
        "so that the image is of one moment.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct commit_options),
    .min_operands = 2,
    .max_operands = 2,
    .execute = commit,
};
