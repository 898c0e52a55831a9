/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.h - "user[:group]" to numbers, by the texts of the image's /etc/passwd and /etc/group (passwd(5),
 * group(5)), with docker's meaning: names or numbers; without a group the user's own and those it is a member
 * of; a number that passwd does not know is taken as it is, with group 0.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_USERS_H
#define WHARF_RUNTIME_SANDBOX_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define USER_GROUPS_MAX 64

struct user {
    uint32_t uid;
    uint32_t gid;
    uint32_t groups[USER_GROUPS_MAX]; /* supplementary */
    size_t n_groups;
    char home[256];
};

/* `user` NULL or "" means root. `passwd` and `group` may be NULL. ERR_NOT_FOUND names the user or group that
 * is not known. */
int user_resolve(struct user *ret, const char *user, const char *passwd, const char *group, struct err *err);

/* Adds the groups, each a name or a number. ERR_NOT_FOUND for a name that is not known, ERR_INVALID when
 * there are too many. */
int user_add_groups(struct user *user, char *const *groups, size_t n, const char *group, struct err *err);

#endif
