/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-query: answers on RUN_DIR/query.sock from the read model and the log; docs/api.md says what. Reading
 * order: base/config.h, projector/query/query.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/role.h"
#include "base/say.h"
#include "projector/query/query.h"

struct role {
    uv_loop_t loop;
    struct role_signals signals;
    struct query *query;
};

static void on_stop(void *data)
{
    struct role *role = data;
    if (role->query == NULL)
        return;
    role_signals_stop(&role->signals);
    query_close(role->query, NULL, NULL);
    role->query = NULL;
}

static void on_ready(void *data)
{
    (void)data;
    role_notify_ready();
}

static int serve(const struct config *config, const struct query_options *options, struct err *err)
{
    struct role role = {.query = NULL};
    struct query_options with_role = *options;
    const char *const paths[] = {config->run_dir, role_log_dir(config->log_url), NULL};
    with_role.on_ready = on_ready;
    with_role.data = &role;
    if (uv_loop_init(&role.loop) != 0)
        return err_set(err, ERR_SYSTEM, "cannot make an event loop");
    if (role_signals_start(&role.signals, &role.loop, on_stop, &role, err) < 0 ||
        query_open(&role.query, &role.loop, &with_role, err) < 0 ||
        role_share_log(config->log_url, config->user, err) < 0 ||
        role_drop_privileges(config->user, paths, err) < 0 || query_start(role.query, err) < 0)
        return -1;
    uv_run(&role.loop, UV_RUN_DEFAULT);
    uv_loop_close(&role.loop);
    return 0;
}

static int run(const struct config *config, struct err *err)
{
    auto_buf struct buf socket_path = BUF_INIT;
    buf_printf(&socket_path, "%s/query.sock", config->run_dir);
    if (socket_path.failed)
        return err_nomem(err, "starting");
    struct query_options options = {
        .log_url = config->log_url,
        .redis_url = config->redis_url,
        .log = {.partitions = config->partitions,
                .replication = config->replication,
                .kafka_properties = (const char *const *)config->kafka},
        .socket_path = socket_path.data,
        .socket_gid = role_group(config->user),
    };
    return serve(config, &options, err);
}

int main(int argc, char **argv)
{
    say_init("wharf-query");
    struct err err = ERR_INIT;
    struct config config;
    if (config_from_argv(&config, argc, argv, &err) < 0) {
        say_error("%s", err.message);
        return 2;
    }
    int status = run(&config, &err);
    if (status < 0)
        say_error("%s", err.message);
    config_release(&config);
    return status < 0 ? 1 : 0;
}
