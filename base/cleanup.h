/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup.h - scope-bound cleanup, so that code with many exits reads straight down.
 *
 *     auto_fd int fd = open(...);
 *     auto_free char *path = strdup(...);
 *     ...
 *     *ret_fd = steal_fd(&fd);      // the scope no longer owns it
 *
 * Header only; any thread.
 */
#ifndef WHARF_BASE_CLEANUP_H
#define WHARF_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

/* close(2) may fail with EIO, but the descriptor is gone either way: nothing to do about it in a cleanup. */
static inline void cleanup_fd(const int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

static inline void cleanup_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

static inline void cleanup_file(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

#define auto_free __attribute__((cleanup(cleanup_free)))
#define auto_fd __attribute__((cleanup(cleanup_fd)))
#define auto_dir __attribute__((cleanup(cleanup_dir)))
#define auto_file __attribute__((cleanup(cleanup_file)))

static inline int steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

/* Hands over the pointer and forgets it. */
#define steal_ptr(p)                                                                                         \
    (__extension__({                                                                                         \
        __typeof__(p) stolen_ = (p);                                                                         \
        (p) = NULL;                                                                                          \
        stolen_;                                                                                             \
    }))

#endif
