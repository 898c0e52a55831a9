/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_bundle BUNDLE [ROUNDS] - the bare kernel work of a bundle, to measure wharf-oci against: the system
 * calls that its config.json asks for, one after the other, for one container after the other, with no
 * runtime around them: cgroups, namespaces, mounts, devices, masked and read-only paths, capabilities,
 * limits, exec, wait, and the removal of the cgroups. No hooks, no state, no filter, no checks of what the
 * root holds.
 *
 * Of the config it knows what `crun spec` writes for a host with cgroup v1. Prints one line of JSON:
 * {"rounds":N,"p50_ms":X,"p99_ms":X}. Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define HIERARCHIES 16

struct hierarchy {
    char path[128];  /* where it is mounted */
    char names[128]; /* for mount(2) */
    int fd;
};

struct bench {
    json_t *config;
    const char *root;
    struct hierarchy hierarchies[HIERARCHIES];
    size_t n_hierarchies;
    char name[32]; /* of the cgroups */
    char processors[64], nodes[64];
};

static const struct {
    const char *name;
    unsigned long flag;
} FLAGS[] = {{"nosuid", MS_NOSUID}, {"noexec", MS_NOEXEC},     {"nodev", MS_NODEV},
             {"ro", MS_RDONLY},     {"relatime", MS_RELATIME}, {"strictatime", MS_STRICTATIME}};

static const struct {
    const char *name;
    unsigned major, minor;
} DEVICES[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
               {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench_bundle: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void read_value(const struct hierarchy *hierarchy, const char *file, char *ret, size_t size)
{
    auto_fd int fd = openat(hierarchy->fd, file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, ret, size - 1);
    ret[n > 0 ? n : 0] = '\0';
}

static void find_hierarchies(struct bench *bench)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    const struct mntent *entry;
    while (mounts != NULL && (entry = getmntent(mounts)) != NULL && bench->n_hierarchies < HIERARCHIES) {
        if (strcmp(entry->mnt_type, "cgroup") != 0)
            continue;
        struct hierarchy *found = &bench->hierarchies[bench->n_hierarchies++];
        const char *name = strrchr(entry->mnt_dir, '/') + 1;
        bool named = hasmntopt(entry, "name") != NULL;
        snprintf(found->path, sizeof(found->path), "%s", entry->mnt_dir);
        snprintf(found->names, sizeof(found->names), "%s%s", named ? "none,name=" : "", name);
        found->fd = open(found->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (strstr(found->names, "cpuset") != NULL) {
            read_value(found, "cpuset.cpus", bench->processors, sizeof(bench->processors));
            read_value(found, "cpuset.mems", bench->nodes, sizeof(bench->nodes));
        }
    }
    if (mounts != NULL)
        endmntent(mounts);
}

/* --- in the container --- */

static void join_cgroups(const struct bench *bench)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/tasks", bench->name);
    for (size_t i = 0; i < bench->n_hierarchies; i++) {
        int fd = openat(bench->hierarchies[i].fd, path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1)
            give_up(bench->hierarchies[i].path);
        close(fd);
    }
    if (unshare(CLONE_NEWCGROUP) < 0)
        give_up("the cgroup namespace");
}

/* A tmpfs with one mount for each hierarchy. */
static void mount_cgroups(const struct bench *bench, const char *path, unsigned long flags)
{
    char below[256];
    if (mount("tmpfs", path, "tmpfs", flags & ~(unsigned long)MS_RDONLY, "mode=755") < 0)
        give_up(path);
    for (size_t i = 0; i < bench->n_hierarchies; i++) {
        const struct hierarchy *each = &bench->hierarchies[i];
        snprintf(below, sizeof(below), "%s/%s", path, strrchr(each->path, '/') + 1);
        if (mkdir(below, 0755) < 0 || mount("cgroup", below, "cgroup", flags, each->names) < 0)
            give_up(below);
    }
    if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
        give_up(path);
}

static void mount_one(const struct bench *bench, const json_t *entry)
{
    char data[256] = "";
    unsigned long flags = 0;
    size_t i;
    json_t *option;
    const char *path = text(entry, "destination") + 1, *type = text(entry, "type");
    json_array_foreach(json_object_get(entry, "options"), i, option)
    {
        const char *name = json_string_value(option);
        size_t k = 0, used = strlen(data);
        while (k < sizeof(FLAGS) / sizeof(FLAGS[0]) && strcmp(FLAGS[k].name, name) != 0)
            k++;
        if (k < sizeof(FLAGS) / sizeof(FLAGS[0]))
            flags |= FLAGS[k].flag;
        else
            snprintf(data + used, sizeof(data) - used, "%s%s", used > 0 ? "," : "", name);
    }
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        give_up(path);
    if (strcmp(type, "cgroup") == 0)
        mount_cgroups(bench, path, flags);
    else if (mount(text(entry, "source"), path, type, flags, data) < 0)
        give_up(path);
}

static void make_devices(void)
{
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
                                           {"/proc/self/fd/0", "dev/stdin"},
                                           {"/proc/self/fd/1", "dev/stdout"},
                                           {"/proc/self/fd/2", "dev/stderr"},
                                           {"pts/ptmx", "dev/ptmx"}};
    char path[32];
    for (size_t i = 0; i < sizeof(DEVICES) / sizeof(DEVICES[0]); i++) {
        snprintf(path, sizeof(path), "dev/%s", DEVICES[i].name);
        if (mknod(path, S_IFCHR | 0666, makedev(DEVICES[i].major, DEVICES[i].minor)) < 0)
            give_up(path);
    }
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            give_up(links[i][1]);
}

static void hide(const json_t *section)
{
    size_t i;
    json_t *path;
    struct stat st;
    json_array_foreach(json_object_get(section, "readonlyPaths"), i, path)
    {
        const char *name = json_string_value(path);
        if (mount(name, name, NULL, MS_BIND | MS_REC, NULL) == 0)
            mount(NULL, name, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
    }
    json_array_foreach(json_object_get(section, "maskedPaths"), i, path)
    {
        const char *name = json_string_value(path);
        if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
            mount("tmpfs", name, "tmpfs", MS_RDONLY, "size=0k");
        else
            mount("/dev/null", name, NULL, MS_BIND, NULL);
    }
}

static void give_up_rights(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{0}, {0}};
    const struct rlimit files = {1024, 1024};
    const uint32_t kept = 1u << CAP_AUDIT_WRITE | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE;
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        if (i != CAP_KILL && i != CAP_NET_BIND_SERVICE && i != CAP_AUDIT_WRITE)
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    caps[0].effective = caps[0].permitted = kept;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_capset, &head, caps) < 0)
        give_up("capabilities");
    syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
}

static _Noreturn void contain(const struct bench *bench)
{
    size_t i;
    json_t *entry;
    join_cgroups(bench);
    if (sethostname("bench", 5) < 0 || setsid() < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(bench->root, bench->root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(bench->root) < 0)
        give_up(bench->root);
    json_array_foreach(json_object_get(bench->config, "mounts"), i, entry)
    {
        mount_one(bench, entry);
        if (strcmp(text(entry, "destination"), "/dev") == 0)
            make_devices();
    }
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        give_up("the root");
    hide(json_object_get(bench->config, "linux"));
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
        give_up("the root");
    give_up_rights();
    execl("/bin/true", "true", (char *)NULL);
    give_up("/bin/true");
}

/* --- the rounds --- */

static int set(int dir_fd, const char *name, const char *file, const char *value)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", name, file);
    auto_fd int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value) ? 0 : -1;
}

/* The config's one rule, and those that config-linux.md has by default. */
static int limit_devices(const struct bench *bench, int dir_fd)
{
    static const char *const allowed[] = {"c *:* m",   "b *:* m",   "c 1:3 rwm",  "c 1:5 rwm",
                                          "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",  "c 5:0 rwm",
                                          "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};
    int result = set(dir_fd, bench->name, "devices.deny", "a");
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && result == 0; i++)
        result = set(dir_fd, bench->name, "devices.allow", allowed[i]);
    return result;
}

/* A new cpuset has no processors, so that nobody could join it. */
static int make_cgroup(const struct bench *bench, const struct hierarchy *hierarchy)
{
    int fd = hierarchy->fd;
    if (mkdirat(fd, bench->name, 0755) < 0)
        return -1;
    if (strstr(hierarchy->names, "cpuset") != NULL)
        return set(fd, bench->name, "cpuset.cpus", bench->processors) < 0
                   ? -1
                   : set(fd, bench->name, "cpuset.mems", bench->nodes);
    return strstr(hierarchy->names, "devices") != NULL ? limit_devices(bench, fd) : 0;
}

static int run_one(struct bench *bench, int64_t *ret_took_ns)
{
    int status = 0, result = 0;
    int64_t began_ns = clock_monotonic_ns();
    struct clone_args args = {.flags =
                                  CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS,
                              .exit_signal = SIGCHLD};
    for (size_t i = 0; i < bench->n_hierarchies && result == 0; i++)
        result = make_cgroup(bench, &bench->hierarchies[i]);
    pid_t pid = result < 0 ? -1 : (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        contain(bench);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        result = -1;
    for (size_t i = 0; i < bench->n_hierarchies; i++)
        while (unlinkat(bench->hierarchies[i].fd, bench->name, AT_REMOVEDIR) < 0 && errno == EBUSY)
            sched_yield();
    *ret_took_ns = clock_monotonic_ns() - began_ns;
    return result < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ? -1 : 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    char path[4096];
    struct bench bench = {.n_hierarchies = 0};
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
    auto_free int64_t *took_ns = calloc(rounds + 1, sizeof(*took_ns));
    snprintf(path, sizeof(path), "%s/config.json", argc > 1 ? argv[1] : ".");
    snprintf(bench.name, sizeof(bench.name), "bench-%d", (int)getpid());
    bench.config = json_load_file(path, 0, NULL);
    bench.root = text(json_object_get(bench.config, "root"), "path");
    if (argc < 2 || argc > 3 || rounds == 0 || took_ns == NULL || bench.root[0] != '/') {
        fprintf(stderr, "usage: bench_bundle BUNDLE [ROUNDS], with a root by its absolute path\n");
        return 2;
    }
    find_hierarchies(&bench);
    for (size_t i = 0; i < rounds; i++)
        if (run_one(&bench, &took_ns[i]) < 0)
            return 1;
    qsort(took_ns, rounds, sizeof(*took_ns), compare);
    printf("{\"rounds\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n", rounds, (double)took_ns[rounds / 2] / 1e6,
           (double)took_ns[rounds * 99 / 100] / 1e6);
    json_decref(bench.config);
    return 0;
}
