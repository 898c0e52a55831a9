/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order matters: what is the host's (request, locale) is read first; then the container's root is
 * entered, and privileges go; only then is anything of the container's or the client's looked at.
 */
#include "runtime/image/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/defence.h"
#include "base/descriptor.h"
#include "runtime/image/confine.h"
#include "runtime/image/enter.h"
#include "runtime/image/pack.h"
#include "runtime/image/unpack.h"

#define PIPE_BYTES (1 << 20)

struct serving {
    json_t *request;
    const char *path;
    bool reads; /* the container, not the client */
    bool exports;
    struct pack_source source;
    struct unpack_place place;
    int data_fd; /* our end of the pipe */
    struct err err;
};

static bool asked(const struct serving *serving, const char *member)
{
    return json_is_true(json_object_get(serving->request, member));
}

static int read_request(struct serving *serving)
{
    serving->request = json_loadfd(STDIN_FILENO, 0, NULL);
    const char *access = json_string_value(json_object_get(serving->request, "access"));
    const char *path = json_string_value(json_object_get(serving->request, "path"));
    if (access == NULL || path == NULL)
        return err_set(&serving->err, ERR_INTERNAL, "the request is none");
    serving->exports = strcmp(access, "export") == 0;
    serving->reads = serving->exports || strcmp(access, "out") == 0;
    serving->path = path;
    return 0;
}

/* Nobody in the container may look into this process, even one that shares the host's process ids
 * (CVE-2019-5736), and it ends with the runtime, which is the one that knows of it. The locale makes names
 * UTF-8 for libarchive, without files that would be the container's later. */
static int prepare(struct serving *serving)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a tree is walked with a descriptor for each level */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    setlocale(LC_CTYPE, "C.UTF-8");
    umask(022);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || unshare(CLONE_NEWNET) < 0)
        return err_sys(&serving->err, errno, "cannot prepare for the container's files");
    return 0;
}

static int enter(struct serving *serving)
{
    const char *image = json_string_value(json_object_get(serving->request, "image"));
    if (asked(serving, "running"))
        return enter_running(SERVE_FD_CONTAINER, serving->exports, asked(serving, "own_users"),
                             &serving->err);
    return enter_layers(SERVE_FD_CONTAINER, image != NULL ? image : "",
                        json_object_get(serving->request, "mounts"), serving->reads, &serving->err);
}

static int confine(struct serving *serving)
{
    /* A change of user takes the former back. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        confine_capabilities(serving->reads ? CONFINE_READS : CONFINE_WRITES) < 0 || confine_calls() < 0)
        return err_sys(&serving->err, errno, "cannot drop privileges");
    return 0;
}

static int find(struct serving *serving)
{
    auto_free char *absolute = NULL;
    const char *slash = serving->path[0] == '/' ? "" : "/"; /* docker's rule: there is no other directory */
    if (asprintf(&absolute, "%s%s", slash, serving->path) < 0) {
        absolute = NULL;
        return err_nomem(&serving->err, "looking for a path");
    }
    const char *path = absolute;
    if (!DEFENDED(ENTERED_ROOT))
        path += strspn(path, "/");
    if (serving->reads)
        return pack_find(path, asked(serving, "follow"), &serving->source, &serving->err);
    if (unpack_find(path, &serving->place, &serving->err) < 0)
        return -1;
    if (asked(serving, "any_archive") && serving->place.dir_fd < 0)
        return err_set(&serving->err, ERR_CONFLICT, "'%s' is no directory", path);
    return 0;
}

/* --- what the runtime and the client are told --- */

static void tell(int fd, json_t *document_take)
{
    auto_free char *text = document_take != NULL ? json_dumps(document_take, JSON_COMPACT) : NULL;
    json_decref(document_take);
    /* one message on the socket, one line on the pipe; who is not there any more needs none */
    if (text != NULL && fd == SERVE_FD_CONTROL)
        send(fd, text, strlen(text), MSG_NOSIGNAL);
    else if (text != NULL)
        dprintf(fd, "%s\n", text);
}

static int http_status(enum err_code code)
{
    if (code == ERR_NOT_FOUND)
        return 404;
    if (code == ERR_CONFLICT)
        return 409;
    return code == ERR_INVALID ? 400 : 500;
}

static int hand_over(struct serving *serving)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(&serving->err, errno, "cannot make a pipe");
    fcntl(fds[0], F_SETPIPE_SZ,
          PIPE_BYTES); /* the system's limit on pipes may forbid it: then it stays small */
    auto_fd int theirs_fd = fds[serving->reads ? 0 : 1];
    serving->data_fd = fds[serving->reads ? 1 : 0];
    if (descriptor_send(SERVE_FD_CONTROL, "", 1, theirs_fd, 0) < 0)
        return err_sys(&serving->err, errno, "cannot hand the archive over");
    return 0;
}

static int begin(struct serving *serving)
{
    return read_request(serving) < 0 || prepare(serving) < 0 || enter(serving) < 0 || confine(serving) < 0 ||
                   find(serving) < 0
               ? -1
               : 0;
}

static int transfer(struct serving *serving, int64_t *ret_bytes)
{
    if (serving->reads)
        return pack(&serving->source, serving->data_fd, ret_bytes, &serving->err);
    bool any = asked(serving, "any_archive");
    struct unpack_options options = {
        .any_archive = any, .keep_owner = any || asked(serving, "keep_owner"), .inside = true};
    return unpack(&serving->place, &options, serving->data_fd, ret_bytes, &serving->err);
}

int serve(void)
{
    struct serving serving = {.data_fd = -1};
    int64_t bytes = 0;
    if (begin(&serving) < 0 || hand_over(&serving) < 0) {
        tell(STDOUT_FILENO,
             json_pack("{s:s, s:i}", "error", serving.err.message, "status", http_status(serving.err.code)));
        return EXIT_FAILURE;
    }
    tell(STDOUT_FILENO, json_pack("{s:b}", "ready", 1));
    close(STDOUT_FILENO);
    int result = transfer(&serving, &bytes);
    /* The result first: with the end of the pipe comes the moment to look for it. */
    tell(SERVE_FD_CONTROL, result == 0 ? json_pack("{s:I}", "bytes", (json_int_t)bytes)
                                       : json_pack("{s:s, s:b}", "error", serving.err.message, "unread",
                                                   serving.err.code == ERR_UNAVAILABLE));
    close(serving.data_fd);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int serve_to(int to_fd, struct err *err)
{
    struct serving serving = {.data_fd = to_fd};
    int64_t bytes = 0;
    if (begin(&serving) == 0 && transfer(&serving, &bytes) == 0)
        return 0;
    return err_set(err, serving.err.code, "%s", serving.err.message);
}
