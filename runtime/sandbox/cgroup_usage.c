/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/cgroup_usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/proc_text.h"

#define TEXT_LIMIT (1u << 20)
/* What v1 says where there is no limit, rounded to pages, is near the largest number; no machine has half. */
#define NO_LIMIT (INT64_MAX / 2)

int64_t cgroup_summed_number(const char *text, const char *key)
{
    int64_t sum = 0;
    size_t size = strlen(key);
    for (const char *at = text; (at = strstr(at, key)) != NULL; at += size)
        sum += strtoll(at + size, NULL, 10);
    return sum;
}

static const struct cgroup_hierarchy *hierarchy_of(const struct cgroup_layout *layout, unsigned controller)
{
    for (size_t i = 0; i < layout->n; i++)
        if ((layout->hierarchies[i].controllers & controller) != 0)
            return &layout->hierarchies[i];
    return NULL;
}

/* The text of a file of the cgroup; NULL if the controller or the file is not there. */
static char *read_text(const struct cgroup_layout *layout, unsigned controller, const char *name,
                       const char *file)
{
    const struct cgroup_hierarchy *hierarchy = hierarchy_of(layout, controller);
    char path[CGROUP_NAME_SIZE + 64];
    char *text = NULL;
    size_t size = 0;
    if (hierarchy == NULL || snprintf(path, sizeof(path), "%s/%s", name, file) >= (int)sizeof(path) ||
        fs_read_file(hierarchy->parent_fd, path, TEXT_LIMIT, &text, &size, NULL) < 0)
        return NULL;
    return text;
}

/* "max" and what is as good as that are 0. */
static int64_t read_number(const struct cgroup_layout *layout, unsigned controller, const char *name,
                           const char *file)
{
    auto_free char *text = read_text(layout, controller, name, file);
    if (text == NULL)
        return -1;
    if (strncmp(text, "max", 3) == 0)
        return 0;
    int64_t number = strtoll(text, NULL, 10);
    return number > NO_LIMIT ? 0 : number;
}

static int64_t read_keyed(const struct cgroup_layout *layout, unsigned controller, const char *name,
                          const char *file, const char *key)
{
    auto_free char *text = read_text(layout, controller, name, file);
    return text != NULL ? proc_keyed_number(text, key, ' ') : -1;
}

static int64_t without_cache(int64_t memory, int64_t inactive)
{
    return memory >= 0 && inactive > 0 && inactive < memory ? memory - inactive : memory;
}

static void read_v2(const struct cgroup_layout *layout, const char *name, struct cgroup_usage *ret)
{
    ret->memory_bytes =
        without_cache(read_number(layout, CGROUP_MEMORY, name, "memory.current"),
                      read_keyed(layout, CGROUP_MEMORY, name, "memory.stat", "inactive_file"));
    ret->memory_limit_bytes = read_number(layout, CGROUP_MEMORY, name, "memory.max");
    int64_t cpu_us = read_keyed(layout, CGROUP_CPU, name, "cpu.stat", "usage_usec");
    ret->cpu_ns = cpu_us >= 0 ? cpu_us * 1000 : -1;
    auto_free char *io = read_text(layout, CGROUP_MEMORY, name, "io.stat");
    ret->io_read_bytes = io != NULL ? cgroup_summed_number(io, " rbytes=") : -1;
    ret->io_write_bytes = io != NULL ? cgroup_summed_number(io, " wbytes=") : -1;
}

static void read_v1(const struct cgroup_layout *layout, const char *name, struct cgroup_usage *ret)
{
    ret->memory_bytes =
        without_cache(read_number(layout, CGROUP_MEMORY, name, "memory.usage_in_bytes"),
                      read_keyed(layout, CGROUP_MEMORY, name, "memory.stat", "total_inactive_file"));
    ret->memory_limit_bytes = read_number(layout, CGROUP_MEMORY, name, "memory.limit_in_bytes");
    ret->cpu_ns = read_number(layout, CGROUP_CPU, name, "cpuacct.usage");
    ret->io_read_bytes = -1;
    ret->io_write_bytes = -1;
}

int cgroup_usage(const struct cgroup_layout *layout, const char *name, struct cgroup_usage *ret,
                 struct err *err)
{
    struct cgroup_usage usage = {.pids = read_number(layout, CGROUP_PIDS, name, "pids.current"),
                                 .pids_limit = read_number(layout, CGROUP_PIDS, name, "pids.max")};
    if (usage.pids < 0)
        return err_set(err, ERR_NOT_FOUND, "there is no cgroup '%.12s'", name);
    if (layout->v2)
        read_v2(layout, name, &usage);
    else
        read_v1(layout, name, &usage);
    *ret = usage;
    return 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int cgroup_processes(const struct cgroup_layout *layout, const char *name, int64_t **ret, size_t *ret_n,
                     struct err *err)
{
    auto_free char *text = read_text(layout, CGROUP_PIDS, name, "cgroup.procs");
    if (text == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no cgroup '%.12s'", name);
    size_t lines = 1;
    for (const char *at = text; *at != '\0'; at++)
        lines += *at == '\n';
    int64_t *pids = calloc(lines, sizeof(*pids));
    if (pids == NULL)
        return err_nomem(err, "listing processes");
    size_t n = 0;
    char *end;
    for (const char *at = text; n < lines && n < CGROUP_PIDS_MAX; at = end) {
        int64_t pid = strtoll(at, &end, 10);
        if (end == at)
            break;
        pids[n++] = pid;
    }
    qsort(pids, n, sizeof(*pids), compare);
    *ret = pids;
    *ret_n = n;
    return 0;
}
