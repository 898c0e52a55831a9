/* SPDX-License-Identifier: Apache-2.0 */
/* A process may end between any two looks at it: what cannot be read any more counts for nothing. */
#include "runtime/usage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "runtime/host_linux.h"
#include "runtime/proc_text.h"
#include "runtime/sandbox/cgroup_usage.h"

#define PROC_TEXT_LIMIT (256u << 10)
#define NS_PER_S INT64_C(1000000000)

static char *read_proc(int64_t pid, const char *file, size_t *ret_size)
{
    char path[64];
    char *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/%s", pid, file);
    if (fs_read_file(AT_FDCWD, path, PROC_TEXT_LIMIT, &text, &size, NULL) < 0)
        return NULL;
    if (ret_size != NULL)
        *ret_size = size;
    return text;
}

static int64_t ticks_to_ns(int64_t ticks)
{
    return ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

static int64_t machine_memory_bytes(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (int64_t)info.totalram * (int64_t)info.mem_unit : -1;
}

/* What v1 does not count by cgroup. */
static void add_process(int64_t pid, struct usage *usage)
{
    struct proc_stat stat;
    auto_free char *stat_text = read_proc(pid, "stat", NULL);
    auto_free char *io_text = read_proc(pid, "io", NULL);
    if (stat_text != NULL && proc_stat_parse(stat_text, &stat))
        usage->cpu_ns += ticks_to_ns(stat.cpu_ticks);
    int64_t read_bytes = io_text != NULL ? proc_keyed_number(io_text, "read_bytes", ':') : -1;
    int64_t write_bytes = io_text != NULL ? proc_keyed_number(io_text, "write_bytes", ':') : -1;
    usage->io_read_bytes += read_bytes > 0 ? read_bytes : 0;
    usage->io_write_bytes += write_bytes > 0 ? write_bytes : 0;
}

static int read_pids(const struct host *host, const char *container_id, int64_t **ret, size_t *ret_n,
                     struct err *err)
{
    struct host_cgroup cgroup;
    host_cgroup_open(host, container_id, &cgroup);
    int result = cgroup_processes(cgroup.layout, cgroup.name, ret, ret_n, err);
    host_cgroup_close(&cgroup);
    return result;
}

static int read_cgroup(const struct host *host, const char *container_id, struct cgroup_usage *ret,
                       struct err *err)
{
    struct host_cgroup cgroup;
    host_cgroup_open(host, container_id, &cgroup);
    int result = cgroup_usage(cgroup.layout, cgroup.name, ret, err);
    host_cgroup_close(&cgroup);
    return result;
}

static int add_processes(const struct host *host, const char *container_id, struct usage *usage,
                         struct err *err)
{
    auto_free int64_t *pids = NULL;
    size_t n = 0;
    if (read_pids(host, container_id, &pids, &n, err) < 0)
        return -1;
    usage->cpu_ns = usage->io_read_bytes = usage->io_write_bytes = 0;
    for (size_t i = 0; i < n; i++)
        add_process(pids[i], usage);
    return 0;
}

int usage_read(const struct host *host, const char *container_id, int64_t pid, struct usage *ret,
               struct err *err)
{
    struct cgroup_usage cgroup;
    if (read_cgroup(host, container_id, &cgroup, err) < 0)
        return -1;
    struct usage usage = {.time_ns = clock_monotonic_ns(),
                          .memory_bytes = cgroup.memory_bytes,
                          .memory_limit_bytes = cgroup.memory_limit_bytes > 0 ? cgroup.memory_limit_bytes
                                                                              : machine_memory_bytes(),
                          .cpu_ns = cgroup.cpu_ns,
                          .pids = cgroup.pids,
                          .pids_limit = cgroup.pids_limit,
                          .io_read_bytes = cgroup.io_read_bytes,
                          .io_write_bytes = cgroup.io_write_bytes,
                          .net_received_bytes = -1,
                          .net_sent_bytes = -1};
    if (cgroup.cpu_ns < 0 && add_processes(host, container_id, &usage, err) < 0)
        return -1;
    auto_free char *net = read_proc(pid, "net/dev", NULL);
    if (net != NULL)
        proc_net_dev_sum(net, &usage.net_received_bytes, &usage.net_sent_bytes);
    *ret = usage;
    return 0;
}

/* Arguments are divided by NULs; a process without any (a zombie) is shown by its name in brackets, as ps(1)
 * does. */
static char *read_command(int64_t pid)
{
    size_t size = 0;
    auto_free char *text = read_proc(pid, "cmdline", &size);
    while (text != NULL && size > 0 && text[size - 1] == '\0')
        size--;
    if (text == NULL || size == 0) {
        auto_free char *name = read_proc(pid, "comm", NULL);
        char *command = NULL;
        if (name == NULL || asprintf(&command, "[%.*s]", (int)strcspn(name, "\n"), name) < 0)
            return NULL;
        return command;
    }
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    text[size] = '\0';
    return steal_ptr(text);
}

static bool read_process(int64_t pid, int64_t booted_at_ns, struct usage_process *ret)
{
    struct proc_stat stat;
    auto_free char *stat_text = read_proc(pid, "stat", NULL);
    auto_free char *status = read_proc(pid, "status", NULL);
    if (stat_text == NULL || status == NULL || !proc_stat_parse(stat_text, &stat))
        return false;
    *ret = (struct usage_process){
        .pid = pid,
        .parent_pid = stat.parent_pid,
        .uid = proc_keyed_number(status, "Uid", ':'),
        .cpu_ns = ticks_to_ns(stat.cpu_ticks),
        .started_at_ns = booted_at_ns + ticks_to_ns(stat.started_ticks),
        .resident_bytes = stat.resident_pages * sysconf(_SC_PAGESIZE),
        .state = stat.state,
        .command = read_command(pid),
    };
    return ret->command != NULL;
}

int usage_processes(const struct host *host, const char *container_id, struct usage_process **ret,
                    size_t *ret_n, struct err *err)
{
    auto_free int64_t *pids = NULL;
    size_t n = 0;
    struct timespec up;
    if (read_pids(host, container_id, &pids, &n, err) < 0)
        return -1;
    struct usage_process *processes = calloc(n + 1, sizeof(*processes));
    if (processes == NULL)
        return err_nomem(err, "listing processes");
    clock_gettime(CLOCK_BOOTTIME, &up);
    int64_t booted_at_ns = clock_realtime_ns() - up.tv_sec * NS_PER_S - up.tv_nsec;
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += read_process(pids[i], booted_at_ns, &processes[found]);
    *ret = processes;
    *ret_n = found;
    return 0;
}

void usage_processes_free(struct usage_process *processes, size_t n)
{
    for (size_t i = 0; processes != NULL && i < n; i++)
        free(processes[i].command);
    free(processes);
}
