/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow.h - from the word to go to the command: what wharf-init sends meanwhile (../shim/filter.c), and who
 * answers the notifications of a system call filter (config-linux.md, "The Container Process State").
 */
#ifndef WHARF_RUNTIME_OCI_FOLLOW_H
#define WHARF_RUNTIME_OCI_FOLLOW_H

#include <jansson.h>
#include <sys/types.h>

#include "base/err.h"

struct init_message;

struct oci_follow {
    const json_t *config;              /* the container's; must outlive this */
    int listener_fd;                   /* linux.seccomp.listenerPath; -1: the config names none */
    int passed_fd;                     /* what came with the last message; -1: nothing */
    const struct init_message *memory; /* where a failure behind the filter is written to; NULL: no filter */
};

#define OCI_FOLLOW_INIT                                                                                      \
    {                                                                                                        \
        .listener_fd = -1, .passed_fd = -1                                                                   \
    }

/* Before the process is let go: connects to the listener, if there is to be one. */
int oci_follow_begin(struct oci_follow *ret, const json_t *config, struct err *err);

/* After it: 0 once the process that is at the other end of `fd` has executed its command. `state` is the
 * container's as the listener gets it (NULL without one), `pid` that process. When it fails the process may
 * run already, with a filter that nobody answers for. */
int oci_follow(struct oci_follow *follow, int fd, pid_t pid, json_t *state, struct err *err);

void oci_follow_end(struct oci_follow *follow);
#define auto_follow __attribute__((cleanup(oci_follow_end)))

#endif
