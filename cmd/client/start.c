/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/attaching.h"
#include "cmd/client/reading.h"
#include "cmd/client/values.h"

struct start_options {
    bool attach;
    bool interactive;
    const char *sig_proxy;
    const char *detach_keys;
};

static const struct option_row rows[] = {OPTION_ROW(start_options, attach, 'a', "attach", NULL, OPTION_FLAG,
                                                    "show what it writes until it ends, and forward signals"),
                                         OPTION_ROW(start_options, interactive, 'i', "interactive", NULL,
                                                    OPTION_FLAG, "the same, and hand on what is typed"),
                                         ATTACHING_ROWS(start_options), OPTION_END};

static json_t *make_data(const char *container, const void *options)
{
    (void)options;
    return json_pack("{s:s}", "container", container);
}

/* The output is asked for first, so that even a container that removes itself at once has shown everything.
 */
static int start_and_follow(const struct client *client, struct attach *attach, const char *ref,
                            int *ret_code, struct err *err)
{
    char id[CONTAINER_ID_SIZE];
    struct api_command command = {.call = HTTP_CALL_INIT};
    struct api_result result = {0};
    struct api_ref place;
    if (reading_resolve(client, ref, id, err) < 0 || api_ref_parse(&place, ref, err) < 0)
        return -1;
    attach->since_ns = clock_realtime_ns();
    int rc = attach_request(attach, id, err);
    if (rc == 0)
        rc = api_command_begin(&command, client, "container.start", place.node, make_data(id, NULL), true,
                               err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, err);
    api_command_release(&command);
    api_ref_release(&place);
    if (rc < 0)
        return -1;
    if (!result.ok) {
        say_error("cannot start '%s': %s", ref, result.message);
        *ret_code = result.exit_code > 0 ? result.exit_code : 1;
        return 0;
    }
    attach->next_start = false;
    if (attach_follow(attach, id, err) < 0)
        return -1;
    *ret_code = attach_code(attach);
    return 0;
}

static int start_attached(const struct client *client, const struct start_options *options, int argc,
                          char **argv)
{
    struct err err = ERR_INIT;
    struct attach attach = {.call = HTTP_CALL_INIT, .input = {.fd = -1}, .signals_fd = -1};
    struct attach_options how = {.input = options->interactive,
                                 .input_ends = true,
                                 .output = true,
                                 .detach_keys = options->detach_keys};
    int code = 1;
    int rc = argc > 1 ? err_set(&err, ERR_INVALID, "one container can be attached to, not %d", argc) : 0;
    if (rc == 0)
        rc = value_switch(options->sig_proxy, "sig-proxy", true, &how.signals, &err);
    if (rc == 0)
        rc = attach_init(&attach, client, &how, &err);
    if (rc == 0)
        rc = start_and_follow(client, &attach, argv[0], &code, &err);
    attach_release(&attach);
    if (rc < 0)
        say_error("%s", err.message);
    return code;
}

static int start(struct client *client, const void *values, int argc, char **argv)
{
    const struct start_options *options = values;
    const struct api_each each = {.type = "container.start", .verb = "start", .make_data = make_data};
    return options->attach || options->interactive ? start_attached(client, options, argc, argv)
                                                   : api_for_each(client, &each, argc, argv);
}

const struct verb verb_start = {
    .name = "start",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER...",
    .summary = "start containers that do not run",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct start_options),
    .min_operands = 1,
    .max_operands = -1,
    .execute = start,
};
