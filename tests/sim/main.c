/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim --seed=N [--steps=N] [--keep=3,7,9] [--verbose]: one run, told in detail if it fails.
 * sim --seeds=N [--from=N] [--jobs=N] [--steps=N]: that many runs in so many processes, to the first failure.
 * With --fast a failure is told as it is.
 * sim --twice=N: N seeds, each run twice, which must be the same to the last byte.
 *
 * A failure is shrunk: items are left out as long as it still fails, each attempt in a process of its own,
 * since a failure may be the end of the process.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "tests/sim/run.h"

#define FAILED 1
#define JOBS_MAX 64

struct options {
    uint64_t seed, from, seeds, twice;
    int steps, jobs;
    const char *keep;
    bool one, verbose, fast;
};

/* What the children of a range tell. */
struct shared {
    uint64_t seed[JOBS_MAX]; /* being run */
    uint64_t n_done[JOBS_MAX];
    uint64_t n_events[JOBS_MAX];
    int stop;
};

static bool run_seed(uint64_t seed, const struct options *options, struct run_result *ret)
{
    struct plan plan;
    plan_draw(&plan, seed, options->steps, options->keep);
    run_plan(&plan, options->verbose, ret);
    return ret->failure[0] == '\0';
}

/* True if the plan fails, in a child, in whatever way. */
static bool fails(const struct plan *plan)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct run_result result;
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(0);
        run_plan(plan, false, &result);
        _exit(result.failure[0] != '\0' ? FAILED : 0);
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && status != 0;
}

static struct plan without(const struct plan *plan, size_t first, size_t n)
{
    struct plan less = *plan;
    memmove(&less.items[first], &less.items[first + n], (less.n - first - n) * sizeof(less.items[0]));
    less.n -= n;
    return less;
}

/* Halves, quarters, ... single items. */
static void shrink(struct plan *plan)
{
    for (size_t size = plan->n / 2 > 0 ? plan->n / 2 : 1;; size /= 2) {
        for (size_t at = 0; at + size <= plan->n;) {
            struct plan less = without(plan, at, size);
            if (fails(&less))
                *plan = less;
            else
                at += size;
        }
        if (size <= 1)
            return;
    }
}

static int explain(uint64_t seed, const struct options *options)
{
    struct plan plan;
    struct buf text = BUF_INIT, keep = BUF_INIT;
    plan_draw(&plan, seed, options->steps, options->keep);
    if (!options->fast)
        shrink(&plan);
    plan_describe(&plan, &text);
    plan_keep_list(&plan, &keep);
    printf("seed %" PRIu64 " fails; the shortest plan that still does:\n%s", seed, text.data);
    printf("again: make sim SEED=%" PRIu64 " STEPS=%d KEEP=%s\n", seed, options->steps, keep.data);
    fflush(NULL);
    buf_release(&text);
    buf_release(&keep);
    struct run_result result;
    run_plan(&plan, options->verbose, &result);
    printf("%s\n", result.failure);
    return FAILED;
}

static int run_one(const struct options *options)
{
    struct run_result result;
    bool well = run_seed(options->seed, options, &result);
    printf("seed %" PRIu64 ": trace %016" PRIx64 "\n", options->seed, result.trace);
    if (well)
        return 0;
    printf("%s\n", result.failure);
    return options->keep != NULL || options->verbose ? FAILED : explain(options->seed, options);
}

static int run_twice(const struct options *options)
{
    for (uint64_t i = 0; i < options->twice; i++) {
        struct run_result first, second;
        run_seed(options->from + i, options, &first);
        run_seed(options->from + i, options, &second);
        if (first.trace != second.trace || strcmp(first.failure, second.failure) != 0) {
            printf("seed %" PRIu64 " does not replay: %016" PRIx64 " and %016" PRIx64 "\n", options->from + i,
                   first.trace, second.trace);
            return FAILED;
        }
    }
    printf("%" PRIu64 " seeds replay exactly\n", options->twice);
    return 0;
}

/* --- a range --- */

static void run_share(const struct options *options, struct shared *shared, int job)
{
    for (uint64_t i = (uint64_t)job; i < options->seeds && !__atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
         i += (uint64_t)options->jobs) {
        struct run_result result;
        shared->seed[job] = options->from + i;
        if (!run_seed(options->from + i, options, &result))
            _exit(FAILED);
        shared->n_done[job]++;
        shared->n_events[job] += result.n_events;
    }
    _exit(0);
}

/* The seed of the first child that failed; true if there is one. */
static bool wait_for_all(const pid_t *pids, const struct options *options, struct shared *shared,
                         uint64_t *ret_seed)
{
    bool failed = false;
    for (int left = options->jobs; left > 0; left--) {
        int status;
        pid_t pid = wait(&status);
        for (int job = 0; job < options->jobs && status != 0 && !failed; job++) {
            if (pids[job] != pid)
                continue;
            failed = true;
            *ret_seed = shared->seed[job];
            __atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
        }
    }
    return failed;
}

static int run_range(const struct options *options)
{
    pid_t pids[JOBS_MAX];
    uint64_t failed_seed = 0, n_done = 0, n_events = 0;
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return FAILED;
    for (int job = 0; job < options->jobs; job++) {
        fflush(NULL);
        pids[job] = fork();
        if (pids[job] == 0)
            run_share(options, shared, job);
    }
    bool failed = wait_for_all(pids, options, shared, &failed_seed);
    for (int job = 0; job < options->jobs; job++) {
        n_done += shared->n_done[job];
        n_events += shared->n_events[job];
    }
    printf("%" PRIu64 " seeds from %" PRIu64 " on, %d items each, %" PRIu64 " events: %s\n", n_done,
           options->from, options->steps, n_events, failed ? "a failure" : "all well");
    fflush(NULL);
    return failed ? explain(failed_seed, options) : 0;
}

static void read_options(struct options *ret, int argc, char **argv)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},  {"seeds", required_argument, NULL, 'n'},
        {"from", required_argument, NULL, 'f'},  {"steps", required_argument, NULL, 't'},
        {"jobs", required_argument, NULL, 'j'},  {"keep", required_argument, NULL, 'k'},
        {"twice", required_argument, NULL, '2'}, {"verbose", no_argument, NULL, 'v'},
        {"fast", no_argument, NULL, 'x'},        {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 's') {
            ret->one = true;
            ret->seed = strtoull(optarg, NULL, 10);
        } else if (option == 'n') {
            ret->seeds = strtoull(optarg, NULL, 10);
        } else if (option == 'f') {
            ret->from = strtoull(optarg, NULL, 10);
        } else if (option == 't') {
            ret->steps = atoi(optarg);
        } else if (option == 'j') {
            ret->jobs = atoi(optarg) < JOBS_MAX ? atoi(optarg) : JOBS_MAX;
        } else if (option == 'k') {
            ret->keep = optarg;
        } else if (option == '2') {
            ret->twice = strtoull(optarg, NULL, 10);
        } else if (option == 'x') {
            ret->fast = true;
        } else if (option == 'v') {
            ret->verbose = true;
        } else {
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = {.from = 1, .seeds = 1000, .steps = PLAN_STEPS_DEFAULT, .jobs = 2};
    read_options(&options, argc, argv);
    if (sodium_init() < 0)
        return 2;
    if (options.one)
        return run_one(&options);
    return options.twice > 0 ? run_twice(&options) : run_range(&options);
}
