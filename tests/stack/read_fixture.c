/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/stack/read_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define BATCH 500

int read_setup(void **state)
{
    struct read_fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->dir, sizeof(f->dir), "/tmp/wharf-read-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->log_url, sizeof(f->log_url), "sqlite:%s/log", f->dir);
    redis_server_start(&f->redis);
    log_feed_open(&f->feed, f->log_url);
    event_writer_init(&f->writer, "n1", 7, 300);
    assert_int_equal(node_state_init(&f->fold, "n1"), 0);
    *state = f;
    return 0;
}

int read_teardown(void **state)
{
    struct read_fixture *f = *state;
    if (f->projector > 0)
        read_end(&f->projector, SIGKILL);
    if (f->query > 0)
        read_end(&f->query, SIGKILL);
    log_feed_close(&f->feed);
    redis_server_stop(&f->redis);
    event_writer_release(&f->writer);
    node_state_release(&f->fold);
    fs_remove_tree(AT_FDCWD, f->dir, NULL);
    free(f);
    return 0;
}

static void fold_one(struct read_fixture *f, const char *text, size_t size)
{
    struct event event;
    assert_int_equal(event_decode(&event, text, size, NULL), 0);
    assert_int_equal(node_state_apply(&f->fold, &event, text, size), APPLY_DONE);
    if (container_id_is_valid(event.envelope.subject))
        f->n_container_events++;
    event_release(&event);
}

static void flush(struct read_fixture *f, char **values, size_t *sizes, size_t *n)
{
    if (*n > 0)
        log_feed_append(&f->feed, values, sizes, *n);
    for (size_t i = 0; i < *n; i++)
        free(values[i]);
    *n = 0;
}

void read_feed(struct read_fixture *f, size_t n, size_t garbage_every)
{
    static const char garbage[] = "\xff{\"not\": an event";
    char *values[BATCH + 1];
    size_t sizes[BATCH + 1];
    size_t used = 0;
    for (size_t i = 1; i <= n; i++) {
        values[used] = event_writer_next(&f->writer, &sizes[used]);
        fold_one(f, values[used], sizes[used]);
        used++;
        if (garbage_every != 0 && i % garbage_every == 0) {
            values[used] = strdup(garbage);
            sizes[used++] = sizeof(garbage) - 1;
            f->n_garbage++;
        }
        if (used >= BATCH)
            flush(f, values, sizes, &used);
    }
    flush(f, values, sizes, &used);
}

void read_replace_log(struct read_fixture *f)
{
    char path[sizeof(f->dir) + 8];
    snprintf(path, sizeof(path), "%s/log", f->dir);
    log_feed_close(&f->feed);
    assert_int_equal(fs_remove_tree(AT_FDCWD, path, NULL), 0);
    log_feed_open(&f->feed, f->log_url);
    event_writer_release(&f->writer);
    event_writer_init(&f->writer, "n1", 8, 300);
    node_state_release(&f->fold);
    assert_int_equal(node_state_init(&f->fold, "n1"), 0);
    f->n_container_events = 0;
    f->n_garbage = 0;
}

pid_t read_spawn(struct read_fixture *f, const char *binary, const char *const *more, int stdout_fd)
{
    char path[256];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof(path), "%s/%s", build != NULL ? build : "build", binary);
    const char *argv[24] = {path,   "--log",       f->log_url, "--redis", f->redis.url, "--run-dir",
                            f->dir, "--state-dir", f->dir,     "--user",  "root"};
    for (size_t at = 11; more != NULL && *more != NULL;)
        argv[at++] = *more++;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (stdout_fd >= 0)
        dup2(stdout_fd, STDOUT_FILENO);
    execv(path, (char *const *)argv);
    perror(path);
    _exit(127);
}

void read_start_projector(struct read_fixture *f)
{
    f->projector = read_spawn(f, "wharf-projector", NULL, -1);
}

int read_end(pid_t *pid, int signal)
{
    int status = 0;
    kill(*pid, signal);
    waitpid(*pid, &status, 0);
    *pid = 0;
    return status;
}

int read_run_projector(struct read_fixture *f, const char *const *more, char **ret_output)
{
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t pid = read_spawn(f, "wharf-projector", more, pipe_fds[1]);
    close(pipe_fds[1]);
    struct buf output = BUF_INIT;
    char chunk[4096];
    for (ssize_t n; (n = read(pipe_fds[0], chunk, sizeof(chunk))) > 0;)
        buf_add(&output, chunk, (size_t)n);
    close(pipe_fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    *ret_output = buf_take(&output, NULL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int64_t stored_offset(redisContext *redis)
{
    auto_free char *text = redis_server_ask(redis, "HGET wharf:v1:{0}:meta offset");
    return strcmp(text, "(nil)") == 0 ? -1 : strtoll(text, NULL, 10);
}

/* Subscribes first and looks then, so that no message can be missed. */
void read_wait_for(struct read_fixture *f, int64_t offset)
{
    redisContext *messages = redis_server_connect(&f->redis);
    redisContext *redis = redis_server_connect(&f->redis);
    const struct timeval limit = {.tv_sec = 60};
    redisSetTimeout(messages, limit);
    freeReplyObject(redisCommand(messages, "SUBSCRIBE wharf:v1:{0}:applied"));
    int64_t seen = stored_offset(redis);
    while (seen < offset) {
        redisReply *reply = NULL;
        if (redisGetReply(messages, (void **)&reply) != REDIS_OK)
            fail_msg("the view stays at %" PRId64 " and does not reach %" PRId64, stored_offset(redis),
                     offset);
        seen = strtoll(reply->element[2]->str, NULL, 10);
        freeReplyObject(reply);
    }
    redisFree(messages);
    redisFree(redis);
}

void read_wait(struct read_fixture *f)
{
    read_wait_for(f, f->feed.n_appended - 1);
}

/* --- HTTP --- */

static int connect_query(struct read_fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/query.sock", f->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int send_get(struct read_fixture *f, const char *path, const char *connection)
{
    int fd = connect_query(f);
    if (fd >= 0)
        dprintf(fd, "GET %s HTTP/1.1\r\nHost: wharf\r\nConnection: %s\r\n\r\n", path, connection);
    return fd;
}

/* RFC 9112, section 7.1: size in hex, CRLF, data, CRLF; the last size is 0. */
static void unchunk(struct http_answer *answer)
{
    char *to = answer->body, *from = answer->body;
    for (size_t size; (size = strtoul(from, &from, 16)) > 0; from += 2 + size + 2, to += size)
        memmove(to, from + 2, size);
    *to = '\0';
    answer->body_size = (size_t)(to - answer->body);
}

bool read_get(struct read_fixture *f, const char *path, struct http_answer *ret)
{
    int fd = send_get(f, path, "close");
    if (fd < 0)
        return false;
    struct buf text = BUF_INIT;
    char chunk[65536];
    for (ssize_t n; (n = read(fd, chunk, sizeof(chunk))) > 0;)
        buf_add(&text, chunk, (size_t)n);
    close(fd);
    char *body = text.data != NULL ? strstr(text.data, "\r\n\r\n") : NULL;
    if (body == NULL) {
        fail_msg("no answer to %s", path);
        return false;
    }
    *body = '\0';
    body += 4;
    *ret = (struct http_answer){.headers = text.data, .body = body};
    ret->body_size = text.size - (size_t)(body - text.data);
    ret->status = (int)strtol(text.data + strlen("HTTP/1.1 "), NULL, 10);
    if (strcasestr(ret->headers, "Transfer-Encoding: chunked") != NULL)
        unchunk(ret);
    return true;
}

void http_answer_release(struct http_answer *answer)
{
    free(answer->headers);
}

static char *read_line(int fd)
{
    struct buf line = BUF_INIT;
    char c;
    while (read(fd, &c, 1) == 1 && c != '\n')
        buf_add(&line, &c, 1);
    return buf_take(&line, NULL);
}

int read_stream_open(struct read_fixture *f, const char *path)
{
    int fd = send_get(f, path, "keep-alive");
    assert_true(fd >= 0);
    for (bool head = true; head;) {
        auto_free char *line = read_line(fd);
        head = strcmp(line, "\r") != 0;
    }
    return fd;
}

/* Lines of a chunked body that are JSON: sizes and line ends are not. */
char *read_stream_line(int fd)
{
    for (;;) {
        char *line = read_line(fd);
        if (line[0] == '{' || line[0] == '\0')
            return line;
        free(line);
    }
}

void read_start_query(struct read_fixture *f)
{
    f->query = read_spawn(f, "wharf-query", NULL, -1);
    for (int attempt = 0; attempt < 2000; attempt++) {
        struct http_answer answer;
        if (read_get(f, "/readyz", &answer)) {
            int status = answer.status;
            http_answer_release(&answer);
            if (status == 200)
                return;
        }
        usleep(5000); /* the pause between two attempts */
    }
    fail_msg("wharf-query does not get ready");
}

static const char *field(const redisReply *hash, const char *name)
{
    for (size_t i = 0; i + 1 < hash->elements; i += 2)
        if (strcmp(hash->element[i]->str, name) == 0)
            return hash->element[i + 1]->str;
    fail_msg("no field '%s'", name);
    return NULL;
}

static void assert_number(const redisReply *hash, const char *name, int64_t expected)
{
    char text[24] = "";
    if (expected != SCHEMA_ABSENT)
        snprintf(text, sizeof(text), "%" PRId64, expected);
    assert_string_equal(field(hash, name), text);
}

static void assert_time(const redisReply *hash, const char *name, int64_t expected_ns)
{
    char text[TIMESTAMP_SIZE] = "";
    if (expected_ns != 0)
        timestamp_format(text, expected_ns);
    assert_string_equal(field(hash, name), text);
}

/* The text says what the hash says. */
static void assert_json(redisContext *redis, const redisReply *hash, const char *id)
{
    auto_free char *text = redis_server_ask(redis, "HGET wharf:v1:{0}:json %s", id);
    json_auto_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_object_size(object), hash->elements / 2);
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        auto_free char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (json_is_string(value))
            assert_string_equal(json_string_value(value), field(hash, name));
        else
            assert_string_equal(json_is_null(value) ? "" : shown, field(hash, name));
    }
}

static void assert_container(redisContext *redis, const struct container *container)
{
    redisReply *hash = redisCommand(redis, "HGETALL wharf:v1:{0}:container:%s", container->id);
    assert_int_equal(hash->elements, 34);
    assert_string_equal(field(hash, "id"), container->id);
    assert_string_equal(field(hash, "name"), container->name);
    assert_string_equal(field(hash, "node"), "n1");
    assert_string_equal(field(hash, "state"), container_state_name(container->state));
    assert_number(hash, "version", container->version);
    assert_number(hash, "restarts", container->restarts);
    assert_number(hash, "pid", container->pid != 0 ? container->pid : SCHEMA_ABSENT);
    assert_time(hash, "created_at", container->created_at_ns);
    assert_time(hash, "started_at", container->started_at_ns);
    assert_time(hash, "finished_at", container->finished_at_ns);
    /* the view also shows the code of a start that failed, which the fold does not keep */
    if (strcmp(field(hash, "reason"), "command-not-found") != 0)
        assert_number(hash, "exit_code", container->exit_code);
    json_auto_t *labels = json_loads(field(hash, "labels"), 0, NULL);
    assert_int_equal(json_object_size(labels), container->spec.labels.n);
    json_auto_t *spec = json_loads(field(hash, "spec"), 0, NULL);
    json_auto_t *expected = schema_encode(&container_spec_schema, &container->spec);
    assert_true(json_equal(spec, expected));
    assert_json(redis, hash, container->id);
    freeReplyObject(hash);
}

static int64_t ask_number(redisContext *redis, const char *command)
{
    redisReply *reply = redisCommand(redis, command);
    assert_non_null(reply);
    int64_t number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : strtoll(reply->str, NULL, 10);
    freeReplyObject(reply);
    return number;
}

/* The sum of a command's integer over all keys of a pattern. */
static int64_t sum_keys(redisContext *redis, const char *command, const char *pattern)
{
    int64_t sum = 0;
    redisReply *keys = redisCommand(redis, "KEYS %s", pattern);
    for (size_t i = 0; i < keys->elements; i++) {
        redisReply *reply = redisCommand(redis, "%s %s", command, keys->element[i]->str);
        sum += reply->integer;
        freeReplyObject(reply);
    }
    freeReplyObject(keys);
    return sum;
}

static void assert_sets(redisContext *redis, const struct node_state *fold)
{
    int64_t n = (int64_t)HASH_COUNT(fold->containers), in_states = 0, labels = 0;
    for (int state = CONTAINER_CREATED; state < CONTAINER_STATES; state++) {
        for (struct container *c = fold->containers; c != NULL; c = c->hh.next) {
            if (c->state != (enum container_state)state)
                continue;
            auto_free char *member = redis_server_ask(redis, "SISMEMBER wharf:v1:{0}:state:%s %s",
                                                      container_state_name(c->state), c->id);
            assert_string_equal(member, "1");
        }
    }
    for (struct container *c = fold->containers; c != NULL; c = c->hh.next)
        labels += 2 * (int64_t)c->spec.labels.n;
    in_states = sum_keys(redis, "SCARD", "wharf:v1:{0}:state:*");
    assert_int_equal(in_states, n);
    assert_int_equal(sum_keys(redis, "SCARD", "wharf:v1:{0}:image:*"), n);
    assert_int_equal(sum_keys(redis, "SCARD", "wharf:v1:{0}:label:*"), labels);
    assert_int_equal(ask_number(redis, "ZCARD wharf:v1:{0}:containers"), n);
    assert_int_equal(ask_number(redis, "HLEN wharf:v1:{0}:names"), n);
    assert_int_equal(ask_number(redis, "HLEN wharf:v1:{0}:json"), n);
}

void read_assert_view_is_fold(struct read_fixture *f)
{
    redisContext *redis = redis_server_connect(&f->redis);
    for (struct container *c = f->fold.containers; c != NULL; c = c->hh.next)
        assert_container(redis, c);
    assert_sets(redis, &f->fold);
    assert_int_equal(ask_number(redis, "HGET wharf:v1:{0}:meta offset"), f->feed.n_appended - 1);
    assert_int_equal(ask_number(redis, "HGET wharf:v1:{0}:meta events"), f->feed.n_appended - f->n_garbage);
    assert_int_equal(ask_number(redis, "HGET wharf:v1:{0}:meta parked"), f->n_garbage);
    assert_int_equal(ask_number(redis, "HGET wharf:v1:{0}:meta ignored"), 0);
    assert_int_equal(sum_keys(redis, "LLEN", "wharf:v1:{0}:history:*"), f->n_container_events);
    assert_int_equal(log_feed_end(&f->feed, LOG_DEADLETTERS), f->n_garbage);
    redisFree(redis);
}
