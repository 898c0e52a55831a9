/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server on a real socket. Server and clients share one thread: a client's socket changes only while
 * the loop turns, so a client that waits turns the loop, and nothing depends on timing.
 */
#include "base/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

#define BODY_LIMIT 4096
#define GUARD_MS 20000

struct fixture {
    uv_loop_t loop;
    uv_timer_t guard;
    struct http_server *server;
    char dir[64];
    char path[108];
    struct http_request *kept; /* by /later */
    int n_cancelled;
    struct http_stream *stream; /* by /stream */
    size_t to_write;
    int n_drained;
    int n_streams_closed;
    bool closed;
};

/* ---- handlers ---- */

static void get_echo(struct http_request *request, void *data)
{
    (void)data;
    const char *q0 = http_request_query(request, "q");
    const char *q1 = http_request_query_at(request, "q", 1);
    const char *header = http_request_header(request, "x-thing");
    struct http_peer peer = http_request_peer(request);
    char text[512];
    int size = snprintf(text, sizeof(text), "%s|%s|%s|%s|%s|%d|%u", http_request_method(request),
                        http_request_param(request, "ref"), q0 ? q0 : "-", q1 ? q1 : "-",
                        header ? header : "-", (int)peer.pid, peer.uid);
    http_reply_header(request, "X-Answer", "yes");
    http_reply(request, 200, "text/plain", text, (size_t)size);
}

static void post_body(struct http_request *request, void *data)
{
    (void)data;
    size_t size;
    const void *body = http_request_body(request, &size);
    http_reply(request, 200, "application/octet-stream", body, size);
}

static void on_cancel(struct http_request *request, void *data)
{
    struct fixture *f = data;
    assert_ptr_equal(http_request_data(request), f);
    f->n_cancelled++;
    f->kept = NULL;
}

static void get_later(struct http_request *request, void *data)
{
    struct fixture *f = data;
    f->kept = request;
    http_request_set_data(request, f, on_cancel);
}

static void on_drained(struct http_stream *stream, void *data)
{
    struct fixture *f = data;
    char block[10000];
    f->n_drained++;
    size_t size = f->to_write < sizeof(block) ? f->to_write : sizeof(block);
    memset(block, 'x', size);
    f->to_write -= size;
    if (size > 0)
        http_stream_write(stream, block, size);
    else
        http_stream_end(stream);
}

static void on_stream_closed(struct http_stream *stream, void *data)
{
    struct fixture *f = data;
    if (f->stream == stream)
        f->stream = NULL;
    f->n_streams_closed++;
}

static void get_stream(struct http_request *request, void *data)
{
    static const struct http_stream_ops pull = {on_drained, on_stream_closed};
    static const struct http_stream_ops push = {NULL, on_stream_closed};
    struct fixture *f = data;
    f->stream = http_stream_begin(request, 200, "text/plain", f->to_write > 0 ? &pull : &push, f);
    http_stream_write(f->stream, "first", 5);
}

static void get_close(struct http_request *request, void *data)
{
    struct fixture *f = data;
    http_server_close(f->server, NULL, NULL);
    f->server = NULL;
    http_reply(request, 200, NULL, "bye", 3);
}

static void get_problem(struct http_request *request, void *data)
{
    (void)data;
    http_reply_problem(request, 400, "wrong-type", "/data/x", "no good: '%s'", "\xff\"\n");
}

static void get_descriptor(struct http_request *request, void *data)
{
    int ends[2];
    (void)data;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "through", 7), 7);
    close(ends[1]);
    http_reply_descriptor_take(request, "test-pipe", ends[0]);
}

static const struct http_route routes[] = {
    {"GET", "/descriptor", get_descriptor}, {"GET", "/echo/{ref}", get_echo},
    {"POST", "/body", post_body},           {"GET", "/later", get_later},
    {"GET", "/stream", get_stream},         {"GET", "/close", get_close},
    {"GET", "/problem", get_problem},       {NULL, NULL, NULL},
};

/* ---- fixture ---- */

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    print_error("the loop waited for %d s: what the test expects does not come\n", GUARD_MS / 1000);
    abort();
}

static int setup_with(void **state, unsigned idle_timeout_s)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/wharf-http-XXXXXX");
    if (f == NULL || mkdtemp(f->dir) == NULL || uv_loop_init(&f->loop) != 0)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
    uv_timer_init(&f->loop, &f->guard);
    uv_timer_start(&f->guard, on_guard, GUARD_MS, 0);
    struct http_server_options options = {.socket_path = f->path,
                                          .socket_mode = 0660,
                                          .socket_gid = (gid_t)-1,
                                          .routes = routes,
                                          .data = f,
                                          .body_limit_bytes = BODY_LIMIT,
                                          .idle_timeout_s = idle_timeout_s};
    struct err err = ERR_INIT;
    if (http_server_open(&f->server, &f->loop, &options, &err) < 0) {
        print_error("%s\n", err.message);
        return -1;
    }
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 0);
}

static int setup_impatient(void **state)
{
    return setup_with(state, 1);
}

static void on_closed(void *data)
{
    struct fixture *f = data;
    f->closed = true;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_server_close(f->server, on_closed, f);
    while (!f->closed)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&f->guard, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&f->loop);
    int left = access(f->path, F_OK) == 0;
    rmdir(f->dir);
    free(f);
    return rc == 0 && !left ? 0 : -1;
}

/* ---- a client ---- */

/* Without blocking: what a client waits for may be done by a timer, after which UV_RUN_ONCE would still wait
 * for I/O. */
static void turn(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

static int dial(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        assert_int_equal(errno, EAGAIN); /* backlog is full */
        turn(f);
    }
    return fd;
}

/* Sends all of it; false when the server has closed. */
static bool say_bytes(struct fixture *f, int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            turn(f);
            continue;
        }
        if (n < 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static void say(struct fixture *f, int fd, const char *text)
{
    assert_true(say_bytes(f, fd, text, strlen(text)));
}

/* One read of what comes next; 0 at the end of the connection. */
static size_t hear_some(struct fixture *f, int fd, char *to, size_t size)
{
    for (;;) {
        ssize_t n = recv(fd, to, size, 0);
        if (n >= 0)
            return (size_t)n;
        if (errno == ECONNRESET)
            return 0;
        assert_int_equal(errno, EAGAIN);
        turn(f);
    }
}

/* Reads one answer with a Content-Length into `ret` (head and body as one text); false at the end of the
 * connection. */
static bool hear(struct fixture *f, int fd, struct buf *ret, bool is_head)
{
    char byte;
    buf_reset(ret);
    do {
        if (hear_some(f, fd, &byte, 1) == 0)
            return false;
        buf_add(ret, &byte, 1);
    } while (strstr(ret->data, "\r\n\r\n") == NULL);
    const char *length = strcasestr(ret->data, "content-length:");
    assert_non_null(length);
    for (unsigned long left = is_head ? 0 : strtoul(length + 15, NULL, 10); left > 0;) {
        char block[4096];
        size_t n = hear_some(f, fd, block, left < sizeof(block) ? left : sizeof(block));
        if (n == 0)
            return false;
        buf_add(ret, block, n);
        left -= n;
    }
    return true;
}

/* Asks and returns the answer's text, which is to be freed. */
static char *ask(struct fixture *f, const char *text)
{
    struct buf answer = BUF_INIT;
    int fd = dial(f);
    say(f, fd, text);
    assert_true(hear(f, fd, &answer, strncmp(text, "HEAD", 4) == 0));
    close(fd);
    return buf_take(&answer, NULL);
}

static void expect(struct fixture *f, const char *request, const char *status, const char *part)
{
    char *answer = ask(f, request);
    char line[32];
    snprintf(line, sizeof(line), "HTTP/1.1 %s", status);
    if (strncmp(answer, line, strlen(line)) != 0 || strstr(answer, part) == NULL)
        print_error("%s\n-> %s\n", request, answer);
    assert_memory_equal(answer, line, strlen(line));
    assert_non_null(strstr(answer, part));
    free(answer);
}

#define HOST "Host: x\r\n"

/* ---- tests ---- */

static void test_requests(void **state)
{
    struct fixture *f = *state;
    char self[64];
    snprintf(self, sizeof(self), "|%d|%u", (int)getpid(), getuid());
    expect(f, "GET /echo/a%2Fb%20c?q=1%262&q=x+y HTTP/1.1\r\n" HOST "X-Thing: v\r\n\r\n", "200",
           "GET|a/b c|1&2|x y|v|");
    expect(f, "GET /echo/z?q HTTP/1.1\r\n" HOST "\r\n", "200", "GET|z||-|-|");
    expect(f, "GET /echo/z?%71=%2B+ HTTP/1.1\r\n" HOST "\r\n", "200", "GET|z|+ |-|-|");
    expect(f, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n", "200", self);
    expect(f, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n", "200", "X-Answer: yes");
    expect(f, "GET /echo/z?q=%zz HTTP/1.1\r\n" HOST "\r\n", "400", "bad-escape");
    expect(f, "GET /echo/%00 HTTP/1.1\r\n" HOST "\r\n", "400", "bad-escape");
    expect(f, "GET /none\xff HTTP/1.1\r\n" HOST "\r\n", "404", "application/problem+json");
    expect(f, "GET /none HTTP/1.1\r\n" HOST "\r\n", "404", "there is nothing at '/none'");
    expect(f, "DELETE /body HTTP/1.1\r\n" HOST "\r\n", "405", "Allow: POST\r\n");
    expect(f, "POST /echo/z HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "405", "Allow: GET, HEAD\r\n");
    expect(f, "POST /body HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "200", "\r\n\r\nabc");
    expect(f, "POST /body HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "200", "Content-Length: 0");
    expect(f,
           "POST /body HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
           "200", "\r\n\r\nabc");
    expect(f, "GET /problem HTTP/1.1\r\n" HOST "\r\n", "400",
           "\"detail\":\"no good: '?\\\"\\n'\",\"code\":\"wrong-type\",\"pointer\":\"/data/x\"");
    char *head = ask(f, "HEAD /echo/abc HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(head, "200 OK"));
    assert_null(strstr(head, "|abc|"));
    free(head);
}

static void post_size(struct fixture *f, size_t size, const char *head, const char *status)
{
    struct buf request = BUF_INIT;
    struct buf answer = BUF_INIT;
    int fd = dial(f);
    buf_printf(&request, "POST /body HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\n\r\n", head, size);
    size_t head_size = request.size;
    bool asks_first = *head != '\0';
    if (!asks_first) {
        char *body = buf_reserve(&request, size);
        assert_non_null(body);
        memset(body, 'b', size);
    }
    assert_true(say_bytes(f, fd, request.data, asks_first ? head_size : head_size + size));
    assert_true(hear(f, fd, &answer, false));
    assert_non_null(strstr(answer.data, status));
    if (!asks_first) { /* the connection is still of use */
        say(f, fd, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n");
        assert_true(hear(f, fd, &answer, false));
        assert_non_null(strstr(answer.data, "200 OK"));
    }
    close(fd);
    buf_release(&request);
    buf_release(&answer);
}

static void test_body_limit(void **state)
{
    struct fixture *f = *state;
    post_size(f, BODY_LIMIT - 1, "", "200 OK");
    post_size(f, BODY_LIMIT, "", "200 OK");
    post_size(f, BODY_LIMIT + 1, "", " 413 ");
    post_size(f, 10 * 1024 * 1024, "", " 413 ");
    post_size(f, 10 * 1024 * 1024, "Expect: 100-continue\r\n", " 413 ");
    post_size(f, 1ull << 40, "Expect: 100-continue\r\n", " 413 ");
}

static void test_reply_later(void **state)
{
    struct fixture *f = *state;
    struct buf answer = BUF_INIT;
    int fd = dial(f);
    for (int i = 0; i < 3; i++) {
        say(f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
        while (f->kept == NULL)
            turn(f);
        expect(f, "GET /echo/meanwhile HTTP/1.1\r\n" HOST "\r\n", "200", "meanwhile");
        http_reply(f->kept, 200, "text/plain", "late", 4);
        f->kept = NULL;
        assert_true(hear(f, fd, &answer, false));
        assert_non_null(strstr(answer.data, "\r\n\r\nlate"));
    }
    assert_int_equal(f->n_cancelled, 0);
    close(fd);
    buf_release(&answer);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        int fd = dial(f);
        say(f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
        while (f->kept == NULL)
            turn(f);
        close(fd);
        while (f->n_cancelled == i)
            turn(f);
        assert_int_equal(f->n_cancelled, i + 1);
    }
    /* One who has finished sending while the answer is being made is gone too, but not one who is answered at
     * once. */
    int fd = dial(f);
    say(f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    while (f->n_cancelled < 4)
        turn(f);
    close(fd);
    fd = dial(f);
    say(f, fd, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    struct buf answer = BUF_INIT;
    assert_true(hear(f, fd, &answer, false));
    buf_release(&answer);
    close(fd);
}

static void test_pipeline(void **state)
{
    struct fixture *f = *state;
    struct buf answer = BUF_INIT;
    int fd = dial(f);
    for (int i = 0; i < 50; i++)
        say(f, fd,
            "GET /echo/a HTTP/1.1\r\n" HOST "\r\nGET /later HTTP/1.1\r\n" HOST "\r\n"
            "POST /body HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");
    for (int i = 0; i < 50; i++) {
        assert_true(hear(f, fd, &answer, false));
        assert_non_null(strstr(answer.data, "GET|a|"));
        while (f->kept == NULL)
            turn(f);
        http_reply(f->kept, 200, NULL, "later", 5);
        f->kept = NULL;
        assert_true(hear(f, fd, &answer, false));
        assert_non_null(strstr(answer.data, "later"));
        assert_true(hear(f, fd, &answer, false));
        assert_non_null(strstr(answer.data, "\r\n\r\nhi"));
    }
    close(fd);
    buf_release(&answer);
}

static void test_stream_pushed(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);
    struct buf got = BUF_INIT;
    char block[4096];
    say(f, fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    while (got.data == NULL || strstr(got.data, "first") == NULL)
        buf_add(&got, block, hear_some(f, fd, block, sizeof(block)));
    assert_int_equal(http_stream_write(f->stream, "second", 6), 6);
    while (strstr(got.data, "second") == NULL)
        buf_add(&got, block, hear_some(f, fd, block, sizeof(block)));
    http_stream_end(f->stream);
    while (strstr(got.data, "0\r\n\r\n") == NULL)
        buf_add(&got, block, hear_some(f, fd, block, sizeof(block)));
    assert_int_equal(f->n_streams_closed, 1);
    /* The connection goes on. */
    say(f, fd, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n");
    assert_true(hear(f, fd, &got, false));
    /* A client that leaves a silent stream. */
    say(f, fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    while (f->stream == NULL)
        turn(f);
    close(fd);
    while (f->n_streams_closed < 2)
        turn(f);
    buf_release(&got);
}

static void test_stream_back_pressure(void **state)
{
    struct fixture *f = *state;
    const size_t total = 20u * 1024 * 1024;
    f->to_write = total;
    int fd = dial(f);
    say(f, fd, "GET /stream HTTP/1.1\r\nConnection: close\r\n" HOST "\r\n");
    while (f->n_drained == 0)
        turn(f);
    for (int i = 0; i < 100; i++)
        expect(f, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n", "200", "|z|");
    assert_true(f->to_write > total / 2); /* a client that does not read holds the writer up */
    size_t n_x = 0;
    char block[65536];
    for (size_t n; (n = hear_some(f, fd, block, sizeof(block))) > 0;)
        for (size_t i = 0; i < n; i++)
            n_x += block[i] == 'x';
    assert_int_equal(n_x, total + 1); /* and one in "text/plain" */
    assert_int_equal(f->n_streams_closed, 1);
    close(fd);
}

static void test_silent_clients(void **state)
{
    struct fixture *f = *state;
    int fds[1000];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_cur == limit.rlim_max); /* raised by the server */
    for (size_t i = 0; i < 1000; i++) {
        fds[i] = dial(f);
        if (i % 3 == 1)
            say(f, fds[i], "GET /echo/z HT");
        if (i % 100 == 0)
            expect(f, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n", "200", "|z|");
    }
    for (int i = 0; i < 100; i++)
        expect(f, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n", "200", "|z|");
    for (size_t i = 0; i < 1000; i++)
        close(fds[i]);
}

static void on_tick(uv_timer_t *timer)
{
    int *n_ticks = timer->data;
    (*n_ticks)++;
}

static void test_slow_loris(void **state)
{
    struct fixture *f = *state;
    int slow = dial(f);
    int silent = dial(f);
    int waiting = dial(f);
    say(f, waiting, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    int n_ticks = 1;
    uv_timer_t tick; /* 20 bytes a second, for ever */
    uv_timer_init(&f->loop, &tick);
    tick.data = &n_ticks;
    uv_timer_start(&tick, on_tick, 50, 50);
    uint64_t began_ms = uv_now(&f->loop);
    char byte;
    for (;;) {
        bool alive = n_ticks == 0 || say_bytes(f, slow, "G", 1);
        n_ticks = 0;
        ssize_t n = recv(slow, &byte, 1, 0);
        if (!alive || n == 0 || (n < 0 && errno == ECONNRESET))
            break;
        turn(f);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    turn(f);
    assert_in_range(uv_now(&f->loop) - began_ms, 900, 5000);
    assert_int_equal(hear_some(f, silent, &byte, 1), 0);
    assert_non_null(f->kept); /* who waits for us is not idle */
    http_reply(f->kept, 200, NULL, "late", 4);
    struct buf answer = BUF_INIT;
    assert_true(hear(f, waiting, &answer, false));
    buf_release(&answer);
    close(slow);
    close(silent);
    close(waiting);
}

static void test_garbage(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 1;
    for (int i = 0; i < 200; i++) {
        char bytes[300];
        for (size_t at = 0; at < sizeof(bytes); at++)
            bytes[at] = (char)rand_r(&seed);
        int fd = dial(f);
        say_bytes(f, fd, i % 2 ? "GET /echo/z HTTP/1.1\r\n" : "", i % 2 ? 22 : 0);
        say_bytes(f, fd, bytes, sizeof(bytes));
        say_bytes(f, fd, "\r\n\r\n", 4);
        shutdown(fd, SHUT_WR);
        while (hear_some(f, fd, bytes, sizeof(bytes)) > 0)
            ;
        close(fd);
    }
    struct buf huge = BUF_INIT;
    buf_add_string(&huge, "GET /echo/z HTTP/1.1\r\nX: ");
    char *to = buf_reserve(&huge, 1 << 20);
    memset(to, 'h', 1 << 20);
    huge.size += 1 << 20;
    int fd = dial(f);
    say_bytes(f, fd, huge.data, huge.size);
    while (hear_some(f, fd, huge.data, 1000) > 0)
        ;
    close(fd);
    buf_release(&huge);
    expect(f, "GET /echo/z HTTP/1.1\r\n" HOST "\r\n", "200", "|z|");
}

static void test_close_outstanding(void **state)
{
    struct fixture *f = *state;
    char block[4096];
    int waiting = dial(f);
    int streaming = dial(f);
    int silent = dial(f);
    say(f, streaming, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    say(f, waiting, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    while (f->stream == NULL || f->kept == NULL)
        turn(f);
    expect(f, "GET /close HTTP/1.1\r\n" HOST "\r\n", "200", "\r\n\r\nbye"); /* closes from within a handler */
    assert_int_equal(hear_some(f, silent, block, sizeof(block)), 0);
    assert_int_equal(hear_some(f, waiting, block, sizeof(block)), 0);
    while (hear_some(f, streaming, block, sizeof(block)) > 0)
        ;
    assert_int_equal(f->n_cancelled, 1);
    assert_int_equal(f->n_streams_closed, 1);
    close(silent);
    close(waiting);
    close(streaming);
}

static void test_socket_file(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    struct http_server_options options = {
        .socket_path = f->path, .socket_mode = 0600, .socket_gid = (gid_t)-1, .routes = routes};
    struct http_server *second;
    struct err err = ERR_INIT;
    assert_int_equal(http_server_open(&second, &f->loop, &options, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    char stale[128];
    snprintf(stale, sizeof(stale), "%s/stale", f->dir);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale", f->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    options.socket_path = stale;
    err_clear(&err);
    assert_int_equal(http_server_open(&second, &f->loop, &options, &err), 0);
    http_server_close(second, NULL, NULL);
    while (access(stale, F_OK) == 0)
        turn(f);
    char longer[200];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    options.socket_path = longer;
    assert_int_equal(http_server_open(&second, &f->loop, &options, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
}

/* Everything that comes until the end; the descriptor that came beside it, or -1. */
static int hear_descriptor(struct fixture *f, int fd, char *text, size_t size)
{
    int received = -1;
    size_t used = 0;
    for (;;) {
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = {.iov_base = text + used, .iov_len = size - used - 1};
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(fd, &message, 0);
        if (n < 0 && errno == EAGAIN) {
            turn(f);
            continue;
        }
        if (n <= 0)
            return received;
        used += (size_t)n;
        text[used] = '\0';
        if (CMSG_FIRSTHDR(&message) != NULL)
            memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    }
}

static void test_descriptor(void **state)
{
    struct fixture *f = *state;
    static const char ask[] =
        "GET /descriptor HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: test-pipe\r\n\r\n";
    for (int i = 0; i < 300; i++) { /* more than we may have descriptors */
        char text[512], piped[16];
        int fd = dial(f);
        assert_true(say_bytes(f, fd, ask, strlen(ask)));
        if (i % 3 == 2) { /* the client leaves */
            close(fd);
            turn(f);
            continue;
        }
        int received = hear_descriptor(f, fd, text, sizeof(text));
        assert_true(received >= 0);
        assert_memory_equal(text, "HTTP/1.1 101 ", 13);
        assert_int_equal(read(received, piped, sizeof(piped)), 7);
        assert_memory_equal(piped, "through", 7);
        close(received);
        close(fd);
    }
}

int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 256;
    setrlimit(RLIMIT_NOFILE, &limit);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_requests),
        TEST(test_body_limit),
        TEST(test_reply_later),
        TEST(test_cancel),
        TEST(test_pipeline),
        TEST(test_stream_pushed),
        TEST(test_stream_back_pressure),
        TEST(test_silent_clients),
        cmocka_unit_test_setup_teardown(test_slow_loris, setup_impatient, teardown),
        TEST(test_garbage),
        TEST(test_descriptor),
        TEST(test_close_outstanding),
        TEST(test_socket_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
