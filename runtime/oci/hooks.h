/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks.h - the hooks that run in the runtime's own namespaces: prestart, createRuntime, poststart, poststop
 * (config.md, "POSIX-platform Hooks"). Those of the container's namespaces are in the plan.
 */
#ifndef WHARF_RUNTIME_OCI_HOOKS_H
#define WHARF_RUNTIME_OCI_HOOKS_H

#include <jansson.h>

#include "base/err.h"

/* Runs them in order, each with `state` on its standard input, until one fails. */
int oci_hooks_run(const json_t *config, const char *name, const json_t *state, struct err *err);

/* The same, but one that fails is told to `warn`, and the others run all the same. */
void oci_hooks_run_all(const json_t *config, const char *name, const json_t *state,
                       void (*warn)(const char *message));

#endif
