/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_writer.h - events as a node's runtime would write them: stamped, chained, and legal. The same seed
 * gives the same bytes. Failures end the test program.
 */
#ifndef WHARF_TESTS_SUPPORT_EVENT_WRITER_H
#define WHARF_TESTS_SUPPORT_EVENT_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "events/container_state.h"
#include "events/message.h"

struct written_container {
    char id[CONTAINER_ID_SIZE];
    char name[32];
    enum container_state state;
    int64_t version;
    int64_t incarnation;
    char exec[CONTAINER_ID_SIZE]; /* one that runs in it, or "" */
};

struct event_writer {
    char node[64];
    char source[96];
    int64_t epoch;
    int64_t nodeseq;
    char prevhash[SHA256_HEX_SIZE];
    int64_t time_ns;
    uint64_t random; /* state of the generator */
    struct written_container *containers;
    size_t n_containers; /* live ones */
    size_t max_containers;
    uint64_t n_made;
};

/* At most `max_containers` live at a time. */
void event_writer_init(struct event_writer *writer, const char *node, uint64_t seed, size_t max_containers);
void event_writer_release(struct event_writer *writer);

/* Stamps an event whose type and data are set, and encodes it. The subject is copied. The caller frees the
 * text; the event's envelope is released. */
char *event_writer_encode(struct event_writer *writer, struct event *event, const char *subject,
                          int64_t streamversion, size_t *ret_size);

/* The next event of a random, legal history: node.joined and node.started first. */
char *event_writer_next(struct event_writer *writer, size_t *ret_size);

#endif
