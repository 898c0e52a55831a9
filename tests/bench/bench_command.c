/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times commands as whole processes, in turn (A B C A B C ...), so that a machine whose speed drifts is fair
 * to all:
 *
 *     bench_command RUNS LABEL COMMAND... -- LABEL COMMAND... [-- ...]
 *
 * Prints for each the p50 and p99 in milliseconds, the p50's ratio to the first, and the most memory that a
 * process of its had. With CLIENTS=n in the
 * environment it measures throughput instead: n processes run each command for RUNS times in all, and what
 * counts is commands a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 8

extern char **environ;

struct timed {
    const char *label;
    char **argv;
    double *ms;
    size_t n;
    size_t failures;
    long peak_kb; /* of the command and all that it waited for (getrusage(2)) */
};

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static pid_t start(char **argv)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        fprintf(stderr, "cannot run '%s': %s\n", argv[0], strerror(error));
        exit(1);
    }
    return pid;
}

static void run_once(struct timed *timed)
{
    int status;
    struct rusage usage = {0};
    double began = now_ms();
    pid_t pid = start(timed->argv);
    wait4(pid, &status, 0, &usage);
    timed->ms[timed->n++] = now_ms() - began;
    timed->failures += status != 0;
    timed->peak_kb = usage.ru_maxrss > timed->peak_kb ? usage.ru_maxrss : timed->peak_kb;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_latency(struct timed *timed, const struct timed *first)
{
    qsort(timed->ms, timed->n, sizeof(*timed->ms), compare);
    if (timed != first && first->n == 0)
        return;
    double p50 = timed->ms[timed->n / 2], p99 = timed->ms[timed->n * 99 / 100];
    printf("%-44s p50 %8.2f ms   p99 %8.2f ms   %5.2fx   peak %6ld KB", timed->label, p50, p99,
           p50 / first->ms[first->n / 2], timed->peak_kb);
    printf(timed->failures > 0 ? "   %zu FAILED\n" : "\n", timed->failures);
}

static void measure_latency(struct timed *timed, size_t n, size_t runs)
{
    for (size_t i = 0; i < runs + 3; i++) {
        for (size_t c = 0; c < n; c++) {
            run_once(&timed[c]);
            if (i < 3)
                timed[c].n = 0; /* warming up */
        }
    }
    for (size_t c = 0; c < n; c++)
        print_latency(&timed[c], &timed[0]);
}

static double measure_throughput(struct timed *timed, size_t clients, size_t runs)
{
    double began = now_ms();
    size_t started = 0, ended = 0;
    while (ended < runs) {
        while (started < runs && started - ended < clients) {
            start(timed->argv);
            started++;
        }
        int status;
        if (wait(&status) > 0) {
            ended++;
            timed->failures += status != 0;
        }
    }
    return (double)runs / (now_ms() - began) * 1e3;
}

int main(int argc, char **argv)
{
    struct timed timed[COMMANDS_MAX] = {0};
    size_t n = 0;
    if (argc < 4) {
        fprintf(stderr, "usage: %s RUNS LABEL COMMAND... [-- LABEL COMMAND...]...\n", argv[0]);
        return 2;
    }
    size_t runs = strtoul(argv[1], NULL, 10);
    for (int at = 2; at < argc && n < COMMANDS_MAX; n++) {
        timed[n].label = argv[at++];
        timed[n].argv = &argv[at];
        timed[n].ms = calloc(runs + 3, sizeof(double));
        while (at < argc && strcmp(argv[at], "--") != 0)
            at++;
        if (at < argc)
            argv[at++] = NULL;
        if (timed[n].ms == NULL || timed[n].argv[0] == NULL)
            return 2;
    }
    const char *clients = getenv("CLIENTS");
    double first = 0;
    if (clients == NULL)
        measure_latency(timed, n, runs);
    for (size_t c = 0; clients != NULL && c < n; c++) {
        double rate = measure_throughput(&timed[c], strtoul(clients, NULL, 10), runs);
        if (c == 0)
            first = rate;
        printf("%-44s %8.1f /s with %s clients   %5.2fx", timed[c].label, rate, clients, rate / first);
        printf(timed[c].failures > 0 ? "   %zu FAILED\n" : "\n", timed[c].failures);
    }
    return 0;
}
