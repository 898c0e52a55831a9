/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces that containers share: whose they are is decided by id when the container is created, and that
 * the other one runs is looked at whenever it is started. What may change after that the host sees.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

void sharing_resolve(struct core *core, struct container_spec *spec)
{
    for (int which = 0; which < SHARED_NAMESPACES; which++) {
        char **member = container_spec_sharing(spec, (enum shared_namespace)which);
        const char *ref = shared_container(*member);
        const struct container *other = ref == NULL ? NULL : node_state_resolve(&core->state, ref, NULL);
        if (other == NULL)
            continue;
        char text[16 + CONTAINER_ID_SIZE];
        snprintf(text, sizeof(text), "container:%s", other->id);
        char *copy = core_strdup(core, text);
        if (copy == NULL)
            return;
        free(*member);
        *member = copy;
    }
}

const char *sharing_refusal(const struct core *core, const struct container_spec *spec, bool starting,
                            struct err *ret_why)
{
    for (int which = 0; which < SHARED_NAMESPACES; which++) {
        const char *ref = shared_container(*container_spec_sharing(spec, (enum shared_namespace)which));
        if (ref == NULL)
            continue;
        const struct container *other = node_state_resolve(&core->state, ref, ret_why);
        if (other == NULL)
            return ret_why->code == ERR_CONFLICT ? "ambiguous-reference" : "unknown-container";
        if (starting && !container_state_is_running(other->state)) {
            err_set(ret_why, ERR_CONFLICT,
                    "container '%s', whose namespace is to be shared, is not running: start it first",
                    other->name);
            return "not-running";
        }
    }
    return NULL;
}
