/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_log - what a log costs: bench_log URL [COUNT]
 *
 * Latency of single appends one after the other; from append to a reader in another process; throughput with
 * many in flight; reading all of it back. Every record is an envelope of 600 bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "events/log/log.h"

#define RECORD_BYTES 600
#define SINGLE_APPENDS 2000
#define HOPS 2000
#define MAX_IN_FLIGHT 1000
#define WARM_UP 50

static char record[RECORD_BYTES];
static const struct log_header headers[] = {{"content-type", "application/cloudevents+json"}};
static const struct log_entry entry = {.key =
                                           "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                                       .value = record,
                                       .value_size = RECORD_BYTES,
                                       .headers = headers,
                                       .n_headers = 1};

/* What the reading process tells through a pipe: when it was ready, then when each record came. */
struct hop_reader {
    int fd;
    size_t n;
};

struct bench {
    struct log *log;
    struct log_append appends[MAX_IN_FLIGHT];
    int64_t *times_ns;
    size_t n, wanted, started, in_flight;
    int64_t start_ns;
};

static void fail(const struct err *err)
{
    fprintf(stderr, "bench_log: %s\n", err->message);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_percentiles(const char *what, int64_t *times_ns, size_t n)
{
    qsort(times_ns, n, sizeof(*times_ns), compare);
    printf("%-28s p50 %7.3f ms   p90 %7.3f   p99 %7.3f   max %7.3f\n", what, (double)times_ns[n / 2] / 1e6,
           (double)times_ns[n * 9 / 10] / 1e6, (double)times_ns[n * 99 / 100] / 1e6,
           (double)times_ns[n - 1] / 1e6);
    fflush(stdout);
}

static void append_one(struct bench *bench, struct log_append *append, log_append_cb cb)
{
    struct err err = ERR_INIT;
    append->data = bench;
    if (log_append(bench->log, append, LOG_EVENTS, 0, &entry, 1, cb, &err) < 0)
        fail(&err);
}

static void on_single(struct log_append *append, int64_t offset, const struct err *err)
{
    struct bench *bench = append->data;
    (void)offset;
    if (err != NULL)
        fail(err);
    int64_t now_ns = clock_monotonic_ns();
    bench->times_ns[bench->n++] = now_ns - bench->start_ns;
    bench->start_ns = now_ns;
    if (bench->n < bench->wanted)
        append_one(bench, append, on_single);
}

static void run_until(struct bench *bench, uv_loop_t *loop, size_t n)
{
    while (bench->n < n)
        uv_run(loop, UV_RUN_ONCE);
}

static void measure_single(struct bench *bench, uv_loop_t *loop, const char *what)
{
    bench->n = 0;
    bench->wanted = SINGLE_APPENDS;
    bench->start_ns = clock_monotonic_ns();
    append_one(bench, &bench->appends[0], on_single);
    run_until(bench, loop, SINGLE_APPENDS);
    print_percentiles(what, bench->times_ns + WARM_UP, SINGLE_APPENDS - WARM_UP);
}

static void on_many(struct log_append *append, int64_t offset, const struct err *err)
{
    struct bench *bench = append->data;
    (void)offset;
    if (err != NULL)
        fail(err);
    bench->n++;
    if (bench->started < bench->wanted) {
        bench->started++;
        append_one(bench, append, on_many);
    }
}

static void measure_throughput(struct bench *bench, uv_loop_t *loop, size_t count, size_t in_flight)
{
    bench->n = 0;
    bench->wanted = count;
    bench->started = in_flight;
    int64_t start_ns = clock_monotonic_ns();
    for (size_t i = 0; i < in_flight; i++)
        append_one(bench, &bench->appends[i], on_many);
    run_until(bench, loop, count);
    double seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    printf("append, %4zu in flight         %9.0f records/s\n", in_flight, (double)count / seconds);
    fflush(stdout);
}

static void on_read(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    (void)reader;
    (void)records;
    ((struct bench *)data)->n += n;
}

static void measure_reading(struct bench *bench, uv_loop_t *loop)
{
    static const struct log_reader_ops ops = {.on_records = on_read};
    struct log_reader *reader;
    struct err err = ERR_INIT;
    size_t total = bench->wanted;
    bench->n = 0;
    int64_t start_ns = clock_monotonic_ns();
    if (log_reader_open(&reader, bench->log, LOG_EVENTS, 0, 0, &ops, bench, &err) < 0)
        fail(&err);
    run_until(bench, loop, total);
    double seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    printf("read from the beginning        %9.0f records/s\n", (double)bench->n / seconds);
    log_reader_close(reader);
}

static void tell(struct hop_reader *hop)
{
    int64_t now_ns = clock_monotonic_ns();
    if (write(hop->fd, &now_ns, sizeof(now_ns)) != (ssize_t)sizeof(now_ns))
        _exit(1);
}

static void on_hop(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    (void)reader;
    (void)records;
    struct hop_reader *hop = data;
    tell(hop);
    hop->n += n;
}

static void on_hop_ready(struct log_reader *reader, int64_t end, void *data)
{
    (void)reader;
    (void)end;
    struct hop_reader *hop = data;
    if (hop->n == 0)
        tell(hop);
}

static _Noreturn void read_in_child(const char *url, int fd)
{
    static const struct log_reader_ops ops = {.on_records = on_hop, .on_caught_up = on_hop_ready};
    struct hop_reader hop = {.fd = fd};
    uv_loop_t loop;
    struct log *log;
    struct log_reader *reader;
    struct err err = ERR_INIT;
    uv_loop_init(&loop);
    if (log_open(&log, &loop, url, NULL, &err) < 0 ||
        log_reader_open(&reader, log, LOG_EVENTS, 0, LOG_FROM_END, &ops, &hop, &err) < 0)
        fail(&err);
    while (hop.n < HOPS)
        uv_run(&loop, UV_RUN_ONCE);
    _exit(0);
}

static int64_t await_child(int fd)
{
    int64_t at_ns = 0;
    if (read(fd, &at_ns, sizeof(at_ns)) != (ssize_t)sizeof(at_ns)) {
        fprintf(stderr, "bench_log: the reading process is gone\n");
        exit(1);
    }
    return at_ns;
}

static void on_hop_stored(struct log_append *append, int64_t offset, const struct err *err)
{
    (void)offset;
    if (err != NULL)
        fail(err);
    ((struct bench *)append->data)->n++;
}

/* From log_append here to on_records there; the next append waits for both. */
static void measure_hop(struct bench *bench, uv_loop_t *loop, int fd)
{
    await_child(fd);
    bench->n = 0;
    for (size_t i = 0; i < HOPS; i++) {
        int64_t start_ns = clock_monotonic_ns();
        append_one(bench, &bench->appends[0], on_hop_stored);
        run_until(bench, loop, i + 1);
        bench->times_ns[i] = await_child(fd) - start_ns;
    }
    print_percentiles("append to other process", bench->times_ns + WARM_UP, HOPS - WARM_UP);
}

static void stop(void *data)
{
    *(bool *)data = true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_log URL [COUNT]\n");
        return 2;
    }
    size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;
    memset(record, 'x', sizeof(record));
    int fds[2];
    struct bench *bench = calloc(1, sizeof(*bench));
    int64_t *times_ns = calloc(SINGLE_APPENDS + HOPS, sizeof(*times_ns));
    if (bench == NULL || times_ns == NULL || pipe(fds) < 0) {
        fprintf(stderr, "bench_log: out of memory or descriptors\n");
        return 1;
    }
    bench->times_ns = times_ns;
    uv_loop_t loop;
    struct err err = ERR_INIT;
    struct log_options options = {.append_topics = 1u << LOG_EVENTS};
    pid_t child = fork(); /* before any client library has threads */
    if (child < 0) {
        fprintf(stderr, "bench_log: cannot start the reading process\n");
        return 1;
    }
    if (child == 0)
        read_in_child(argv[1], fds[1]);
    close(fds[1]);
    uv_loop_init(&loop);
    if (log_open(&bench->log, &loop, argv[1], &options, &err) < 0)
        fail(&err);
    measure_hop(bench, &loop, fds[0]);
    waitpid(child, NULL, 0);
    measure_single(bench, &loop, "append, one after the other");
    measure_throughput(bench, &loop, count / 20, 8);
    measure_throughput(bench, &loop, count / 4, 32);
    measure_throughput(bench, &loop, count, MAX_IN_FLIGHT);
    measure_reading(bench, &loop);
    bool closed = false;
    log_close(bench->log, stop, &closed);
    while (!closed)
        uv_run(&loop, UV_RUN_ONCE);
    free(times_ns);
    free(bench);
    return 0;
}
