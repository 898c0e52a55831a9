/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/image_changes.h"
#include "cmd/client/values.h"

struct import_options {
    const char *entrypoint;
    const char *command;
    struct option_list env;
    struct option_list changes;
    const char *workdir;
    const char *user;
    const char *node;
};

static const struct option_row rows[] = {
    OPTION_ROW(import_options, entrypoint, 0, "entrypoint", "WORDS", OPTION_STRING,
               "default entrypoint: words, or a JSON array"),
    OPTION_ROW(import_options, command, 0, "cmd", "WORDS", OPTION_STRING,
               "default command: words, or a JSON array"),
    OPTION_ROW(import_options, env, 'e', "env", "KEY=VALUE", OPTION_LIST, "default environment variable"),
    OPTION_ROW(import_options, changes, 'c', "change", "LINE", OPTION_LIST,
               "part of its configuration: CMD, ENTRYPOINT, ENV, HEALTHCHECK, LABEL, STOPSIGNAL, USER or "
               "WORKDIR, as in a Dockerfile"),
    OPTION_ROW(import_options, workdir, 'w', "workdir", "DIR", OPTION_STRING, "default working directory"),
    OPTION_ROW(import_options, user, 'u', "user", "USER[:GROUP]", OPTION_STRING, "default user"),
    OPTION_ROW(import_options, node, 0, "node", "NODE", OPTION_STRING, "node to import it on"),
    OPTION_END};

static int copy_stdin(int fd, struct err *err)
{
    char data[64 * 1024];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, data, sizeof(data));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "cannot read standard input");
        if (n == 0)
            return 0;
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(fd, data + done, (size_t)(n - done));
            if (written < 0 && errno == EINTR)
                continue;
            if (written < 0)
                return err_sys(err, errno, "cannot write the temporary file");
            done += written;
        }
    }
}

/* The runtime reads the archive by path, so what comes from a pipe is put into a file first. Signals that
 * would end us wait until it is gone again. `path` holds PATH_MAX bytes. */
static int spool_stdin(char *path, struct err *err)
{
    const char *dir = getenv("TMPDIR");
    snprintf(path, PATH_MAX, "%s/wharf-import-XXXXXX", dir != NULL && dir[0] == '/' ? dir : "/var/tmp");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    auto_fd int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        err_sys(err, errno, "cannot make the temporary file '%s'", path);
        path[0] = '\0';
        return -1;
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    return copy_stdin(fd, err);
}

static int set_words(json_t *data, const char *member, const char *text, struct err *err)
{
    json_t *words = NULL;
    if (text == NULL)
        return 0;
    if (value_words(text, member, &words, err) < 0)
        return -1;
    return json_object_set_new(data, member, words) < 0 ? err_nomem(err, "making a command") : 0;
}

static int make_data(const struct import_options *options, const char *source, const char *reference,
                     json_t **ret, struct err *err)
{
    json_auto_t *data = json_pack("{s:s, s:s, s:s*, s:s*}", "source", source, "reference", reference,
                                  "workdir", options->workdir, "user", options->user);
    if (data == NULL)
        return err_set(err, ERR_INVALID, "'%s' or another value is not UTF-8", source);
    if (set_words(data, "entrypoint", options->entrypoint, err) < 0 ||
        set_words(data, "command", options->command, err) < 0)
        return -1;
    if (options->env.n > 0) {
        json_t *env = json_array();
        if (env == NULL || json_object_set_new(data, "env", env) < 0)
            return err_nomem(err, "making a command");
        for (size_t i = 0; i < options->env.n; i++)
            if (value_add_env(env, options->env.items[i], err) < 0)
                return -1;
    }
    for (size_t i = 0; i < options->changes.n; i++)
        if (image_change(data, options->changes.items[i], err) < 0)
            return -1;
    *ret = json_incref(data);
    return 0;
}

static int import_source(struct client *client, const struct import_options *options, const char *source,
                         const char *reference, struct err *err)
{
    json_t *data = NULL;
    if (make_data(options, source, reference, &data, err) < 0)
        return -1;
    struct api_command command;
    struct api_result result = {0};
    int rc = api_command_begin(&command, client, "image.import", options->node, data, true, err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, err);
    api_command_release(&command);
    return rc == 0 && !result.ok ? err_set(err, ERR_CONFLICT, "%s", result.message) : rc;
}

static int import_image(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    struct err err = ERR_INIT;
    char path[PATH_MAX] = "";
    bool piped = strcmp(argv[0], "-") == 0;
    int rc = 0;
    if (piped)
        rc = spool_stdin(path, &err);
    else if (realpath(argv[0], path) == NULL)
        rc = err_sys(&err, errno, "cannot find '%s'", argv[0]);
    if (rc == 0)
        rc = import_source(client, values, path, argv[1], &err);
    if (piped && path[0] != '\0')
        unlink(path);
    if (rc < 0) {
        say_error("cannot import '%s': %s", argv[0], err.message);
        return 1;
    }
    printf("%s\n", argv[1]);
    return 0;
}

const struct verb verb_import = {
    .name = "import",
    .group = VERB_IMAGES,
    .synopsis = "DIRECTORY|ARCHIVE|- NAME[:TAG]",
    .summary = "make an image from a directory or a tar archive",
    .description = "The archive may be compressed. '-' reads it from standard input.",
    .operands = "file",
    .options = rows,
    .options_size = sizeof(struct import_options),
    .min_operands = 2,
    .max_operands = 2,
    .execute = import_image,
};
