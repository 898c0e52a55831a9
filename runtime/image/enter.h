/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enter.h - makes a container's root the process's own, so that no path can lead out of it.
 *
 * Of one that runs, in its mount namespace, so that everything is there that the container sees; of one that
 * does not, in a mount namespace of the process's own, where its layers and what lasts of its mounts (volumes
 * and directories of the host) are mounted as a start would.
 *
 * For a short-lived process; one thread; not to be undone.
 */
#ifndef WHARF_RUNTIME_IMAGE_ENTER_H
#define WHARF_RUNTIME_IMAGE_ENTER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* By a pidfd of one of its processes. `root_only`: without what is mounted in the root. `own_users`: it has a
 * user namespace of its own, whose root the process becomes; what is on disk has ids as the container counts
 * them, so that nothing has to be done for one that does not run. */
int enter_running(int pid_fd, bool root_only, bool own_users, struct err *err);

/* By its directory (host.h), which has upper/ and work/. `image` is the hex of its image's digest. `mounts`
 * is a list of {"source", "target", "read_only"}, parents before what is below them; one whose target is not
 * there and cannot be made is left out. */
int enter_layers(int dir_fd, const char *image, const json_t *mounts, bool read_only, struct err *err);

#endif
