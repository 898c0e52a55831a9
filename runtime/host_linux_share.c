/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers whose namespaces a new one shares: a descriptor of each one's first process, taken while its
 * number is known to be its own (the process's start time), is all that the shim gets.
 */
#include "runtime/host_linux.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void host_share_find(struct host *host, const struct container_spec *spec, struct host_shared *ret)
{
    *ret = (struct host_shared){.err = ERR_INIT};
    for (int i = 0; i < SHARED_NAMESPACES; i++) {
        const char *id = shared_container(*container_spec_sharing(spec, (enum shared_namespace)i));
        struct host_container *other = NULL;
        ret->fds[i] = -1;
        if (id == NULL)
            continue;
        HASH_FIND_STR(host->containers, id, other);
        if (other != NULL && other->state == HOST_CONTAINER_RUNNING) {
            ret->pids[i] = other->record.pid;
            ret->fds[i] = host_open_process(other->record.pid, other->record.pid_start);
        }
        if (ret->fds[i] < 0)
            err_set(&ret->err, ERR_NOT_FOUND,
                    "the container %.12s, whose namespace is to be shared, is not running: start it first",
                    id);
    }
}

void host_share_close(struct host_shared *shared)
{
    for (int i = 0; i < SHARED_NAMESPACES; i++) {
        if (shared->fds[i] >= 0)
            close(shared->fds[i]);
        shared->fds[i] = -1;
    }
}
