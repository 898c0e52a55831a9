/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuild.h - a fresh fold of the log, written beside the live view: to take its place, or to be compared
 * with it. A one-shot job with a loop of its own; the projector may run meanwhile.
 */
#ifndef WHARF_PROJECTOR_REBUILD_H
#define WHARF_PROJECTOR_REBUILD_H

#include "projector/projector.h"

/* Takes URLs and log settings from `options`. Prints progress on stdout. Without `verify` swaps each
 * partition as soon as it has caught up; with it prints how the live view differs. Returns 0, 1 if there are
 * differences, or -1. */
int rebuild_run(const struct projector_options *options, bool verify, struct err *err);

#endif
