/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/part.h"
#include "cmd/client/stack.h"
#include "cmd/client/supervisor.h"
#include "cmd/client/verb.h"

#define NODE_TIMEOUT_MS 10000
#define NODE_PAUSE_MS 10

struct up_options {
    bool detach;
    const char *log;
    const char *redis;
    const char *node;
    const char *state_dir;
    const char *user;
    const char *cgroup_parent;
    const char *userns_pool;
    const char *partitions;
    const char *replication;
};

static const struct option_row rows[] = {
    OPTION_ROW(up_options, detach, 'd', "detach", NULL, OPTION_FLAG, "return when everything serves"),
    OPTION_ROW(up_options, log, 0, "log", "URL", OPTION_STRING,
               "sqlite:DIR or kafka://HOST:PORT,.../PREFIX; in the state directory by default"),
    OPTION_ROW(up_options, redis, 0, "redis", "URL", OPTION_STRING,
               "unix:PATH or redis://HOST:PORT; a private one by default"),
    OPTION_ROW(up_options, node, 0, "node", "NAME", OPTION_STRING,
               "name of this node; the host name by default"),
    OPTION_ROW(up_options, state_dir, 0, "state-dir", "DIR", OPTION_STRING,
               "images, containers and the embedded log; /var/lib/wharf by default"),
    OPTION_ROW(up_options, user, 0, "user", "USER", OPTION_STRING,
               "whom writer, projector, query and the private Redis become"),
    OPTION_ROW(up_options, cgroup_parent, 0, "cgroup-parent", "NAME", OPTION_STRING,
               "where containers' cgroups are made"),
    OPTION_ROW(up_options, userns_pool, 0, "userns-pool", "BASE:SIZE", OPTION_STRING,
               "ids of this host for containers' user namespaces"),
    OPTION_ROW(up_options, partitions, 0, "partitions", "N", OPTION_STRING,
               "partitions of topics to be created"),
    OPTION_ROW(up_options, replication, 0, "replication", "N", OPTION_STRING,
               "replicas of topics to be created"),
    OPTION_END};

/* The common options were read already; these go over them. */
static int load_config(struct client *client, const struct up_options *options, struct err *err)
{
    const struct config_flag all[] = {{"log", options->log},
                                      {"redis", options->redis},
                                      {"node", options->node},
                                      {"state-dir", options->state_dir},
                                      {"user", options->user},
                                      {"cgroup-parent", options->cgroup_parent},
                                      {"userns-pool", options->userns_pool},
                                      {"partitions", options->partitions},
                                      {"replication", options->replication}};
    struct config_flag given[sizeof(all) / sizeof(all[0]) + 1];
    struct config config;
    auto_free char *run_dir = strdup(client->config.run_dir);
    if (run_dir == NULL)
        return err_nomem(err, "reading the configuration");
    size_t n = 0;
    given[n++] = (struct config_flag){"run-dir", run_dir};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].value != NULL)
            given[n++] = all[i];
    if (config_load(&config, client->config_file, given, n, err) < 0)
        return -1;
    config_release(&client->config);
    client->config = config;
    return 0;
}

/* The embedded log is shared by roles that are not root: its files inherit the directory's group. */
static int make_log_directory(const struct config *config, struct err *err)
{
    const char *dir = log_directory(config->log_url);
    gid_t group = part_group(config->user);
    if (dir == NULL || access(dir, F_OK) == 0)
        return 0;
    if (fs_mkdirs(AT_FDCWD, dir, 0755, err) < 0)
        return -1;
    if (group != (gid_t)-1 && chown(dir, (uid_t)-1, group) < 0)
        return err_sys(err, errno, "cannot give '%s' to the group of user '%s'", dir, config->user);
    if (chmod(dir, 02770) < 0)
        return err_sys(err, errno, "cannot set the mode of '%s'", dir);
    return 0;
}

static int make_directories(const struct config *config, struct err *err)
{
    if (geteuid() != 0)
        return err_set(err, ERR_INVALID, "'wharf up' must be run by root: containers need it");
    umask(022);
    if (fs_mkdirs(AT_FDCWD, config->state_dir, 0755, err) < 0 ||
        fs_mkdirs(AT_FDCWD, config->run_dir, 0755, err) < 0)
        return -1;
    return make_log_directory(config, err);
}

static int take_lock(const struct config *config, int *ret_fd, struct err *err)
{
    pid_t holder = 0;
    int rc = stack_lock(config->run_dir, true, ret_fd, &holder, err);
    if (rc > 0)
        return err_set(err, ERR_EXISTS,
                       "the stack in '%s' is up already: process %d runs it; 'wharf down' ends it",
                       config->run_dir, (int)holder);
    if (rc < 0 || stack_lock_sign(*ret_fd, err) < 0)
        return -1;
    int left = stack_end_leftovers(config->run_dir);
    if (left > 0)
        say_info("ended %d processes that an earlier 'wharf up' had left behind", left);
    return 0;
}

/* Every part serves, but the writer may still have to read, from a log that is slow, that the runtime's node
 * has joined: the first command after `up` must not be refused for that. */
static void await_node(const struct client *client)
{
    int64_t deadline_ns = clock_monotonic_ns() + NODE_TIMEOUT_MS * 1000000LL;
    while (clock_monotonic_ns() < deadline_ns) {
        auto_free char *text = NULL;
        int status = 0;
        if (api_get_text(client, API_WRITER, "/readyz", NODE_TIMEOUT_MS, &status, &text, NULL) == 0 &&
            status == 200)
            return;
        poll(NULL, 0, NODE_PAUSE_MS);
    }
    say_warning("the writer has not seen the node '%s' join yet: commands may be refused for a while",
                client->config.node);
}

/* `ready_fd` >= 0: told with one byte when everything serves. */
static int supervise(const struct client *client, int output_fd, const char *output, int ready_fd,
                     struct err *err)
{
    const struct config *config = &client->config;
    struct supervisor supervisor;
    int rc = supervisor_init(&supervisor, config, client->config_file, output_fd, output, err);
    if (rc == 0)
        rc = supervisor_start(&supervisor, err);
    if (rc > 0) {
        await_node(client);
        say_info("up: node '%s', log '%s', Redis '%s', sockets in '%s'", config->node, config->log_url,
                 config->redis_url, config->run_dir);
        if (ready_fd >= 0 && (write(ready_fd, "R", 1) != 1 || close(ready_fd) < 0))
            say_warning("nobody waits for the stack any more");
        rc = supervisor_run(&supervisor, err);
        supervisor_stop(&supervisor);
        say_info("down");
    }
    supervisor_release(&supervisor);
    return rc;
}

static int up_in_foreground(const struct client *client, struct err *err)
{
    auto_fd int lock_fd = -1;
    if (take_lock(&client->config, &lock_fd, err) < 0)
        return -1;
    return supervise(client, STDERR_FILENO, NULL, -1, err);
}

static int open_output(const struct config *config, char **ret_path, struct err *err)
{
    if (asprintf(ret_path, "%s/up.log", config->run_dir) < 0) {
        *ret_path = NULL;
        return err_nomem(err, "starting the stack");
    }
    int fd = open(*ret_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return fd >= 0 ? fd : err_sys(err, errno, "cannot open '%s'", *ret_path);
}

/* The background process. Everything it inherited is closed but the pipe, over which it says how starting
 * went: one 'R', or the error's text. Returns the exit code. */
static int background(const struct client *client, int pipe_fd)
{
    struct err err = ERR_INIT;
    auto_free char *output = NULL;
    auto_fd int lock_fd = -1;
    auto_fd int output_fd = -1;
    setsid();
    if (dup2(pipe_fd, 3) < 0)
        return 1;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || close_range(4, ~0U, 0) < 0)
        return 1;
    fcntl(3, F_SETFD, FD_CLOEXEC);
    int rc = take_lock(&client->config, &lock_fd, &err);
    if (rc == 0)
        rc = output_fd = open_output(&client->config, &output, &err);
    if (rc >= 0 && (dup2(output_fd, STDOUT_FILENO) < 0 || dup2(output_fd, STDERR_FILENO) < 0))
        rc = err_sys(&err, errno, "cannot redirect our output");
    if (rc >= 0)
        rc = supervise(client, output_fd, output, 3, &err);
    if (rc >= 0)
        return 0;
    if (output_fd >= 0)
        say_error("%s", err.message); /* for up.log: until then our output is still the terminal's */
    ssize_t told = write(3, err.message, strlen(err.message)); /* fails only when nobody listens */
    (void)told;
    return 1;
}

static int up_detached(const struct client *client, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    auto_fd int read_end = ends[0];
    auto_fd int write_end = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, errno, "cannot start the background process");
    if (pid == 0)
        _exit(background(client, write_end));
    close(steal_fd(&write_end));
    char text[ERR_MESSAGE_SIZE];
    size_t size = 0;
    ssize_t n;
    while ((n = read(read_end, text + size, sizeof(text) - 1 - size)) > 0 || (n < 0 && errno == EINTR))
        size += n > 0 ? (size_t)n : 0;
    text[size] = '\0';
    if (strcmp(text, "R") == 0)
        return 0;
    waitpid(pid, NULL, 0); /* it has stopped what it had started when this returns */
    return err_set(err, ERR_UNAVAILABLE, "%s",
                   size > 0 ? text : "the background process ended without a word");
}

static int up(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct up_options *options = values;
    struct err err = ERR_INIT;
    int rc = load_config(client, options, &err);
    if (rc == 0)
        rc = config_check_node(&client->config, &err);
    if (rc == 0)
        rc = make_directories(&client->config, &err);
    if (rc == 0)
        rc = options->detach ? up_detached(client, &err) : up_in_foreground(client, &err);
    if (rc >= 0)
        return 0;
    say_error("%s", err.message);
    return 1;
}

const struct verb verb_up = {
    .name = "up",
    .group = VERB_STACK,
    .synopsis = "",
    .summary = "run the local stack: writer, runtime, projector, query and a private Redis",
    .description = "What dies is started again. Containers are never touched: they go on running when the "
                   "stack ends, and "
                   "the next 'wharf up' takes them over.",
    .options = rows,
    .options_size = sizeof(struct up_options),
    .execute = up,
};
