/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.h - the default system call filter as a BPF program (seccomp(2)).
 *
 * An allowlist. What is not on it fails with EPERM; clone3 fails with ENOSYS, so that libc falls back to
 * clone, whose flags a filter can see and which may not make namespaces; system calls newer than libseccomp
 * fail with ENOSYS too, so that programs fall back to what they used before.
 *
 * libseccomp knows the numbers; the program is our own: a binary search over runs of numbers, a quarter of
 * what libseccomp would generate. Its length matters, since the kernel compiles it, and runs it once for
 * every system call number, whenever a container starts. Any thread.
 */
#ifndef WHARF_RUNTIME_SANDBOX_SECCOMP_H
#define WHARF_RUNTIME_SANDBOX_SECCOMP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Those of the capabilities (a bit each) that open further system calls: each does what the kernel allows
 * nobody without it. With none of them the program is the same for every container. */
uint64_t seccomp_relevant_capabilities(uint64_t capabilities);

/* Appends the program for a container that may have the capabilities: an array of struct sock_filter. */
int seccomp_default_program(uint64_t capabilities, struct buf *ret, struct err *err);

#endif
