/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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
#include "cmd/client/values.h"

struct cp_options {
    bool archive;
    bool follow_link;
    bool quiet;
};

static const struct option_row rows[] = {
    OPTION_ROW(cp_options, archive, 'a', "archive", NULL, OPTION_FLAG,
               "keep owners, by number; otherwise all is the user's here, root's there"),
    OPTION_ROW(cp_options, follow_link, 'L', "follow-link", NULL, OPTION_FLAG,
               "if the source is a link, copy what it leads to"),
    OPTION_ROW(cp_options, quiet, 'q', "quiet", NULL, OPTION_FLAG, "say nothing on a terminal either"),
    OPTION_END};

/* One side of a copy. */
struct side {
    char *container; /* owned; NULL for a path here */
    const char *path;
};

/* docker's rule: what comes before the first colon is a container, unless it begins like a path. */
static int parse_side(const char *text, struct side *ret, struct err *err)
{
    const char *colon = strchr(text, ':');
    *ret = (struct side){.path = text};
    if (text[0] == '\0')
        return err_set(err, ERR_INVALID, "a path must not be empty");
    if (colon == NULL || text[0] == '/' || text[0] == '.')
        return 0;
    if (colon == text || colon[1] == '\0')
        return err_set(err, ERR_INVALID, "'%s' is neither a path nor CONTAINER:PATH", text);
    ret->container = strndup(text, (size_t)(colon - text));
    ret->path = colon + 1;
    return ret->container != NULL ? 0 : err_nomem(err, "reading the operands");
}

static int begin(struct archive_call *call, const struct client *client, const char *method,
                 const struct side *side, const char *flags, struct err *err)
{
    char id[CONTAINER_ID_SIZE];
    auto_buf struct buf target = BUF_INIT;
    if (reading_resolve(client, side->container, id, err) < 0)
        return -1;
    buf_printf(&target, "/v1/containers/%s/archive?path=", id);
    http_add_encoded(&target, side->path);
    buf_add_string(&target, flags);
    if (target.failed)
        return err_nomem(err, "making a request");
    return archive_begin(call, client, method, target.data, err);
}

/* Who made the archive knows best what went wrong, unless it only found that nobody read it. */
static int judge(int packed, const struct err *packing, int unpacked, const struct err *unpacking,
                 struct err *err)
{
    if (packed < 0 && (packing->code != ERR_UNAVAILABLE || unpacked == 0))
        return err_set(err, packing->code, "%s", packing->message);
    return unpacked < 0 ? err_set(err, unpacking->code, "%s", unpacking->message) : 0;
}

/* Before anything is asked for, and so recorded: whether it can come to anything. */
static int check_destination(const char *path, struct err *err)
{
    char parent[PATH_MAX];
    struct stat st;
    if (stat(path, &st) == 0)
        return 0;
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    if (size >= sizeof(parent))
        return err_sys(err, ENAMETOOLONG, "cannot write '%.64s...'", path);
    snprintf(parent, sizeof(parent), "%.*s", size > 0 ? (int)size : 1, size > 0 ? path : ".");
    if (stat(parent, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_NOT_FOUND, "there is no directory '%s' to put it in", parent);
    return 0;
}

static int copy_out(const struct client *client, const struct cp_options *options, const struct side *from,
                    const char *to, int64_t *ret_bytes, struct err *err)
{
    struct archive_call call = ARCHIVE_CALL_INIT;
    struct err here = ERR_INIT, there = ERR_INIT;
    bool piped = strcmp(to, "-") == 0;
    if (piped && isatty(STDOUT_FILENO))
        return err_set(err, ERR_INVALID, "an archive is not for a terminal: send it to a file or a pipe");
    if (!piped && check_destination(to, err) < 0)
        return -1;
    int rc = begin(&call, client, "GET", from, options->follow_link ? "&follow=1" : "", err);
    if (rc == 0) {
        int unpacked = piped ? archive_pump(call.data_fd, STDOUT_FILENO, "the archive", "it", &here)
                             : archive_run_helper("unpack", options->archive ? "-a" : NULL, to,
                                                  steal_fd(&call.data_fd), STDIN_FILENO, &here);
        if (call.data_fd >= 0)
            close(steal_fd(&call.data_fd));
        int packed = archive_finish(&call, ret_bytes, &there);
        rc = judge(packed, &there, unpacked, &here, err);
    }
    archive_release(&call);
    return rc;
}

static int copy_in(const struct client *client, const struct cp_options *options, const char *from,
                   const struct side *to, int64_t *ret_bytes, struct err *err)
{
    struct archive_call call = ARCHIVE_CALL_INIT;
    struct err here = ERR_INIT, there = ERR_INIT;
    struct stat st;
    bool piped = strcmp(from, "-") == 0;
    if (!piped && (options->follow_link ? stat(from, &st) : lstat(from, &st)) < 0)
        return err_sys(err, errno, "cannot read '%s'", from);
    int rc = begin(&call, client, "PUT", to, piped ? "&any=1" : options->archive ? "&owner=1" : "", err);
    if (rc == 0) {
        int packed = piped ? archive_pump(STDIN_FILENO, call.data_fd, "standard input", "it", &here)
                           : archive_run_helper("pack", options->follow_link ? "-L" : NULL, from,
                                                steal_fd(&call.data_fd), STDOUT_FILENO, &here);
        if (call.data_fd >= 0)
            close(steal_fd(&call.data_fd));
        int unpacked = archive_finish(&call, ret_bytes, &there);
        rc = judge(packed, &here, unpacked, &there, err);
    }
    archive_release(&call);
    return rc;
}

static int copy(const struct client *client, const struct cp_options *options, const struct side *from,
                const struct side *to, struct err *err)
{
    int64_t bytes = 0;
    char size[32];
    int rc;
    if (from->container != NULL && to->container != NULL)
        return err_set(err, ERR_INVALID,
                       "one side is a container, the other a path: copy by way of the latter");
    if (from->container != NULL)
        rc = copy_out(client, options, from, to->path, &bytes, err);
    else if (to->container != NULL)
        rc = copy_in(client, options, from->path, to, &bytes, err);
    else
        return err_set(err, ERR_INVALID, "one side has to be CONTAINER:PATH");
    if (rc == 0 && !options->quiet && isatty(STDOUT_FILENO)) {
        value_format_size(size, bytes);
        say_info("copied %s", size);
    }
    return rc;
}

static int cp(struct client *client, const void *options, int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct side from = {0}, to = {0};
    (void)argc;
    int rc = parse_side(argv[0], &from, &err);
    if (rc == 0)
        rc = parse_side(argv[1], &to, &err);
    if (rc == 0)
        rc = copy(client, options, &from, &to, &err);
    if (rc < 0)
        say_error("cannot copy '%s' to '%s': %s", argv[0], argv[1], err.message);
    free(from.container);
    free(to.container);
    return rc < 0 ? 1 : 0;
}

const struct verb verb_cp = {
    .name = "cp",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER:SOURCE DESTINATION|- | SOURCE|- CONTAINER:DESTINATION",
    .summary = "copy files and directories into a container or out of it",
    .description =
        "Works on containers that run, with all that is mounted in them, and on those that do not, with "
        "their "
        "volumes and directories of the node.\n\n"
        "A file goes into a directory that is there, or becomes the destination. A directory goes into one "
        "that is there, or becomes the destination; with '/.' behind it, only what is in it goes there. The "
        "directory that the destination is in has to be there. '-' is a tar archive on standard output or "
        "input; one that is put into a container goes into a directory, keeps its owners and may be "
        "compressed.\n\n"
        "Links are copied as links. Every copy is recorded in the container's history, with who made it.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct cp_options),
    .min_operands = 2,
    .max_operands = 2,
    .execute = cp,
};
