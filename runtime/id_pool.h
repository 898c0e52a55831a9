/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id_pool.h - where the ids of containers with a user namespace of their own come from, unless the
 * configuration says it: what /etc/subuid and /etc/subgid (subuid(5)) give to the user "wharf", or else to
 * "containers", whose are podman's for the same purpose. Without such lines the range that systemd keeps free
 * for containers (systemd's "Users, Groups, UIDs and GIDs"), above those that useradd(8) hands out.
 */
#ifndef WHARF_RUNTIME_ID_POOL_H
#define WHARF_RUNTIME_ID_POOL_H

#include <stdbool.h>

#include "base/err.h"
#include "runtime/decide/decide.h"

#define ID_POOL_BASE 0x10000000
#define ID_POOL_SIZE 0x60000000

/* From the host's files. Fails only where they are there and cannot be read. */
int id_pool_find(struct id_pool *ret, struct err *err);

/* The largest range that both texts give to the user, 65536 ids at least; false if there is none. Lines that
 * are damaged do not count. Pure. */
bool id_pool_parse(struct id_pool *ret, const char *subuid, const char *subgid, const char *user);

#endif
