/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the image's defaults into a spec, by docker's rules: an entrypoint given replaces the image's and
 * drops its command; the environment is the image's with the given variables over it. */
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

static bool names_variable(const struct strings *env, const char *entry)
{
    size_t size = (size_t)(strchr(entry, '=') - entry) + 1; /* check_env has seen the '=' */
    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->items[i], entry, size) == 0)
            return true;
    return false;
}

int merge_env(struct strings *ret, const struct strings *asked, const struct strings *base)
{
    for (size_t i = 0; i < base->n; i++)
        if (!names_variable(asked, base->items[i]) && strings_add(ret, base->items[i]) < 0)
            return -1;
    return strings_copy(ret, asked);
}

static int default_text(char **member, const char *of_image)
{
    if (*member != NULL || of_image == NULL)
        return 0;
    *member = strdup(of_image);
    return *member != NULL ? 0 : -1;
}

/* One empty string as entrypoint means: none at all. */
static bool is_cleared(const struct strings *entrypoint)
{
    return entrypoint->n == 1 && entrypoint->items[0][0] == '\0';
}

static int fill_in(struct container_spec *spec, const struct container_spec *asked, const struct image *image)
{
    if (asked->entrypoint.n == 0) {
        if (strings_copy(&spec->entrypoint, &image->entrypoint) < 0 ||
            (asked->command.n == 0 && strings_copy(&spec->command, &image->command) < 0))
            return -1;
    } else if (is_cleared(&asked->entrypoint)) {
        strings_release(&spec->entrypoint);
    }
    strings_release(&spec->env);
    if (merge_env(&spec->env, &asked->env, &image->env) < 0)
        return -1;
    return default_text(&spec->workdir, image->workdir) < 0 || default_text(&spec->user, image->user) < 0 ? -1
                                                                                                          : 0;
}

int resolve_spec(struct container_spec *ret, const struct container_spec *asked, const struct image *image)
{
    if (schema_copy(&container_spec_schema, ret, asked) < 0)
        return -1;
    if (fill_in(ret, asked, image) == 0)
        return 0;
    schema_release(&container_spec_schema, ret);
    return -1;
}
