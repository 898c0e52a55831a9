/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing how a container runs. On a pool thread, since a process that sleeps in the kernel is suspended
 * only when it wakes. A limit that cannot be set, such as less memory than is in use, leaves all as they
 * were.
 */
#include "runtime/host_linux.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/sandbox/oci_config.h"
#include "runtime/sandbox/oci_plan.h"

struct adjust_op {
    struct host_op op;
    enum host_adjustment adjustment;
    struct cgroup_limits limits;
    struct cgroup_limits before;
    bool runs;
    struct err err;
    host_done_cb cb;
    void *data;
};

/* Devices are not looked at: what may be used does not change. */
static int read_limits(const struct container_spec *spec, struct cgroup_limits *ret, struct err *err)
{
    json_auto_t *section = json_pack("{s:o}", "resources", oci_config_resources(spec, NULL, 0));
    return section == NULL ? err_nomem(err, "changing limits") : oci_plan_limits(section, ret, err);
}

static int adjust_cgroup(struct adjust_op *adjust, const struct cgroup_layout *layout, const char *name)
{
    switch (adjust->adjustment) {
    case HOST_PAUSE:
        return cgroup_freeze(layout, name, true, &adjust->err);
    case HOST_UNPAUSE:
        return cgroup_freeze(layout, name, false, &adjust->err);
    case HOST_LIMIT:
        if (cgroup_set_limits(layout, name, &adjust->limits, &adjust->err) == 0)
            return 0;
        cgroup_set_limits(layout, name, &adjust->before, NULL);
        return -1;
    }
    return -1;
}

static void run_adjust(struct host_op *op)
{
    struct adjust_op *adjust = (struct adjust_op *)op;
    struct host_cgroup cgroup;
    if (!adjust->runs)
        return;
    host_cgroup_open(op->host, op->container->id, &cgroup);
    adjust_cgroup(adjust, cgroup.layout, cgroup.name);
    host_cgroup_close(&cgroup);
}

static void free_adjust(struct adjust_op *adjust)
{
    cgroup_limits_release(&adjust->limits);
    cgroup_limits_release(&adjust->before);
    free(adjust);
}

static void done_adjust(struct host_op *op)
{
    struct adjust_op *adjust = (struct adjust_op *)op;
    struct host *host = op->host;
    host->n_busy++; /* the callback may close the host */
    bool failed = adjust->err.code != ERR_NONE;
    adjust->cb(failed ? &adjust->err : NULL, adjust->data);
    host_op_finish(op);
    free_adjust(adjust);
    host_unbusy(host);
}

int host_adjust(struct host *host, const char *container_id, int64_t incarnation,
                enum host_adjustment adjustment, const struct container_spec *spec,
                const struct container_spec *before, host_done_cb cb, void *data, struct err *err)
{
    struct host_container *container = host_container_get(host, container_id);
    struct adjust_op *adjust = calloc(1, sizeof(*adjust));
    if (container == NULL || adjust == NULL) {
        free(adjust);
        return err_nomem(err, "adjusting a container");
    }
    adjust->adjustment = adjustment;
    adjust->cb = cb;
    adjust->data = data;
    adjust->op.adjusts = true;
    adjust->op.run = run_adjust;
    adjust->op.done = done_adjust;
    adjust->runs = container->state == HOST_CONTAINER_RUNNING && container->record.incarnation == incarnation;
    if (adjustment == HOST_LIMIT &&
        (read_limits(spec, &adjust->limits, err) < 0 || read_limits(before, &adjust->before, err) < 0)) {
        free_adjust(adjust);
        return -1;
    }
    if (!adjust->runs)
        err_set(&adjust->err, ERR_NOT_FOUND, "the container '%.12s' is not running", container_id);
    host_op_begin(host, container, &adjust->op);
    return 0;
}

void host_thaw(const struct host *host, const char *container_id)
{
    struct host_cgroup cgroup;
    host_cgroup_open(host, container_id, &cgroup);
    cgroup_thaw(cgroup.layout, cgroup.name);
    host_cgroup_close(&cgroup);
}
