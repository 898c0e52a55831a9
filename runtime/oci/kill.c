/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "runtime/oci/cgroups.h"
#include "runtime/oci/oci.h"
#include "runtime/oci/report.h"
#include "runtime/oci/state.h"

/* "RTMIN+3" and "RTMAX-3", as kill(1) lists them. 0 for anything else. */
static int real_time_signal(const char *name)
{
    bool from_min = strncasecmp(name, "RTMIN", 5) == 0;
    if (!from_min && strncasecmp(name, "RTMAX", 5) != 0)
        return 0;
    char *end;
    const char *rest = name + 5;
    long distance =
        *rest == (from_min ? '+' : '-') && isdigit((unsigned char)rest[1]) ? strtol(rest, &end, 10) : 0;
    if (*rest != '\0' && (distance == 0 || *end != '\0' || labs(distance) > SIGRTMAX - SIGRTMIN))
        return 0;
    return (from_min ? SIGRTMIN : SIGRTMAX) + (int)distance;
}

static int parse_signal(const char *text, struct err *err)
{
    if (isdigit((unsigned char)text[0])) {
        char *end;
        long number = strtol(text, &end, 10);
        if (*end == '\0' && number > 0 && number <= SIGRTMAX)
            return (int)number;
    }
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int number = 1; number <= SIGRTMAX; number++) {
        const char *known = sigabbrev_np(number);
        if (known != NULL && strcasecmp(known, name) == 0)
            return number;
    }
    int number = real_time_signal(name);
    if (number > 0)
        return number;
    return err_set(err, ERR_INVALID, "'%s' is no signal", text);
}

static void signal_one(pid_t pid, void *data)
{
    kill(pid, *(int *)data);
}

static int send_signal(const struct oci_options *options, const char *id, const char *signal, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    int number = parse_signal(signal, err);
    if (number < 0 || oci_container_open(&container, options->root, id, false, err) < 0)
        return -1;
    enum oci_status status = oci_container_status(&container);
    if (options->all && number == SIGKILL) {
        oci_cgroups_kill(container.document);
        return 0;
    }
    if (options->all)
        return oci_cgroups_each(container.document, signal_one, &number, err);
    auto_fd int process_fd = oci_container_process(&container);
    if (status == OCI_STOPPED || process_fd < 0)
        return err_set(err, ERR_CONFLICT,
                       "cannot send a signal to the container '%s', which is not running: it is %s", id,
                       oci_status_name(status));
    if (pidfd_send_signal(process_fd, number, NULL, 0) < 0)
        return err_sys(err, errno, "cannot send signal %d to the container '%s'", number, id);
    return 0;
}

static int pause_container(const struct oci_options *options, const char *id, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    if (oci_container_open(&container, options->root, id, true, err) < 0)
        return -1;
    enum oci_status status = oci_container_status(&container);
    if (status != OCI_RUNNING)
        return err_set(err, ERR_CONFLICT, "cannot pause the container '%s': it is not running but %s", id,
                       oci_status_name(status));
    return oci_cgroups_freeze(container.document, true, err);
}

static int resume_container(const struct oci_options *options, const char *id, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    if (oci_container_open(&container, options->root, id, true, err) < 0)
        return -1;
    enum oci_status status = oci_container_status(&container);
    if (status != OCI_PAUSED)
        return err_set(err, ERR_CONFLICT, "cannot resume the container '%s': it is not paused but %s", id,
                       oci_status_name(status));
    return oci_cgroups_freeze(container.document, false, err);
}

int oci_kill(const struct oci_options *options, const char *id, const char *signal, struct err *err)
{
    struct oci_report report;
    oci_report_begin(&report, options, "kill", id);
    oci_report_set(&report, "signal", json_string(signal));
    return oci_report_end(&report, "killed", send_signal(options, id, signal, err), err);
}

int oci_pause(const struct oci_options *options, const char *id, struct err *err)
{
    struct oci_report report;
    oci_report_begin(&report, options, "pause", id);
    return oci_report_end(&report, "paused", pause_container(options, id, err), err);
}

int oci_resume(const struct oci_options *options, const char *id, struct err *err)
{
    struct oci_report report;
    oci_report_begin(&report, options, "resume", id);
    return oci_report_end(&report, "resumed", resume_container(options, id, err), err);
}
