/* SPDX-License-Identifier: Apache-2.0 */
/* The writer as a process: many clients, bad ones, repeated keys, a full disk, and kills in the middle of it
 * all. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/stack/writer_fixture.h"

#define RUN "{\"type\":\"container.run\",\"data\":{\"image\":\"busybox\"}}"
#define KILL "{\"type\":\"container.kill\",\"data\":{\"container\":\"web\"}}"

static const char *text_of(const struct answer *answer, const char *member)
{
    const char *text = json_string_value(json_object_get(answer->body, member));
    return text != NULL ? text : "";
}

static json_int_t number_of(const struct answer *answer, const char *member)
{
    return json_integer_value(json_object_get(answer->body, member));
}

static void expect_problem(const struct writer_fixture *f, const char *headers, const char *body, int status,
                           const char *code)
{
    struct answer answer = ask(f, "POST", "/v1/commands", headers, body);
    if (answer.status != status || strcmp(text_of(&answer, "code"), code) != 0)
        print_error("'%s': %s", body, answer.head);
    assert_int_equal(answer.status, status);
    assert_string_equal(text_of(&answer, "code"), code);
    assert_non_null(strstr(answer.head, "application/problem+json"));
    if (status == 503)
        assert_non_null(strstr(answer.head, "Retry-After: "));
    answer_release(&answer);
}

/* ---- many clients ---- */

struct load {
    const struct writer_fixture *f;
    int n_commands;
    char (*acknowledged)[UUID_TEXT_SIZE]; /* n of them */
    int n;
    atomic_int *total;
};

/* Sends commands until it has sent them all or the writer is gone. */
static void *run_load(void *data)
{
    struct load *load = data;
    struct client client;
    if (client_open(&client, load->f) < 0)
        return NULL;
    for (int i = 0; i < load->n_commands; i++) {
        struct answer answer;
        if (!client_ask(&client, &answer, "POST", "/v1/commands", "", RUN, strlen(RUN)))
            break;
        if (answer.status == 202) {
            snprintf(load->acknowledged[load->n++], UUID_TEXT_SIZE, "%s", text_of(&answer, "id"));
            (*load->total)++;
        }
        answer_release(&answer);
    }
    client_close(&client);
    return NULL;
}

#define N_CLIENTS 64
#define N_COMMANDS 50

struct crowd {
    pthread_t threads[N_CLIENTS];
    struct load loads[N_CLIENTS];
    atomic_int total;
};

static struct crowd *crowd_start(const struct writer_fixture *f, int n_commands)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    for (size_t i = 0; i < N_CLIENTS; i++) {
        crowd->loads[i] = (struct load){.f = f,
                                        .n_commands = n_commands,
                                        .acknowledged = calloc((size_t)n_commands, UUID_TEXT_SIZE),
                                        .total = &crowd->total};
        assert_int_equal(pthread_create(&crowd->threads[i], NULL, run_load, &crowd->loads[i]), 0);
    }
    return crowd;
}

/* Waits for all and checks that what was acknowledged is on the log, once. Returns how many that are. */
static int crowd_finish(struct crowd *crowd, const struct writer_fixture *f)
{
    int total = 0;
    for (size_t i = 0; i < N_CLIENTS; i++)
        pthread_join(crowd->threads[i], NULL);
    json_t *counts = writer_ids_on_log(f);
    for (size_t i = 0; i < N_CLIENTS; i++) {
        struct load *load = &crowd->loads[i];
        for (int k = 0; k < load->n; k++)
            assert_int_equal(json_integer_value(json_object_get(counts, load->acknowledged[k])), 1);
        total += load->n;
        free(load->acknowledged);
    }
    const char *id;
    json_t *count;
    json_object_foreach(counts, id, count) assert_int_equal(json_integer_value(count), 1);
    json_decref(counts);
    free(crowd);
    return total;
}

static void test_concurrent_clients(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    writer_start_process(f);
    assert_int_equal(crowd_finish(crowd_start(f, N_COMMANDS), f), N_CLIENTS * N_COMMANDS);
    int status = writer_end(f, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_killed_under_load(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    for (int round = 0; round < 3; round++) {
        writer_start_process(f);
        struct crowd *crowd = crowd_start(f, 2000);
        while (crowd->total < 500)
            sched_yield();
        writer_end(f, SIGKILL);
        assert_true(crowd_finish(crowd, f) >= 500);
    }
    writer_start_process(f);
    struct answer answer = ask(f, "POST", "/v1/commands", "", RUN);
    assert_int_equal(answer.status, 202);
    answer_release(&answer);
}

static void test_stopped_under_load(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    writer_start_process(f);
    struct crowd *crowd = crowd_start(f, 2000);
    while (crowd->total < 500)
        sched_yield();
    int status = writer_end(f, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    /* An orderly end answers everything it appended. */
    json_t *counts = writer_ids_on_log(f);
    size_t n_on_log = json_object_size(counts);
    json_decref(counts);
    assert_int_equal(crowd_finish(crowd, f), n_on_log);
}

/* ---- one client ---- */

static void test_answers(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    writer_start_process(f);
    struct answer answer = ask(f, "POST", "/v1/commands", "", RUN);
    assert_int_equal(answer.status, 202);
    assert_true(uuid_is_valid(text_of(&answer, "id")));
    assert_true(container_id_is_valid(text_of(&answer, "container")));
    assert_string_equal(text_of(&answer, "node"), "n1");
    assert_string_equal(text_of(&answer, "topic"), "wharf.commands");
    assert_int_equal(number_of(&answer, "offset"), 0);
    answer_release(&answer);
    answer = ask(f, "POST", "/v1/commands", "", KILL);
    assert_int_equal(answer.status, 202);
    assert_null(json_object_get(answer.body, "container"));
    assert_int_equal(number_of(&answer, "offset"), 1);
    answer_release(&answer);
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics"};
    for (size_t i = 0; i < 3; i++) {
        answer = ask(f, "GET", paths[i], "", "");
        assert_int_equal(answer.status, 200);
        answer_release(&answer);
    }
}

/* A client that waits, on a thread of its own. */
struct waiting {
    const struct writer_fixture *f;
    const char *path;
    const char *headers;
    struct answer answer;
};

static void *run_waiting(void *data)
{
    struct waiting *waiting = data;
    waiting->answer = ask(waiting->f, "POST", waiting->path, waiting->headers, KILL);
    return NULL;
}

/* Returns once the log has `n` commands, whose newest id is put into `ret`. */
static void await_commands(const struct writer_fixture *f, size_t n, char ret[UUID_TEXT_SIZE])
{
    for (;;) {
        json_t *counts = writer_ids_on_log(f);
        bool there = json_object_size(counts) == n;
        const char *id;
        json_t *count;
        json_object_foreach(counts, id, count) snprintf(ret, UUID_TEXT_SIZE, "%s", id);
        json_decref(counts);
        if (there)
            return;
        sched_yield();
    }
}

static void test_waits_for_outcome(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    writer_start_process(f);
    struct waiting waiting = {.f = f, .path = "/v1/commands?wait=25", .headers = ""};
    pthread_t thread;
    char id[UUID_TEXT_SIZE];
    assert_int_equal(pthread_create(&thread, NULL, run_waiting, &waiting), 0);
    await_commands(f, 1, id);
    writer_settle(f, id, 0);
    pthread_join(thread, NULL);
    assert_int_equal(waiting.answer.status, 200);
    assert_string_equal(text_of(&waiting.answer, "id"), id);
    assert_string_equal(text_of(&waiting.answer, "outcome"), "ok");
    const json_t *event = json_object_get(waiting.answer.body, "event");
    assert_string_equal(json_string_value(json_object_get(event, "type")), "wharf.command.done.v1");
    assert_string_equal(json_string_value(json_object_get(event, "causationid")), id);
    answer_release(&waiting.answer);
    char path[128];
    snprintf(path, sizeof(path), "/v1/commands/%s", id);
    struct answer answer = ask(f, "GET", path, "", "");
    assert_int_equal(answer.status, 200);
    answer_release(&answer);
    answer = ask(f, "GET", "/v1/commands/0190f5fe-7c00-7a00-8000-000000000001", "", "");
    assert_int_equal(answer.status, 404);
    answer_release(&answer);
    answer = ask(f, "POST", "/v1/commands?wait=1", "", KILL); /* nobody settles it */
    assert_int_equal(answer.status, 202);
    answer_release(&answer);
}

static void test_stop_while_waiting(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    writer_start_process(f);
    struct waiting waiting = {.f = f, .path = "/v1/commands?wait=3600", .headers = ""};
    pthread_t thread;
    char id[UUID_TEXT_SIZE];
    assert_int_equal(pthread_create(&thread, NULL, run_waiting, &waiting), 0);
    await_commands(f, 1, id);
    int status = writer_end(f, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    pthread_join(thread, NULL);
    assert_int_equal(waiting.answer.status, 503);
    answer_release(&waiting.answer);
}

/* Returns once so many requests wait. */
static void await_waiting(const struct writer_fixture *f, int n)
{
    char line[64];
    snprintf(line, sizeof(line), "\nwharf_writer_waiting %d\n", n);
    for (bool there = false; !there; sched_yield()) {
        struct answer answer = ask(f, "GET", "/metrics", "", "");
        there = strstr(answer.text, line) != NULL;
        answer_release(&answer);
    }
}

static void test_waiting_clients_leave(void **state)
{
    struct writer_fixture *f = *state;
    static const char request[] =
        "POST /v1/commands?wait=3600 HTTP/1.1\r\nHost: x\r\nContent-Length: 52\r\n\r\n" KILL;
    struct client clients[20];
    writer_join_node(f, "n1");
    writer_start_process(f);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(client_open(&clients[i], f), 0);
        assert_int_equal(write(clients[i].fd, request, sizeof(request) - 1), sizeof(request) - 1);
    }
    await_waiting(f, 20);
    for (size_t i = 0; i < 20; i++)
        client_close(&clients[i]);
    await_waiting(f, 0);
    /* What they asked for stands all the same. Its append may still be under way; an orderly end finishes it.
     */
    writer_end(f, SIGTERM);
    json_t *counts = writer_ids_on_log(f);
    assert_int_equal(json_object_size(counts), 20);
    json_decref(counts);
}

static void expect_first(const struct writer_fixture *f, const char *path, const struct answer *first,
                         int status)
{
    struct answer again = ask(f, "POST", path, "Idempotency-Key: key one\r\n", KILL);
    assert_int_equal(again.status, status);
    assert_string_equal(text_of(&again, "id"), text_of(first, "id"));
    assert_int_equal(number_of(&again, "offset"), number_of(first, "offset"));
    answer_release(&again);
}

static void test_idempotency(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    writer_start_process(f);
    struct answer first = ask(f, "POST", "/v1/commands", "Idempotency-Key: key one\r\n", KILL);
    assert_int_equal(first.status, 202);
    expect_first(f, "/v1/commands", &first, 202);
    expect_problem(f, "Idempotency-Key: key one\r\n", RUN, 422, "idempotency-key-reused");
    for (int restart = 0; restart < 2; restart++) {
        writer_end(f, restart == 0 ? SIGKILL : SIGTERM);
        writer_start_process(f);
        expect_first(f, "/v1/commands", &first, 202);
        expect_problem(f, "Idempotency-Key: key one\r\n", RUN, 422, "idempotency-key-reused");
    }
    writer_settle(f, text_of(&first, "id"), 0);
    expect_first(f, "/v1/commands?wait=20", &first, 200);
    writer_end(f, SIGKILL);
    writer_start_process(f);
    expect_first(f, "/v1/commands?wait=20", &first, 200);
    json_t *counts = writer_ids_on_log(f);
    assert_int_equal(json_object_size(counts), 1);
    json_decref(counts);
    answer_release(&first);
}

/* Those who come while the first is still being appended get the first one's answer too. */
static void test_one_key_at_once(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    writer_start_process(f);
    for (int round = 0; round < 10; round++) {
        pthread_t threads[N_CLIENTS];
        struct waiting repeats[N_CLIENTS];
        char headers[64];
        snprintf(headers, sizeof(headers), "Idempotency-Key: %d\r\n", round);
        for (size_t i = 0; i < N_CLIENTS; i++) {
            repeats[i] = (struct waiting){.f = f, .path = "/v1/commands", .headers = headers};
            assert_int_equal(pthread_create(&threads[i], NULL, run_waiting, &repeats[i]), 0);
        }
        for (size_t i = 0; i < N_CLIENTS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(repeats[i].answer.status, 202);
            assert_int_equal(number_of(&repeats[i].answer, "offset"), round);
            answer_release(&repeats[i].answer);
        }
    }
}

/* ---- bad input ---- */

static void test_bad_input(void **state)
{
    struct writer_fixture *f = *state;
    static const struct {
        const char *headers;
        const char *body;
        int status;
        const char *code;
    } rows[] = {
        {"", "", 400, "bad-json"},
        {"", "\xff\xfe", 400, "bad-json"},
        {"", "[]", 400, "wrong-type"},
        {"", "{\"type\":\"container.fly\",\"data\":{}}", 400, "unknown-command"},
        {"", "{\"type\":\"container.run\",\"data\":{}}", 400, "missing-field"},
        {"", "{\"type\":\"container.run\",\"data\":{\"image\":\"b\"},\"node\":\"nowhere\"}", 404,
         "unknown-node"},
        {"Idempotency-Key: gr\xc3\xbc\xc3\x9f\r\n", RUN, 400, "bad-value"},
    };
    writer_join_node(f, "n1");
    writer_start_process(f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_problem(f, rows[i].headers, rows[i].body, rows[i].status, rows[i].code);
    static const char *const waits[] = {"", "x", "-1", "3601", "1.5", "99999999999"};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/v1/commands?wait=%s", waits[i]);
        struct answer answer = ask(f, "POST", path, "", RUN);
        assert_int_equal(answer.status, 400);
        answer_release(&answer);
    }
    size_t size = 10u * 1024 * 1024;
    char *huge = malloc(size + 1);
    memset(huge, ' ', size);
    huge[size] = '\0';
    expect_problem(f, "", huge, 413, "too-large");
    free(huge);
    json_t *counts = writer_ids_on_log(f);
    assert_int_equal(json_object_size(counts), 0);
    json_decref(counts);
}

static void test_damaged_events(void **state)
{
    struct writer_fixture *f = *state;
    writer_join_node(f, "n1");
    char *const garbage[] = {(char *)(uintptr_t) "no JSON", (char *)(uintptr_t) "{\"type\":7}"};
    const size_t sizes[] = {7, 10};
    log_feed_append(&f->feed, garbage, sizes, 2);
    writer_start_process(f);
    struct answer answer = ask(f, "POST", "/v1/commands", "", RUN);
    assert_int_equal(answer.status, 202);
    answer_release(&answer);
}

static void test_no_node(void **state)
{
    struct writer_fixture *f = *state;
    writer_start_process(f);
    expect_problem(f, "", RUN, 503, "no-node");
    struct answer answer = ask(f, "GET", "/readyz", "", "");
    assert_int_equal(answer.status, 503);
    answer_release(&answer);
    writer_join_node(f, "late");
    do {
        answer = ask(f, "GET", "/readyz", "", "");
        int status = answer.status;
        answer_release(&answer);
        if (status == 200)
            break;
        sched_yield();
    } while (true);
    answer = ask(f, "POST", "/v1/commands", "", RUN);
    assert_int_equal(answer.status, 202);
    answer_release(&answer);
}

static void test_silent_clients(void **state)
{
    struct writer_fixture *f = *state;
    static struct client silent[1000];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    writer_join_node(f, "n1");
    writer_start_process(f);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(client_open(&silent[i], f), 0);
    assert_int_equal(crowd_finish(crowd_start(f, 10), f), N_CLIENTS * 10);
    for (size_t i = 0; i < 1000; i++)
        client_close(&silent[i]);
}

/* ---- trouble with the disk ---- */

static void test_log_not_writable(void **state)
{
    struct writer_fixture *f = *state;
    snprintf(f->log_url, sizeof(f->log_url), "sqlite:/proc/wharf-log");
    char *said = writer_expect_failure(f);
    assert_non_null(strstr(said, "wharf-writer: error: "));
    assert_non_null(strstr(said, "'/proc/wharf-log'"));
    free(said);
    snprintf(f->log_url, sizeof(f->log_url), "nonsense:x");
    said = writer_expect_failure(f);
    assert_non_null(strstr(said, "nonsense"));
    free(said);
}

static void test_second_writer(void **state)
{
    struct writer_fixture *f = *state;
    writer_start_process(f);
    pid_t first = f->pid;
    char *said = writer_expect_failure(f);
    assert_non_null(strstr(said, "another process does"));
    free(said);
    f->pid = first;
    struct answer answer = ask(f, "GET", "/healthz", "", "");
    assert_int_equal(answer.status, 200);
    answer_release(&answer);
}

/* Fills the file system the log is on but for some pages. */
static void fill_disk(const char *path)
{
    static char zeros[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void test_full_disk(void **state)
{
    struct writer_fixture *f = *state;
    char ballast[128];
    if (geteuid() != 0)
        return; /* only root can mount a small file system; CI is root */
    assert_int_equal(mkdir(f->log_dir, 0770), 0);
    assert_int_equal(mount("tmpfs", f->log_dir, "tmpfs", 0, "size=4m,mode=0770"), 0);
    writer_join_node(f, "n1");
    writer_start_process(f);
    struct answer answer = ask(f, "POST", "/v1/commands", "", RUN);
    assert_int_equal(answer.status, 202);
    answer_release(&answer);
    snprintf(ballast, sizeof(ballast), "%s/ballast", f->log_dir);
    fill_disk(ballast);
    int n_accepted = 1;
    for (int i = 0; i < 100; i++) { /* what room SQLite had left itself is used up first */
        answer = ask(f, "POST", "/v1/commands", "", RUN);
        bool full = answer.status == 503;
        assert_true(full || answer.status == 202);
        n_accepted += answer.status == 202;
        answer_release(&answer);
        if (full)
            break;
    }
    expect_problem(f, "", RUN, 503, "log-away");
    assert_int_equal(unlink(ballast), 0);
    answer = ask(f, "POST", "/v1/commands", "", RUN);
    assert_int_equal(answer.status, 202);
    n_accepted++;
    answer_release(&answer);
    json_t *counts = writer_ids_on_log(f);
    assert_int_equal(json_object_size(counts), n_accepted);
    json_decref(counts);
    log_feed_close(&f->feed);
    event_writer_release(&f->events);
    f->has_feed = false;
    writer_end(f, SIGTERM);
    assert_int_equal(umount(f->log_dir), 0);
}

int main(void)
{
    /* Mounts are to be ours alone, and before there are threads, each of which has its own view. */
    if (geteuid() == 0 && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
        return EXIT_FAILURE;
#define TEST(name) cmocka_unit_test_setup_teardown(name, writer_setup, writer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_answers),
        TEST(test_waits_for_outcome),
        TEST(test_stop_while_waiting),
        TEST(test_waiting_clients_leave),
        TEST(test_idempotency),
        TEST(test_one_key_at_once),
        TEST(test_bad_input),
        TEST(test_damaged_events),
        TEST(test_no_node),
        TEST(test_silent_clients),
        TEST(test_concurrent_clients),
        TEST(test_killed_under_load),
        TEST(test_stopped_under_load),
        TEST(test_log_not_writable),
        TEST(test_second_writer),
        TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
