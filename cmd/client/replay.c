/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf replay: what should run and does not. `wharf-runtime --preview` says what that is
 * (runtime/preview.h); here it is shown, asked about, and started by ordinary commands, each conditional on
 * the version that was looked at and under a key made of it, so that doing it twice does it once.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/role.h"
#include "cmd/client/stack.h"
#include "cmd/client/table.h"

#define PROBE_MS 3000
#define WINDOW 32

extern char **environ;

struct replay_options {
    bool dry_run;
    bool yes;
    const char *format;
    const char *log;
    const char *node;
    const char *state_dir;
};

static const struct option_row rows[] = {
    OPTION_ROW(replay_options, dry_run, 0, "dry-run", NULL, OPTION_FLAG,
               "only show what would be done; the stack need not be up"),
    OPTION_ROW(replay_options, yes, 'y', "yes", NULL, OPTION_FLAG, "do not ask"),
    {.name = "format",
     .argument = "FORMAT",
     .kind = OPTION_STRING,
     .offset = offsetof(struct replay_options, format),
     .help = "with --dry-run: table, or json: an object a line",
     .words = "table json"},
    OPTION_ROW(replay_options, log, 0, "log", "URL", OPTION_STRING,
               "as for 'wharf up', before the first one"),
    OPTION_ROW(replay_options, node, 0, "node", "NAME", OPTION_STRING, "as for 'wharf up'"),
    OPTION_ROW(replay_options, state_dir, 0, "state-dir", "DIR", OPTION_STRING, "as for 'wharf up'"),
    OPTION_END};

/* --- what there is to do --- */

/* The options over what the running stack says, and that over the configuration. */
static int take_settings(struct client *client, const struct replay_options *options, struct err *err)
{
    const struct config_flag flags[] = {{"run-dir", client->config.run_dir},
                                        {"log", options->log},
                                        {"node", options->node},
                                        {"state-dir", options->state_dir}};
    struct config_flag all[4];
    size_t n = 0;
    for (size_t i = 0; i < 4; i++)
        if (flags[i].value != NULL)
            all[n++] = flags[i];
    struct config config;
    if (config_load(&config, client->config_file, all, n, err) < 0)
        return -1;
    config_release(&client->config);
    client->config = config;
    return n > 1 ? 0 : stack_take_settings(&client->config, err);
}

/* 1: it serves; 0: it is not there; -1: it is there and does not serve yet. */
static int probe_runtime(const struct client *client, struct err *err)
{
    auto_free char *text = NULL;
    int status = 0;
    if (api_get_text(client, API_RUNTIME, "/readyz", PROBE_MS, &status, &text, NULL) < 0)
        return 0;
    if (status == 200)
        return 1;
    return err_set(err, ERR_UNAVAILABLE, "the runtime of node '%s' is still starting: try again in a moment",
                   client->config.node);
}

static int spawn_preview(const struct client *client, bool up, int output_fd, pid_t *ret, struct err *err)
{
    const struct config *config = &client->config;
    auto_free char *path = NULL;
    if (role_find("runtime", &path, err) < 0)
        return -1;
    if (client->config_file != NULL)
        setenv("WHARF_CONFIG", client->config_file, 1);
    char *arguments[] = {path,
                         (char *)(up ? "--preview=up" : "--preview=down"),
                         (char *)"--state-dir",
                         config->state_dir,
                         (char *)"--run-dir",
                         config->run_dir,
                         (char *)"--log",
                         config->log_url,
                         (char *)"--node",
                         config->node,
                         NULL};
    posix_spawn_file_actions_t actions;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return err_sys(err, rc, "cannot start '%s'", path);
    rc = posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn(ret, path, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ? 0 : err_sys(err, rc, "cannot start '%s'", path);
}

/* The lines of the preview, all of them, as an array. */
static json_t *read_lines(FILE *file, struct err *err)
{
    json_auto_t *lines = json_array();
    auto_free char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, file)) > 0) {
        json_t *value = json_loadb(line, (size_t)size, 0, NULL);
        if (value == NULL || json_array_append_new(lines, value) < 0) {
            err_set(err, ERR_PROTOCOL,
                    "wharf-runtime said something that is no JSON: is wharf of one build?");
            return NULL;
        }
    }
    return steal_ptr(lines);
}

static json_t *look(const struct client *client, bool up, struct err *err)
{
    const struct config *config = &client->config;
    int fds[2], status = 0;
    pid_t pid = -1;
    if (pipe2(fds, O_CLOEXEC) < 0) {
        err_sys(err, errno, "cannot make a pipe");
        return NULL;
    }
    auto_file FILE *file = fdopen(fds[0], "r");
    auto_fd int output = fds[1];
    if (file == NULL)
        close(fds[0]);
    if (file == NULL || spawn_preview(client, up, output, &pid, err) < 0)
        return NULL;
    close(steal_fd(&output));
    json_auto_t *lines = read_lines(file, err);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (lines == NULL)
        return NULL;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        err_set(err, ERR_SYSTEM, "cannot tell what should run: see above");
        return NULL;
    }
    if (json_integer_value(json_object_get(json_array_get(lines, 0), "events")) == 0) {
        err_set(err, ERR_NOT_FOUND, "the log '%s' knows no node '%s': say with --node and --log which it is",
                config->log_url, config->node);
        return NULL;
    }
    return steal_ptr(lines);
}

static bool is_kind(const json_t *line, const char *kind)
{
    return strcmp(json_text(line, "kind", ""), kind) == 0;
}

static bool is_start_by(const json_t *line, const char *who)
{
    return is_kind(line, "start") && strcmp(json_text(line, "by", ""), who) == 0;
}

static size_t count_replayed(const json_t *lines)
{
    size_t i, n = 0;
    json_t *line;
    json_array_foreach(lines, i, line) n += is_start_by(line, "replay") ? 1 : 0;
    return n;
}

/* --- showing it --- */

static const char *explain_why(const json_t *line)
{
    static const char *const texts[][2] = {
        {"host-restart", "its host was restarted"},
        {"state-lost", "its host's state was lost"},
        {"image-missing", "its restart policy found no image contents"},
        {"restarting", "it had ended and was about to be restarted"},
    };
    const char *why = json_text(line, "why", "");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i][0], why) == 0)
            return texts[i][1];
    return why;
}

static int print_starts(const json_t *lines, const char *who, const char *title, FILE *out, struct err *err)
{
    struct table table;
    size_t i, n = 0;
    json_t *line;
    table_init(&table, 4);
    json_array_foreach(lines, i, line)
    {
        if (!is_start_by(line, who))
            continue;
        table_add(&table, "  %s", json_text(line, "name", ""));
        table_add(&table, "%.12s", json_text(line, "container", ""));
        table_add(&table, "%s%s", json_text(line, "image", ""),
                  json_is_true(json_object_get(line, "image_here")) ? "" : " (not on this host)");
        table_add(&table, "%s", explain_why(line));
        n++;
    }
    if (n > 0)
        fprintf(out, "%s\n", title);
    int rc = n > 0 ? table_print(&table, out, err) : 0;
    table_release(&table);
    return rc;
}

static void add_event(struct table *table, const json_t *line)
{
    const json_t *data = json_object_get(line, "data");
    const char *type = json_text(line, "type", "");
    const char *dot = strchr(type, '.');
    table_add(table, "  %s", json_text(line, "name", ""));
    table_add(table, "%.12s", json_text(line, "container", ""));
    table_add(table, "%s", dot != NULL ? dot + 1 : type);
    if (strcmp(type, "container.restarting") == 0)
        table_add(table, "its restart policy starts it again");
    else
        table_add(table, "%s", json_text(data, "observed", json_text(data, "reason", "")));
}

static int print_records(const json_t *lines, struct err *err)
{
    struct table table;
    size_t i, n = 0;
    json_t *line;
    table_init(&table, 4);
    json_array_foreach(lines, i, line)
    {
        if (is_kind(line, "event")) {
            add_event(&table, line);
        } else if (is_kind(line, "remove")) {
            table_add(&table, "  %s", json_text(line, "name", ""));
            table_add(&table, "%.12s", json_text(line, "container", ""));
            table_add(&table, "removed");
            table_add(&table, "it was to be removed at its end");
        } else {
            continue;
        }
        n++;
    }
    if (n > 0)
        puts("the start of the runtime records:");
    int rc = n > 0 ? table_print(&table, stdout, err) : 0;
    table_release(&table);
    return rc;
}

static void print_images(const json_t *lines, FILE *out)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        if (!is_kind(line, "image"))
            continue;
        size_t at;
        json_t *name;
        fprintf(out, "to be imported first: %s (%s), for", json_text(line, "image", ""),
                json_text(line, "digest", ""));
        json_array_foreach(json_object_get(line, "containers"), at, name)
            fprintf(out, "%s '%s'", at == 0 ? "" : ",", json_string_value(name));
        fputc('\n', out);
    }
}

static int show(const json_t *lines, struct err *err)
{
    static const char *const hosts[][2] = {
        {"lost", "its state directory is new"}, {"restarted", "its host was restarted"}, {"same", ""}};
    const json_t *node = json_array_get(lines, 0);
    bool down = strcmp(json_text(node, "runtime", ""), "down") == 0;
    const char *host = "";
    for (size_t i = 0; down && i < 3; i++)
        if (strcmp(hosts[i][0], json_text(node, "host", "")) == 0)
            host = hosts[i][1];
    printf("node '%s' is %s%s%s\n", json_text(node, "node", ""), down ? "down" : "up",
           host[0] != '\0' ? ", and " : "", host);
    if (print_records(lines, err) < 0 ||
        print_starts(lines, "policy", "started by their restart policies:", stdout, err) < 0 ||
        print_starts(lines, "replay", "'wharf replay' starts:", stdout, err) < 0)
        return -1;
    print_images(lines, stdout);
    if (count_replayed(lines) == 0)
        puts("'wharf replay' has nothing to start");
    return 0;
}

static int show_json(const json_t *lines, struct err *err)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line) if (listing_print_json(line, err) < 0) return -1;
    return 0;
}

static int dry_run(const json_t *lines, const struct replay_options *options, struct err *err)
{
    enum listing_format format;
    if (listing_format(options->format, LISTING_TABLE, &format, err) < 0)
        return -1;
    return format == LISTING_JSON ? show_json(lines, err) : show(lines, err);
}

/* --- doing it --- */

/* True for yes. Without a terminal there is nobody to ask. */
static int ask(const json_t *lines, size_t n, struct err *err)
{
    char answer[16] = "";
    if (!is_terminal(stdin) || !is_terminal(stderr))
        return err_set(err, ERR_INVALID,
                       "there is no terminal to ask on whether to start %zu container%s: say --yes, or see "
                       "with --dry-run what would be done",
                       n, n == 1 ? "" : "s");
    if (print_starts(lines, "replay", "to be started:", stderr, err) < 0)
        return -1;
    print_images(lines, stderr);
    fprintf(stderr, "start %zu container%s? [y/N] ", n, n == 1 ? "" : "s");
    if (fgets(answer, sizeof(answer), stdin) == NULL)
        return 0;
    answer[strcspn(answer, "\n")] = '\0';
    return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

static int start_begin(const struct client *client, const json_t *line, struct api_command *command,
                       struct err *err)
{
    const char *container = json_text(line, "container", "");
    int64_t version = json_integer_value(json_object_get(line, "version"));
    char key[CONTAINER_ID_SIZE + 40];
    *command = (struct api_command){.call = HTTP_CALL_INIT};
    if (!json_is_true(json_object_get(line, "image_here")))
        return err_set(err, ERR_NOT_FOUND,
                       "image contents of '%s' (%s) are not on this host: import it again",
                       json_text(line, "image", ""), json_text(line, "digest", ""));
    snprintf(key, sizeof(key), "replay:%s:%lld", container, (long long)version);
    return api_command_begin_once(command, client, "container.start", client->config.node,
                                  json_pack("{s:s}", "container", container), key, version, err);
}

static int start_all(const struct client *client, const json_t *lines)
{
    const json_t *batch[WINDOW];
    struct api_command commands[WINDOW];
    struct err errs[WINDOW];
    int begun[WINDOW];
    size_t at = 0, n_lines = json_array_size(lines);
    int code = 0;
    while (at < n_lines) {
        int n = 0;
        for (; at < n_lines && n < WINDOW; at++) {
            const json_t *line = json_array_get(lines, at);
            if (!is_start_by(line, "replay"))
                continue;
            batch[n] = line;
            errs[n] = (struct err)ERR_INIT;
            begun[n] = start_begin(client, line, &commands[n], &errs[n]);
            n++;
        }
        for (int i = 0; i < n; i++)
            if (api_command_conclude(&commands[i], begun[i], "start", json_text(batch[i], "name", ""),
                                     &errs[i]) < 0)
                code = 1;
    }
    return code;
}

/* 0 or 1 for the exit code; -1 with an error. */
static int carry_out(const struct client *client, const json_t *lines, bool yes, struct err *err)
{
    size_t n = count_replayed(lines);
    if (n == 0) {
        say_info("everything that should run on node '%s' runs, or is left to its restart policy",
                 client->config.node);
        return 0;
    }
    int sure = yes ? 1 : ask(lines, n, err);
    if (sure < 0)
        return -1;
    if (sure == 0) {
        say_info("nothing was started");
        return 1;
    }
    return start_all(client, lines);
}

static int replay(struct client *client, const void *values, int argc, char **argv)
{
    const struct replay_options *options = values;
    struct err err = ERR_INIT;
    json_auto_t *lines = NULL;
    int rc = -1, up = -1;
    (void)argc;
    (void)argv;
    if (take_settings(client, options, &err) == 0 && (up = probe_runtime(client, &err)) == 0 &&
        !options->dry_run)
        err_set(&err, ERR_UNAVAILABLE,
                "the stack in '%s' is not running: start it with 'wharf up', or see with --dry-run what that "
                "would do",
                client->config.run_dir);
    else if (up >= 0 && (lines = look(client, up > 0, &err)) != NULL)
        rc = options->dry_run ? dry_run(lines, options, &err) : carry_out(client, lines, options->yes, &err);
    if (rc >= 0)
        return rc;
    say_error("%s", err.message);
    return 1;
}

const struct verb verb_replay = {
    .name = "replay",
    .group = VERB_HISTORY,
    .synopsis = "",
    .summary = "start again what should run and does not",
    .description =
        "Starts the containers whose host went away under them and that nobody has ended: after a "
        "restart of the host those without a restart policy, and on a fresh host, given the node's "
        "name and log, all that ran. Not those that ended by themselves or were stopped.\n\n"
        "Images whose contents are not on this host have to be imported first; --dry-run lists them. "
        "It works before the first 'wharf up' on a fresh host as well, and changes nothing.\n\n"
        "On a terminal it asks. Doing it again changes nothing.",
    .options = rows,
    .options_size = sizeof(struct replay_options),
    .execute = replay,
};
