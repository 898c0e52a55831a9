/* SPDX-License-Identifier: Apache-2.0 */
/* The query role as a process: what docs/api.md says of query.sock, with good and bad input, and with parts
 * away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/stack/read_fixture.h"

static int setup(void **state)
{
    read_setup(state);
    struct read_fixture *f = *state;
    read_feed(f, 3000, 600);
    read_start_projector(f);
    read_wait(f);
    read_start_query(f);
    return 0;
}

/* GETs and parses; the body is an empty object for answers that are no JSON. */
static int get(struct read_fixture *f, json_t **ret, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int get(struct read_fixture *f, json_t **ret, const char *fmt, ...)
{
    char path[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(path, sizeof(path), fmt, args);
    va_end(args);
    struct http_answer answer;
    assert_true(read_get(f, path, &answer));
    int status = answer.status;
    json_t *body = json_loadb(answer.body, answer.body_size, 0, NULL);
    http_answer_release(&answer);
    if (ret != NULL)
        *ret = body;
    else
        json_decref(body);
    return status;
}

static const char *text(const json_t *object, const char *member)
{
    const char *value = json_string_value(json_object_get(object, member));
    return value != NULL ? value : "";
}

static size_t count(struct read_fixture *f, const char *query)
{
    json_t *body = NULL;
    assert_int_equal(get(f, &body, "/v1/containers?%s", query), 200);
    size_t n = json_array_size(json_object_get(body, "containers"));
    json_decref(body);
    return n;
}

static void pages_contain_every_container_once_newest_first(void **state)
{
    struct read_fixture *f = *state;
    char cursor[256] = "";
    auto_free char *last = strdup("9999");
    size_t n = 0;
    json_auto_t *whole = NULL; /* asked for in one piece it has the same order */
    assert_int_equal(get(f, &whole, "/v1/containers"), 200);
    const json_t *all = json_object_get(whole, "containers");
    assert_int_equal(json_array_size(all), HASH_COUNT(f->fold.containers));
    do {
        json_t *body = NULL, *container;
        assert_int_equal(get(f, &body, "/v1/containers?limit=7%s", cursor), 200);
        size_t i;
        json_array_foreach(json_object_get(body, "containers"), i, container)
        {
            struct container *expected = node_state_container(&f->fold, text(container, "id"));
            assert_non_null(expected);
            assert_true(json_equal(container, json_array_get(all, n)));
            assert_string_equal(text(container, "state"), container_state_name(expected->state));
            assert_int_equal(json_integer_value(json_object_get(container, "version")), expected->version);
            assert_true(json_is_object(json_object_get(container, "labels")));
            assert_true(strcmp(text(container, "created_at"), last) < 0);
            free(last);
            last = strdup(text(container, "created_at"));
            n++;
        }
        const char *next = text(body, "next_cursor");
        if (next[0] != '\0')
            snprintf(cursor, sizeof(cursor), "&cursor=%s", next);
        else
            cursor[0] = '\0';
        json_decref(body);
    } while (cursor[0] != '\0');
    assert_int_equal(n, HASH_COUNT(f->fold.containers));
}

static void filters_select(void **state)
{
    struct read_fixture *f = *state;
    size_t running = 0, up = 0, front = 0, canary_front = 0, debian = 0, named = 0;
    for (struct container *c = f->fold.containers; c != NULL; c = c->hh.next) {
        bool is_front = strcmp(string_map_get(&c->spec.labels, "tier"), "front") == 0;
        running += c->state == CONTAINER_RUNNING;
        up += container_state_is_running(c->state);
        front += is_front;
        canary_front += is_front && string_map_get(&c->spec.labels, "canary") != NULL;
        debian += strcmp(c->spec.image, "debian:12") == 0;
        named += strstr(c->name, "c1") != NULL;
    }
    assert_true(running > 0 && up > running && canary_front > 0 && front > canary_front && debian > 0 &&
                named > 1);
    assert_int_equal(count(f, "state=running"), running);
    assert_int_equal(count(f, "state=running&state=paused&state=stopping"), up);
    assert_int_equal(count(f, "label=tier=front"), front);
    assert_int_equal(count(f, "label=tier%3Dfront&label=canary"), canary_front);
    assert_int_equal(count(f, "label=tier=front&label=tier=back"), 0);
    assert_int_equal(count(f, "image=debian:12"), debian);
    assert_int_equal(count(f, "name=c1"), named);
    assert_int_equal(count(f, "node=n1"), HASH_COUNT(f->fold.containers));
    assert_int_equal(count(f, "node=elsewhere"), 0);
    assert_int_equal(count(f, "limit=3&label=tier=front"), 3);
}

static void one_container_by_id_prefix_and_name(void **state)
{
    struct read_fixture *f = *state;
    const struct container *c = f->fold.containers;
    const char *const refs[] = {c->id, c->name, NULL};
    char prefix[13], qualified[160];
    snprintf(prefix, sizeof(prefix), "%.12s", c->id);
    snprintf(qualified, sizeof(qualified), "n1%%2F%s", c->name);
    const char *const more[] = {prefix, qualified};
    for (size_t i = 0; i < 4; i++) {
        json_t *body = NULL;
        assert_int_equal(get(f, &body, "/v1/containers/%s", i < 2 ? refs[i] : more[i - 2]), 200);
        assert_string_equal(text(body, "id"), c->id);
        json_auto_t *spec = schema_encode(&container_spec_schema, &c->spec);
        assert_true(json_equal(json_object_get(body, "spec"), spec));
        json_decref(body);
    }
    json_auto_t *unknown = NULL, *ambiguous = NULL;
    assert_int_equal(get(f, &unknown, "/v1/containers/no-such"), 404);
    assert_string_equal(text(unknown, "code"), "unknown-container");
    assert_int_equal(get(f, &ambiguous, "/v1/containers/%.1s", c->id), 409);
    assert_string_equal(text(ambiguous, "code"), "ambiguous-reference");
}

/* What was created, then removed: its id comes from the log, its history from the view. */
static void a_history_outlives_its_container(void **state)
{
    struct read_fixture *f = *state;
    struct http_answer answer;
    assert_true(read_get(f, "/v1/events?type=container.removed", &answer));
    assert_int_equal(answer.status, 200);
    *strchr(answer.body, '\n') = '\0';
    json_auto_t *removed = json_loads(answer.body, 0, NULL);
    http_answer_release(&answer);
    const char *id = text(removed, "subject");
    assert_int_equal(get(f, NULL, "/v1/containers/%s", id), 404);
    json_auto_t *history = NULL, *by_prefix = NULL, *by_name = NULL;
    assert_int_equal(get(f, &history, "/v1/containers/%s/history", id), 200);
    json_t *events = json_object_get(history, "events");
    size_t n = json_array_size(events);
    assert_true(n >= 2);
    assert_string_equal(text(json_array_get(events, 0), "type"), "wharf.container.created.v1");
    assert_string_equal(text(json_array_get(events, n - 1), "type"), "wharf.container.removed.v1");
    for (size_t i = 0; i < n; i++) {
        json_t *event = json_array_get(events, i);
        assert_string_equal(text(event, "subject"), id);
        assert_int_equal(json_integer_value(json_object_get(event, "streamversion")), i + 1);
    }
    assert_int_equal(get(f, &by_prefix, "/v1/containers/%.20s/history", id), 200);
    assert_true(json_equal(by_prefix, history));
    assert_int_equal(
        get(f, &by_name, "/v1/containers/%s/history", text(json_object_get(removed, "data"), "name")), 200);
    assert_true(json_equal(by_name, history));
}

static size_t count_lines(struct read_fixture *f, const char *path)
{
    struct http_answer answer;
    assert_true(read_get(f, path, &answer));
    assert_int_equal(answer.status, 200);
    size_t n = 0;
    for (const char *at = answer.body; (at = strchr(at, '\n')) != NULL; at++)
        n++;
    http_answer_release(&answer);
    return n;
}

static void events_are_streamed_and_followed(void **state)
{
    struct read_fixture *f = *state;
    char path[256];
    assert_int_equal(count_lines(f, "/v1/events"), 3000);
    assert_int_equal(count_lines(f, "/v1/events?partition=0&from_offset=3000"),
                     f->feed.n_appended - 3000 - 1);
    assert_int_equal(count_lines(f, "/v1/events?since=2100-01-01T00:00:00Z"), 0);
    snprintf(path, sizeof(path), "/v1/events?container=%s", f->fold.containers->id);
    assert_int_equal(count_lines(f, path), f->fold.containers->version);
    assert_true(count_lines(f, "/v1/events?type=container.exited&type=wharf.container.started.v1") > 100);

    snprintf(path, sizeof(path), "/v1/events?follow=1&from_offset=%" PRId64, f->feed.n_appended - 1);
    int fd = read_stream_open(f, path);
    read_feed(f, 3, 0);
    for (int64_t i = 0; i < 3; i++) { /* the record at from_offset is garbage, which is no line */
        auto_free char *line = read_stream_line(fd);
        json_auto_t *event = json_loads(line, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(event, "_offset")), f->feed.n_appended - 3 + i);
        assert_int_equal(json_integer_value(json_object_get(event, "nodeseq")), 3001 + i);
    }
    close(fd);
}

static void bad_input_is_refused(void **state)
{
    struct read_fixture *f = *state;
    static const char *const paths[] = {
        "/v1/containers?limit=0",
        "/v1/containers?limit=x",
        "/v1/containers?limit=100001",
        "/v1/containers?cursor=nonsense",
        "/v1/containers?state=floating",
        "/v1/containers?label=",
        "/v1/containers?label==x",
        "/v1/containers?image=%20",
        "/v1/containers?min_offset=7",
        "/v1/containers?min_offset=9:1",
        "/v1/events?from_offset=-1",
        "/v1/events?partition=5",
        "/v1/events?since=yesterday",
        "/v1/events?container=not-hex",
        "/v1/containers?cursor=1-ab",
        "/v1/events?after=0:1,",
        "/v1/events?after=7",
        "/v1/events?after=0:1&from_offset=1",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        json_auto_t *body = NULL;
        if (get(f, &body, "%s", paths[i]) != 400)
            fail_msg("%s was not refused", paths[i]);
        assert_string_equal(text(body, "code"), "bad-value");
        assert_true(strlen(text(body, "detail")) > 10);
    }
    json_auto_t *misspelt = NULL, *twice = NULL;
    assert_int_equal(get(f, &misspelt, "/v1/containers?stat=running"), 400);
    assert_string_equal(text(misspelt, "code"), "unknown-parameter");
    assert_int_equal(get(f, &twice, "/v1/containers?name=a&state=running&name=b"), 400);
    assert_string_equal(text(twice, "code"), "parameter-twice");
    assert_int_equal(get(f, NULL, "/v1/containers?state=running&state=exited"), 200);
    assert_int_equal(get(f, NULL, "/v1/nothing"), 404);
}

static double metric(struct read_fixture *f, const char *name)
{
    struct http_answer answer;
    assert_true(read_get(f, "/metrics", &answer));
    assert_int_equal(answer.status, 200);
    char line[128];
    snprintf(line, sizeof(line), "\n%s ", name);
    const char *at = strstr(answer.body, line);
    if (at == NULL)
        fail_msg("no metric %s in %s", name, answer.body);
    double value = at != NULL ? strtod(at + strlen(line), NULL) : -1;
    http_answer_release(&answer);
    return value;
}

static void consistent_reads_wait_and_lag_is_measured(void **state)
{
    struct read_fixture *f = *state;
    assert_true(metric(f, "wharf_projection_lag_events{partition=\"0\"}") == 0);
    assert_true(metric(f, "wharf_containers{state=\"running\"}") > 0);
    kill(f->projector, SIGSTOP);
    read_feed(f, 50, 0);
    assert_true(metric(f, "wharf_projection_lag_events{partition=\"0\"}") == 50);
    assert_true(metric(f, "wharf_projection_lag_seconds{partition=\"0\"}") >= 0);
    json_auto_t *behind = NULL;
    assert_int_equal(get(f, &behind, "/v1/containers?limit=1&consistent=1"), 504);
    assert_string_equal(text(behind, "code"), "view-behind");
    assert_true(metric(f, "wharf_projection_lag_seconds{partition=\"0\"}") > 4);
    kill(f->projector, SIGCONT);
    for (int i = 0; i < 20; i++) {
        read_feed(f, 20, 0);
        char expected[64];
        struct http_answer answer;
        assert_true(read_get(f, "/v1/containers?limit=1&consistent=1", &answer));
        assert_int_equal(answer.status, 200);
        snprintf(expected, sizeof(expected), "Wharf-Offset: 0:%" PRId64, f->feed.n_appended - 1);
        assert_non_null(strstr(answer.headers, expected));
        http_answer_release(&answer);
    }
    assert_int_equal(get(f, NULL, "/v1/containers?limit=1&min_offset=0:%" PRId64, f->feed.n_appended - 1),
                     200);
}

static void wait_until_ready(struct read_fixture *f)
{
    for (int attempt = 0; attempt < 2000 && get(f, NULL, "/readyz") != 200; attempt++)
        usleep(5000); /* the pause between two attempts */
}

static void without_redis_it_says_so_and_recovers(void **state)
{
    struct read_fixture *f = *state;
    redis_server_kill(&f->redis);
    struct http_answer answer;
    assert_true(read_get(f, "/v1/containers", &answer));
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.headers, "Retry-After:"));
    assert_non_null(strstr(answer.body, "view-unavailable"));
    http_answer_release(&answer);
    assert_int_equal(get(f, NULL, "/readyz"), 503);
    assert_int_equal(get(f, NULL, "/healthz"), 200);
    assert_true(metric(f, "wharf_redis_up") == 0);
    assert_int_equal(count_lines(f, "/v1/events?type=node.joined"), 1); /* the log needs no Redis */
    redis_server_restart(&f->redis);
    wait_until_ready(f);
    json_auto_t *body = NULL;
    assert_int_equal(get(f, &body, "/v1/containers?consistent=1"), 200);
    assert_int_equal(json_array_size(json_object_get(body, "containers")), HASH_COUNT(f->fold.containers));
    int status = read_end(&f->query, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Two nodes on partitions of their own, with the same names; the one between them is empty. */
static int setup_partitions(void **state)
{
    read_setup(state);
    struct read_fixture *f = *state;
    log_feed_close(&f->feed);
    snprintf(f->log_url, sizeof(f->log_url), "sqlite:%s/log3", f->dir);
    log_feed_open_partitions(&f->feed, f->log_url, 3);
    static const uint32_t partitions[] = {0, 2};
    for (size_t i = 0; i < 2; i++) {
        struct event_writer writer;
        event_writer_init(&writer, i == 0 ? "n1" : "n2", 5,
                          30); /* the same seed gives the same names and ids */
        writer.random += i;
        for (int k = 0; k < 300; k++) {
            size_t size;
            auto_free char *value = event_writer_next(&writer, &size);
            log_feed_append_to(&f->feed, partitions[i], &value, &size, 1);
        }
        event_writer_release(&writer);
    }
    read_start_projector(f);
    read_start_query(f);
    return 0;
}

static void partitions_are_one_view(void **state)
{
    struct read_fixture *f = *state;
    json_auto_t *all = NULL, *nodes = NULL, *removed = NULL;
    assert_int_equal(get(f, &all, "/v1/containers?consistent=1"), 200);
    json_t *containers = json_object_get(all, "containers"), *container;
    size_t i, n = json_array_size(containers), per_node[2] = {count(f, "node=n1"), count(f, "node=n2")};
    assert_true(per_node[0] > 5 && per_node[1] > 5);
    assert_int_equal(n, per_node[0] + per_node[1]);
    char cursor[256] = "", shared[64] = "";
    for (i = 0; i < n;) { /* pages of both partitions have the order of the whole */
        json_auto_t *page = NULL;
        assert_int_equal(get(f, &page, "/v1/containers?limit=4%s", cursor), 200);
        size_t k;
        json_array_foreach(json_object_get(page, "containers"), k, container)
            assert_string_equal(text(container, "id"), text(json_array_get(containers, i++), "id"));
        snprintf(cursor, sizeof(cursor), "&cursor=%s", text(page, "next_cursor"));
    }
    assert_int_equal(i, n);
    json_array_foreach(containers, i, container)
    {
        for (size_t k = 0; k < i; k++)
            if (strcmp(text(json_array_get(containers, k), "name"), text(container, "name")) == 0)
                snprintf(shared, sizeof(shared), "%s", text(container, "name"));
    }
    assert_string_not_equal(shared, "");
    assert_int_equal(get(f, NULL, "/v1/containers/%s", shared), 409);
    assert_int_equal(get(f, NULL, "/v1/containers/n2%%2F%s", shared), 200);
    assert_int_equal(get(f, &nodes, "/v1/nodes"), 200);
    assert_int_equal(json_array_size(json_object_get(nodes, "nodes")), 2);
    assert_int_equal(count_lines(f, "/v1/events"), 600);
    assert_int_equal(count_lines(f, "/v1/events?partition=2&from_offset=290"), 10);
    assert_int_equal(count_lines(f, "/v1/events?after=0:289,2:294"), 15);
    assert_int_equal(count_lines(f, "/v1/events?after=2:294"), 305);
    assert_int_equal(get(f, &removed, "/v1/containers/n2%%2F%s/history", shared), 200);
    assert_true(metric(f, "wharf_projection_offset{partition=\"1\"}") == -1);
    assert_true(metric(f, "wharf_projection_offset{partition=\"2\"}") == 299);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_contain_every_container_once_newest_first, setup,
                                        read_teardown),
        cmocka_unit_test_setup_teardown(filters_select, setup, read_teardown),
        cmocka_unit_test_setup_teardown(one_container_by_id_prefix_and_name, setup, read_teardown),
        cmocka_unit_test_setup_teardown(a_history_outlives_its_container, setup, read_teardown),
        cmocka_unit_test_setup_teardown(events_are_streamed_and_followed, setup, read_teardown),
        cmocka_unit_test_setup_teardown(bad_input_is_refused, setup, read_teardown),
        cmocka_unit_test_setup_teardown(consistent_reads_wait_and_lag_is_measured, setup, read_teardown),
        cmocka_unit_test_setup_teardown(partitions_are_one_view, setup_partitions, read_teardown),
        cmocka_unit_test_setup_teardown(without_redis_it_says_so_and_recovers, setup, read_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
