/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_scheduling.h - process.scheduler, process.ioPriority and linux.personality of a config.json.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_SCHEDULING_H
#define WHARF_RUNTIME_SANDBOX_OCI_SCHEDULING_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/sandbox/plan.h"

/* Adds to the plan and its header; `section` is `linux`, whose personality all processes have. ERR_INVALID
 * names what is unknown. */
int oci_scheduling(const json_t *process, const json_t *section, struct buf *plan, struct plan_header *header,
                   struct err *err);

#endif
