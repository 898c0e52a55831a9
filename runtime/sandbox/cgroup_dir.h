/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_dir.h - one cgroup by its directory, of either version: what managed containers (cgroup.h) and those
 * of
 * ../oci do with theirs alike.
 *
 * Blocks for as long as the kernel takes; any thread.
 */
#ifndef WHARF_RUNTIME_SANDBOX_CGROUP_DIR_H
#define WHARF_RUNTIME_SANDBOX_CGROUP_DIR_H

#include <stdbool.h>
#include <sys/types.h>

/* Writes one value; cgroup files take a value per write(2). -1 with errno. */
int cgroup_dir_write(int dir_fd, const char *file, const char *value);

/* v2: hands down the controllers in `names` (separated by spaces or commas) that the cgroup has itself. Those
 * that cannot be handed down are missed when a value is set (cgroups(7), "subtree control"). */
void cgroup_dir_enable(int dir_fd, const char *names);

/* Calls `found` for the processes in it and in the cgroups below. */
void cgroup_dir_each(int dir_fd, void (*found)(pid_t pid, void *data), void *data);

/* SIGKILL to all of them: at once where the kernel can (v2, Linux 5.14). */
void cgroup_dir_kill(int dir_fd);

/* Removes the cgroup and those below, after killing who is in them: a cgroup stays busy until its killed
 * members are gone for good, for which there is nothing to wait on; it is tried again for up to ten seconds.
 * One that is not there is fine. -1 with errno. */
int cgroup_dir_destroy(int parent_fd, const char *name);

#endif
