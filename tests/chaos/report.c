/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/chaos/report.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"

#define FAILURES_SHOWN 40

void report_init(struct report *report, const char *dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/journal", dir);
    *report = (struct report){.begin_ns = clock_monotonic_ns(), .journal = fopen(path, "we")};
    pthread_mutex_init(&report->mutex, NULL);
    if (report->journal == NULL) {
        perror(path);
        exit(2);
    }
    setvbuf(report->journal, NULL, _IOLBF, 0);
}

void report_release(struct report *report)
{
    fclose(report->journal);
    pthread_mutex_destroy(&report->mutex);
}

static void write_line(const struct report *report, FILE *to, const char *prefix, const char *text)
{
    double seconds = (double)(clock_monotonic_ns() - report->begin_ns) / 1e9;
    fprintf(to, "%8.3f %s%s\n", seconds, prefix, text);
    fflush(to);
}

void report_note(struct report *report, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    pthread_mutex_lock(&report->mutex);
    write_line(report, report->journal, "", text);
    pthread_mutex_unlock(&report->mutex);
}

void report_say(struct report *report, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    pthread_mutex_lock(&report->mutex);
    write_line(report, report->journal, "", text);
    write_line(report, stdout, "", text);
    pthread_mutex_unlock(&report->mutex);
}

void report_fail(struct report *report, const char *check, const char *fmt, ...)
{
    char text[1024], prefix[64];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(prefix, sizeof(prefix), "FAILED %s: ", check);
    pthread_mutex_lock(&report->mutex);
    report->n_failures++;
    write_line(report, report->journal, prefix, text);
    if (report->n_failures <= FAILURES_SHOWN)
        write_line(report, stdout, prefix, text);
    pthread_mutex_unlock(&report->mutex);
}

int report_failures(struct report *report)
{
    pthread_mutex_lock(&report->mutex);
    int n = report->n_failures;
    pthread_mutex_unlock(&report->mutex);
    return n;
}
