/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role.h - where the executables of the roles are: beside the client, or in ../libexec/wharf.
 */
#ifndef WHARF_CMD_CLIENT_ROLE_H
#define WHARF_CMD_CLIENT_ROLE_H

#include "base/err.h"

/* The path of wharf-ROLE. The caller frees. ERR_NOT_FOUND says where it was looked for. */
int role_find(const char *role, char **ret, struct err *err);

#endif
