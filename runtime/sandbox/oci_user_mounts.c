/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_user_mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool oci_mounts_replace(const struct container_spec *spec, const char *destination)
{
    for (size_t i = 0; i < spec->mounts.n; i++)
        if (strcmp(container_spec_mount(spec, i)->target, destination) == 0)
            return true;
    return false;
}

static int add(json_t *options, const char *option)
{
    return json_array_append_new(options, json_string(option));
}

/* Read-only holds for what is mounted below, too. */
static json_t *bind(const struct container_mount *mount, const char *source, bool recursive, bool mapped)
{
    json_t *options = json_array();
    int result = add(options, recursive ? "rbind" : "bind");
    if (mapped)
        result |= add(options, "idmap");
    result |= add(options, mount->propagation != NULL ? mount->propagation : "rprivate");
    if (mount->read_only)
        result |= add(options, recursive ? "rro" : "ro");
    if (result != 0) {
        json_decref(options);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "destination", mount->target, "type", "bind", "source", source,
                     "options", options);
}

/* A made-up or chosen volume is one directory: nothing is mounted in it. Containers share it by their own
 * ids, whatever the host's are that these stand for. */
static json_t *volume(const struct container_mount *mount, const char *volumes_dir, bool mapped)
{
    char *source = NULL;
    if (asprintf(&source, "%s/%s", volumes_dir, mount->source) < 0)
        return NULL;
    json_t *object = bind(mount, source, false, mapped);
    free(source);
    return object;
}

static bool says(const struct container_mount *mount, const char *option)
{
    for (size_t i = 0; i < mount->options.n; i++)
        if (strcmp(mount->options.items[i], option) == 0)
            return true;
    return false;
}

/* What is not asked for otherwise is as safe as docker makes it. */
static json_t *tmpfs(const struct container_mount *mount)
{
    static const struct {
        const char *option, *instead;
    } SAFE[] = {{"nosuid", "suid"}, {"nodev", "dev"}, {"noexec", "exec"}};
    json_t *options = json_array();
    char number[48];
    int result = options == NULL ? -1 : 0;
    for (size_t i = 0; i < sizeof(SAFE) / sizeof(SAFE[0]); i++)
        if (!says(mount, SAFE[i].instead))
            result |= add(options, SAFE[i].option);
    if (mount->size != SCHEMA_ABSENT) {
        snprintf(number, sizeof(number), "size=%lld", (long long)mount->size);
        result |= add(options, number);
    }
    snprintf(number, sizeof(number), "mode=%llo",
             mount->mode != SCHEMA_ABSENT ? (unsigned long long)mount->mode : 01777ull);
    result |= add(options, number);
    for (size_t i = 0; i < mount->options.n; i++)
        result |= add(options, mount->options.items[i]);
    if (mount->read_only)
        result |= add(options, "ro");
    if (result != 0) {
        json_decref(options);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "destination", mount->target, "type", "tmpfs", "source", "tmpfs",
                     "options", options);
}

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    for (; *path != '\0'; path++)
        depth += *path == '/';
    return depth;
}

static int add_mount(json_t *mounts, const struct container_mount *mount, const char *volumes_dir,
                     bool mapped)
{
    json_t *object = strcmp(mount->type, "bind") == 0
                         ? bind(mount, mount->source, !mount->not_recursive, false)
                     : strcmp(mount->type, "tmpfs") == 0 ? tmpfs(mount)
                                                         : volume(mount, volumes_dir, mapped);
    return json_array_append_new(mounts, object);
}

int oci_add_user_mounts(json_t *mounts, const struct container_spec *spec, const char *volumes_dir)
{
    size_t deepest = 0;
    for (size_t i = 0; i < spec->mounts.n; i++) {
        size_t depth = depth_of(container_spec_mount(spec, i)->target);
        deepest = depth > deepest ? depth : deepest;
    }
    for (size_t depth = 1; depth <= deepest; depth++) {
        for (size_t i = 0; i < spec->mounts.n; i++) {
            const struct container_mount *mount = container_spec_mount(spec, i);
            if (depth_of(mount->target) == depth &&
                add_mount(mounts, mount, volumes_dir, container_spec_maps_ids(spec)) < 0)
                return -1;
        }
    }
    return 0;
}

const char *oci_mounts_propagation(const struct container_spec *spec)
{
    const char *found = NULL;
    for (size_t i = 0; i < spec->mounts.n; i++) {
        const char *propagation = container_spec_mount(spec, i)->propagation;
        if (propagation == NULL)
            continue;
        if (strstr(propagation, "shared") != NULL)
            return "shared";
        if (strstr(propagation, "slave") != NULL)
            found = "slave";
    }
    return found;
}
