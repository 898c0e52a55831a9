/* SPDX-License-Identifier: Apache-2.0 */
/* The member checks of mount.def, and those between the members of a mount and between mounts. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "events/message.h"

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

const char *check_mount_type(const char *text)
{
    static const char *const words[] = {"bind", "volume", "tmpfs", NULL};
    return is_one_of(text, words) ? NULL : "must be bind, volume or tmpfs";
}

const char *check_volume_name(const char *text)
{
    static const char why_not[] =
        "must be 2 to 128 letters, digits, '_', '.' or '-', starting with a letter or digit";
    size_t size = strlen(text);
    if (size < 2 || size > 128 || !isalnum((unsigned char)text[0]))
        return why_not;
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr("_.-", *text) == NULL)
            return why_not;
    return NULL;
}

const char *check_mount_source(const char *text)
{
    if (text[0] == '/' ? check_absolute_path(text) == NULL : check_volume_name(text) == NULL)
        return NULL;
    return "must be an absolute path, or a volume's name of 2 or more letters, digits, '_', '.' and '-'";
}

static bool is_below(const char *path, const char *parent)
{
    size_t size = strlen(parent);
    return strncmp(path, parent, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

/* What would have to be resolved first is not a name that other mounts can be compared with. */
const char *check_mount_target(const char *text)
{
    size_t size = strlen(text);
    if (text[0] != '/' || size > 4000 || size < 2)
        return "must be an absolute path other than /";
    for (const char *at = text; at != NULL; at = strchr(at + 1, '/')) {
        size_t part = strcspn(at + 1, "/");
        bool dots = strncmp(at + 1, "..", part) == 0 && part <= 2;
        if (part == 0 || dots)
            return "must be a path without '.', '..' and empty parts";
    }
    if (is_below(text, "/proc"))
        return "must not be /proc or below it";
    return NULL;
}

const char *check_propagation(const char *text)
{
    static const char *const words[] = {"shared", "slave", "private", "rshared", "rslave", "rprivate", NULL};
    return is_one_of(text, words) ? NULL : "must be shared, slave, private, rshared, rslave or rprivate";
}

const char *check_tmpfs_option(const char *text)
{
    static const char *const words[] = {"ro",       "rw",         "suid",     "nosuid",      "dev",
                                        "nodev",    "exec",       "noexec",   "atime",       "noatime",
                                        "diratime", "nodiratime", "relatime", "strictatime", NULL};
    static const char *const numbers[] = {"size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks="};
    if (is_one_of(text, words))
        return NULL;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        size_t size = strlen(numbers[i]);
        size_t digits = strncmp(text, numbers[i], size) == 0 ? strspn(text + size, "0123456789") : 0;
        const char *unit = text + size + digits;
        if (digits > 0 && digits < 19 &&
            (*unit == '\0' || (strchr("kKmMgG%", *unit) != NULL && unit[1] == '\0')))
            return NULL;
    }
    return "must be an option of tmpfs, such as exec or size=1m";
}

/* Why one mount is not what its type can be, or NULL. */
static const char *mount_conflict(const struct container_mount *mount)
{
    bool bind = strcmp(mount->type, "bind") == 0, tmpfs = strcmp(mount->type, "tmpfs") == 0;
    bool volume = !bind && !tmpfs;
    if (bind && (mount->source == NULL || mount->source[0] != '/'))
        return "a mount of the type bind needs an absolute path as its source";
    if (tmpfs && mount->source != NULL)
        return "a mount of the type tmpfs takes no source";
    if (volume && mount->source != NULL && mount->source[0] == '/')
        return "a mount of the type volume takes a name as its source, not a path";
    if (!bind && (mount->propagation != NULL || mount->not_recursive || mount->make_source))
        return "only a mount of the type bind has propagation, recursion and a source that can be made";
    if (!volume && (mount->no_copy || mount->anonymous))
        return "only a mount of the type volume has files to copy, or a name that was made up";
    if (!tmpfs && (mount->size != SCHEMA_ABSENT || mount->mode != SCHEMA_ABSENT || mount->options.n > 0))
        return "only a mount of the type tmpfs has a size, a mode and options";
    return NULL;
}

const char *container_mounts_conflict(const struct container_spec *spec)
{
    for (size_t i = 0; i < spec->mounts.n; i++) {
        const struct container_mount *mount = container_spec_mount(spec, i);
        const char *why = mount_conflict(mount);
        if (why != NULL)
            return why;
        for (size_t j = 0; j < i; j++)
            if (strcmp(container_spec_mount(spec, j)->target, mount->target) == 0)
                return "two mounts have the same target";
    }
    return NULL;
}
