/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_host BUILD ROOTFS [ROUNDS] [CONCURRENCY]
 *
 * The host alone, without a log above it: host_launch of `/bin/true`, its exit, and host_remove, each as the
 * runtime sees it.
 *
 * Prints one line of JSON with the p50 in milliseconds of launch (host_launch to its callback: the command
 * has been executed), exit (callback to on_exit), notice (the shim's finished_at to on_exit), remove, and the
 * whole. Needs root.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/fs.h"
#include "runtime/host.h"

enum { LAUNCH, EXIT, NOTICE, REMOVE, WHOLE, MEASURES };
static const char *const NAMES[MEASURES] = {"launch", "exit", "notice", "remove", "whole"};

struct bench;

struct slot {
    struct bench *bench;
    char id[CONTAINER_ID_SIZE];
    int64_t began_ns, launched_ns, exited_ns;
};

struct bench {
    uv_loop_t loop;
    struct host *host;
    struct container_spec spec;
    struct image image;
    size_t rounds, concurrency, started, ended;
    bool failed;
    int64_t began_ns;
    struct slot *slots;
    int64_t *took_ns[MEASURES];
};

static void begin(struct slot *slot);

static void give_up(struct bench *bench, const char *message)
{
    fprintf(stderr, "bench_host: %s\n", message);
    bench->failed = true;
    uv_stop(&bench->loop);
}

static void on_removed(const struct err *err, void *data)
{
    struct slot *slot = data;
    struct bench *bench = slot->bench;
    if (err != NULL) {
        give_up(bench, err->message);
        return;
    }
    int64_t now_ns = clock_monotonic_ns();
    bench->took_ns[LAUNCH][bench->ended] = slot->launched_ns - slot->began_ns;
    bench->took_ns[EXIT][bench->ended] = slot->exited_ns - slot->launched_ns;
    bench->took_ns[REMOVE][bench->ended] = now_ns - slot->exited_ns;
    bench->took_ns[WHOLE][bench->ended++] = now_ns - slot->began_ns;
    if (bench->started < bench->rounds)
        begin(slot);
    else if (bench->ended == bench->rounds)
        uv_stop(&bench->loop);
}

static void on_exit_seen(const struct host_exit *exit, void *data)
{
    struct bench *bench = data;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < bench->concurrency; i++) {
        struct slot *slot = &bench->slots[i];
        if (strcmp(slot->id, exit->container_id) != 0)
            continue;
        slot->exited_ns = clock_monotonic_ns();
        bench->took_ns[NOTICE][bench->ended] = clock_realtime_ns() - exit->finished_at_ns;
        if (host_remove(bench->host, slot->id, on_removed, slot, &err) < 0)
            give_up(bench, err.message);
    }
}

static void on_launched(const struct host_launched *launched, void *data)
{
    struct slot *slot = data;
    slot->launched_ns = clock_monotonic_ns();
    if (!launched->ok)
        give_up(slot->bench, launched->message);
}

static void begin(struct slot *slot)
{
    struct bench *bench = slot->bench;
    struct err err = ERR_INIT;
    snprintf(slot->id, sizeof(slot->id), "%064zx", ++bench->started);
    struct host_launch launch = {.container_id = slot->id,
                                 .incarnation = 1,
                                 .command_offset = -1,
                                 .spec = &bench->spec,
                                 .image = &bench->image};
    slot->began_ns = clock_monotonic_ns();
    if (host_launch(bench->host, &launch, on_launched, slot, &err) < 0)
        give_up(bench, err.message);
}

static void on_imported(const struct host_imported *imported, const struct err *err, void *data)
{
    struct bench *bench = data;
    if (err != NULL) {
        give_up(bench, err->message);
        return;
    }
    bench->image.digest = strdup(imported->digest);
    bench->began_ns = clock_monotonic_ns();
    for (size_t i = 0; i < bench->concurrency; i++)
        begin(&bench->slots[i]);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(struct bench *bench, double seconds)
{
    printf("{\"concurrency\":%zu,\"rounds\":%zu,\"per_second\":%.1f", bench->concurrency, bench->rounds,
           (double)bench->rounds / seconds);
    for (int i = 0; i < MEASURES; i++) {
        qsort(bench->took_ns[i], bench->rounds, sizeof(int64_t), compare);
        printf(",\"%s_p50_ms\":%.3f", NAMES[i], (double)bench->took_ns[i][bench->rounds / 2] / 1e6);
    }
    printf("}\n");
}

static int measure(struct bench *bench, const char *build, const char *rootfs)
{
    char dir[] = "/var/tmp/wharf-bench-XXXXXX", state_dir[64], run_dir[64], shim[PATH_MAX], image[PATH_MAX];
    struct err err = ERR_INIT;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
    snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
    snprintf(shim, sizeof(shim), "%s/wharf-shim", build);
    snprintf(image, sizeof(image), "%s/wharf-image", build);
    struct host_options options = {.state_dir = state_dir,
                                   .run_dir = run_dir,
                                   .cgroup_parent = "wharf-bench",
                                   .shim_path = shim,
                                   .image_path = image,
                                   .on_exit = on_exit_seen,
                                   .data = bench};
    uv_loop_init(&bench->loop);
    if (host_open(&bench->host, &bench->loop, &options, &err) < 0 ||
        host_image_import(bench->host, rootfs, on_imported, bench, &err) < 0) {
        fprintf(stderr, "bench_host: %s\n", err.message);
        return -1;
    }
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    double seconds = (double)(clock_monotonic_ns() - bench->began_ns) / 1e9;
    if (!bench->failed)
        report(bench, seconds);
    host_close(bench->host, NULL, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    fs_remove_tree(AT_FDCWD, dir, NULL);
    return bench->failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_host BUILD ROOTFS [ROUNDS] [CONCURRENCY]\n");
        return 2;
    }
    static struct bench bench;
    bench.rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 200;
    bench.concurrency = argc > 4 ? strtoul(argv[4], NULL, 10) : 1;
    schema_init(&container_spec_schema, &bench.spec);
    char *command[] = {"/bin/true", NULL};
    bench.spec.command = (struct strings){command, 1};
    bench.spec.image = "bench";
    bench.spec.auto_remove = true;
    bench.image.reference = "bench:latest";
    bench.slots = calloc(bench.concurrency, sizeof(*bench.slots));
    for (int i = 0; i < MEASURES; i++)
        bench.took_ns[i] = calloc(bench.rounds, sizeof(int64_t));
    for (size_t i = 0; i < bench.concurrency; i++)
        bench.slots[i].bench = &bench;
    return measure(&bench, argv[1], argv[2]) < 0 ? 1 : 0;
}
