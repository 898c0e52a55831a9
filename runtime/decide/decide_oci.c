/* SPDX-License-Identifier: Apache-2.0 */
/* What wharf-oci did to containers that are not the node's: it goes into the log as it was said, and nothing
 * is done about it. */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "runtime/decide/core.h"

/* Its stream: podman's and containerd's ids are mostly container ids as ours are; others are made one, by
 * what makes them unique on a machine. */
static void subject_of(const struct oci_report_command *report, char ret[SHA256_HEX_SIZE])
{
    char text[8192];
    if (container_id_is_valid(report->container)) {
        snprintf(ret, SHA256_HEX_SIZE, "%s", report->container);
        return;
    }
    int size = snprintf(text, sizeof(text), "%.4096s/%s", report->root == NULL ? "" : report->root,
                        report->container);
    sha256_hex(ret, text, (size_t)size);
}

static void copy_report(struct core *core, struct oci_reported_event *ret,
                        const struct oci_report_command *report)
{
    ret->container = core_strdup(core, report->container);
    ret->action = core_strdup(core, report->action);
    ret->at = core_strdup(core, report->at);
    ret->uid = report->uid;
    ret->root = core_strdup(core, report->root);
    ret->bundle = core_strdup(core, report->bundle);
    ret->pid = report->pid;
    ret->signal = core_strdup(core, report->signal);
    ret->limits = core_strdup(core, report->limits);
    ret->exit_code = report->exit_code;
    ret->verb = core_strdup(core, report->verb);
    ret->message = core_strdup(core, report->message);
    if (strings_copy(&ret->command, &report->command) < 0)
        core->failed = true;
}

void decide_oci_report(struct core *core, const struct command *command, const struct cause *cause,
                       int64_t now_ns, struct decision *ret)
{
    const struct oci_report_command *report = &command->data.oci_report;
    char subject[SHA256_HEX_SIZE];
    struct event event;
    subject_of(report, subject);
    if (node_state_container(&core->state, subject) != NULL) {
        emit_refused(core, ret, report->container, cause, now_ns, "managed-container",
                     "'%.64s' is a container of node '%s' itself", report->container, core->state.name);
        return;
    }
    event_init(&event, EVENT_OCI_REPORTED);
    copy_report(core, &event.data.oci_reported, report);
    emit_take(core, ret, &event, subject, cause, OUTCOME_OK, now_ns);
}
