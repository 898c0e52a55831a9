/* SPDX-License-Identifier: Apache-2.0 */
/* Pausing, and the memory limit, as host_linux_adjust.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/host_parts.h"

struct adjust_op {
    struct host_op op;
    enum host_adjustment adjustment;
    int64_t memory, memory_before;
    int64_t incarnation;
    struct err err;
    host_done_cb cb;
    void *data;
};

/* The cgroup: the container's processes and those of its execs. */
static void freeze(struct shim *shim)
{
    shim->frozen = true;
    execs_freeze(shim->machine, shim->id);
}

static void thaw(struct shim *shim)
{
    execs_thaw(shim->machine, shim->id);
    shim_thaw(shim);
}

/* What is in uninterruptible sleep takes its time, and now and then too long. */
static bool step_adjust(struct host_op *op)
{
    struct adjust_op *adjust = (struct adjust_op *)op;
    struct shim *shim = shim_of(op->host->machine, op->entry->id);
    if (adjust->err.code != ERR_NONE)
        return true;
    if (shim == NULL || shim->incarnation != adjust->incarnation || shim->stage != SHIM_RUNNING) {
        err_set(&adjust->err, ERR_NOT_FOUND, "the container's cgroup is gone");
        return true;
    }
    if (op->stage++ < (int)rng_below(&op->host->machine->rng, 4))
        return false;
    bool fails = rng_chance(&op->host->machine->rng, 3);
    if (fails)
        err_set(&adjust->err, ERR_SYSTEM, "device busy");
    if (fails && adjust->adjustment == HOST_LIMIT)
        shim->memory = adjust->memory_before; /* another attempt, before a crash, may have set it */
    else if (fails)
        return true;
    else if (adjust->adjustment == HOST_LIMIT)
        shim->memory = adjust->memory;
    else if (adjust->adjustment == HOST_PAUSE)
        freeze(shim);
    else
        thaw(shim);
    return true;
}

static void finish(struct host_op *op)
{
    struct adjust_op *adjust = (struct adjust_op *)op;
    struct host *host = op->host;
    host->n_busy++;
    adjust->cb(adjust->err.code != ERR_NONE ? &adjust->err : NULL, adjust->data);
    op_finish(op);
    free(adjust);
    host_unbusy(host);
}

static void fail_adjust(struct host_op *op)
{
    struct adjust_op *adjust = (struct adjust_op *)op;
    err_set(&adjust->err, ERR_UNAVAILABLE, "the process is dead");
    finish(op);
}

int host_adjust(struct host *host, const char *container_id, int64_t incarnation,
                enum host_adjustment adjustment, const struct container_spec *spec,
                const struct container_spec *before, host_done_cb cb, void *data, struct err *err)
{
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct entry *entry = entry_get(host, container_id);
    struct adjust_op *adjust = sim_alloc(sizeof(*adjust));
    *adjust = (struct adjust_op){.adjustment = adjustment,
                                 .memory = spec->memory,
                                 .memory_before = before->memory,
                                 .incarnation = incarnation,
                                 .cb = cb,
                                 .data = data};
    adjust->op.adjusts = true;
    adjust->op.step = step_adjust;
    adjust->op.done = finish;
    adjust->op.fail = fail_adjust;
    if (entry->state != ENTRY_RUNNING || entry->record.incarnation != incarnation)
        err_set(&adjust->err, ERR_NOT_FOUND, "the container is not running");
    op_begin(host, entry, &adjust->op);
    return 0;
}

void host_thaw(const struct host *host, const char *container_id)
{
    struct shim *shim = shim_of(host->machine, container_id);
    if (process_point(host->process) && shim != NULL)
        thaw(shim);
}

/* Shims here are found wherever they are. */
void host_clear_stray_cgroup(struct host *host, const char *container_id, const char *cgroup_parent)
{
    (void)host;
    (void)container_id;
    (void)cgroup_parent;
}
