/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_size.h - how much a container has written: the sizes of the files in its upper layer, each once
 * whatever links it has, but for those of /etc that wharf makes.
 *
 * Blocks for as long as the disk takes; for pool threads.
 */
#ifndef WHARF_RUNTIME_OUTPUT_LAYER_SIZE_H
#define WHARF_RUNTIME_OUTPUT_LAYER_SIZE_H

#include <stdint.h>

/* `dir_fd` is the container's directory. 0 for one that was never started, -1 if it cannot be read. */
int64_t layer_size(int dir_fd);

#endif
