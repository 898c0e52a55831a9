/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-writer: takes commands over HTTP and appends them to the log; see writer/README.md.
 *
 * Wiring only. The order matters: the socket and the log's directory are made as root, then privileges are
 * given up, then the log is opened, since its files must be the user's to write and its threads must not keep
 * privileges.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/fs.h"
#include "base/role.h"
#include "base/say.h"
#include "writer/writer.h"

struct process {
    uv_loop_t loop;
    struct config config;
    struct role_signals signals;
    struct writer *writer;
    char socket_path[PATH_MAX];
    char state_dir[PATH_MAX]; /* STATE_DIR/writer; "" when there can be none */
    bool stopping;
    int exit_code;
};

static void on_stopped(void *data)
{
    role_signals_stop(&((struct process *)data)->signals);
}

static void stop(struct process *process, int exit_code)
{
    if (process->stopping)
        return;
    process->stopping = true;
    process->exit_code = exit_code;
    writer_stop(process->writer, on_stopped, process);
}

static void on_signal(void *data)
{
    stop(data, EXIT_SUCCESS);
}

static void on_failed(const struct err *err, void *data)
{
    say_error("%s", err->message);
    stop(data, EXIT_FAILURE);
}

static void on_ready(void *data)
{
    const struct process *process = data;
    say_info("takes commands on '%s'", process->socket_path);
    role_notify_ready();
}

/* Its own directory, which the user it becomes can write in. Without one it reads the whole log at start. */
static void make_state_dir(struct process *process)
{
    const struct config *config = &process->config;
    char *path = process->state_dir;
    struct err err = ERR_INIT;
    if (snprintf(path, PATH_MAX, "%s/writer", config->state_dir) >= PATH_MAX ||
        fs_mkdirs(AT_FDCWD, path, 0755, &err) < 0 || chmod(path, 0700) < 0) {
        path[0] = '\0';
        return;
    }
    gid_t gid = role_group(config->user);
    if (geteuid() == 0 && gid != (gid_t)-1 && (chown(path, (uid_t)-1, gid) < 0 || chmod(path, 0770) < 0))
        path[0] = '\0';
}

static int listen_for_clients(struct process *process, struct err *err)
{
    const struct config *config = &process->config;
    if (fs_mkdirs(AT_FDCWD, config->run_dir, 0755, err) < 0)
        return err_wrap(err, "cannot make the run directory '%s'", config->run_dir);
    snprintf(process->socket_path, sizeof(process->socket_path), "%s/writer.sock", config->run_dir);
    make_state_dir(process);
    const struct writer_options options = {.socket_path = process->socket_path,
                                           .state_dir =
                                               process->state_dir[0] != '\0' ? process->state_dir : NULL,
                                           .snapshot_every = config->snapshot_every,
                                           .socket_mode = 0660,
                                           .socket_gid = role_group(config->user),
                                           .on_ready = on_ready,
                                           .on_failed = on_failed,
                                           .data = process};
    return writer_open(&process->writer, &process->loop, &options, err);
}

static int start(struct process *process, struct err *err)
{
    const struct config *config = &process->config;
    const char *const paths[] = {config->run_dir, role_log_dir(config->log_url), NULL};
    const struct log_options options = {.partitions = config->partitions,
                                        .replication = config->replication,
                                        .kafka_properties = (const char *const *)config->kafka};
    if (role_share_log(config->log_url, config->user, err) < 0 ||
        role_drop_privileges(config->user, paths, err) < 0)
        return -1;
    return writer_start(process->writer, config->log_url, &options, err);
}

int main(int argc, char **argv)
{
    struct process process = {.writer = NULL};
    struct err err = ERR_INIT;
    say_init("wharf-writer");
    uv_loop_init(&process.loop);
    if (config_from_argv(&process.config, argc, argv, &err) < 0 ||
        role_signals_start(&process.signals, &process.loop, on_signal, &process, &err) < 0 ||
        listen_for_clients(&process, &err) < 0) {
        say_error("%s", err.message);
        config_release(&process.config);
        return EXIT_FAILURE;
    }
    if (start(&process, &err) < 0)
        on_failed(&err, &process);
    uv_run(&process.loop, UV_RUN_DEFAULT);
    uv_loop_close(&process.loop);
    config_release(&process.config);
    return process.exit_code;
}
