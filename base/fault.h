/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.h - named crash points, for tests that kill a process exactly there.
 *
 * fault.def has their names. FAULT_POINT(RUNTIME_AFTER_APPEND) is nothing at all unless the build has
 * -DWHARF_FAULTS
 * (`make BUILD=build/faults FAULTS=1 all`). In such a build two variables of the environment arm one point:
 *
 *   TEST_FAULT=NAME:NTH    the point, and the how manieth passing is the last
 *   TEST_FAULT_MARK=FILE   an existing file; each passing of any process appends one line of FAULT_MARK_BYTES
 * with its pid
 *
 * The file makes the count hold across processes (every container has a shim of its own), makes the point
 * fire once however often its process is started again with the same environment, and proves that it was
 * reached and by whom.
 *
 * libc only, since the static shim has them too. Any thread; not between vfork and execve.
 */
#ifndef WHARF_BASE_FAULT_H
#define WHARF_BASE_FAULT_H

#include <unistd.h>

#define FAULT_MARK_BYTES 16

enum fault {
#define FAULT(ENUM, name, role, where) FAULT_##ENUM,
#include "base/fault.def"
#undef FAULT
    FAULTS
};

/* Passes the point: ends the process by SIGKILL if it is armed and this is the passing it is armed for. */
void fault_pass(enum fault fault);

#ifdef WHARF_FAULTS
#define FAULT_POINT(ENUM) fault_pass(FAULT_##ENUM)
/* The environment that the static programs are given: none, but what tests ask for reaches them that way. */
#define FAULT_ENVIRONMENT environ
#else
#define FAULT_POINT(ENUM) ((void)FAULT_##ENUM)
#define FAULT_ENVIRONMENT ((char *[]){NULL})
#endif

#endif
