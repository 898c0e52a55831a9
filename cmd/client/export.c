/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/archive.h"
#include "cmd/client/reading.h"

struct export_options {
    const char *output;
};

static const struct option_row rows[] = {
    OPTION_ROW(export_options, output, 'o', "output", "FILE", OPTION_STRING, "write to a file"), OPTION_END};

/* A file that has a name only when it is whole, so that nothing is left whatever ends us; where the file
 * system has no such files, or the path is of a device or a pipe, the path itself. */
static int open_output(const char *path, bool *ret_unnamed, struct err *err)
{
    struct stat st;
    auto_free char *copy = strdup(path);
    if (copy == NULL)
        return err_nomem(err, "opening a file");
    char *slash = strrchr(copy, '/');
    if (slash != NULL)
        slash[slash == copy ? 1 : 0] = '\0';
    bool plain = lstat(path, &st) < 0 || S_ISREG(st.st_mode);
    int fd = plain ? open(slash != NULL ? copy : ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666) : -1;
    *ret_unnamed = fd >= 0;
    if (fd < 0)
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return fd >= 0 ? fd : err_sys(err, errno, "cannot write '%s'", path);
}

/* linkat(2) replaces nothing, rename(2) does. */
static int name_output(int fd, const char *path, struct err *err)
{
    char from[64], temporary[PATH_MAX];
    snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
    if (snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >= (int)sizeof(temporary))
        return err_sys(err, ENAMETOOLONG, "cannot write '%s'", path);
    if (linkat(AT_FDCWD, from, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0)
        return err_sys(err, errno, "cannot write '%s'", path);
    if (rename(temporary, path) < 0) {
        err_sys(err, errno, "cannot write '%s'", path);
        unlink(temporary);
        return -1;
    }
    return 0;
}

static int export_to(const struct client *client, const char *ref, int to_fd, const char *to, struct err *err)
{
    struct archive_call call = ARCHIVE_CALL_INIT;
    struct err here = ERR_INIT;
    char id[CONTAINER_ID_SIZE], target[128];
    int64_t bytes = 0;
    if (reading_resolve(client, ref, id, err) < 0)
        return -1;
    snprintf(target, sizeof(target), "/v1/containers/%s/export", id);
    int rc = archive_begin(&call, client, "GET", target, err);
    if (rc == 0) {
        int written = archive_pump(call.data_fd, to_fd, "the archive", to, &here);
        close(steal_fd(&call.data_fd));
        rc = written < 0 ? err_set(err, here.code, "%s", here.message) : archive_finish(&call, &bytes, err);
    }
    archive_release(&call);
    return rc;
}

static int export_container(const struct client *client, const struct export_options *options,
                            const char *ref, struct err *err)
{
    bool unnamed = false;
    if (options->output == NULL && isatty(STDOUT_FILENO))
        return err_set(err, ERR_INVALID, "an archive is not for a terminal: use -o FILE, or a pipe");
    if (options->output == NULL)
        return export_to(client, ref, STDOUT_FILENO, "it", err);
    auto_fd int fd = open_output(options->output, &unnamed, err);
    if (fd < 0 || export_to(client, ref, fd, options->output, err) < 0)
        return -1;
    return unnamed ? name_output(fd, options->output, err) : 0;
}

static int export(struct client *client, const void *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    (void)argc;
    if (export_container(client, options, argv[0], &err) == 0)
        return 0;
    say_error("cannot export '%s': %s", argv[0], err.message);
    return 1;
}

const struct verb verb_export = {
    .name = "export",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER",
    .summary = "write a container's root file system as a tar archive",
    .description =
        "What is mounted in it, such as volumes, is not part of it. 'wharf import' makes an image of "
        "the archive.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct export_options),
    .min_operands = 1,
    .max_operands = 1,
    .execute = export,
};
