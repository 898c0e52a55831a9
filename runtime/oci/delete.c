/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "runtime/oci/cgroups.h"
#include "runtime/oci/create.h"
#include "runtime/oci/hooks.h"
#include "runtime/oci/host.h"
#include "runtime/oci/report.h"
#include "runtime/oci/state.h"
#include "runtime/sandbox/oci_json.h"

#define END_TIMEOUT_MS 10000

/* SIGKILL, and a wait for the end: a frozen process gets it when it thaws. */
static int end_process(const struct oci_container *container, struct err *err)
{
    auto_fd int process_fd = oci_container_process(container);
    if (process_fd < 0)
        return 0;
    if (pidfd_send_signal(process_fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        return err_sys(err, errno, "cannot kill the container '%s'", container->id);
    if (oci_cgroups_frozen(container->document) && oci_cgroups_freeze(container->document, false, err) < 0)
        return -1;
    struct pollfd poll_fd = {.fd = process_fd, .events = POLLIN};
    if (poll(&poll_fd, 1, END_TIMEOUT_MS) <= 0)
        return err_set(err, ERR_TIMEOUT, "the container '%s' has not ended %d s after SIGKILL", container->id,
                       END_TIMEOUT_MS / 1000);
    return 0;
}

int oci_unmake_container(struct oci_container *container, struct err *err)
{
    if (end_process(container, err) < 0 || oci_cgroups_destroy(container->document, err) < 0 ||
        oci_host_release_root(container->document, err) < 0)
        return -1;
    return oci_container_remove(container, err);
}

/* The creator of a container that is still being made holds the lock; it gives up once its child is dead. */
static int end_creation(const struct oci_options *options, const char *id, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    struct err why = ERR_INIT;
    if (oci_container_open(&container, options->root, id, false, &why) < 0) {
        if (why.code == ERR_CORRUPT)
            return 0;
        if (err != NULL)
            *err = why;
        return -1;
    }
    return oci_container_status(&container) == OCI_CREATING ? end_process(&container, err) : 0;
}

/* A host that lost its power may have left a state.json without its bytes. Whatever runs in the cgroups that
 * the configuration names is what remains of the container then. */
static int assume_state(struct oci_container *container, struct err *err)
{
    struct oci_cgroups cgroups;
    json_auto_t *config = oci_container_config(container, NULL);
    if (oci_cgroups_plan(&cgroups, oci_text(json_object_get(config, "linux"), "cgroupsPath"), container->id,
                         err) < 0)
        return -1;
    container->document = json_pack("{s:s, s:s, s:o}", "id", container->id, "bundle", "", "cgroups",
                                    oci_cgroups_document(&cgroups));
    oci_cgroups_close(&cgroups);
    return container->document == NULL ? err_nomem(err, "deleting a container") : 0;
}

static int open_to_delete(struct oci_container *container, const struct oci_options *options, const char *id,
                          struct err *err)
{
    struct err why = ERR_INIT;
    if (oci_container_open(container, options->root, id, true, &why) == 0)
        return 0;
    if (options->force && why.code == ERR_CORRUPT)
        return assume_state(container, err);
    if (err != NULL)
        *err = why;
    return -1;
}

static int delete (const struct oci_options *options, const char *id, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    if ((options->force && end_creation(options, id, err) < 0) ||
        open_to_delete(&container, options, id, err) < 0)
        return -1;
    enum oci_status status = oci_container_status(&container);
    if (status != OCI_STOPPED && !options->force)
        return err_set(err, ERR_CONFLICT,
                       "cannot delete the container '%s', which is not stopped: it is %s; kill it, or use "
                       "--force",
                       id, oci_status_name(status));
    json_auto_t *state = oci_container_state(&container, OCI_STOPPED);
    /* A creation that was cut off may have none; then there are no hooks either. */
    json_auto_t *config = oci_container_config(&container, NULL);
    if (oci_unmake_container(&container, err) < 0)
        return -1;
    oci_hooks_run_all(config, "poststop", state, options->warn);
    return 0;
}

int oci_delete(const struct oci_options *options, const char *id, struct err *err)
{
    struct err why = ERR_INIT;
    struct oci_report report;
    oci_report_begin(&report, options, "delete", id);
    if (oci_report_end(&report, "deleted", delete (options, id, &why), &why) == 0 ||
        (options->force && why.code == ERR_NOT_FOUND))
        return 0;
    if (err != NULL)
        *err = why;
    return -1;
}
