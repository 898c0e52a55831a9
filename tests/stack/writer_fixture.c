/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/stack/writer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define PATIENCE_S 30

/* ---- the process ---- */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return address;
}

int writer_setup(void **state)
{
    struct writer_fixture *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/wharf-writer-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->log_dir, sizeof(f->log_dir), "%s/log", f->dir);
    snprintf(f->log_url, sizeof(f->log_url), "sqlite:%s", f->log_dir);
    snprintf(f->socket_path, sizeof(f->socket_path), "%s/writer.sock", f->dir);
    char notify[96];
    snprintf(notify, sizeof(notify), "%s/notify", f->dir);
    struct sockaddr_un address = address_of(notify);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    f->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(f->notify_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        setsockopt(f->notify_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return -1;
    setenv("NOTIFY_SOCKET", notify, 1);
    *state = f;
    return 0;
}

int writer_teardown(void **state)
{
    struct writer_fixture *f = *state;
    if (f->pid > 0)
        writer_end(f, SIGKILL);
    if (f->has_feed) {
        log_feed_close(&f->feed);
        event_writer_release(&f->events);
    }
    close(f->notify_fd);
    int rc = fs_remove_tree(AT_FDCWD, f->dir, NULL);
    free(f);
    return rc;
}

static void append(struct writer_fixture *f, struct event *event, const char *subject)
{
    size_t size;
    char *text = event_writer_encode(&f->events, event, subject, f->events.nodeseq + 1, &size);
    log_feed_append(&f->feed, &text, &size, 1);
    free(text);
}

void writer_join_node(struct writer_fixture *f, const char *node)
{
    struct event event;
    log_feed_open(&f->feed, f->log_url);
    event_writer_init(&f->events, node, 1, 1);
    f->has_feed = true;
    event_init(&event, EVENT_NODE_JOINED);
    event.data.node_joined.partition = 0;
    append(f, &event, node);
}

void writer_settle(struct writer_fixture *f, const char *command_id, int64_t offset)
{
    struct event event;
    event_init(&event, EVENT_COMMAND_DONE);
    event.envelope.outcome = OUTCOME_OK;
    event.envelope.commandoffset = offset;
    snprintf(event.envelope.causationid, sizeof(event.envelope.causationid), "%s", command_id);
    event.data.command_done.message = strdup("nothing to do");
    append(f, &event, "web");
}

static void spawn(struct writer_fixture *f)
{
    const char *build = getenv("BUILD") != NULL ? getenv("BUILD") : "build";
    char binary[128], output[96];
    snprintf(binary, sizeof(binary), "%s/wharf-writer", build);
    snprintf(output, sizeof(output), "%s/stderr", f->dir);
    fflush(NULL);
    f->pid = fork();
    assert_true(f->pid >= 0);
    if (f->pid > 0)
        return;
    int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0)
        dup2(fd, STDERR_FILENO);
    execl(binary, "wharf-writer", "--log", f->log_url, "--run-dir", f->dir, "--state-dir", f->dir, "--user",
          "no-such-user-here", (char *)NULL);
    _exit(127);
}

void writer_start_process(struct writer_fixture *f)
{
    char message[32] = "";
    spawn(f);
    assert_int_equal(recv(f->notify_fd, message, sizeof(message) - 1, 0), 7);
    assert_string_equal(message, "READY=1");
}

int writer_end(struct writer_fixture *f, int signal)
{
    int status;
    kill(f->pid, signal);
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    f->pid = 0;
    return status;
}

char *writer_expect_failure(struct writer_fixture *f)
{
    int status;
    char path[96];
    char *text = NULL;
    size_t size;
    spawn(f);
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    f->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    snprintf(path, sizeof(path), "%s/stderr", f->dir);
    assert_int_equal(fs_read_file(AT_FDCWD, path, 1 << 20, &text, &size, NULL), 0);
    return text;
}

/* ---- clients ---- */

int client_open(struct client *client, const struct writer_fixture *f)
{
    struct sockaddr_un address = address_of(f->socket_path);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return 0;
    close(client->fd);
    client->fd = -1;
    return -1;
}

void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

static bool send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static bool receive_head(int fd, struct buf *head)
{
    char byte;
    do {
        if (recv(fd, &byte, 1, 0) != 1)
            return false;
        buf_add(head, &byte, 1);
    } while (head->size < 4 || memcmp(head->data + head->size - 4, "\r\n\r\n", 4) != 0);
    return true;
}

static bool receive_body(int fd, const char *head, struct buf *body)
{
    const char *length = strcasestr(head, "content-length:");
    size_t left = length != NULL ? strtoul(length + 15, NULL, 10) : 0;
    while (left > 0) {
        char block[4096];
        ssize_t n = recv(fd, block, left < sizeof(block) ? left : sizeof(block), 0);
        if (n <= 0)
            return false;
        buf_add(body, block, (size_t)n);
        left -= (size_t)n;
    }
    return true;
}

bool client_ask(struct client *client, struct answer *ret, const char *method, const char *path,
                const char *headers, const char *body, size_t size)
{
    auto_buf struct buf request = BUF_INIT;
    auto_buf struct buf head = BUF_INIT;
    auto_buf struct buf content = BUF_INIT;
    buf_printf(&request, "%s %s HTTP/1.1\r\nHost: wharf\r\nContent-Length: %zu\r\n%s\r\n", method, path, size,
               headers);
    buf_add(&request, body, size);
    if (!send_all(client->fd, request.data, request.size) || !receive_head(client->fd, &head) ||
        !receive_body(client->fd, head.data, &content))
        return false;
    ret->status = (int)strtol(head.data + strlen("HTTP/1.1 "), NULL, 10);
    ret->head = buf_take(&head, NULL);
    ret->body = content.size > 0 ? json_loadb(content.data, content.size, 0, NULL) : NULL;
    ret->text = buf_take(&content, NULL);
    return true;
}

void answer_release(struct answer *answer)
{
    free(answer->head);
    free(answer->text);
    json_decref(answer->body);
}

struct answer ask(const struct writer_fixture *f, const char *method, const char *path, const char *headers,
                  const char *body)
{
    struct client client;
    struct answer answer;
    assert_int_equal(client_open(&client, f), 0);
    assert_true(client_ask(&client, &answer, method, path, headers, body, strlen(body)));
    client_close(&client);
    return answer;
}

/* ---- the log ---- */

json_t *writer_ids_on_log(const struct writer_fixture *f)
{
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *rows;
    json_t *counts = json_object();
    snprintf(path, sizeof(path), "%s/wharf.commands.db", f->log_dir);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT json_extract(value, '$.id') FROM records", -1, &rows, NULL),
        SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(rows, 0);
        json_int_t n = json_integer_value(json_object_get(counts, id));
        json_object_set_new(counts, id, json_integer(n + 1));
    }
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return counts;
}
