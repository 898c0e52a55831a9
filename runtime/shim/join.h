/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.h - one more process in a container that there is: `wharf-oci exec`, and `wharf exec`.
 *
 * The plan comes from oci_plan_process (../sandbox/oci_plan.h) and has PLAN_JOIN. Who carries it out,
 * wharf-init for the one (../oci/launch.h) and wharf-shim for the other, is static and runs from a sealed
 * copy in memory: four steps,
 *
 *     prctl(PR_SET_DUMPABLE, 0), descriptors close-on-exec      the starter
 *     join_enter     oom score, cgroups, namespaces             still invisible to the container
 *     clone3         into the pid namespace                     from here on the container sees it
 *     join_place     session, terminal, directory
 *     ...            limits, user, filter, execve, as for a first process
 *
 * and each of them defends against what a hostile container could do to a process that comes from outside:
 *   - it is not dumpable, so that nobody inside can trace it, or open what it has open (CVE-2016-9962); a
 * change of user or of user namespace may make it so again (fs.suid_dumpable in proc(5)), and is undone at
 * once;
 *   - no descriptor of the host but the starter's socket and the console's is left when it becomes visible,
 * and neither survives execve;
 *   - its program is a memfd, so that /proc/PID/exe leads to no file of the host (CVE-2019-5736);
 *   - setns(2) into the mount namespace sets root and working directory to the container's own. The working
 *     directory is opened below that root without magic links, and getcwd(2) must find it (CVE-2024-21626);
 *   - keyring, groups, capabilities and signals are its own (process.c), nothing is inherited.
 *
 * A container that ends meanwhile makes it fail, or kills it like any of its processes. Nothing is left
 * either way, since the process is in the container's cgroups before it is anywhere else.
 *
 * One thread; setns(2) demands it. All return 0, or -1 with *failure filled.
 */
#ifndef WHARF_RUNTIME_SHIM_JOIN_H
#define WHARF_RUNTIME_SHIM_JOIN_H

#include "runtime/sandbox/plan.h"

/* Joins the plan's n_cgroups cgroups, whose directories are at `first_fd` and behind it, and closes them. */
int join_cgroups(const struct plan *plan, int first_fd, struct plan_failure *failure);

/* Before the clone, with the host's /proc: joins the cgroups at `first_cgroup_fd`, and the namespaces of the
 * plan's clone_flags that the process of `pidfd` has. Closes them all. The pid namespace is for children. */
int join_enter(const struct plan *plan, int pidfd, int first_cgroup_fd, struct plan_failure *failure);

/* In the clone: a session of its own, the terminal if it is to have one, the working directory. `console_fd`
 * is the socket that gets the terminal's master, and is not used without PLAN_TERMINAL. */
int join_place(const struct plan *plan, int console_fd, struct plan_failure *failure);

#endif
