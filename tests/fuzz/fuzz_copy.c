/* SPDX-License-Identifier: Apache-2.0 */
/* Paths in archives, as containers and clients make them: whatever they are, what comes out is below where it
 * is to be. The input is ENTRY NUL ROOT NUL TO NUL. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/image/copy_rule.h"
#include "runtime/image/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plain(const char *path)
{
    size_t length = strlen(path);
    if (length == 0 || path[0] == '/' || path[length - 1] == '/' || strstr(path, "//") != NULL)
        abort();
    for (const char *at = path; *at != '\0'; at += strspn(at, "/")) {
        size_t part = strcspn(at, "/");
        if (part == 2 && strncmp(at, "..", 2) == 0)
            abort();
        at += part;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512], entry[300], root[300], moved[300], split[300];
    const char *parent, *name;
    if (size > sizeof(text) - 3)
        return 0;
    memcpy(text, data, size);
    memset(text + size, 0, 3);
    const char *second = text + strlen(text) + 1;
    const char *third = second < text + size ? second + strlen(second) + 1 : second;
    copy_path_wants_directory(text);
    if (copy_path_split(text, split, sizeof(split), &parent, &name) == 0 &&
        (strchr(name, '/') != NULL || parent[0] == '\0'))
        abort();
    if (image_entry_path(text, entry, sizeof(entry), NULL) < 0 ||
        image_entry_path(second, root, sizeof(root), NULL) < 0)
        return 0;
    check_plain(entry);
    const char *to = third < text + size && strchr(third, '/') == NULL && third[0] != '\0' ? third : ".";
    if (strcmp(to, "..") != 0 && copy_rebase(entry, root, to, moved, sizeof(moved)) == 0)
        check_plain(moved);
    return 0;
}
