/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/say.h"
#include "cmd/client/api.h"

struct rmi_options {
    bool force;
    const char *node;
};

static const struct option_row rows[] = {
    OPTION_ROW(rmi_options, force, 'f', "force", NULL, OPTION_FLAG,
               "even if containers that do not run use it"),
    OPTION_ROW(rmi_options, node, 0, "node", "NODE", OPTION_STRING, "node to remove it from"), OPTION_END};

static int remove_image(struct client *client, const struct rmi_options *options, const char *image,
                        struct err *err)
{
    struct api_command command = {.call = HTTP_CALL_INIT};
    struct api_result result = {0};
    json_t *data = json_pack("{s:s}", "image", image);
    if (data != NULL && options->force)
        json_object_set_new(data, "force", json_true());
    int rc = data == NULL
                 ? err_set(err, ERR_INVALID, "it is not UTF-8")
                 : api_command_begin(&command, client, "image.remove", options->node, data, true, err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, err);
    api_command_release(&command);
    if (rc == 0 && !result.ok)
        rc = err_set(err, ERR_CONFLICT, "%s", result.message);
    return rc;
}

static int rmi(struct client *client, const void *options, int argc, char **argv)
{
    int code = 0;
    for (int i = 0; i < argc; i++) {
        struct err err = ERR_INIT;
        if (remove_image(client, options, argv[i], &err) < 0) {
            say_error("cannot remove image '%s': %s", argv[i], err.message);
            code = 1;
        } else {
            printf("Removed: %s\n", argv[i]);
        }
    }
    return code;
}

const struct verb verb_rmi = {
    .name = "rmi",
    .group = VERB_IMAGES,
    .synopsis = "IMAGE...",
    .summary = "remove images",
    .operands = "image",
    .options = rows,
    .options_size = sizeof(struct rmi_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = rmi,
};
