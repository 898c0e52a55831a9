/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_kernel ROOTFS [ROUNDS] [CONCURRENCY] - the bare kernel work of a container, to measure Wharf against:
 * clone3 of the same namespaces, private mounts, an overlay on ROOTFS, pivot_root, exec of /bin/true, wait,
 * and removal of the layers. No cgroups, no seccomp, no other mounts, no records.
 *
 * Prints one line of JSON: {"concurrency":N,"rounds":N,"per_second":X,"p50_ms":X}. Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

struct slot {
    char dir[32];
    pid_t pid;
    int pid_fd;
    int64_t began_ns;
};

struct bench {
    const char *rootfs;
    size_t rounds;
    size_t concurrency;
    size_t started;
    size_t ended;
    int64_t *took_ns;
    struct slot *slots;
};

static _Noreturn void contain(const struct bench *bench, const struct slot *slot)
{
    char options[4096 + 64];
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=upper,workdir=work,volatile", bench->rootfs);
    if (chdir(slot->dir) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("overlay", "upper", "overlay", 0, options) < 0 || chdir("upper") < 0 ||
        syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
        _exit(1);
    execl("/bin/true", "true", (char *)NULL);
    _exit(1);
}

static int begin(struct bench *bench, struct slot *slot)
{
    char path[64];
    slot->began_ns = clock_monotonic_ns();
    snprintf(slot->dir, sizeof(slot->dir), "c%zu", bench->started++);
    snprintf(path, sizeof(path), "%s/upper", slot->dir);
    if (mkdir(slot->dir, 0700) < 0 || mkdir(path, 0755) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/work", slot->dir);
    if (mkdir(path, 0700) < 0)
        return -1;
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWCGROUP |
                 CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&slot->pid_fd,
        .exit_signal = SIGCHLD,
    };
    slot->pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (slot->pid == 0)
        contain(bench, slot);
    return slot->pid < 0 ? -1 : 0;
}

static int end(struct bench *bench, struct slot *slot)
{
    int status;
    if (waitpid(slot->pid, &status, 0) != slot->pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -1;
    close(slot->pid_fd);
    if (fs_remove_tree(AT_FDCWD, slot->dir, NULL) < 0)
        return -1;
    bench->took_ns[bench->ended++] = clock_monotonic_ns() - slot->began_ns;
    slot->pid = 0;
    return 0;
}

static int run(struct bench *bench, struct pollfd *polled)
{
    for (size_t i = 0; i < bench->concurrency; i++) {
        if (begin(bench, &bench->slots[i]) < 0)
            return -1;
        polled[i] = (struct pollfd){.fd = bench->slots[i].pid_fd, .events = POLLIN};
    }
    while (bench->ended < bench->rounds) {
        if (poll(polled, bench->concurrency, -1) < 0 && errno != EINTR)
            return -1;
        for (size_t i = 0; i < bench->concurrency; i++) {
            if (polled[i].revents == 0)
                continue;
            polled[i].fd = -1;
            polled[i].revents = 0;
            if (end(bench, &bench->slots[i]) < 0)
                return -1;
            if (bench->started < bench->rounds && begin(bench, &bench->slots[i]) < 0)
                return -1;
            if (bench->slots[i].pid != 0)
                polled[i].fd = bench->slots[i].pid_fd;
        }
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int measure(struct bench *bench)
{
    char dir[] = "/var/tmp/wharf-bench-XXXXXX";
    auto_free struct pollfd *polled = calloc(bench->concurrency, sizeof(*polled));
    if (polled == NULL || mkdtemp(dir) == NULL || chdir(dir) < 0)
        return -1;
    int64_t began_ns = clock_monotonic_ns();
    int result = run(bench, polled);
    int cause = errno;
    double seconds = (double)(clock_monotonic_ns() - began_ns) / 1e9;
    if (chdir("/") < 0 || fs_remove_tree(AT_FDCWD, dir, NULL) < 0)
        return -1;
    errno = cause;
    if (result < 0)
        return -1;
    qsort(bench->took_ns, bench->rounds, sizeof(*bench->took_ns), compare);
    printf("{\"concurrency\":%zu,\"rounds\":%zu,\"per_second\":%.1f,\"p50_ms\":%.3f}\n", bench->concurrency,
           bench->rounds, (double)bench->rounds / seconds, (double)bench->took_ns[bench->rounds / 2] / 1e6);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: bench_kernel ROOTFS [ROUNDS] [CONCURRENCY]\n");
        return 2;
    }
    struct bench bench = {
        .rootfs = argv[1],
        .rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 200,
        .concurrency = argc > 3 ? strtoul(argv[3], NULL, 10) : 1,
    };
    if (bench.concurrency == 0 || bench.concurrency > 1024 || bench.rounds < bench.concurrency) {
        fprintf(stderr, "bench_kernel: the concurrency must be 1..1024, and not above the rounds\n");
        return 2;
    }
    bench.took_ns = calloc(bench.rounds, sizeof(*bench.took_ns));
    bench.slots = calloc(bench.concurrency, sizeof(*bench.slots));
    int result = bench.took_ns == NULL || bench.slots == NULL ? -1 : measure(&bench);
    if (result < 0)
        fprintf(stderr, "bench_kernel: cannot run '/bin/true' in '%s': %s\n", argv[1], strerror(errno));
    free(bench.took_ns);
    free(bench.slots);
    return result < 0 ? 1 : 0;
}
