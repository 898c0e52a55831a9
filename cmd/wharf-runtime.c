/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-runtime: one a node. Reads the node's commands from the log and makes them true; see
 * runtime/README.md.
 *
 * Wiring only: configuration, the node's lock, log, Redis, host, worker, output, signals, and their orderly
 * end in reverse.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/config.h"
#include "base/fs.h"
#include "base/role.h"
#include "base/say.h"
#include "base/version.h"
#include "events/log/log.h"
#include "runtime/alive.h"
#include "runtime/host.h"
#include "runtime/id_pool.h"
#include "runtime/output/output.h"
#include "runtime/preview.h"
#include "runtime/worker.h"

#define LOCK_PATIENCE_MS 1000
#define LOCK_PAUSE_MS 10

struct runtime {
    uv_loop_t loop;
    struct config config;
    struct role_signals signals;
    struct log *log;
    struct alive *alive;
    struct host *host;
    struct output *output;
    struct worker *worker;
    char shim_path[PATH_MAX];
    char image_path[PATH_MAX];
    int lock_fd;
    int exit_code;
    bool stopping;
};

/* --- what the parts tell each other --- */

static void on_trouble(const struct log_trouble *trouble, void *data)
{
    (void)data;
    if (trouble->kind == LOG_BACK)
        say_info("%s", trouble->message);
    else
        say_warning("%s", trouble->message);
}

static void on_exit_seen(const struct host_exit *exit, void *data)
{
    struct runtime *runtime = data;
    if (runtime->worker != NULL)
        worker_on_exit(runtime->worker, exit);
}

static void on_event(const struct decided_event *event, const struct container *container, void *data)
{
    output_on_event(((struct runtime *)data)->output, event, container);
}

static void on_launched(const char *container_id, void *data)
{
    output_on_launched(((struct runtime *)data)->output, container_id);
}

static void on_remove(const char *container_id, void *data)
{
    output_on_remove(((struct runtime *)data)->output, container_id);
}

static void on_unreadable(int64_t n, void *data)
{
    (void)data;
    say_warning("%lld records of wharf.events cannot be read and were passed over", (long long)n);
}

static void on_recovering(void *data)
{
    output_on_recovering(((struct runtime *)data)->output);
}

static void on_ready(void *data)
{
    struct runtime *runtime = data;
    const struct core *core = worker_core(runtime->worker);
    struct worker_counts counts = worker_counts(runtime->worker);
    output_on_ready(runtime->output);
    say_info("node '%s' serves: partition %lld, epoch %lld, %u containers; read %lld events %s",
             core->state.name, (long long)core->state.partition, (long long)core->epoch,
             HASH_COUNT(core->state.containers), (long long)counts.events_replayed,
             counts.snapshot_offset >= 0 ? "after its snapshot" : "from the beginning");
    alive_begin(runtime->alive, core->epoch);
    role_notify_ready();
}

/* --- the end, in reverse --- */

static void on_alive_closed(void *data)
{
    role_signals_stop(&((struct runtime *)data)->signals);
}

static void on_log_closed(void *data)
{
    alive_close(((struct runtime *)data)->alive, on_alive_closed, data);
}

static void on_host_closed(void *data)
{
    log_close(((struct runtime *)data)->log, on_log_closed, data);
}

static void on_output_closed(void *data)
{
    host_close(((struct runtime *)data)->host, on_host_closed, data);
}

static void on_worker_closed(void *data)
{
    struct runtime *runtime = data;
    runtime->worker = NULL;
    output_set_worker(runtime->output, NULL);
    output_close(runtime->output, on_output_closed, runtime);
}

static void stop(struct runtime *runtime, int exit_code)
{
    if (runtime->stopping)
        return;
    runtime->stopping = true;
    runtime->exit_code = exit_code;
    worker_close(runtime->worker, on_worker_closed, runtime);
}

static void on_signal(void *data)
{
    stop(data, 0);
}

/* What is pending cannot be appended any more, or must not be: waiting for it would be waiting for ever.
 * Whoever started us starts us again, and then the log says where we are. */
static void on_stopped(const struct err *err, void *data)
{
    (void)data;
    say_error("%s", err->message);
    exit(EXIT_FAILURE);
}

/* --- the start --- */

/* A runtime that was killed while it was starting a shim is survived by that child until it executes, a
 * moment in which the lock is still held. */
static int lock_patiently(int fd)
{
    int result;
    for (int waited_ms = 0; (result = flock(fd, LOCK_EX | LOCK_NB)) < 0 && waited_ms < LOCK_PATIENCE_MS;
         waited_ms += LOCK_PAUSE_MS)
        poll(NULL, 0, LOCK_PAUSE_MS);
    return result;
}

/* One runtime a state directory: the lock goes with the process. */
static int take_lock(struct runtime *runtime, struct err *err)
{
    char path[PATH_MAX];
    if (fs_mkdirs(AT_FDCWD, runtime->config.state_dir, 0755, err) < 0 ||
        fs_mkdirs(AT_FDCWD, runtime->config.run_dir, 0755, err) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/runtime.lock", runtime->config.state_dir);
    runtime->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (runtime->lock_fd < 0)
        return err_sys(err, errno, "cannot open lock '%s'", path);
    if (lock_patiently(runtime->lock_fd) < 0)
        return err_set(
            err, ERR_CONFLICT,
            "another runtime uses the state directory '%s': stop it, or give this one its own --state-dir",
            runtime->config.state_dir);
    return 0;
}

/* An executable beside ours, or in ../libexec/wharf. */
static int find_helper(const char *name, char ret[PATH_MAX], struct err *err)
{
    char self[PATH_MAX - 64];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size < 0)
        return err_sys(err, errno, "cannot find our own executable");
    self[size] = '\0';
    *strrchr(self, '/') = '\0';
    static const char *const places[] = {"", "/../libexec/wharf"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(ret, PATH_MAX, "%s%s/%s", self, places[i], name);
        if (access(ret, X_OK) == 0)
            return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "cannot find '%s' beside '%s': is wharf installed completely?", name,
                   self);
}

static int open_log(struct runtime *runtime, struct err *err)
{
    struct log_options options = {
        .on_trouble = on_trouble,
        .data = runtime,
        .partitions = runtime->config.partitions,
        .replication = runtime->config.replication,
        .kafka_properties = (const char *const *)runtime->config.kafka,
        .append_topics = 1u << LOG_EVENTS | 1u << LOG_DEADLETTERS,
    };
    if (role_share_log(runtime->config.log_url, runtime->config.user, err) < 0)
        return -1;
    return log_open(&runtime->log, &runtime->loop, runtime->config.log_url, &options, err);
}

/* Several stacks may share a machine and the configured parent. What one finds under its own cgroup and does
 * not know it destroys as an orphan, so each has a cgroup of its own, named after the node and the state
 * directory (FNV-1a). */
static int own_cgroup(const struct config *config, char **ret, struct err *err)
{
    uint32_t hash = 2166136261U;
    for (const char *at = config->state_dir; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619U;
    if (asprintf(ret, "%s/%.32s-%08x", config->cgroup_parent, config->node, hash) < 0) {
        *ret = NULL;
        return err_nomem(err, "naming the cgroup");
    }
    for (char *at = *ret + strlen(config->cgroup_parent); *at != '\0'; at++)
        if (*at == '.')
            *at = '_'; /* the node's name may contain "..", a cgroup's path must not */
    return 0;
}

static int open_host(struct runtime *runtime, struct err *err)
{
    auto_free char *cgroup = NULL;
    if (own_cgroup(&runtime->config, &cgroup, err) < 0)
        return -1;
    struct host_options options = {.state_dir = runtime->config.state_dir,
                                   .run_dir = runtime->config.run_dir,
                                   .cgroup_parent = cgroup,
                                   .shim_path = runtime->shim_path,
                                   .image_path = runtime->image_path,
                                   .on_exit = on_exit_seen,
                                   .data = runtime};
    return host_open(&runtime->host, &runtime->loop, &options, err);
}

static int open_output(struct runtime *runtime, struct err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/runtime.sock", runtime->config.run_dir);
    struct output_options options = {
        .socket_path = path, .socket_gid = role_group(runtime->config.user), .host = runtime->host};
    return output_open(&runtime->output, &runtime->loop, &options, err);
}

static int open_alive(struct runtime *runtime, struct err *err)
{
    return alive_open(&runtime->alive, &runtime->loop, runtime->config.redis_url, runtime->config.node, err);
}

static int open_worker(struct runtime *runtime, struct err *err)
{
    struct worker_options options = {.log = runtime->log,
                                     .host = runtime->host,
                                     .node = runtime->config.node,
                                     .version = WHARF_VERSION,
                                     .id_pool = {runtime->config.userns_base, runtime->config.userns_size},
                                     .snapshot_every = runtime->config.snapshot_every,
                                     .on_recovering = on_recovering,
                                     .on_ready = on_ready,
                                     .on_event = on_event,
                                     .on_launched = on_launched,
                                     .on_remove = on_remove,
                                     .on_unreadable = on_unreadable,
                                     .on_stopped = on_stopped,
                                     .data = runtime};
    if (options.id_pool.size == 0 && id_pool_find(&options.id_pool, err) < 0)
        return -1;
    if (worker_open(&runtime->worker, &runtime->loop, &options, err) < 0)
        return -1;
    output_set_worker(runtime->output, runtime->worker);
    return 0;
}

/* wharf-runtime --preview=up|down [OPTION...]: for `wharf replay`; see preview.h. */
static int preview(bool runtime_is_up, int argc, char **argv)
{
    struct config config;
    struct err err = ERR_INIT;
    if (config_from_argv(&config, argc, argv, &err) == 0) {
        int rc =
            config_check_node(&config, &err) < 0 ? -1 : preview_run(&config, runtime_is_up, stdout, &err);
        config_release(&config);
        if (rc == 0)
            return EXIT_SUCCESS;
    }
    say_error("%s", err.message);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct runtime runtime = {.lock_fd = -1};
    struct err err = ERR_INIT;
    say_init("wharf-runtime");
    if (argc > 1 && (strcmp(argv[1], "--preview=up") == 0 || strcmp(argv[1], "--preview=down") == 0))
        return preview(strcmp(argv[1], "--preview=up") == 0, argc - 1, argv + 1);
    uv_loop_init(&runtime.loop);
    if (config_from_argv(&runtime.config, argc, argv, &err) < 0 ||
        config_check_node(&runtime.config, &err) < 0 || take_lock(&runtime, &err) < 0 ||
        find_helper("wharf-shim", runtime.shim_path, &err) < 0 ||
        find_helper("wharf-image", runtime.image_path, &err) < 0 ||
        role_signals_start(&runtime.signals, &runtime.loop, on_signal, &runtime, &err) < 0 ||
        open_host(&runtime, &err) < 0 || open_log(&runtime, &err) < 0 || open_output(&runtime, &err) < 0 ||
        open_alive(&runtime, &err) < 0 || open_worker(&runtime, &err) < 0) {
        say_error("%s", err.message);
        return EXIT_FAILURE;
    }
    uv_run(&runtime.loop, UV_RUN_DEFAULT);
    uv_loop_close(&runtime.loop);
    config_release(&runtime.config);
    close(runtime.lock_fd);
    return runtime.exit_code;
}
