/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/descriptor.h"
#include "cmd/client/role.h"

#define PROTOCOL "wharf-archive"
#define RESULT_LIMIT 16384
#define HELPER_NOT_READ 3 /* exit status of wharf-image pack (cmd/wharf-image.c) */

static int cut_off(struct err *err)
{
    return err_set(err, ERR_CONFLICT,
                   "it was cut off: the container was started or removed meanwhile, or the runtime ended");
}

/* The first message is a zero byte with the pipe beside it. */
static int receive_pipe(struct archive_call *call, struct err *err)
{
    char byte;
    ssize_t n;
    do {
        n = descriptor_receive(call->control_fd, &byte, 1, &call->data_fd);
    } while (n < 0 && errno == EINTR);
    if (call->data_fd < 0)
        return cut_off(err);
    return 0;
}

int archive_begin(struct archive_call *call, const struct client *client, const char *method,
                  const char *target, struct err *err)
{
    struct http_call http = HTTP_CALL_INIT;
    auto_free char *path = NULL;
    const struct http_request request = {.method = method, .target = target, .upgrade = PROTOCOL};
    int rc = api_connect(client, API_RUNTIME, &http, &path, err);
    if (rc == 0)
        rc = http_send(&http, &request, err);
    if (rc == 0)
        rc = http_receive_descriptor(&http, -1, &call->control_fd, err);
    if (rc == 0 && call->control_fd < 0)
        rc = api_problem(&http, err);
    http_release(&http);
    return rc == 0 ? receive_pipe(call, err) : rc;
}

int archive_finish(struct archive_call *call, int64_t *ret_bytes, struct err *err)
{
    char text[RESULT_LIMIT];
    ssize_t n;
    do {
        n = recv(call->control_fd, text, sizeof(text), 0);
    } while (n < 0 && errno == EINTR);
    json_auto_t *result = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
    const char *error = json_string_value(json_object_get(result, "error"));
    if (error != NULL)
        return err_set(err, json_is_true(json_object_get(result, "unread")) ? ERR_UNAVAILABLE : ERR_SYSTEM,
                       "%s", error);
    if (!json_is_integer(json_object_get(result, "bytes")))
        return cut_off(err);
    *ret_bytes = json_integer_value(json_object_get(result, "bytes"));
    return 0;
}

void archive_release(struct archive_call *call)
{
    if (call->control_fd >= 0)
        close(call->control_fd);
    if (call->data_fd >= 0)
        close(call->data_fd);
    call->control_fd = call->data_fd = -1;
}

static int write_all(int fd, const char *data, size_t size, const char *to, struct err *err)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EPIPE)
            return err_set(err, ERR_UNAVAILABLE, "nobody reads %s any more", to);
        if (n < 0)
            return err_sys(err, errno, "cannot write %s", to);
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

int archive_pump(int from_fd, int to_fd, const char *from, const char *to, struct err *err)
{
    char data[128 * 1024];
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        ssize_t n = read(from_fd, data, sizeof(data));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "cannot read %s", from);
        if (n == 0)
            return 0;
        if (write_all(to_fd, data, (size_t)n, to, err) < 0)
            return -1;
    }
}

/* --- the helper --- */

/* It ends with this process: nobody would hear what became of it. */
static _Noreturn void become_helper(const char *path, char *const argv[], int fd, int as_fd, int error_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (dup2(fd, as_fd) >= 0 && dup2(error_fd, STDERR_FILENO) >= 0)
        execv(path, argv);
    _exit(127);
}

/* The sentence that it wrote, or "". */
static void read_sentence(int fd, char ret[ERR_MESSAGE_SIZE])
{
    size_t size = 0;
    ssize_t n;
    while ((n = read(fd, ret + size, ERR_MESSAGE_SIZE - 1 - size)) > 0 || (n < 0 && errno == EINTR))
        size += n > 0 ? (size_t)n : 0;
    ret[size] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

static int wait_for_helper(pid_t pid, int error_fd, struct err *err)
{
    char sentence[ERR_MESSAGE_SIZE];
    int status = 0;
    read_sentence(error_fd, sentence);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    bool unread = WIFEXITED(status) && WEXITSTATUS(status) == HELPER_NOT_READ;
    return err_set(err, unread ? ERR_UNAVAILABLE : ERR_SYSTEM, "%s",
                   sentence[0] != '\0' ? sentence : "wharf-image ended without saying why");
}

int archive_run_helper(const char *verb, const char *option, const char *path, int fd_take, int as_fd,
                       struct err *err)
{
    auto_free char *program = NULL;
    auto_fd int fd = fd_take;
    int errors[2];
    if (role_find("image", &program, err) < 0)
        return -1;
    const char *argv[] = {program, verb, option != NULL ? option : "--", path, NULL};
    if (pipe2(errors, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    auto_fd int error_fd = errors[0];
    pid_t pid = fork();
    if (pid == 0)
        become_helper(program, (char *const *)(uintptr_t)argv, fd, as_fd, errors[1]);
    close(errors[1]);
    if (pid < 0)
        return err_sys(err, errno, "cannot start '%s'", program);
    close(steal_fd(&fd));
    return wait_for_helper(pid, error_fd, err);
}
