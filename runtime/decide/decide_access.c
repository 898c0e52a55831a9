/* SPDX-License-Identifier: Apache-2.0 */
/* What clients do with a container's files and its input, over the runtime's socket: no commands, but facts
 * for its history.
 */
#include "runtime/decide/core.h"

void decide_accessed(struct core *core, const struct input *input, struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, input->accessed.container_id);
    struct event event;
    if (container == NULL)
        return; /* removed meanwhile */
    struct cause cause = cause_of_container(core, container, input->accessed.actor);
    if (input->accessed.access == ACCESS_EXPORT) {
        event_init(&event, EVENT_CONTAINER_EXPORTED);
    } else if (input->accessed.access == ACCESS_ATTACH) {
        event_init(&event, EVENT_CONTAINER_ATTACHED);
        event.data.container_attached.incarnation = container->incarnation;
    } else {
        event_init(&event, EVENT_CONTAINER_COPIED);
        event.data.container_copied.direction =
            core_strdup(core, input->accessed.access == ACCESS_COPY_IN ? "in" : "out");
        event.data.container_copied.path = core_strdup(core, input->accessed.path);
    }
    emit_take(core, ret, &event, container->id, &cause, OUTCOME_NONE, input->now_ns);
    cause_release(&cause);
}
