/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events: statistics at once, at every interval, and an event for each OOM kill, until the first process
 * ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/oci/oci.h"
#include "runtime/oci/state.h"
#include "runtime/oci/stats.h"

#define DEFAULT_INTERVAL_MS 5000

/* "5s", "250ms", "1m", "2h"; a number alone is seconds. */
static int parse_interval(const char *text, int *ret_ms, struct err *err)
{
    char *end;
    double number = text == NULL ? DEFAULT_INTERVAL_MS / 1000.0 : strtod(text, &end);
    double factor = 1000;
    if (text != NULL && strcmp(end, "ms") == 0)
        factor = 1;
    else if (text != NULL && strcmp(end, "m") == 0)
        factor = 60000;
    else if (text != NULL && strcmp(end, "h") == 0)
        factor = 3600000;
    else if (text != NULL && (end == text || (*end != '\0' && strcmp(end, "s") != 0)))
        number = -1;
    if (!(number * factor >= 1 && number * factor <= 86400000))
        return err_set(err, ERR_INVALID, "--interval is a time from 1ms to 24 hours, such as 5s, not '%s'",
                       text);
    *ret_ms = (int)(number * factor);
    return 0;
}

static int print(json_t *event_take, FILE *out, struct err *err)
{
    json_auto_t *event = event_take;
    if (event == NULL)
        return err_nomem(err, "printing an event");
    if (json_dumpf(event, out, JSON_COMPACT) < 0 || fputc('\n', out) == EOF || fflush(out) == EOF)
        return err_sys(err, errno, "cannot print an event");
    return 0;
}

static int print_stats(const struct oci_container *container, FILE *out, struct err *err)
{
    json_t *stats = oci_stats(container->document, err);
    return stats == NULL
               ? -1
               : print(json_pack("{s:s, s:s, s:o}", "type", "stats", "id", container->id, "data", stats), out,
                       err);
}

static int print_kills(const struct oci_container *container, struct oci_oom_watch *watch, FILE *out,
                       struct err *err)
{
    for (int64_t n = oci_oom_take(watch, container->document); n > 0; n--) {
        if (print(json_pack("{s:s, s:s}", "type", "oom", "id", container->id), out, err) < 0)
            return -1;
    }
    return 0;
}

static int follow(const struct oci_container *container, int process_fd, int interval_ms, FILE *out,
                  struct err *err)
{
    struct oci_oom_watch watch;
    oci_oom_watch(&watch, container->document);
    auto_fd int oom_fd = watch.fd;
    struct pollfd fds[] = {{.fd = process_fd, .events = POLLIN}, {.fd = oom_fd, .events = POLLIN}};
    for (;;) {
        int n = poll(fds, 2, interval_ms);
        if (n < 0 && errno != EINTR)
            return err_sys(err, errno, "cannot wait for events");
        if (print_kills(container, &watch, out, err) < 0)
            return -1;
        if (n > 0 && fds[0].revents != 0)
            return 0;
        if (n == 0 && print_stats(container, out, err) < 0)
            return -1;
    }
}

int oci_events(const struct oci_options *options, const char *id, FILE *out, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    int interval_ms;
    if (parse_interval(options->interval, &interval_ms, err) < 0 ||
        oci_container_open(&container, options->root, id, false, err) < 0)
        return -1;
    enum oci_status status = oci_container_status(&container);
    auto_fd int process_fd = oci_container_process(&container);
    if (status == OCI_STOPPED || status == OCI_CREATING || process_fd < 0)
        return err_set(err, ERR_CONFLICT,
                       "there are no statistics of the container '%s': it is not running but %s", id,
                       oci_status_name(status));
    if (print_stats(&container, out, err) < 0)
        return -1;
    return options->stats ? 0 : follow(&container, process_fd, interval_ms, out, err);
}
