/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_fixture.h - the writer as a process, its log, and HTTP clients that block, for the stack test of the
 * writer.
 */
#ifndef WHARF_TESTS_STACK_WRITER_FIXTURE_H
#define WHARF_TESTS_STACK_WRITER_FIXTURE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "tests/support/event_writer.h"
#include "tests/support/log_feed.h"

struct writer_fixture {
    char dir[64];
    char log_dir[96];
    char log_url[112];
    char socket_path[108];
    int notify_fd;
    pid_t pid;
    bool has_feed;
    struct log_feed feed;
    struct event_writer events;
};

/* A directory with an empty log; the writer is not started. */
int writer_setup(void **state);
int writer_teardown(void **state);

/* Opens the log for events and appends node.joined. */
void writer_join_node(struct writer_fixture *f, const char *node);
/* Appends the outcome of a command, as a runtime would. */
void writer_settle(struct writer_fixture *f, const char *command_id, int64_t offset);

/* Starts the process, with stderr in the file DIR/stderr, and waits until it says that it is ready. */
void writer_start_process(struct writer_fixture *f);
/* Starts it and expects that it gives up; returns what it said, to be freed. */
char *writer_expect_failure(struct writer_fixture *f);
/* Sends the signal and waits; returns the wait status. */
int writer_end(struct writer_fixture *f, int signal);

/* A client's connection. */
struct client {
    int fd;
};

struct answer {
    int status;
    char *head;   /* status line and headers */
    char *text;   /* the body */
    json_t *body; /* NULL where it was no JSON */
};

/* -1 if nobody listens. */
int client_open(struct client *client, const struct writer_fixture *f);
void client_close(struct client *client);
/* `headers` are whole lines with \r\n. False if the connection ended before the answer. */
bool client_ask(struct client *client, struct answer *ret, const char *method, const char *path,
                const char *headers, const char *body, size_t size);
void answer_release(struct answer *answer);

/* On a connection of its own; must be answered. */
struct answer ask(const struct writer_fixture *f, const char *method, const char *path, const char *headers,
                  const char *body);

/* How often each id stands in wharf.commands, as {"id": n, ...}; a new reference. */
json_t *writer_ids_on_log(const struct writer_fixture *f);

#endif
