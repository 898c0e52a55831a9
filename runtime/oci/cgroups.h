/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroups.h - the cgroups of one container: where the config wants them, in every hierarchy that is mounted.
 *
 * Where the v2 hierarchy has the controllers it is the only one; otherwise those of v1 are. Paths are kept in
 * the container's state.json ("cgroups"), so that they are found again whatever becomes of the config.
 */
#ifndef WHARF_RUNTIME_OCI_CGROUPS_H
#define WHARF_RUNTIME_OCI_CGROUPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define OCI_HIERARCHIES 16

struct oci_cgroup {
    char mount[200]; /* of the hierarchy */
    char name[64];   /* the mount point's last component: "memory" */
    char names[128]; /* its controllers, with commas */
    char path[1024]; /* of the container's cgroup */
    int fd;          /* that directory; -1 before it is made */
};

struct oci_cgroups {
    bool v2; /* one hierarchy, which has everything */
    size_t n;
    struct oci_cgroup items[OCI_HIERARCHIES];
};

/* Finds the hierarchies and what the container's cgroups are to be. An absolute `path` is below each
 * hierarchy's root, a relative one, or none, below /wharf-oci. */
int oci_cgroups_plan(struct oci_cgroups *ret, const char *path, const char *id, struct err *err);

/* ERR_CONFLICT if others are in them, who would be killed with the container. */
int oci_cgroups_check_unused(const struct oci_cgroups *cgroups, struct err *err);

/* Makes and opens them. */
int oci_cgroups_make(struct oci_cgroups *cgroups, struct err *err);
void oci_cgroups_close(struct oci_cgroups *cgroups);

/* Writes the values that oci_resources worked out: an array of [controller, file, value, member]. On v2
 * the rules for devices among them become a filter, so that they are written once. */
int oci_cgroups_write(const struct oci_cgroups *cgroups, const json_t *values, struct err *err);

/* The same for a container that runs: values that depend on each other are taken in whichever order the
 * kernel accepts, and if one cannot be written those before it get back what they were. */
int oci_cgroups_update(const struct oci_cgroups *cgroups, const json_t *values, struct err *err);

/* The paths as a JSON array; a new reference, or NULL. */
json_t *oci_cgroups_document(const struct oci_cgroups *cgroups);

/* Opens those of a state.json, for a process to join them; ERR_NOT_FOUND if one is gone. */
int oci_cgroups_open(struct oci_cgroups *ret, const json_t *document, struct err *err);

/* The rest works on the paths in a state.json. Those that are gone are no error. */
bool oci_cgroups_frozen(const json_t *document);
int oci_cgroups_freeze(const json_t *document, bool frozen, struct err *err);
/* Calls `found` for every process in the container's cgroups and those below, once a process. */
int oci_cgroups_each(const json_t *document, void (*found)(pid_t pid, void *data), void *data,
                     struct err *err);
/* SIGKILL to all of them. */
void oci_cgroups_kill(const json_t *document);
/* Kills who is left in them, and removes them with all below. */
int oci_cgroups_destroy(const json_t *document, struct err *err);

#endif
