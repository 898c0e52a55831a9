/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `wharf run` in the foreground against a scripted writer and runtime: a child process plays both, one step
 * after the other, and checks what it is asked.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "cmd/client/verb.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ACCEPTED "{\"id\":\"018f0000-0000-7000-8000-000000000000\",\"container\":\"" ID "\",\"node\":\"n\"}"

struct server {
    int writer;
    int runtime;
    char last_key[64];
};

struct fixture {
    char dir[64];
    char out[80];
    char errors[80];
    int writer;
    int runtime;
};

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fake server: %s\n", what);
    _exit(1);
}

static int listen_on(const char *dir, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    strcpy(fixture->dir, "/tmp/test-run-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    snprintf(fixture->out, sizeof(fixture->out), "%s/out", fixture->dir);
    snprintf(fixture->errors, sizeof(fixture->errors), "%s/errors", fixture->dir);
    fixture->writer = listen_on(fixture->dir, "writer.sock");
    fixture->runtime = listen_on(fixture->dir, "runtime.sock");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    static const char *const files[] = {"writer.sock", "runtime.sock", "out", "errors"};
    close(fixture->writer);
    close(fixture->runtime);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", fixture->dir, files[i]);
        unlink(path);
    }
    rmdir(fixture->dir);
    free(fixture);
    return 0;
}

/* ---- the scripted side ---- */

/* Accepts and reads one request, head and body, into text. */
static int accept_request(int listener, char text[8192])
{
    int fd = accept(listener, NULL, NULL);
    size_t size = 0;
    require(fd >= 0, "accept");
    for (;;) {
        ssize_t n = read(fd, text + size, 8191 - size);
        require(n > 0, "the request is cut short");
        size += (size_t)n;
        text[size] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        size_t wanted = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
        if (end != NULL && size >= (size_t)(end + 4 - text) + wanted)
            return fd;
    }
}

static void answer(int fd, int status, const char *body)
{
    dprintf(fd, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    close(fd);
}

static void send_frame(int fd, unsigned char kind, const char *payload)
{
    size_t size = strlen(payload);
    unsigned char header[16] = {kind, 0, 0, 0, 0, 0, (unsigned char)(size >> 8), (unsigned char)size};
    dprintf(fd, "%zx\r\n", size + 16);
    require(write(fd, header, 16) == 16, "frame");
    dprintf(fd, "%s\r\n", payload);
}

static void begin_stream(int fd)
{
    dprintf(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void remember_key(struct server *server, const char *request)
{
    const char *key = strstr(request, "Idempotency-Key: ");
    require(key != NULL, "no idempotency key");
    snprintf(server->last_key, sizeof(server->last_key), "%.36s", key + 17);
}

static void serve_plain(struct server *server)
{
    char text[8192];
    int fd = accept_request(server->writer, text);
    require(strncmp(text, "POST /v1/commands HTTP/1.1\r\n", 28) == 0, "not the command");
    require(strstr(text, "\"type\":\"container.run\"") != NULL, "type");
    require(strstr(text, "\"auto_remove\":true") != NULL && strstr(text, "\"attach\":true") != NULL, "spec");
    require(strstr(text, "\"command\":[\"echo\",\"--rm\"]") != NULL, "command");
    answer(fd, 202, ACCEPTED);
    fd = accept_request(server->runtime, text);
    require(strncmp(text, "GET /v1/containers/" ID "/attach?skip_stdout=0&skip_stderr=0 ", 116) == 0,
            "not attach");
    begin_stream(fd);
    send_frame(fd, 1, "to stdout\n");
    send_frame(fd, 2, "to stderr\n");
    send_frame(fd, 3, "{\"outcome\":\"ok\",\"exit_code\":42,\"oom_killed\":false}");
    close(fd);
}

/* The answer to the command is lost, later the stream breaks: the same key, and the counts of what came. */
static void serve_breaks(struct server *server)
{
    char text[8192];
    int fd = accept_request(server->writer, text);
    remember_key(server, text);
    close(fd);
    fd = accept_request(server->writer, text);
    require(strstr(text, server->last_key) != NULL, "another idempotency key");
    answer(fd, 202, ACCEPTED);
    fd = accept_request(server->runtime, text);
    begin_stream(fd);
    send_frame(fd, 1, "first ");
    send_frame(fd, 2, "abc");
    close(fd);
    fd = accept_request(server->runtime, text);
    require(strstr(text, "skip_stdout=6&skip_stderr=3 ") != NULL, "wrong counts");
    begin_stream(fd);
    send_frame(fd, 1, "second\n");
    send_frame(fd, 3, "{\"outcome\":\"ok\",\"exit_code\":0}");
    close(fd);
}

/* The writer has just been started anew. */
static void serve_starting(struct server *server)
{
    char text[8192];
    int fd = accept_request(server->writer, text);
    remember_key(server, text);
    answer(fd, 503, "{\"status\":503,\"detail\":\"still reading\",\"code\":\"starting\"}");
    fd = accept_request(server->writer, text);
    require(strstr(text, server->last_key) != NULL, "another idempotency key");
    answer(fd, 202, ACCEPTED);
    fd = accept_request(server->runtime, text);
    begin_stream(fd);
    send_frame(fd, 3, "{\"outcome\":\"ok\",\"exit_code\":5}");
    close(fd);
}

static void serve_failure(struct server *server)
{
    char text[8192];
    answer(accept_request(server->writer, text), 202, ACCEPTED);
    int fd = accept_request(server->runtime, text);
    begin_stream(fd);
    send_frame(fd, 3,
               "{\"outcome\":\"failed\",\"exit_code\":127,\"code\":\"command-not-found\",\"message\":\"no "
               "such command\"}");
    close(fd);
}

/* The runtime was restarted and knows nothing: the writer is asked what became of the command. */
static void serve_forgotten(struct server *server)
{
    char text[8192];
    int fd = accept_request(server->writer, text);
    remember_key(server, text);
    answer(fd, 202, ACCEPTED);
    fd = accept_request(server->runtime, text);
    begin_stream(fd);
    send_frame(
        fd, 3,
        "{\"outcome\":\"failed\",\"exit_code\":125,\"code\":\"unknown-container\",\"message\":\"no\"}");
    close(fd);
    fd = accept_request(server->writer, text);
    require(strncmp(text, "POST /v1/commands?wait=", 23) == 0, "does not wait");
    require(strstr(text, server->last_key) != NULL, "another idempotency key");
    answer(fd, 200,
           "{\"id\":\"018f0000-0000-7000-8000-000000000000\",\"outcome\":\"refused\","
           "\"event\":{\"data\":{\"message\":\"no image 'busybox'\"}}}");
}

static void serve_problem(struct server *server)
{
    char text[8192];
    answer(accept_request(server->writer, text), 400,
           "{\"status\":400,\"detail\":\"'/data/cap_add/0' is none\",\"code\":\"bad-value\","
           "\"pointer\":\"/data/cap_add/0\"}");
}

/* The client gets SIGTERM while it waits: it must come back as a command. */
static void serve_signal(struct server *server)
{
    char text[8192];
    answer(accept_request(server->writer, text), 202, ACCEPTED);
    int stream = accept_request(server->runtime, text);
    begin_stream(stream);
    send_frame(stream, 1, "x");
    require(kill(getppid(), SIGTERM) == 0, "kill");
    int fd = accept_request(server->writer, text);
    require(strstr(text, "\"type\":\"container.kill\"") != NULL &&
                strstr(text, "\"signal\":\"SIGTERM\"") != NULL,
            "no kill");
    require(strstr(text, ID) != NULL, "another container");
    answer(fd, 202, ACCEPTED);
    send_frame(stream, 3, "{\"outcome\":\"ok\",\"exit_code\":143,\"signal\":\"SIGTERM\"}");
    close(stream);
}

/* ---- our side ---- */

static void read_file(const char *path, char *ret, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t n = fread(ret, 1, size - 1, file);
    ret[n] = '\0';
    fclose(file);
}

/* Runs `wharf run` with our stdout and stderr in files. */
static int run_client(struct fixture *fixture, void (*serve)(struct server *), char **words, int n)
{
    struct server server = {.writer = fixture->writer, .runtime = fixture->runtime};
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        serve(&server);
        _exit(0);
    }
    char *argv[16] = {NULL};
    memcpy(argv, words, (size_t)n * sizeof(*words));
    int saved[2] = {dup(1), dup(2)};
    int out = open(fixture->out, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    int errors = open(fixture->errors, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    fflush(stdout);
    dup2(out, 1);
    dup2(errors, 2);
    int code = verb_main(verb_find("run"), (struct common_options){.run_dir = fixture->dir}, n, argv);
    fflush(stdout);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    close(saved[0]);
    close(saved[1]);
    close(out);
    close(errors);
    int status = 0;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    return code;
}

static void check(void **state, void (*serve)(struct server *), int code, const char *out, const char *errors)
{
    char *words[] = {"--rm", "busybox", "echo", "--rm"};
    char text[4096];
    struct fixture *fixture = *state;
    assert_int_equal(run_client(fixture, serve, words, 4), code);
    read_file(fixture->out, text, sizeof(text));
    assert_string_equal(text, out);
    read_file(fixture->errors, text, sizeof(text));
    if (strstr(text, errors) == NULL)
        fail_msg("stderr is: %s", text);
}

static void test_plain(void **state)
{
    check(state, serve_plain, 42, "to stdout\n", "to stderr\n");
}

static void test_breaks(void **state)
{
    check(state, serve_breaks, 0, "first second\n", "trying to reconnect");
}

static void test_starting(void **state)
{
    check(state, serve_starting, 5, "", "still reading; asking again with the same key");
}

static void test_failure(void **state)
{
    check(state, serve_failure, 127, "", "wharf: error: no such command\n");
}

static void test_forgotten(void **state)
{
    check(state, serve_forgotten, 125, "", "wharf: error: no image 'busybox'\n");
}

static void test_problem(void **state)
{
    check(state, serve_problem, 125, "", "error: cap-add is none");
}

static void test_signal(void **state)
{
    check(state, serve_signal, 143, "x", "");
}

static void test_bad_usage(void **state)
{
    (void)state;
    char *none[] = {NULL};
    char *tty[] = {"-it", "busybox", NULL};
    char *memory[] = {"-m", "lots", "busybox", NULL};
    const struct common_options common = {.run_dir = "/nowhere"};
    assert_int_equal(verb_main(verb_find("run"), common, 0, none), 125);
    assert_int_equal(verb_main(verb_find("run"), common, 2, tty), 125);
    assert_int_equal(verb_main(verb_find("run"), common, 3, memory), 125);
    char *image[] = {"busybox", NULL};
    assert_int_equal(verb_main(verb_find("run"), common, 1, image), 125);
    assert_int_equal(verb_main(verb_find("ps"), common, 0, none), 1);
}

int main(void)
{
    unsetenv("WHARF_CONFIG");
    alarm(60); /* a client that waits for what the script does not say fails the test instead of hanging */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_breaks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_starting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_problem, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signal, set_up, tear_down),
        cmocka_unit_test(test_bad_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
