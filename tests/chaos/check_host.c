/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/buf.h"
#include "tests/chaos/check.h"

#define REST_TIMEOUT_NS 20000000000
#define PAUSE_US 20000 /* between two looks */
#define FILE_LIMIT ((size_t)4 << 20)

/* Looks again and again until nothing is found; then, or after a while, *ret is what was found last. */
static void look_until_none(void (*look)(const void *data, struct buf *ret), const void *data,
                            struct buf *ret)
{
    int64_t deadline_ns = clock_monotonic_ns() + REST_TIMEOUT_NS;
    do {
        buf_reset(ret);
        look(data, ret);
    } while (ret->size > 0 && clock_monotonic_ns() < deadline_ns && usleep(PAUSE_US) == 0);
}

static void report_left(struct report *report, const char *check, const char *what, const struct buf *left)
{
    if (left->size > 0)
        report_fail(report, check, "%s:%s", what, left->data);
}

/* Calls `each` for every entry of a directory; a directory that is not there has none. */
static void list(const char *path, void (*each)(const char *path, const char *name, struct buf *ret),
                 struct buf *ret)
{
    auto_dir DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(path, entry->d_name, ret);
    }
}

static void add_entry(const char *path, const char *name, struct buf *ret)
{
    buf_printf(ret, " %s/%s", path, name);
}

/* --- cgroups --- */

static void add_directory(const char *path, const char *name, struct buf *ret)
{
    char whole[PATH_MAX + NAME_MAX + 1];
    struct stat st;
    snprintf(whole, sizeof(whole), "%s/%s", path, name);
    if (stat(whole, &st) == 0 && S_ISDIR(st.st_mode))
        buf_printf(ret, " %s", whole);
}

static void look_at_node(const char *path, const char *name, struct buf *ret)
{
    char whole[PATH_MAX + NAME_MAX + 1];
    snprintf(whole, sizeof(whole), "%s/%s", path, name);
    list(whole, add_directory, ret);
}

/* HIERARCHY/PARENT/NODE/CONTAINER; on a host with v2 alone there is no HIERARCHY. */
static void look_at_cgroups(const void *data, struct buf *ret)
{
    const struct stack *stack = data;
    char path[PATH_MAX];
    auto_dir DIR *dir = opendir("/sys/fs/cgroup");
    const struct dirent *entry;
    snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", stack->cgroup_parent);
    list(path, look_at_node, ret);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/%s", entry->d_name, stack->cgroup_parent);
        list(path, look_at_node, ret);
    }
}

void check_cgroups(struct report *report, const struct stack *stack)
{
    auto_buf struct buf left = BUF_INIT;
    look_until_none(look_at_cgroups, stack, &left);
    report_left(report, "cgroups", "there is no container, but there are cgroups", &left);
}

/* --- processes --- */

static bool is_part(const struct stack *stack, long pid)
{
    if (pid == getpid())
        return true;
    for (int i = 0; i < PARTS; i++) {
        if (stack->parts[i].pid == pid && !stack->parts[i].has_ended)
            return true;
    }
    return false;
}

static void look_at_processes(const void *data, struct buf *ret)
{
    char path[64], ours[64] = "", theirs[64] = "";
    auto_dir DIR *dir = opendir("/proc");
    const struct dirent *entry;
    ssize_t n = readlink("/proc/self/ns/net", ours, sizeof(ours) - 1);
    while (dir != NULL && n > 0 && (entry = readdir(dir)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (*end != '\0' || pid <= 0)
            continue;
        auto_free char *command = NULL;
        snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
        if (fs_read_file(AT_FDCWD, path, 256, &command, NULL, NULL) < 0)
            continue;
        command[strcspn(command, "\n")] = '\0';
        if (!is_part(data, pid))
            buf_printf(ret, " %ld (%s)", pid, command);
        memset(theirs, 0, sizeof(theirs));
        snprintf(path, sizeof(path), "/proc/%ld/ns/net", pid);
        if (readlink(path, theirs, sizeof(theirs) - 1) > 0 && strcmp(ours, theirs) != 0)
            buf_printf(ret, " %s of %ld (%s)", theirs, pid, command);
    }
}

void check_processes(struct report *report, struct stack *stack)
{
    auto_buf struct buf left = BUF_INIT;
    int64_t deadline_ns = clock_monotonic_ns() + REST_TIMEOUT_NS;
    do {
        stack_reap(stack);
        buf_reset(&left);
        look_at_processes(stack, &left);
    } while (left.size > 0 && clock_monotonic_ns() < deadline_ns && usleep(PAUSE_US) == 0);
    report_left(report, "processes", "there is no container, but there are processes", &left);
}

/* --- files --- */

static void add_unknown_image(const char *path, const char *name, struct buf *ret)
{
    if (strlen(name) != 64 || strspn(name, "0123456789abcdef") != 64)
        add_entry(path, name, ret);
}

static void add_unless_socket(const char *path, const char *name, struct buf *ret)
{
    size_t size = strlen(name);
    if (size < 5 || strcmp(name + size - 5, ".sock") != 0)
        add_entry(path, name, ret);
}

static void look_at_files(const void *data, struct buf *ret)
{
    const struct stack *stack = data;
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/state/containers", stack->dir);
    list(path, add_entry, ret);
    snprintf(path, sizeof(path), "%s/state/images", stack->dir);
    list(path, add_unknown_image, ret);
    snprintf(path, sizeof(path), "%s/tmp", stack->dir);
    list(path, add_entry, ret);
    snprintf(path, sizeof(path), "%s/run", stack->dir);
    list(path, add_unless_socket, ret);
}

static void count_entry(const char *path, const char *name, struct buf *ret)
{
    (void)path;
    (void)name;
    buf_add_string(ret, "x");
}

void check_files(struct report *report, const struct stack *stack)
{
    char path[PATH_MAX];
    auto_buf struct buf left = BUF_INIT;
    auto_buf struct buf images = BUF_INIT;
    look_until_none(look_at_files, stack, &left);
    report_left(report, "files", "there is no container, but there are files", &left);
    snprintf(path, sizeof(path), "%s/state/images", stack->dir);
    list(path, count_entry, &images);
    if (images.size != 1)
        report_fail(report, "files", "one image is on the log, but the store has %zu", images.size);
}

/* --- mounts and network --- */

/* Not by /sys/class/net: sysfs shows the network namespace it was mounted in. */
static char *read_interfaces(void)
{
    auto_free char *text = NULL;
    struct buf names = BUF_INIT;
    if (fs_read_file(AT_FDCWD, "/proc/net/dev", FILE_LIMIT, &text, NULL, NULL) < 0)
        abort();
    char *rest = text;
    for (const char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        const char *name = line + strspn(line, " ");
        if (strchr(name, ':') != NULL)
            buf_printf(&names, " %.*s", (int)strcspn(name, ":"), name);
    }
    return buf_take(&names, NULL);
}

void machine_look(struct machine *ret)
{
    *ret = (struct machine){.mounts = NULL};
    if (fs_read_file(AT_FDCWD, "/proc/self/mountinfo", FILE_LIMIT, &ret->mounts, NULL, NULL) < 0)
        abort();
    ret->interfaces = read_interfaces();
    if (ret->interfaces == NULL)
        abort();
}

void machine_release(struct machine *machine)
{
    free(machine->mounts);
    free(machine->interfaces);
}

/* One that is gone was somebody else's: its directory was removed where it came from. */
static void check_mounts(struct report *report, const char *before, char *now)
{
    for (const char *line = strsep(&now, "\n"); line != NULL; line = strsep(&now, "\n"))
        if (strstr(before, line) == NULL)
            report_fail(report, "mounts", "a mount is left: %s", line);
}

void check_machine(struct report *report, const struct machine *before)
{
    struct machine now;
    machine_look(&now);
    check_mounts(report, before->mounts, now.mounts);
    if (strcmp(before->interfaces, now.interfaces) != 0)
        report_fail(report, "network", "the network interfaces were%s, and now are%s", before->interfaces,
                    now.interfaces);
    machine_release(&now);
}

/* --- descriptors --- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What differs from one descriptor to the next of its kind: the number in "socket:[7]", a container's id. */
static void strip_number(char *text)
{
    char *bracket = strchr(text, '[');
    if (bracket != NULL && bracket[1] >= '0' && bracket[1] <= '9')
        *bracket = '\0';
    for (char *at = text; *at != '\0'; at++) {
        size_t n = strspn(at, "0123456789abcdef");
        if (n == CONTAINER_ID_SIZE - 1) {
            *at = '*';
            memmove(at + 1, at + n, strlen(at + n) + 1);
        }
    }
}

/* "socket:", "anon_inode:[eventfd]", "/path": what a descriptor stands for, without the numbers that differ.
 */
char *descriptors_of(const struct stack *stack, enum part part)
{
    char path[64], target[PATH_MAX];
    char *all[512];
    size_t n = 0;
    struct buf text = BUF_INIT;
    snprintf(path, sizeof(path), "/proc/%d/fd", stack->parts[part].pid);
    auto_dir DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir != NULL && n < sizeof(all) / sizeof(all[0]) && (entry = readdir(dir)) != NULL) {
        ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
        if (size <= 0)
            continue;
        target[size] = '\0';
        strip_number(target);
        /* a Kafka client opens and closes connections as it likes */
        if (!stack->kafka || strcmp(target, "socket:") != 0)
            all[n++] = strdup(target);
    }
    qsort(all, n, sizeof(all[0]), compare_texts);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&text, "%s\n", all[i]);
        free(all[i]);
    }
    return text.data != NULL ? buf_take(&text, NULL) : strdup("");
}

static size_t count_line(const char *list, const char *line, size_t size)
{
    size_t n = 0;
    for (const char *at = list; *at != '\0'; at += strcspn(at, "\n") + 1)
        n += strcspn(at, "\n") == size && strncmp(at, line, size) == 0 ? 1 : 0;
    return n;
}

/* What is open comes and goes a little, as connections to the log and its checkpoints do. A leak grows with
 * every round. */
void check_descriptors(struct report *report, enum part part, char *const census[CHECK_ROUNDS])
{
    const char *last = census[CHECK_ROUNDS - 1], *before = "";
    for (const char *line = last; *line != '\0'; line += strcspn(line, "\n") + 1) {
        size_t size = strcspn(line, "\n"), n = count_line(census[0], line, size);
        bool grows = strncmp(line, before, size + 1) != 0;
        for (int i = 1; i < CHECK_ROUNDS; i++) {
            size_t now = count_line(census[i], line, size);
            grows = grows && now > n;
            n = now;
        }
        if (grows)
            report_fail(report, "descriptors",
                        "the %s opens '%.*s' and does not close it: %zu after %d rounds of stories",
                        part_name(part), (int)size, line, n, CHECK_ROUNDS);
        before = line;
    }
}
