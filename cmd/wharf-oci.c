/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-oci: the OCI runtime. Finds the verb, reads its options, and prints what went wrong; everything else
 * is in runtime/oci.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/defence.h"
#include "base/cleanup.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/say.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "base/version.h"
#include "cmd/client/http.h"
#include "cmd/client/options.h"
#include "runtime/oci/oci.h"

#define DEFAULT_ROOT "/run/wharf-oci"

struct arguments {
    struct oci_options options;
    struct option_list env, additional_gids, caps;
    const char *preserve_fds;
    const char *log;
    const char *log_format;
    bool systemd_cgroup;
    bool debug;
    bool version;
    bool help;
};

/* The log's file and format, for warnings that come from below. */
static struct {
    const char *path;
    const char *format;
} log_to;

#define STRING(member_, letter_, name_, argument_, help_)                                                    \
    OPTION_ROW(arguments, member_, letter_, name_, argument_, OPTION_STRING, help_)
#define FLAG(member_, letter_, name_, help_)                                                                 \
    OPTION_ROW(arguments, member_, letter_, name_, NULL, OPTION_FLAG, help_)

#define LIST(member_, letter_, name_, argument_, help_)                                                      \
    OPTION_ROW(arguments, member_, letter_, name_, argument_, OPTION_LIST, help_)

static const struct option_row GLOBAL[] = {
    STRING(options.root, 0, "root", "DIR", "where the state of containers is (" DEFAULT_ROOT ")"),
    STRING(options.event_log, 0, "event-log", "SOCKET",
           "report what is done to the writer at SOCKET (oci-event-log of wharf.conf)"),
    STRING(options.event_node, 0, "event-node", "NODE", "whose events that becomes, where there are several"),
    STRING(log, 0, "log", "FILE", "append errors and warnings to FILE as well"),
    STRING(log_format, 0, "log-format", "FORMAT", "text or json (text)"),
    FLAG(systemd_cgroup, 0, "systemd-cgroup", "not supported: cgroups are made in the file system"),
    FLAG(debug, 0, "debug", "accepted for the sake of callers; there is nothing more to say"),
    FLAG(version, 'v', "version", "print the version"),
    FLAG(help, 'h', "help", "print this"),
    OPTION_END,
};
#define BUNDLE STRING(options.bundle, 'b', "bundle", "DIR", "the bundle (the working directory)")
#define CREATION                                                                                             \
    BUNDLE, STRING(options.pid_file, 0, "pid-file", "FILE", "write the first process's pid to FILE"),        \
        STRING(options.console_socket, 0, "console-socket", "PATH", "send the terminal's master there"),     \
        STRING(preserve_fds, 0, "preserve-fds", "N", "leave N descriptors from 3 on to the container"),      \
        FLAG(options.no_pivot, 0, "no-pivot", "move and chroot instead of pivot_root"),                      \
        FLAG(options.no_new_keyring, 0, "no-new-keyring", "keep the session keyring")
#define FORMAT STRING(options.format, 'f', "format", "FORMAT", "table or json")

static const struct option_row CREATE[] = {CREATION, OPTION_END};
static const struct option_row RUN[] = {
    CREATION, FLAG(options.detach, 'd', "detach", "do not wait for its end"), OPTION_END};
static const struct option_row EXEC[] = {
    STRING(options.process, 'p', "process", "FILE", "what to execute, as `process` of a config.json"),
    STRING(options.pid_file, 0, "pid-file", "FILE", "write the process's pid to FILE"),
    STRING(options.console_socket, 0, "console-socket", "PATH", "send the terminal's master there"),
    STRING(preserve_fds, 0, "preserve-fds", "N", "leave N descriptors from 3 on to the process"),
    FLAG(options.detach, 'd', "detach", "do not wait for its end"),
    FLAG(options.tty, 't', "tty", "give it a terminal"),
    STRING(options.cwd, 0, "cwd", "DIR", "its working directory in the container"),
    LIST(env, 'e', "env", "KEY=VALUE", "a variable for its environment"),
    STRING(options.user, 'u', "user", "UID[:GID]", "who it runs as"),
    LIST(additional_gids, 'g', "additional-gids", "GID", "one more group"),
    LIST(caps, 'c', "cap", "CAP_NAME", "one more capability"),
    FLAG(options.no_new_privs, 0, "no-new-privs", "execve cannot give it more rights"),
    STRING(options.apparmor, 0, "apparmor", "PROFILE", "its AppArmor profile"),
    STRING(options.process_label, 0, "process-label", "LABEL", "its SELinux label"),
    FLAG(options.ignore_paused, 0, "ignore-paused", "in a paused container, wait until it is resumed"),
    OPTION_END,
};
static const struct option_row KILL[] = {
    FLAG(options.all, 'a', "all", "send it to all processes of the container"), OPTION_END};
static const struct option_row DELETE[] = {FLAG(options.force, 'f', "force", "kill it first if it runs"),
                                           OPTION_END};
static const struct option_row LIST[] = {FORMAT, FLAG(options.quiet, 'q', "quiet", "ids only"), OPTION_END};
static const struct option_row PS[] = {FORMAT, OPTION_END};
static const struct option_row SPEC[] = {BUNDLE, OPTION_END};
#define LIMIT(member_, letter_, name_, argument_, help_)                                                     \
    STRING(options.limits.member_, letter_, name_, argument_, help_)
static const struct option_row UPDATE[] = {
    STRING(options.resources, 'r', "resources", "FILE", "linux.resources as JSON; - is the standard input"),
    LIMIT(blkio_weight, 0, "blkio-weight", "N", "share of block devices, 10 to 1000"),
    LIMIT(cpu_burst, 0, "cpu-burst", "US", "unused time of a period that may be saved up"),
    LIMIT(cpu_idle, 0, "cpu-idle", "0|1", "run only when nobody else wants to"),
    LIMIT(cpu_period, 0, "cpu-period", "US", "what the quota counts in"),
    LIMIT(cpu_quota, 0, "cpu-quota", "US", "processor time in a period; -1: no limit"),
    LIMIT(cpu_share, 0, "cpu-share", "N", "share of the processors"),
    LIMIT(cpu_rt_period, 0, "cpu-rt-period", "US", "what the real-time limit counts in"),
    LIMIT(cpu_rt_runtime, 0, "cpu-rt-runtime", "US", "real-time processor time in a period"),
    LIMIT(cpuset_cpus, 0, "cpuset-cpus", "LIST", "processors it may run on"),
    LIMIT(cpuset_mems, 0, "cpuset-mems", "LIST", "memory nodes it may use"),
    LIMIT(memory, 'm', "memory", "BYTES", "memory; -1: no limit"),
    LIMIT(memory_reservation, 0, "memory-reservation", "BYTES", "memory it is pushed back to"),
    LIMIT(memory_swap, 0, "memory-swap", "BYTES", "memory and swap; -1: no limit"),
    LIMIT(kernel_memory, 0, "kernel-memory", "BYTES", "kernel memory, where the kernel still counts it"),
    LIMIT(kernel_memory_tcp, 0, "kernel-memory-tcp", "BYTES", "memory for TCP"),
    LIMIT(pids_limit, 0, "pids-limit", "N", "processes and threads; 0: no limit"),
    OPTION_END,
};
static const struct option_row EVENTS[] = {
    FLAG(options.stats, 0, "stats", "once, and end"),
    STRING(options.interval, 0, "interval", "TIME", "how often; 5s by default"),
    OPTION_END,
};
static const struct option_row NONE[] = {OPTION_END};

static int create(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_create(&a->options, argv[0], err);
}
static int start(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_start(&a->options, argv[0], err);
}
static int run(const struct arguments *a, char **argv, int *code, struct err *err)
{
    return oci_run(&a->options, argv[0], code, err);
}
static int exec(const struct arguments *a, char **argv, int *code, struct err *err)
{
    struct oci_options options = a->options;
    options.env = (struct oci_texts){a->env.items, a->env.n};
    options.additional_gids = (struct oci_texts){a->additional_gids.items, a->additional_gids.n};
    options.caps = (struct oci_texts){a->caps.items, a->caps.n};
    return oci_exec(&options, argv[0], argv + 1, code, err);
}
static int state(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_state(&a->options, argv[0], stdout, err);
}
static int signal_container(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_kill(&a->options, argv[0], argv[1] == NULL ? "TERM" : argv[1], err);
}
static int delete_container(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_delete(&a->options, argv[0], err);
}
static int list(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)argv;
    (void)code;
    return oci_list(&a->options, stdout, err);
}
static int ps(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_ps(&a->options, argv[0], stdout, err);
}
static int pause_container(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_pause(&a->options, argv[0], err);
}
static int resume(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_resume(&a->options, argv[0], err);
}
static int update(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_update(&a->options, argv[0], err);
}
static int events(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)code;
    return oci_events(&a->options, argv[0], stdout, err);
}
static int spec(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)argv;
    (void)code;
    return oci_spec(&a->options, err);
}
static int features(const struct arguments *a, char **argv, int *code, struct err *err)
{
    (void)a;
    (void)argv;
    (void)code;
    return oci_features(stdout, err);
}

/* argv: the operands and a NULL. */
static const struct verb {
    const char *name;
    const char *operands;
    const char *help;
    int min_operands, max_operands;
    const struct option_row *rows;
    int (*execute)(const struct arguments *arguments, char **argv, int *ret_exit_code, struct err *err);
} VERBS[] = {
    {"create", "ID", "create a container from a bundle", 1, 1, CREATE, create},
    {"start", "ID", "execute the command of a created container", 1, 1, NONE, start},
    {"run", "ID", "create, start, wait and delete", 1, 1, RUN, run},
    {"exec", "ID [COMMAND [ARG...]]", "execute a process in a container", 1, INT_MAX, EXEC, exec},
    {"state", "ID", "print a container's state as JSON", 1, 1, NONE, state},
    {"kill", "ID [SIGNAL]", "send a signal to a container's first process", 1, 2, KILL, signal_container},
    {"delete", "ID", "delete a stopped container", 1, 1, DELETE, delete_container},
    {"list", "", "list containers", 0, 0, LIST, list},
    {"ps", "ID", "list a container's processes", 1, 1, PS, ps},
    {"pause", "ID", "freeze a container's processes", 1, 1, NONE, pause_container},
    {"resume", "ID", "let them go on", 1, 1, NONE, resume},
    {"update", "ID", "change a container's limits", 1, 1, UPDATE, update},
    {"events", "ID", "print a container's statistics and OOM kills as JSON", 1, 1, EVENTS, events},
    {"spec", "", "write a config.json to begin with", 0, 0, SPEC, spec},
    {"features", "", "print what is supported as JSON", 0, 0, NONE, features},
};
#define N_VERBS (sizeof(VERBS) / sizeof(VERBS[0]))

static void print_rows(const struct option_row *rows)
{
    for (; rows->name != NULL; rows++)
        printf("      --%s%s%s\n            %s\n", rows->name, rows->argument == NULL ? "" : " ",
               rows->argument == NULL ? "" : rows->argument, rows->help);
}

static int print_help(const struct verb *verb)
{
    printf("usage: wharf-oci [OPTION...] %s [OPTION...] %s\n\n", verb == NULL ? "VERB" : verb->name,
           verb == NULL ? "[ID]" : verb->operands);
    for (size_t i = 0; i < N_VERBS && verb == NULL; i++)
        printf("  %-9s %-12s %s\n", VERBS[i].name, VERBS[i].operands, VERBS[i].help);
    if (verb != NULL && verb->rows->name != NULL) {
        printf("  %s\n", verb->help);
        print_rows(verb->rows);
    }
    printf("\n  everywhere\n");
    print_rows(GLOBAL);
    return 0;
}

/* What is named may have any bytes; JSON has UTF-8. */
static json_t *text_of(const char *message)
{
    auto_free char *text = strdup(message);
    if (text == NULL)
        return NULL;
    utf8_or_ascii(text);
    return json_string(text);
}

/* As runc writes it: podman and containerd read the JSON. */
static void write_log(const char *level, const char *message)
{
    char now[TIMESTAMP_SIZE];
    if (log_to.path == NULL)
        return;
    auto_file FILE *file = fopen(log_to.path, "ae");
    if (file == NULL) {
        say_warning("cannot write to the log '%s'", log_to.path);
        return;
    }
    timestamp_format(now, clock_realtime_ns());
    json_auto_t *text = text_of(message);
    if (log_to.format != NULL && strcmp(log_to.format, "json") == 0) {
        json_auto_t *line = json_pack("{s:O, s:s, s:s}", "msg", text, "level", level, "time", now);
        json_dumpf(line, file, JSON_COMPACT);
    } else {
        fprintf(file, "time=\"%s\" level=%s msg=", now, level);
        json_dumpf(text, file, JSON_ENCODE_ANY);
    }
    fputc('\n', file);
}

static void warn(const char *message)
{
    say_warning("%s", message);
    write_log("warning", message);
}

/* 400, 413 and 422 are about the report itself, and will not change. */
static int deliver(const char *socket_path, const char *key, const char *body, int timeout_ms,
                   struct err *err)
{
    struct http_call call = HTTP_CALL_INIT;
    auto_buf struct buf headers = BUF_INIT;
    buf_printf(&headers, "Idempotency-Key: oci-%s\r\nContent-Type: application/json\r\n", key);
    const struct http_request request = {.method = "POST",
                                         .target = "/v1/commands",
                                         .headers = headers.data,
                                         .body = body,
                                         .body_size = strlen(body)};
    if (headers.failed)
        return err_nomem(err, "reporting to the event log");
    int result = http_connect(&call, "writer", socket_path, err);
    if (result == 0)
        result = http_send(&call, &request, err);
    if (result == 0)
        result = http_receive_all(&call, timeout_ms, err);
    int status = call.response.status;
    if (result == 0 && status / 100 != 2) {
        const struct buf *text = &call.response.body;
        json_auto_t *problem = json_loadb(text->size > 0 ? text->data : "", text->size, 0, NULL);
        const char *detail = json_string_value(json_object_get(problem, "detail"));
        err_fill(err, ERR_UNAVAILABLE, "the writer answered %d: %s", status,
                 detail == NULL ? "no reason" : detail);
        result = status == 400 || status == 413 || status == 422 ? 1 : -1;
    }
    http_release(&call);
    return result;
}

/* For callers who cannot pass options, as podman's clean-up. A configuration that is wrong is no reason not
 * to start a container. */
static void find_event_log(struct arguments *arguments, struct config *config)
{
    struct err err = ERR_INIT;
    arguments->options.deliver = deliver;
    if (arguments->options.event_log == NULL && config_load(config, NULL, NULL, 0, &err) < 0)
        warn(err.message);
    if (arguments->options.event_log == NULL)
        arguments->options.event_log = config->oci_event_log;
    if (arguments->options.event_node == NULL && config->oci_event_node != NULL &&
        config->oci_event_node[0] != '\0')
        arguments->options.event_node = config->oci_event_node;
    if (arguments->options.event_log != NULL && arguments->options.event_log[0] == '\0')
        arguments->options.event_log = NULL;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(VERBS[i].name, name) == 0)
            return &VERBS[i];
    }
    return NULL;
}

static int check(struct arguments *arguments, struct err *err)
{
    const char *format = arguments->log_format;
    if (format != NULL && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return err_set(err, ERR_INVALID, "--log-format is 'text' or 'json', not '%s'", format);
    if (arguments->systemd_cgroup)
        return err_set(err, ERR_INVALID,
                       "--systemd-cgroup is not supported: let the caller use the cgroupfs manager");
    if (arguments->preserve_fds != NULL) {
        char *end;
        long n = strtol(arguments->preserve_fds, &end, 10);
        if (*end != '\0' || end == arguments->preserve_fds || n < 0 || n > 1000)
            return err_set(err, ERR_INVALID, "--preserve-fds is a number up to 1000, not '%s'",
                           arguments->preserve_fds);
        arguments->options.preserve_fds = (int)n;
    }
    /* Before anything is opened: descriptors of our own would be taken for the caller's. */
    for (int fd = 3; fd < 3 + arguments->options.preserve_fds; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            return err_set(err, ERR_INVALID, "--preserve-fds %s: the descriptor %d is not open",
                           arguments->preserve_fds, fd);
    }
    return 0;
}

/* Options come before or behind the id; what a command of its own follows has its own. */
static int parse(const struct verb *verb, struct arguments *arguments, int *argc, char **argv,
                 struct err *err)
{
    const struct option_target targets[] = {{verb->rows, arguments}, {GLOBAL, arguments}};
    bool command = verb->max_operands == INT_MAX;
    if (options_parse(targets, 2, command, argc, argv, err) < 0)
        return -1;
    if (!command || *argc < 2)
        return 0;
    int rest = *argc - 1;
    if (options_parse(targets, 2, true, &rest, argv + 1, err) < 0)
        return -1;
    *argc = rest + 1;
    return 0;
}

static int execute(const struct verb *verb, struct arguments *arguments, int argc, char **argv, int *ret_code,
                   struct err *err)
{
    if (parse(verb, arguments, &argc, argv, err) < 0)
        return err_wrap(err, "%s", verb->name);
    if (arguments->help)
        return print_help(verb);
    if (argc < verb->min_operands || argc > verb->max_operands)
        return err_set(err, ERR_INVALID, "usage: wharf-oci %s [OPTION...] %s", verb->name, verb->operands);
    argv[argc] = NULL;
    log_to.path = arguments->log;
    log_to.format = arguments->log_format;
    if (check(arguments, err) < 0)
        return -1;
    /* What the caller left open by accident is not for the container (CVE-2024-21626). */
    if (DEFENDED(CLOSED_DESCRIPTORS))
        syscall(SYS_close_range, 3u + (unsigned)arguments->options.preserve_fds, ~0u, CLOSE_RANGE_CLOEXEC);
    struct config config = {.state_dir = NULL};
    find_event_log(arguments, &config);
    int result = verb->execute(arguments, argv, ret_code, err);
    config_release(&config);
    return result;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct arguments arguments = {.options = {.root = DEFAULT_ROOT, .warn = warn}};
    const struct option_target targets[] = {{GLOBAL, &arguments}};
    int n = argc - 1, code = 0;
    char **rest = argv + 1;
    say_init("wharf-oci");
    if (argc < 1 || options_parse(targets, 1, true, &n, rest, &err) < 0) {
        say_error("%s", err.message);
        return 1;
    }
    log_to.path = arguments.log;
    log_to.format = arguments.log_format;
    if (arguments.version) {
        printf("wharf-oci version %s\nspec: %s\n", WHARF_VERSION, OCI_VERSION);
        return 0;
    }
    if (arguments.help || n == 0)
        return print_help(NULL) + (n == 0 && !arguments.help);
    const struct verb *verb = find_verb(rest[0]);
    int result = verb == NULL
                     ? err_set(&err, ERR_INVALID, "there is no verb '%s'; --help lists them", rest[0])
                     : execute(verb, &arguments, n - 1, rest + 1, &code, &err);
    options_release(verb == NULL ? NULL : verb->rows, &arguments);
    if (result < 0) {
        say_error("%s", err.message);
        write_log("error", err.message);
        return 1;
    }
    return fflush(stdout) == 0 ? code : 1;
}
