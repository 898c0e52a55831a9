/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp_profile.h - a system call filter as people keep it in files, as linux.seccomp of a config.json.
 *
 * Two formats are understood: the OCI's own (config-linux.md, "Seccomp"), and docker's, whose entries may
 * depend on the machine, the kernel and the container's capabilities.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_SECCOMP_PROFILE_H
#define WHARF_RUNTIME_SANDBOX_SECCOMP_PROFILE_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

/* What the conditions of docker's format are about. */
struct seccomp_situation {
    uint64_t capabilities; /* the bounding set, a bit each */
    const char *kernel;    /* release, "6.1.0-13" */
    const char *machine;   /* as docker calls it: "amd64" */
    const char *scmp_arch; /* as libseccomp calls it: "SCMP_ARCH_X86_64" */
};

/* A new reference, or NULL: ERR_INVALID says what is wrong with the profile. */
json_t *seccomp_profile(const char *text, const struct seccomp_situation *situation, struct err *err);

/* This machine's names. */
#if defined(__x86_64__)
#define SECCOMP_MACHINE "amd64"
#define SECCOMP_ARCH "SCMP_ARCH_X86_64"
#elif defined(__aarch64__)
#define SECCOMP_MACHINE "arm64"
#define SECCOMP_ARCH "SCMP_ARCH_AARCH64"
#elif defined(__riscv)
#define SECCOMP_MACHINE "riscv64"
#define SECCOMP_ARCH "SCMP_ARCH_RISCV64"
#elif defined(__powerpc64__)
#define SECCOMP_MACHINE "ppc64le"
#define SECCOMP_ARCH "SCMP_ARCH_PPC64LE"
#elif defined(__s390x__)
#define SECCOMP_MACHINE "s390x"
#define SECCOMP_ARCH "SCMP_ARCH_S390X"
#else
#define SECCOMP_MACHINE ""
#define SECCOMP_ARCH ""
#endif

#endif
