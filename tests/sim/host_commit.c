/* SPDX-License-Identifier: Apache-2.0 */
/* Images of containers, as host_linux_commit.c: marked, suspended, copied, let go on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "tests/sim/host_parts.h"

enum { MARK, SUSPEND, COPY, GO_ON };

struct commit_op {
    struct host_op op;
    int64_t incarnation;
    bool pause;
    struct host_imported imported;
    struct err err;
    host_imported_cb cb;
    void *data;
};

void host_commit_undo(struct host *host, const char *id)
{
    struct sim_dir *dir = machine_dir(host->machine, id, false);
    struct shim *shim = shim_of(host->machine, id);
    if (dir == NULL || !dir->marked)
        return;
    if (shim != NULL)
        shim_thaw(shim);
    dir->marked = false;
}

static int mark(struct commit_op *commit)
{
    struct machine *machine = commit->op.host->machine;
    const struct entry *entry = commit->op.entry;
    struct sim_dir *dir = machine_dir(machine, entry->id, false);
    bool runs = entry->state == ENTRY_RUNNING && entry->record.incarnation == commit->incarnation;
    if (runs != (commit->incarnation > 0) || (runs && dir == NULL))
        return err_set(&commit->err, ERR_CONFLICT, "the container was started or has ended");
    if (dir == NULL)
        machine_make_dir(machine, entry->id);
    if (commit->pause)
        dir->marked = true;
    return 0;
}

static int suspend(struct commit_op *commit)
{
    struct shim *shim = shim_of(commit->op.host->machine, commit->op.entry->id);
    if (!commit->pause)
        return 0;
    if (shim == NULL || shim->stage != SHIM_RUNNING)
        return err_set(&commit->err, ERR_NOT_FOUND, "the container's cgroup is gone");
    shim->frozen = true;
    return 0;
}

/* Takes its time, and now and then the disk is full. */
static bool copy(struct commit_op *commit)
{
    struct machine *machine = commit->op.host->machine;
    if (!rng_chance(&machine->rng, 3))
        return false;
    if (rng_chance(&machine->rng, 5))
        err_set(&commit->err, ERR_TOO_LARGE, "no space left");
    else
        machine_add_image(machine, commit->imported.digest);
    return true;
}

static bool step_commit(struct host_op *op)
{
    struct commit_op *commit = (struct commit_op *)op;
    switch (op->stage) {
    case MARK:
        op->stage = mark(commit) < 0 ? GO_ON : SUSPEND;
        return false;
    case SUSPEND:
        op->stage = suspend(commit) < 0 ? GO_ON : COPY;
        return false;
    case COPY:
        op->stage = copy(commit) ? GO_ON : COPY;
        return false;
    default:
        host_commit_undo(op->host, op->entry->id);
        return true;
    }
}

static void finish(struct host_op *op)
{
    struct commit_op *commit = (struct commit_op *)op;
    struct host *host = op->host;
    bool failed = commit->err.code != ERR_NONE;
    host->n_busy++;
    commit->cb(failed ? NULL : &commit->imported, failed ? &commit->err : NULL, commit->data);
    op_finish(op);
    free(commit);
    host_unbusy(host);
}

static void fail_commit(struct host_op *op)
{
    struct commit_op *commit = (struct commit_op *)op;
    err_set(&commit->err, ERR_UNAVAILABLE, "the process is dead");
    finish(op);
}

/* What was written meanwhile nobody knows: each has contents of its own. */
int host_commit(struct host *host, const struct host_commit *commit, host_imported_cb cb, void *data,
                struct err *err)
{
    char text[CONTAINER_ID_SIZE + 32];
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct commit_op *op = sim_alloc(sizeof(*op));
    op->incarnation = commit->incarnation;
    op->pause = commit->pause;
    op->imported.size_bytes = 2000;
    snprintf(text, sizeof(text), "%s/%d", commit->container_id, (int)rng_below(&host->machine->rng, 4));
    memcpy(op->imported.digest, "sha256:", 7);
    sha256_hex(op->imported.digest + 7, text, strlen(text));
    op->cb = cb;
    op->data = data;
    op->op.adjusts = true;
    op->op.step = step_commit;
    op->op.done = finish;
    op->op.fail = fail_commit;
    op_begin(host, entry_get(host, commit->container_id), &op->op);
    return 0;
}
