/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_rule.h - where a copy goes: docker's rules for SRC and DEST of `docker cp`, and the names that its
 * archives have.
 *
 * An archive of a copy has one root entry, which every other entry is below: NAME, or "." for the contents of
 * a directory. Whoever unpacks it decides by the root and by what is at DEST what the root becomes.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_IMAGE_COPY_RULE_H
#define WHARF_RUNTIME_IMAGE_COPY_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* What is at DEST. */
struct copy_target {
    bool exists;
    bool is_directory;    /* links are followed */
    bool wants_directory; /* as it is written: it ends with a slash, or with "." or ".." */
};

enum copy_place {
    COPY_INTO,     /* below DEST, under its own name */
    COPY_CONTENTS, /* what is in the directory, below DEST */
    COPY_AS,       /* as DEST itself */
};

/* `path` is DEST, for messages. ERR_NOT_FOUND or ERR_CONFLICT where it cannot go. */
int copy_rule(const struct copy_target *target, bool source_is_directory, bool contents, const char *path,
              enum copy_place *ret, struct err *err);

/* True if the path as it is written can only be a directory. */
bool copy_path_wants_directory(const char *path);

/* Splits at the last name, without slashes around it: "/a/b/" is "/a" and "b". Both are within `ret`, which
 * holds `size` bytes; the parent is "." or "/" where there is none. -1 for a path that is too long. */
int copy_path_split(const char *path, char *ret, size_t size, const char **ret_parent, const char **ret_name);

/* The entry's name with the archive's root replaced: "etc/x" under "etc" becomes "TO/x", and "x" for "." as
 * TO. All are plain (image_entry_path). -1 if it is not below the root, or too long. */
int copy_rebase(const char *entry, const char *root, const char *to, char *ret, size_t size);

#endif
