/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_answer.h - what containers use and what runs in them, as the documents that docs/api.md describes.
 *
 * Loop thread only.
 */
#ifndef WHARF_RUNTIME_OUTPUT_USAGE_ANSWER_H
#define WHARF_RUNTIME_OUTPUT_USAGE_ANSWER_H

#include <jansson.h>

#include "events/node_state.h"
#include "runtime/host.h"

/* {"containers": [{...}, ...]} of all that run. NULL when memory runs out. */
json_t *usage_answer(const struct host *host, const struct node_state *state);

/* {"processes": [{...}, ...]} of one that runs. ERR_NOT_FOUND when it has just ended, ERR_NOMEM. */
json_t *processes_answer(const struct host *host, const char *container_id, struct err *err);

#endif
