/* SPDX-License-Identifier: Apache-2.0 */
#include "base/say.h"
#include "cmd/client/api.h"

static int give_name(const struct client *client, const char *text, const char *name, struct err *err)
{
    struct api_ref ref;
    struct api_command command = {.call = HTTP_CALL_INIT};
    struct api_result result = {0};
    if (api_ref_parse(&ref, text, err) < 0)
        return -1;
    json_t *data = json_pack("{s:s, s:s}", "container", ref.container, "name", name);
    int rc = data == NULL
                 ? err_set(err, ERR_INVALID, "the name is not UTF-8")
                 : api_command_begin(&command, client, "container.rename", ref.node, data, true, err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, err);
    if (rc == 0 && !result.ok)
        rc = err_set(err, ERR_CONFLICT, "%s", result.message);
    api_command_release(&command);
    api_ref_release(&ref);
    return rc;
}

static int rename_one(struct client *client, const void *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    (void)options;
    (void)argc;
    if (give_name(client, argv[0], argv[1], &err) == 0)
        return 0;
    say_error("cannot rename '%s': %s", argv[0], err.message);
    return 1;
}

const struct verb verb_rename = {
    .name = "rename",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER NAME",
    .summary = "give a container another name",
    .operands = "container",
    .min_operands = 2,
    .max_operands = 2,
    .execute = rename_one,
};
