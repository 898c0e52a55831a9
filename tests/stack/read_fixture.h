/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read_fixture.h - a log, a Redis, and the projector as a process, for the stack tests of the read side.
 */
#ifndef WHARF_TESTS_STACK_READ_FIXTURE_H
#define WHARF_TESTS_STACK_READ_FIXTURE_H

#include "events/node_state.h"
#include "tests/support/event_writer.h"
#include "tests/support/log_feed.h"
#include "tests/support/redis_server.h"

struct read_fixture {
    char dir[64];
    char log_url[96];
    struct redis_server redis;
    struct log_feed feed;
    struct event_writer writer;
    struct node_state fold;
    int64_t n_container_events; /* legal ones, each of which is in one history */
    int64_t n_garbage;
    pid_t projector;
    pid_t query;
};

int read_setup(void **state);
int read_teardown(void **state);

/* Appends `n` random legal events, with a record that is no event after every `garbage_every` of them (0:
 * none). */
void read_feed(struct read_fixture *f, size_t n, size_t garbage_every);

/* Deletes the log and begins another one. Nobody may have it open. */
void read_replace_log(struct read_fixture *f);

/* Starts a role's binary with this fixture's log and Redis; `more` are further arguments, NULL-terminated, or
 * NULL. */
pid_t read_spawn(struct read_fixture *f, const char *binary, const char *const *more, int stdout_fd);
void read_start_projector(struct read_fixture *f);
/* Sends the signal and waits; returns the wait status. */
int read_end(pid_t *pid, int signal);
/* Runs wharf-projector with the arguments to its end and returns its exit code; stdout goes to *ret_output.
 */
int read_run_projector(struct read_fixture *f, const char *const *more, char **ret_output);

/* Returns once the view contains `offset` (told by the projector's message), at the end of the log by
 * default. */
void read_wait_for(struct read_fixture *f, int64_t offset);
void read_wait(struct read_fixture *f);

/* Starts the query role and returns once it is ready to answer. */
void read_start_query(struct read_fixture *f);

struct http_answer {
    int status;
    char *headers;
    char *body; /* of a chunked answer: put together */
    size_t body_size;
};
/* GETs a path of query.sock with a connection of its own. False if nobody listens. */
bool read_get(struct read_fixture *f, const char *path, struct http_answer *ret);
void http_answer_release(struct http_answer *answer);

/* Opens a streamed answer and returns the descriptor; read_stream_line gives one line of its body at a time.
 */
int read_stream_open(struct read_fixture *f, const char *path);
char *read_stream_line(int fd);

/* Compares everything in Redis with the fold of what was fed. */
void read_assert_view_is_fold(struct read_fixture *f);

#endif
