/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image/copy_rule.h"

#include <stdio.h>
#include <string.h>

int copy_rule(const struct copy_target *target, bool source_is_directory, bool contents, const char *path,
              enum copy_place *ret, struct err *err)
{
    if (target->exists && target->is_directory) {
        *ret = source_is_directory && contents ? COPY_CONTENTS : COPY_INTO;
        return 0;
    }
    if (target->exists && source_is_directory)
        return err_set(err, ERR_CONFLICT, "cannot copy a directory to '%s', which is none", path);
    if (target->exists && target->wants_directory)
        return err_set(err, ERR_CONFLICT, "'%s' is no directory", path);
    if (target->wants_directory && !source_is_directory)
        return err_set(err, ERR_NOT_FOUND, "the destination directory '%s' does not exist", path);
    *ret = COPY_AS;
    return 0;
}

bool copy_path_wants_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash != NULL ? slash + 1 : path;
    return last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

int copy_path_split(const char *path, char *ret, size_t size, const char **ret_parent, const char **ret_name)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length + 3 > size)
        return -1;
    size_t name = length;
    while (name > 0 && path[name - 1] != '/')
        name--;
    size_t parent = name;
    while (parent > 1 && path[parent - 1] == '/')
        parent--;
    /* PARENT NUL NAME NUL: one byte more than the path at most, and "." where there is no parent */
    size_t used = parent > 0 ? parent : 1;
    memcpy(ret, parent > 0 ? path : ".", used);
    ret[used] = '\0';
    memcpy(ret + used + 1, path + name, length - name);
    ret[used + 1 + length - name] = '\0';
    *ret_parent = ret;
    *ret_name = ret + used + 1;
    return 0;
}

int copy_rebase(const char *entry, const char *root, const char *to, char *ret, size_t size)
{
    size_t length = strlen(root);
    const char *rest;
    if (strcmp(root, ".") == 0)
        rest = strcmp(entry, ".") == 0 ? "" : entry;
    else if (strncmp(entry, root, length) == 0 && entry[length] == '/')
        rest = entry + length + 1;
    else if (strcmp(entry, root) == 0)
        rest = "";
    else
        return -1;
    bool here = strcmp(to, ".") == 0;
    int needed = rest[0] == '\0' ? snprintf(ret, size, "%s", to)
                 : here          ? snprintf(ret, size, "%s", rest)
                                 : snprintf(ret, size, "%s/%s", to, rest);
    return needed >= 0 && (size_t)needed < size ? 0 : -1;
}
