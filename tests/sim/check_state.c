/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's live state, which grew event by event and perhaps from a snapshot, against the fold of the
 * stored records from offset 0; and the newest snapshot, folded on, against the same.
 */
#include <string.h>

#include "base/buf.h"
#include "events/snapshot.h"
#include "runtime/worker.h"
#include "tests/sim/host_parts.h"
#include "tests/sim/log.h"
#include "tests/sim/roles.h"
#include "tests/sim/run.h"

static void fold(struct node_state *state, const struct store_partition *partition, int64_t from)
{
    for (size_t i = 0; i < partition->n; i++) {
        const struct stored *record = &partition->records[i];
        struct event event;
        if (record->offset < from)
            continue;
        if (event_decode(&event, record->value, record->size, NULL) < 0) {
            sim_fail("event %lld does not decode", (long long)record->offset);
            return;
        }
        node_state_apply(state, &event, record->value, record->size);
        event_release(&event);
    }
}

/* Everything that decides how it goes on. Offsets that were passed over are known only to who has read them.
 */
static void describe(const struct node_state *state, struct buf *ret)
{
    buf_printf(ret, "partition %lld boot %s epoch %lld nodeseq %lld newest %.*s\n",
               (long long)state->partition, state->boot_id, (long long)state->epoch,
               (long long)state->nodeseq, (int)state->newest.size, state->newest.data);
    for (const struct container *c = state->containers; c != NULL; c = c->hh.next)
        buf_printf(
            ret,
            "%s %s %s state %d version %lld incarnation %lld pid %lld/%lld times %lld %lld %lld code %lld "
            "stopped %d restarts %lld/%lld by %s last %s corr %s due %lld interrupted %s execs %u health "
            "%s boot %lld\n",
            c->id, c->name, c->image_digest, (int)c->state, (long long)c->version, (long long)c->incarnation,
            (long long)c->pid, (long long)c->shim_pid, (long long)c->created_at_ns,
            (long long)c->started_at_ns, (long long)c->finished_at_ns, (long long)c->exit_code,
            c->stopped_by_user, (long long)c->restarts, (long long)c->restart_attempt, c->created_by,
            c->last_event_id, c->correlationid, (long long)c->restart_due_ns,
            c->interrupted_by != NULL ? c->interrupted_by : "-", c->n_execs, container_health_name(c->health),
            (long long)c->boot);
    for (const struct exec *exec = state->execs; exec != NULL; exec = exec->hh.next)
        buf_printf(ret, "exec %s in %s/%lld pid %lld/%lld by %s corr %s\n", exec->id, exec->container_id,
                   (long long)exec->incarnation, (long long)exec->pid, (long long)exec->shim_pid,
                   exec->started_event_id, exec->correlationid);
    for (const struct image *image = state->images; image != NULL; image = image->hh.next)
        buf_printf(ret, "image %s %s\n", image->reference, image->digest);
    for (const struct answer *answer = state->answers; answer != NULL; answer = answer->hh.next)
        buf_printf(ret, "answer %s %lld\n", answer->command_id, (long long)answer->command_offset);
}

static void compare(const struct node_state *is, const struct node_state *should, const char *what)
{
    auto_buf struct buf a = BUF_INIT, b = BUF_INIT;
    describe(is, &a);
    describe(should, &b);
    size_t at = 0, line = 0;
    if (a.size == b.size && memcmp(a.data, b.data, a.size) == 0)
        return;
    for (; at < a.size && at < b.size && a.data[at] == b.data[at]; at++)
        line = a.data[at] == '\n' ? at + 1 : line;
    sim_fail("%s is not the fold of the log:\n  is      %.400s\n  should be %.400s", what, a.data + line,
             b.data + line);
}

static void check_snapshot(const struct machine *machine, const struct store_partition *partition,
                           const struct node_state *expected)
{
    struct node_state state;
    int64_t next_offset;
    struct err err = ERR_INIT;
    if (machine->snapshot == NULL)
        return;
    if (snapshot_decode(&state, &next_offset, SIM_NODE, machine->snapshot, machine->snapshot_size, &err) <
        0) {
        sim_fail("the snapshot does not decode: %s", err.message);
        return;
    }
    fold(&state, partition, next_offset);
    compare(&state, expected, "the snapshot, folded on,");
    node_state_release(&state);
}

void check_state(void)
{
    const struct process *runtime = role_find(ROLE_RUNTIME, NULL);
    const struct core *core = worker_core(runtime->worker);
    const struct store_partition *partition = &sim->store->topics[LOG_EVENTS][core->state.partition];
    struct node_state expected;
    if (node_state_init(&expected, SIM_NODE) < 0)
        return;
    fold(&expected, partition, 0);
    compare(&core->state, &expected, "the runtime's state");
    check_snapshot(runtime->machine, partition, &expected);
    node_state_release(&expected);
}
