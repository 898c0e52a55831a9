/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/id_pool.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define FILE_LIMIT (16u << 20)

static bool read_number(const char **at, char end, int64_t *ret)
{
    char *after;
    errno = 0;
    *ret = strtoll(*at, &after, 10);
    if (!isdigit((unsigned char)**at) || errno != 0 || (*after != end && *after != '\0') ||
        (*after == '\0' && end == ':'))
        return false;
    *at = after + (*after != '\0');
    return true;
}

/* USER:BASE:SIZE of this user; `at` moves to the next line. -1 is no id, and 0 to 65535 are the host's. */
static bool next_range(const char **at, const char *user, struct id_pool *ret)
{
    size_t size = strlen(user);
    while (**at != '\0') {
        const char *line = *at;
        *at += strcspn(*at, "\n");
        *at += **at == '\n';
        if (strncmp(line, user, size) != 0 || line[size] != ':')
            continue;
        line += size + 1;
        if (read_number(&line, ':', &ret->base) && read_number(&line, '\n', &ret->size) &&
            ret->base >= ID_RANGE_SIZE && ret->base <= UINT32_MAX && ret->size <= UINT32_MAX - ret->base)
            return true;
    }
    return false;
}

bool id_pool_parse(struct id_pool *ret, const char *subuid, const char *subgid, const char *user)
{
    struct id_pool best = {0}, users, groups;
    for (const char *at = subuid; next_range(&at, user, &users);) {
        for (const char *other = subgid; next_range(&other, user, &groups);) {
            int64_t base = users.base > groups.base ? users.base : groups.base;
            int64_t users_end = users.base + users.size, groups_end = groups.base + groups.size;
            int64_t size = (users_end < groups_end ? users_end : groups_end) - base;
            if (size > best.size)
                best = (struct id_pool){base, size};
        }
    }
    if (best.size < ID_RANGE_SIZE)
        return false;
    *ret = best;
    return true;
}

static int read_text(const char *path, char **ret, struct err *err)
{
    struct err why = ERR_INIT;
    if (fs_read_file(AT_FDCWD, path, FILE_LIMIT, ret, NULL, &why) == 0)
        return 0;
    if (why.code != ERR_NOT_FOUND)
        return err_set(err, why.code, "%s: give the runtime a --userns-pool", why.message);
    *ret = strdup("");
    return *ret != NULL ? 0 : err_nomem(err, "looking for ids");
}

int id_pool_find(struct id_pool *ret, struct err *err)
{
    auto_free char *subuid = NULL;
    auto_free char *subgid = NULL;
    if (read_text("/etc/subuid", &subuid, err) < 0 || read_text("/etc/subgid", &subgid, err) < 0)
        return -1;
    if (!id_pool_parse(ret, subuid, subgid, "wharf") && !id_pool_parse(ret, subuid, subgid, "containers"))
        *ret = (struct id_pool){ID_POOL_BASE, ID_POOL_SIZE};
    return 0;
}
