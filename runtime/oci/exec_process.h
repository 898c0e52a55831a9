/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_process.h - what `exec` is to execute: the container's own process, or one from a file, with what the
 * command line changes about it.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_OCI_EXEC_PROCESS_H
#define WHARF_RUNTIME_OCI_EXEC_PROCESS_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/oci/oci.h"

/* `given`: the process from a file, or NULL; then it is the config's, and argv is what to execute. A new
 * reference, or NULL. ERR_INVALID for what is wrong on the command line; whether the result is a process is
 * for oci_plan_process to say. */
json_t *oci_exec_process(const json_t *config, const json_t *given, const struct oci_options *options,
                         char *const *argv, struct err *err);

#endif
