/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-projector: events from the log into Redis. With --rebuild it makes the view anew beside the live one
 * and swaps; with
 * --rebuild --verify it only compares. Reading order: base/config.h, projector/projector.h,
 * projector/rebuild.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/role.h"
#include "base/say.h"
#include "projector/projector.h"
#include "projector/rebuild.h"

struct role {
    uv_loop_t loop;
    struct role_signals signals;
    struct projector *projector;
    int exit_code;
};

static void stop(struct role *role)
{
    if (role->projector == NULL)
        return;
    role_signals_stop(&role->signals);
    projector_close(role->projector, NULL, NULL);
    role->projector = NULL;
}

static void on_stop(void *data)
{
    stop(data);
}

static void on_failed(const struct err *err, void *data)
{
    struct role *role = data;
    say_error("%s", err->message);
    role->exit_code = 1;
    stop(role);
}

static void on_ready(void *data)
{
    (void)data;
    role_notify_ready();
}

static int serve(const struct projector_options *options, struct err *err)
{
    struct role role = {.exit_code = 0};
    struct projector_options with_role = *options;
    with_role.base = SINK_LIVE;
    with_role.park = true;
    with_role.touch = true;
    with_role.on_ready = on_ready;
    with_role.on_failed = on_failed;
    with_role.data = &role;
    if (uv_loop_init(&role.loop) != 0)
        return err_set(err, ERR_SYSTEM, "cannot make an event loop");
    if (role_signals_start(&role.signals, &role.loop, on_stop, &role, err) < 0)
        return -1;
    if (projector_open(&role.projector, &role.loop, &with_role, err) < 0)
        return -1;
    uv_run(&role.loop, UV_RUN_DEFAULT);
    uv_loop_close(&role.loop);
    return role.exit_code;
}

/* Takes --rebuild and --verify out of argv, since config_from_argv knows only what all roles share. */
static bool take_flag(int *argc, char **argv, const char *flag)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], flag) != 0)
            continue;
        memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
        (*argc)--;
        return true;
    }
    return false;
}

static int run(const struct config *config, bool rebuild, bool verify, struct err *err)
{
    const char *const paths[] = {config->run_dir, role_log_dir(config->log_url), NULL};
    struct projector_options options = {
        .log_url = config->log_url,
        .redis_url = config->redis_url,
        .log = {.partitions = config->partitions,
                .replication = config->replication,
                .kafka_properties = (const char *const *)config->kafka},
    };
    if (role_share_log(config->log_url, config->user, err) < 0 ||
        role_drop_privileges(config->user, paths, err) < 0)
        return -1;
    return rebuild ? rebuild_run(&options, verify, err) : serve(&options, err);
}

int main(int argc, char **argv)
{
    say_init("wharf-projector");
    struct err err = ERR_INIT;
    struct config config;
    bool rebuild = take_flag(&argc, argv, "--rebuild");
    bool verify = take_flag(&argc, argv, "--verify");
    if (verify && !rebuild) {
        say_error("--verify goes with --rebuild");
        return 2;
    }
    if (config_from_argv(&config, argc, argv, &err) < 0) {
        say_error("%s", err.message);
        return 2;
    }
    int status = run(&config, rebuild, verify, &err);
    if (status < 0)
        say_error("%s", err.message);
    config_release(&config);
    return status < 0 ? 2 : status;
}
