/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_seccomp.h - linux.seccomp of a config.json as a BPF program, by libseccomp.
 *
 * Any thread; uses a file in memory, which libseccomp writes to.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_SECCOMP_H
#define WHARF_RUNTIME_SANDBOX_OCI_SECCOMP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the program, an array of struct sock_filter; `section` is linux.seccomp, approved by oci_check.
 * System calls that this machine does not have are left out, as the spec allows. ERR_INVALID for unknown
 * actions, operators, architectures and flags. `ret_notifies`: it has SCMP_ACT_NOTIFY, and `listenerPath`. */
int oci_seccomp(const json_t *section, struct buf *ret, uint32_t *ret_flags, bool *ret_notifies,
                struct err *err);

/* Whether it has SCMP_ACT_NOTIFY: only then somebody has to be there at `listenerPath` (config-linux.md). */
bool oci_seccomp_notifies(const json_t *section);

/* The names of actions, operators and flags, for lists; NULL at the end. */
const char *oci_seccomp_action(size_t index);
const char *oci_seccomp_operator(size_t index);
const char *oci_seccomp_flag(size_t index);

#endif
