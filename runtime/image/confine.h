/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.h - what wharf-image gives up before it reads the first byte that is not the host's own.
 *
 * One thread; not to be undone.
 */
#ifndef WHARF_RUNTIME_IMAGE_CONFINE_H
#define WHARF_RUNTIME_IMAGE_CONFINE_H

enum confine_rights {
    CONFINE_READS,  /* CAP_DAC_READ_SEARCH */
    CONFINE_WRITES, /* what files of any owner and kind take */
};

/* Keeps these capabilities only. -1 with errno. */
int confine_capabilities(enum confine_rights rights);

/* No more programs, no code that was not there before (a library of the container's, that libc would load by
 * itself), no namespaces, mounts, sockets, tracing. Needs no_new_privs. -1 with errno. */
int confine_calls(void);

#endif
