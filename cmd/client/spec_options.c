/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/spec_options.h"

#include <string.h>

#include "cmd/client/attaching.h"
#include "cmd/client/mount_values.h"
#include "cmd/client/spec_values.h"
#include "cmd/client/terminal.h"
#include "cmd/client/values.h"
#include "events/message.h"

#define ROW(letter_, name_, argument_, kind_, member_, help_)                                                \
    OPTION_ROW(spec_options, member_, letter_, name_, argument_, kind_, help_)
#define UNSUPPORTED(letter_, name_, help_)                                                                   \
    {                                                                                                        \
        .letter = letter_, .name = name_, .kind = OPTION_UNSUPPORTED, .help = help_                          \
    }

#define SPEC_ROWS                                                                                            \
    ROW(0, "name", "NAME", OPTION_STRING, name, "name of the container, unique on its node"),                \
        ROW('e', "env", "KEY=VALUE", OPTION_LIST, env, "set an environment variable; KEY takes yours"),      \
        ROW(0, "env-file", "FILE", OPTION_LIST, env_files, "read environment variables from a file"),        \
        ROW('l', "label", "KEY=VALUE", OPTION_LIST, labels, "label to select the container by"),             \
        ROW('m', "memory", "SIZE", OPTION_STRING, memory, "memory limit, such as 512m or 1.5g"),             \
        ROW(0, "memory-swap", "SIZE", OPTION_STRING, memory_swap,                                            \
            "limit on memory and swap together; -1 without limit"),                                          \
        ROW(0, "memory-reservation", "SIZE", OPTION_STRING, memory_reservation,                              \
            "memory that is left to it when memory gets scarce"),                                            \
        ROW('c', "cpu-shares", "N", OPTION_STRING, cpu_shares, "its weight among those that compete"),       \
        ROW(0, "cpus", "N", OPTION_STRING, cpus, "cpu limit, such as 1.5"),                                  \
        ROW(0, "pids-limit", "N", OPTION_STRING, pids_limit, "limit on processes and threads"),              \
        ROW('u', "user", "USER[:GROUP]", OPTION_STRING, user, "user of the command, by name or number"),     \
        ROW(0, "group-add", "GROUP", OPTION_LIST, group_add, "supplementary group, by name or number"),      \
        ROW('w', "workdir", "DIR", OPTION_STRING, workdir, "working directory of the command"),              \
        ROW('h', "hostname", "NAME", OPTION_STRING, hostname, "host name; the short id by default"),         \
        {.name = "restart",                                                                                  \
         .argument = "POLICY",                                                                               \
         .kind = OPTION_STRING,                                                                              \
         .offset = offsetof(struct spec_options, restart),                                                   \
         .help = "no, on-failure[:N], always or unless-stopped",                                             \
         .words = "no on-failure always unless-stopped"},                                                    \
        ROW(0, "read-only", NULL, OPTION_FLAG, read_only, "mount the root file system read-only"),           \
        {.name = "network",                                                                                  \
         .argument = "NETWORK",                                                                              \
         .kind = OPTION_STRING,                                                                              \
         .offset = offsetof(struct spec_options, network),                                                   \
         .help = "none (loopback only), host, or container:NAME",                                            \
         .words = "none host"},                                                                              \
        ROW(0, "net", "NETWORK", OPTION_STRING, network, "the same as --network"),                           \
        ROW(0, "ipc", "MODE", OPTION_STRING, ipc, "ipc namespace: private, host, or container:NAME"),        \
        ROW(0, "pid", "MODE", OPTION_STRING, pid, "pid namespace: private, host, or container:NAME"),        \
        ROW(0, "uts", "MODE", OPTION_STRING, uts, "host name of: private, host, or container:NAME"),         \
        {.name = "userns",                                                                                   \
         .argument = "MODE",                                                                                 \
         .kind = OPTION_STRING,                                                                              \
         .offset = offsetof(struct spec_options, userns),                                                    \
         .help = "auto: root in it is nobody on the node; or host",                                          \
         .words = "auto host"},                                                                              \
        ROW(0, "cgroup-parent", "PATH", OPTION_STRING, cgroup_parent,                                        \
            "cgroup that its own is made in, from the root of the cgroups"),                                 \
        ROW(0, "entrypoint", "PATH", OPTION_STRING, entrypoint, "replace the image's entrypoint"),           \
        ROW(0, "stop-signal", "SIGNAL", OPTION_STRING, stop_signal, "signal that asks it to end"),           \
        ROW(0, "stop-timeout", "SECONDS", OPTION_STRING, stop_timeout, "seconds from there to SIGKILL"),     \
        ROW(0, "init", NULL, OPTION_FLAG, init, "a minimal init forwards signals and reaps orphans"),        \
        ROW(0, "privileged", NULL, OPTION_FLAG, privileged,                                                  \
            "every right and device there is: root on the node"),                                            \
        ROW(0, "cap-add", "CAPABILITY", OPTION_LIST, cap_add, "a capability beyond the default, or ALL"),    \
        ROW(0, "cap-drop", "CAPABILITY", OPTION_LIST, cap_drop, "a capability to go without, or ALL"),       \
        ROW(0, "security-opt", "OPTION", OPTION_LIST, security,                                              \
            "seccomp=FILE, seccomp=unconfined or no-new-privileges=false"),                                  \
        ROW(0, "ulimit", "NAME=SOFT[:HARD]", OPTION_LIST, ulimits, "resource limit, such as nofile=1024"),   \
        ROW(0, "sysctl", "NAME=VALUE", OPTION_LIST, sysctls, "kernel parameter of its own namespaces"),      \
        ROW(0, "oom-score-adj", "N", OPTION_STRING, oom_score_adj, "how soon it is killed, -1000 to 1000"),  \
        ROW(0, "device", "PATH[:PATH[:rwm]]", OPTION_LIST, devices, "a device of the node"),                 \
        ROW(0, "shm-size", "SIZE", OPTION_STRING, shm_size, "size of /dev/shm; 64m by default"),             \
        ROW(0, "add-host", "NAME:ADDRESS", OPTION_LIST, add_hosts, "a line for /etc/hosts"),                 \
        ROW('v', "volume", "SOURCE:PATH[:OPTIONS]", OPTION_LIST, volumes,                                    \
            "mount a directory of the node, or a volume by its name"),                                       \
        ROW(0, "mount", "KEY=VALUE,...", OPTION_LIST, mounts,                                                \
            "mount with type=bind, volume or tmpfs, source=, target=, readonly ..."),                        \
        ROW(0, "tmpfs", "PATH[:OPTIONS]", OPTION_LIST, tmpfs, "mount an empty file system in memory"),       \
        ROW(0, "health-cmd", "COMMAND", OPTION_STRING, health_cmd,                                           \
            "shell command that tells by exit code 0 that it is healthy"),                                   \
        ROW(0, "health-interval", "DURATION", OPTION_STRING, health_interval,                                \
            "from one check to the next; 30s by default"),                                                   \
        ROW(0, "health-timeout", "DURATION", OPTION_STRING, health_timeout,                                  \
            "a check that takes longer has failed; 30s by default"),                                         \
        ROW(0, "health-start-period", "DURATION", OPTION_STRING, health_start_period,                        \
            "failures so soon do not count; 0s by default"),                                                 \
        ROW(0, "health-start-interval", "DURATION", OPTION_STRING, health_start_interval,                    \
            "the interval meanwhile; 5s by default"),                                                        \
        ROW(0, "health-retries", "N", OPTION_STRING, health_retries,                                         \
            "failures in a row that make it unhealthy; 3 by default"),                                       \
        ROW(0, "no-healthcheck", NULL, OPTION_FLAG, no_healthcheck, "its health is not checked"),            \
        ROW(0, "rm", NULL, OPTION_FLAG, rm, "remove the container when it has exited"),                      \
        ROW(0, "node", "NODE", OPTION_STRING, node, "node to place it on"),                                  \
        ROW('i', "interactive", NULL, OPTION_FLAG, interactive, "keep standard input open and hand it on"),  \
        ROW('t', "tty", NULL, OPTION_FLAG, tty, "give it a terminal"),                                       \
        UNSUPPORTED(0, "cpuset-cpus", "limit them with '--cpus'"),                                           \
        UNSUPPORTED(0, "dns", "there are no networks yet; '--network host' has the host's names"),           \
        UNSUPPORTED('p', "publish", "there are no ports yet; '--network host' shares the host's"),           \
        OPTION_END

const struct option_row run_option_rows[] = {
    ROW('d', "detach", NULL, OPTION_FLAG, detach, "print the id once it has started, and leave it running"),
    ATTACHING_ROWS(spec_options), SPEC_ROWS};
const struct option_row create_option_rows[] = {SPEC_ROWS};

static int set(json_t *spec, const char *member, json_t *value, struct err *err)
{
    if (value == NULL)
        return err_set(err, ERR_INVALID, "the value of '%s' is not UTF-8", member);
    return json_object_set_new(spec, member, value) < 0 ? err_nomem(err, "making a container spec") : 0;
}

static int set_text(json_t *spec, const char *member, const char *text, struct err *err)
{
    return text == NULL ? 0 : set(spec, member, json_string(text), err);
}

static int set_true(json_t *spec, const char *member, bool value, struct err *err)
{
    return value ? set(spec, member, json_true(), err) : 0;
}

/* docker's 0 is what there is without the option, here and below. */
static int set_limits(json_t *spec, const struct spec_options *options, struct err *err)
{
    int64_t value = 0;
    bool any_cpus = options->cpus == NULL || strcmp(options->cpus, "0") == 0;
    if (!any_cpus &&
        (value_cpus(options->cpus, &value, err) < 0 || set(spec, "cpu_millis", json_integer(value), err) < 0))
        return -1;
    if (options->pids_limit != NULL && strcmp(options->pids_limit, "-1") != 0 &&
        strcmp(options->pids_limit, "0") != 0 &&
        (value_int(options->pids_limit, "pids limit", 1, 4194304, &value, err) < 0 ||
         set(spec, "pids_limit", json_integer(value), err) < 0))
        return -1;
    if (options->stop_timeout != NULL &&
        (value_int(options->stop_timeout, "stop timeout", 0, 86400, &value, err) < 0 ||
         set(spec, "stop_timeout_s", json_integer(value), err) < 0))
        return -1;
    return 0;
}

static int set_number(json_t *spec, const char *member, const char *text, const char *what, int64_t min,
                      int64_t max, struct err *err)
{
    int64_t value = 0;
    if (text == NULL)
        return 0;
    return value_int(text, what, min, max, &value, err) < 0 ? -1
                                                            : set(spec, member, json_integer(value), err);
}

static int set_size(json_t *spec, const char *member, const char *text, struct err *err)
{
    int64_t value = 0;
    if (text != NULL && value_memory(text, &value, err) < 0)
        return -1;
    return value == 0 ? 0 : set(spec, member, json_integer(value), err);
}

static int set_more_limits(json_t *spec, const struct spec_options *options, struct err *err)
{
    bool any_swap = options->memory_swap != NULL && strcmp(options->memory_swap, "-1") == 0;
    bool any_shares = options->cpu_shares != NULL && strcmp(options->cpu_shares, "0") == 0;
    if (any_swap && set(spec, "memory_swap", json_integer(-1), err) < 0)
        return -1;
    if (set_size(spec, "memory", options->memory, err) < 0 ||
        set_size(spec, "memory_swap", any_swap ? NULL : options->memory_swap, err) < 0 ||
        set_size(spec, "memory_reservation", options->memory_reservation, err) < 0 ||
        set_size(spec, "shm_size", options->shm_size, err) < 0 ||
        (!any_shares &&
         set_number(spec, "cpu_shares", options->cpu_shares, "cpu shares", 2, 262144, err) < 0))
        return -1;
    return set_number(spec, "oom_score_adj", options->oom_score_adj, "OOM score adjustment", -1000, 1000,
                      err);
}

static int set_rights(json_t *spec, const struct spec_options *options, struct err *err)
{
    if (set_true(spec, "init", options->init, err) < 0 ||
        set_true(spec, "privileged", options->privileged, err) < 0 ||
        spec_set_list(spec, "group_add", &options->group_add, spec_text, err) < 0 ||
        spec_set_list(spec, "cap_add", &options->cap_add, spec_capability, err) < 0 ||
        spec_set_list(spec, "cap_drop", &options->cap_drop, spec_capability, err) < 0 ||
        spec_set_list(spec, "ulimits", &options->ulimits, spec_ulimit, err) < 0 ||
        spec_set_list(spec, "devices", &options->devices, spec_device, err) < 0 ||
        spec_set_list(spec, "add_hosts", &options->add_hosts, spec_add_host, err) < 0)
        return -1;
    if (spec_set_sysctls(spec, &options->sysctls, err) < 0)
        return -1;
    return spec_set_security(spec, &options->security, err);
}

static int add_mounts(json_t *array, const struct option_list *list, spec_convert convert, struct err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        json_t *mount = NULL;
        if (convert(list->items[i], &mount, err) < 0)
            return -1;
        if (json_array_append_new(array, mount) < 0)
            return err_nomem(err, "making a container spec");
    }
    return 0;
}

static int set_mounts(json_t *spec, const struct spec_options *options, struct err *err)
{
    json_auto_t *array = json_array();
    if (add_mounts(array, &options->volumes, mount_from_volume, err) < 0 ||
        add_mounts(array, &options->mounts, mount_from_words, err) < 0 ||
        add_mounts(array, &options->tmpfs, mount_from_tmpfs, err) < 0)
        return -1;
    return json_array_size(array) == 0 ? 0 : set(spec, "mounts", json_incref(array), err);
}

/* Its own is what a container has anyhow. */
static int set_sharing(json_t *spec, const char *member, const char *mode, struct err *err)
{
    if (mode == NULL || strcmp(mode, "private") == 0)
        return 0;
    if (check_sharing(mode) != NULL)
        return err_set(err, ERR_INVALID, "--%s '%s' must be private, host, or container: and a container",
                       member, mode);
    return set_text(spec, member, mode, err);
}

static int set_userns(json_t *spec, const char *mode, struct err *err)
{
    if (mode != NULL && check_userns(mode) != NULL)
        return err_set(err, ERR_INVALID, "--userns '%s' %s", mode, check_userns(mode));
    return set_text(spec, "userns", mode, err);
}

static int set_restart(json_t *spec, const struct spec_options *options, struct err *err)
{
    const char *policy = NULL;
    int64_t max = 0;
    if (options->restart == NULL)
        return 0;
    if (value_restart(options->restart, &policy, &max, err) < 0)
        return -1;
    if (options->rm && strcmp(policy, "no") != 0)
        return err_set(err, ERR_INVALID,
                       "options '--restart' and '--rm' contradict each other: leave one out");
    if (set_text(spec, "restart", policy, err) < 0)
        return -1;
    return max > 0 ? set(spec, "restart_max", json_integer(max), err) : 0;
}

/* The terminal begins with the size of ours, so that nothing is drawn for another one. */
int spec_set_streams(json_t *spec, bool interactive, bool tty, struct err *err)
{
    uint16_t rows = 0, columns = 0;
    if (set_true(spec, "interactive", interactive, err) < 0 || set_true(spec, "tty", tty, err) < 0)
        return -1;
    if (!tty || !terminal_size(&rows, &columns))
        return 0;
    return set(spec, "terminal_rows", json_integer(rows), err) < 0 ||
                   set(spec, "terminal_columns", json_integer(columns), err) < 0
               ? -1
               : 0;
}

int spec_set_env(json_t *spec, const struct option_list *env, const struct option_list *files,
                 struct err *err)
{
    if (env->n + files->n == 0)
        return 0;
    json_auto_t *list = json_array();
    if (list == NULL)
        return err_nomem(err, "making a container spec");
    for (size_t i = 0; i < files->n; i++)
        if (value_read_env_file(list, files->items[i], err) < 0)
            return -1;
    for (size_t i = 0; i < env->n; i++)
        if (value_add_env(list, env->items[i], err) < 0)
            return -1;
    return set(spec, "env", json_incref(list), err);
}

static int set_labels(json_t *spec, const struct spec_options *options, struct err *err)
{
    if (options->labels.n == 0)
        return 0;
    json_auto_t *labels = json_object();
    if (labels == NULL)
        return err_nomem(err, "making a container spec");
    for (size_t i = 0; i < options->labels.n; i++)
        if (value_add_label(labels, options->labels.items[i], err) < 0)
            return -1;
    return set(spec, "labels", json_incref(labels), err);
}

static int set_duration(json_t *spec, const char *member, const char *text, const char *what, struct err *err)
{
    int64_t ms = 0;
    if (text == NULL)
        return 0;
    if (value_duration(text, what, &ms, err) < 0)
        return -1;
    return ms == 0 ? 0 : set(spec, member, json_integer(ms), err); /* docker's 0 is the default */
}

/* The command is the shell's, as docker's CMD-SHELL. */
static int set_health(json_t *spec, const struct spec_options *options, struct err *err)
{
    int64_t retries = 0;
    bool none =
        options->no_healthcheck || (options->health_cmd != NULL && strcmp(options->health_cmd, "none") == 0);
    if (options->no_healthcheck && options->health_cmd != NULL)
        return err_set(err, ERR_INVALID, "'--no-healthcheck' and '--health-cmd' exclude each other");
    if (none) /* whatever the image says */
        return set(spec, "health_command", json_pack("[s]", ""), err);
    if (options->health_cmd != NULL &&
        set(spec, "health_command", json_pack("[s, s, s]", "/bin/sh", "-c", options->health_cmd), err) < 0)
        return -1;
    if (set_duration(spec, "health_interval_ms", options->health_interval, "health interval", err) < 0 ||
        set_duration(spec, "health_timeout_ms", options->health_timeout, "health timeout", err) < 0 ||
        set_duration(spec, "health_start_period_ms", options->health_start_period, "health start period",
                     err) < 0 ||
        set_duration(spec, "health_start_interval_ms", options->health_start_interval,
                     "health start interval", err) < 0)
        return -1;
    if (options->health_retries == NULL)
        return 0;
    if (value_int(options->health_retries, "health retries", 0, 1000000, &retries, err) < 0)
        return -1;
    return retries == 0 ? 0 : set(spec, "health_retries", json_integer(retries), err);
}

int spec_set_command(json_t *spec, int argc, char **argv, struct err *err)
{
    json_auto_t *words = json_array();
    for (int i = 0; i < argc; i++) {
        json_t *word = json_string(argv[i]);
        if (word == NULL)
            return err_set(err, ERR_INVALID, "argument %d of the command is not UTF-8", i + 1);
        if (json_array_append_new(words, word) < 0)
            return err_nomem(err, "making a command");
    }
    return set(spec, "command", json_incref(words), err);
}

static int set_command(json_t *spec, const struct spec_options *options, int argc, char **argv,
                       struct err *err)
{
    if (set_text(spec, "image", argv[0], err) < 0)
        return -1;
    if (options->entrypoint != NULL &&
        set(spec, "entrypoint", json_pack("[s]", options->entrypoint), err) < 0)
        return -1;
    return argc > 1 ? spec_set_command(spec, argc - 1, argv + 1, err) : 0;
}

int spec_make(const struct spec_options *options, int argc, char **argv, bool attach, json_t **ret,
              struct err *err)
{
    json_auto_t *spec = json_object();
    if (spec == NULL)
        return err_nomem(err, "making a container spec");
    if (set_command(spec, options, argc, argv, err) < 0 || set_text(spec, "name", options->name, err) < 0 ||
        set_text(spec, "user", options->user, err) < 0 ||
        set_text(spec, "workdir", options->workdir, err) < 0 ||
        set_text(spec, "hostname", options->hostname, err) < 0 ||
        set_text(spec, "network", options->network, err) < 0 ||
        set_sharing(spec, "ipc", options->ipc, err) < 0 || set_sharing(spec, "pid", options->pid, err) < 0 ||
        set_sharing(spec, "uts", options->uts, err) < 0 || set_userns(spec, options->userns, err) < 0 ||
        set_text(spec, "stop_signal", options->stop_signal, err) < 0 ||
        set_text(spec, "cgroup_parent", options->cgroup_parent, err) < 0 ||
        set_true(spec, "read_only", options->read_only, err) < 0 ||
        set_true(spec, "auto_remove", options->rm, err) < 0 || set_true(spec, "attach", attach, err) < 0 ||
        spec_set_streams(spec, options->interactive, options->tty, err) < 0 ||
        set_limits(spec, options, err) < 0 || set_more_limits(spec, options, err) < 0 ||
        set_rights(spec, options, err) < 0 || set_mounts(spec, options, err) < 0 ||
        set_restart(spec, options, err) < 0 || set_health(spec, options, err) < 0 ||
        spec_set_env(spec, &options->env, &options->env_files, err) < 0 || set_labels(spec, options, err) < 0)
        return -1;
    *ret = json_incref(spec);
    return 0;
}
