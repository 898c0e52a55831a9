/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_process.h - `process` of a config.json (config.md, "Process"): what a container's first process and one
 * more command in it have in common, and the latter as a whole.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_PROCESS_H
#define WHARF_RUNTIME_SANDBOX_OCI_PROCESS_H

#include <jansson.h>

#include "base/err.h"
#include "events/message.h"
#include "runtime/sandbox/users.h"

/* Sets KEY=VALUE in an array of them, in place of an earlier one of the same key: programs look at the first.
 * -1 when memory runs out, or for what is no UTF-8. */
int oci_put_env(json_t *env, const char *text);
int oci_put_env_list(json_t *env, const struct strings *list);

/* `user`; NULL when memory runs out. */
json_t *oci_user_object(const struct user *user);

/* `consoleSize`; NULL where the size is not known (SCHEMA_ABSENT). */
json_t *oci_console_size(int64_t rows, int64_t columns);

/* The process that `exec` asks for in a container of that config. `user` is NULL for the container's own.
 * `capabilities` are what a privileged one gets, a bit each. A new reference, or NULL. */
json_t *oci_process_of_exec(const json_t *config, const struct container_exec_command *exec,
                            const struct user *user, uint64_t capabilities, struct err *err);

#endif
