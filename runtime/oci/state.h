/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - a container's state directory ROOT/ID.
 *
 *   lock         flock(2) held by whoever creates, starts or deletes
 *   state.json   what is known, replaced in one step
 *   config.json  the configuration as it was at `create`
 *   start.sock   what wharf-init listens on until the container is started
 *   waiting      flock(2) held by wharf-init until it executes the command: the kernel's word on whether the
 *                container is created or running
 */
#ifndef WHARF_RUNTIME_OCI_STATE_H
#define WHARF_RUNTIME_OCI_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum oci_status { OCI_CREATING, OCI_CREATED, OCI_RUNNING, OCI_PAUSED, OCI_STOPPED };

struct oci_container {
    char *id;
    char *root;
    int dir_fd;
    int lock_fd;      /* -1: not locked */
    json_t *document; /* state.json */
};

#define OCI_CONTAINER_INIT                                                                                   \
    {                                                                                                        \
        .dir_fd = -1, .lock_fd = -1                                                                          \
    }

/* Up to 255 letters, digits and '_', '+', '-', '.'. */
bool oci_id_is_valid(const char *id);

/* Makes the directory and locks it. ERR_EXISTS if the id is taken, ERR_INVALID if it is none. */
int oci_container_make(struct oci_container *ret, const char *root, const char *id, struct err *err);

/* ERR_NOT_FOUND if there is no such container. With `lock` it waits for whoever else changes it. */
int oci_container_open(struct oci_container *ret, const char *root, const char *id, bool lock,
                       struct err *err);

int oci_container_save(const struct oci_container *container, struct err *err);

/* The configuration as it was; a new reference, or NULL. */
json_t *oci_container_config(const struct oci_container *container, struct err *err);

/* Removes the directory. */
int oci_container_remove(struct oci_container *container, struct err *err);
void oci_container_release(struct oci_container *container);
#define auto_container __attribute__((cleanup(oci_container_release)))

enum oci_status oci_container_status(const struct oci_container *container);
const char *oci_status_name(enum oci_status status);

/* A pidfd on the container's first process, or -1: it is identified by pid and start time, never by pid
 * alone. A process that has ended and was not waited for is gone too. */
int oci_container_process(const struct oci_container *container);
int oci_container_pid(const struct oci_container *container);

/* When the process began, in clock ticks since boot; 0 if it is no more or is a zombie. */
uint64_t oci_process_start(int pid);

/* The state as runtime.md has it ("State"); a new reference, or NULL. */
json_t *oci_container_state(const struct oci_container *container, enum oci_status status);

#endif
