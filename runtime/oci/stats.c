/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define TEXT_LIMIT (1u << 20)
#define NS_PER_TICK (1000000000LL / sysconf(_SC_CLK_TCK)) /* of cpuacct.stat */

/* The first of the container's cgroups that has the file. */
static int open_with(const json_t *document, const char *file)
{
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(document, "cgroups"), i, path)
    {
        auto_fd int fd = open(json_string_value(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && faccessat(fd, file, F_OK, 0) == 0)
            return steal_fd(&fd);
    }
    return -1;
}

static char *read_text(const json_t *document, const char *file)
{
    auto_fd int fd = open_with(document, file);
    char *text = NULL;
    return fd >= 0 && fs_read_file(fd, file, TEXT_LIMIT, &text, NULL, NULL) == 0 ? text : NULL;
}

static json_int_t to_number(const char *text)
{
    if (strncmp(text, "max", 3) == 0)
        return 0;
    unsigned long long number = strtoull(text, NULL, 10);
    return number > INT64_MAX ? INT64_MAX : (json_int_t)number;
}

/* Of the v1 file, or of the v2 file (may be NULL); 0 without either. */
static json_int_t number(const json_t *document, const char *v1, const char *v2)
{
    auto_free char *text = read_text(document, v1);
    if (text == NULL && v2 != NULL)
        text = read_text(document, v2);
    return text == NULL ? 0 : to_number(text);
}

/* "key N" lines. */
static json_int_t keyed(const char *text, const char *key)
{
    size_t size = strlen(key);
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, key, size) == 0 && at[size] == ' ')
            return to_number(at + size + 1);
    }
    return -1;
}

static json_int_t keyed_or_zero(const char *text, const char *key, json_int_t factor)
{
    json_int_t found = text == NULL ? 0 : keyed(text, key);
    return found > 0 ? found * factor : 0;
}

static json_t *numbers(const char *text)
{
    json_t *list = json_array();
    char *end;
    for (const char *at = text; at != NULL; at = end) {
        unsigned long long value = strtoull(at, &end, 10);
        if (end == at)
            break;
        json_array_append_new(list, json_integer((json_int_t)value));
    }
    return list;
}

static json_t *cpu(const json_t *document)
{
    auto_free char *v1 = read_text(document, "cpuacct.usage");
    auto_free char *v2 = v1 == NULL ? read_text(document, "cpu.stat") : NULL;
    auto_free char *ticks = read_text(document, "cpuacct.stat");
    auto_free char *each = read_text(document, "cpuacct.usage_percpu");
    auto_free char *throttling = read_text(document, "cpu.stat");
    json_int_t total = v1 == NULL ? 0 : to_number(v1);
    json_int_t user = keyed_or_zero(ticks, "user", NS_PER_TICK),
               kernel = keyed_or_zero(ticks, "system", NS_PER_TICK);
    json_int_t time = keyed_or_zero(throttling, "throttled_time", 1);
    if (v2 != NULL) {
        total = keyed_or_zero(v2, "usage_usec", 1000);
        user = keyed_or_zero(v2, "user_usec", 1000);
        kernel = keyed_or_zero(v2, "system_usec", 1000);
        time = keyed_or_zero(v2, "throttled_usec", 1000);
    }
    return json_pack("{s:{s:I, s:o, s:I, s:I}, s:{s:I, s:I, s:I}}", "usage", "total", total, "percpu",
                     numbers(each), "kernel", kernel, "user", user, "throttling", "periods",
                     keyed_or_zero(throttling, "nr_periods", 1), "throttledPeriods",
                     keyed_or_zero(throttling, "nr_throttled", 1), "throttledTime", time);
}

static json_t *memory_entry(const json_t *document, const char *prefix, const char *v2_usage,
                            const char *v2_limit)
{
    char file[4][64];
    static const char *const ENDS[] = {"limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt"};
    for (size_t i = 0; i < 4; i++)
        snprintf(file[i], sizeof(file[i]), "%s.%s", prefix, ENDS[i]);
    return json_pack("{s:I, s:I, s:I, s:I}", "limit", number(document, file[0], v2_limit), "usage",
                     number(document, file[1], v2_usage), "max", number(document, file[2], NULL), "failcnt",
                     number(document, file[3], NULL));
}

static json_t *raw(char *text)
{
    json_t *object = json_object();
    char *rest = NULL;
    for (char *line = text == NULL ? NULL : strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *space = strchr(line, ' ');
        if (space == NULL)
            continue;
        *space = '\0';
        json_object_set_new(object, line, json_integer(to_number(space + 1)));
    }
    return object;
}

static json_t *memory(const json_t *document)
{
    auto_free char *stat = read_text(document, "memory.stat");
    json_int_t cache = keyed_or_zero(stat, "cache", 1) + keyed_or_zero(stat, "file", 1);
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "cache", cache, "usage",
                     memory_entry(document, "memory", "memory.current", "memory.max"), "swap",
                     memory_entry(document, "memory.memsw", "memory.swap.current", "memory.swap.max"),
                     "kernel", memory_entry(document, "memory.kmem", NULL, NULL), "kernelTCP",
                     memory_entry(document, "memory.kmem.tcp", NULL, NULL), "raw", raw(stat));
}

static void add_device(json_t *list, unsigned major, unsigned minor, const char *op, unsigned long long value)
{
    json_array_append_new(list, json_pack("{s:i, s:i, s:s, s:I}", "major", (int)major, "minor", (int)minor,
                                          "op", op, "value", (json_int_t)value));
}

/* "8:0 Read 4096" lines of v1. */
static json_t *block_devices(const json_t *document, const char *file)
{
    auto_free char *text = read_text(document, file);
    json_t *list = json_array();
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        unsigned major, minor;
        char op[16];
        unsigned long long value;
        at += *at == '\n';
        if (sscanf(at, "%u:%u %15s %llu", &major, &minor, op, &value) == 4) // NOLINT(cert-err34-c)
            add_device(list, major, minor, op, value);
    }
    return list;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." lines of v2. */
static void add_v2_devices(const json_t *document, json_t *bytes, json_t *operations)
{
    auto_free char *text = read_text(document, "io.stat");
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        unsigned major, minor;
        unsigned long long value[4];
        at += *at == '\n';
        if (sscanf(at, "%u:%u rbytes=%llu wbytes=%llu rios=%llu wios=%llu", // NOLINT(cert-err34-c)
                   &major, &minor, &value[0], &value[1], &value[2], &value[3]) != 6)
            continue;
        add_device(bytes, major, minor, "Read", value[0]);
        add_device(bytes, major, minor, "Write", value[1]);
        add_device(operations, major, minor, "Read", value[2]);
        add_device(operations, major, minor, "Write", value[3]);
    }
}

static json_t *block_io(const json_t *document)
{
    json_t *bytes = block_devices(document, "blkio.throttle.io_service_bytes_recursive");
    json_t *operations = block_devices(document, "blkio.throttle.io_serviced_recursive");
    add_v2_devices(document, bytes, operations);
    return json_pack("{s:o, s:o}", "ioServiceBytesRecursive", bytes, "ioServicedRecursive", operations);
}

static void add_page_size(const json_t *document, json_t *object, const char *size)
{
    char usage[80], v2[80], most[80], failed[80];
    snprintf(usage, sizeof(usage), "hugetlb.%.32s.usage_in_bytes", size);
    snprintf(v2, sizeof(v2), "hugetlb.%.32s.current", size);
    snprintf(most, sizeof(most), "hugetlb.%.32s.max_usage_in_bytes", size);
    snprintf(failed, sizeof(failed), "hugetlb.%.32s.failcnt", size);
    json_object_set_new(object, size,
                        json_pack("{s:I, s:I, s:I}", "usage", number(document, usage, v2), "max",
                                  number(document, most, NULL), "failcnt", number(document, failed, NULL)));
}

/* The kernel's page sizes are directories "hugepages-2048kB"; cgroup files have "2MB". */
static json_t *huge_pages(const json_t *document)
{
    json_t *object = json_object();
    auto_dir DIR *dir = opendir("/sys/kernel/mm/hugepages");
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char size[32];
        unsigned long long kilobytes;
        if (sscanf(entry->d_name, "hugepages-%llukB", &kilobytes) != 1) // NOLINT(cert-err34-c)
            continue;
        snprintf(size, sizeof(size), "%llu%s", kilobytes >= 1 << 20 ? kilobytes >> 20 : kilobytes >> 10,
                 kilobytes >= 1 << 20 ? "GB" : "MB");
        add_page_size(document, object, size);
    }
    return object;
}

json_t *oci_stats(const json_t *document, struct err *err)
{
    json_t *stats = json_pack("{s:o, s:o, s:{s:I, s:I}, s:o, s:o, s:{}, s:n}", "cpu", cpu(document), "memory",
                              memory(document), "pids", "current", number(document, "pids.current", NULL),
                              "limit", number(document, "pids.max", NULL), "blkio", block_io(document),
                              "hugetlb", huge_pages(document), "intel_rdt", "network_interfaces");
    if (stats == NULL)
        err_fill(err, ERR_NOMEM, "out of memory while reading statistics");
    return stats;
}

/* v1: an eventfd that the kernel was told of (cgroup-v1/memory.rst, "OOM Control"). It is told before the
 * kill, and once more when the cgroup is removed. */
static int v1_notifier(int dir_fd)
{
    char line[32];
    auto_fd int control_fd = openat(dir_fd, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    auto_fd int to_fd = openat(dir_fd, "cgroup.event_control", O_WRONLY | O_CLOEXEC);
    auto_fd int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control_fd < 0 || to_fd < 0 || event_fd < 0)
        return -1;
    int size = snprintf(line, sizeof(line), "%d %d", event_fd, control_fd);
    return write(to_fd, line, (size_t)size) == size ? steal_fd(&event_fd) : -1;
}

static int v2_notifier(int dir_fd)
{
    char path[64];
    auto_fd int inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    snprintf(path, sizeof(path), "/proc/self/fd/%d/memory.events", dir_fd);
    if (inotify_fd < 0 || inotify_add_watch(inotify_fd, path, IN_MODIFY) < 0)
        return -1;
    return steal_fd(&inotify_fd);
}

static int64_t v2_kills(const json_t *document)
{
    auto_free char *text = read_text(document, "memory.events");
    return keyed_or_zero(text, "oom_kill", 1);
}

void oci_oom_watch(struct oci_oom_watch *ret, const json_t *document)
{
    auto_fd int v1_fd = open_with(document, "memory.oom_control");
    auto_fd int v2_fd = open_with(document, "memory.events");
    *ret = (struct oci_oom_watch){.fd = -1, .counts = v1_fd >= 0};
    if (v1_fd >= 0)
        ret->fd = v1_notifier(v1_fd);
    else if (v2_fd >= 0)
        ret->fd = v2_notifier(v2_fd);
    ret->known = v2_kills(document);
}

int64_t oci_oom_take(struct oci_oom_watch *watch, const json_t *document)
{
    char drained[4096] = {0};
    uint64_t count;
    ssize_t n = watch->fd < 0 ? 0 : read(watch->fd, drained, sizeof(drained));
    if (watch->counts) {
        auto_fd int dir_fd = open_with(document, "memory.oom_control");
        memcpy(&count, drained, sizeof(count));
        return n == (ssize_t)sizeof(count) && dir_fd >= 0 ? (int64_t)count : 0;
    }
    int64_t now = v2_kills(document), more = now - watch->known;
    watch->known = more > 0 ? now : watch->known;
    return more > 0 ? more : 0;
}
