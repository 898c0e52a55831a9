/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - simulated clients, one for each command of the plan: each posts its command with an idempotency
 * key of its own, asks again after refused connections, 503s, lost connections and time-outs, sometimes once
 * more after it was answered, and remembers what it was told. http.c carries the requests to the production
 * writer's routes.
 */
#ifndef WHARF_TESTS_SIM_CLIENT_H
#define WHARF_TESTS_SIM_CLIENT_H

#include "base/http_server.h"
#include "base/id.h"
#include "tests/sim/world.h"

struct client {
    const struct item *item;
    char key[32];
    char body[512];
    unsigned wait_s;
    struct rng rng;
    int attempts;
    int repeats_left; /* times to ask again although the answer is there */
    bool done;
    bool refused;                 /* told 4xx: nothing is promised */
    struct http_request *request; /* under way; NULL if none */
    struct task task;             /* the next attempt, or the end of patience */
    /* What it was told; "" and -1 before: */
    char id[UUID_TEXT_SIZE];
    char container[CONTAINER_ID_SIZE];
    int64_t offset;
    char outcome[16];
    struct client *next;
};

struct clients {
    struct client *first;
};

struct clients *clients_new(void);
void clients_free(struct clients *clients);

/* Begins the commands of the item: one, but for execs. */
void client_begin(const struct item *item);

bool clients_are_done(const struct clients *clients);

/* --- http.c --- */

/* The request is on its way; the answer comes as client_answered or client_lost. NULL: nobody listens. */
struct http_request *http_post(struct client *client);
/* The client goes away. */
void http_cancel(struct http_request *request);
bool sim_http_bury(struct process *process);

void client_answered(struct client *client, unsigned status, const char *body);
void client_lost(struct client *client);

#endif
