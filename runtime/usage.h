/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage.h - what a container's processes are and what they use, as the kernel says at this moment. Nothing of
 * it goes on the log.
 *
 * On cgroup v2 the numbers are the cgroup's. On v1 memory and pids are, too; cpu time and i/o are added up
 * over the processes, because joining two more hierarchies would make every start slower, and so lack what
 * processes used that ended without being waited for.
 *
 * Reads /proc and cgroupfs, which do not block on a disk; loop thread.
 */
#ifndef WHARF_RUNTIME_USAGE_H
#define WHARF_RUNTIME_USAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/host.h"

/* -1: not known. */
struct usage {
    int64_t time_ns;            /* when it was read, monotonic: what rates are made from */
    int64_t memory_bytes;       /* without page cache that can be dropped at once, as docker counts */
    int64_t memory_limit_bytes; /* the machine's memory where there is no limit */
    int64_t cpu_ns;
    int64_t pids;
    int64_t pids_limit;    /* 0: none */
    int64_t io_read_bytes; /* from and to disks */
    int64_t io_write_bytes;
    int64_t net_received_bytes; /* over every interface but loopback */
    int64_t net_sent_bytes;
};

struct usage_process {
    int64_t pid; /* as the host counts */
    int64_t parent_pid;
    int64_t uid; /* on the host */
    int64_t cpu_ns;
    int64_t started_at_ns; /* realtime */
    int64_t resident_bytes;
    char state;    /* R, S, D, Z ... (proc(5)) */
    char *command; /* owned; arguments with blanks between them */
};

/* `pid` is the container's first process. ERR_NOT_FOUND when the container does not run. */
int usage_read(const struct host *host, const char *container_id, int64_t pid, struct usage *ret,
               struct err *err);

/* Its processes by pid; the caller releases them. ERR_NOT_FOUND when the container does not run. */
int usage_processes(const struct host *host, const char *container_id, struct usage_process **ret,
                    size_t *ret_n, struct err *err);
void usage_processes_free(struct usage_process *processes, size_t n);

#endif
