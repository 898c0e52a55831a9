/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the image's defaults into a spec, by docker's rules: an entrypoint given replaces the image's and
 * drops its command; environment and labels are the image's with the given ones over them; how health is
 * checked is as given, and as the image says where nothing is given. */
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

int copy_health(const struct schema *schema, void *ret, const struct schema *from_schema, const void *from)
{
    struct health_config health;
    schema_init(&health_config_schema, &health);
    int result = schema_copy_shared(&health_config_schema, &health, from_schema, from);
    if (result == 0)
        result = schema_copy_shared(schema, ret, &health_config_schema, &health);
    schema_release(&health_config_schema, &health);
    return result;
}

static int fill_in_health(struct container_spec *spec, const struct image_config *image)
{
    if (!strings_say_none(&spec->health_command) &&
        copy_health(&container_spec_schema, spec, &image_config_schema, image) < 0)
        return -1;
    if (strings_say_none(&spec->health_command) || spec->health_command.n == 0)
        schema_clear_shared(&container_spec_schema, spec, &health_config_schema);
    return 0;
}

static int fill_in(struct container_spec *spec, const struct container_spec *asked,
                   const struct image_config *image)
{
    if (asked->entrypoint.n == 0) {
        if (strings_copy(&spec->entrypoint, &image->entrypoint) < 0 ||
            (asked->command.n == 0 && strings_copy(&spec->command, &image->command) < 0))
            return -1;
    } else if (strings_say_none(&asked->entrypoint)) {
        strings_release(&spec->entrypoint);
    }
    strings_release(&spec->env);
    if (merge_env(&spec->env, &asked->env, &image->env) < 0 ||
        string_map_add_missing(&spec->labels, &image->labels) < 0 || fill_in_health(spec, image) < 0 ||
        default_text(&spec->stop_signal, image->stop_signal) < 0 ||
        default_text(&spec->workdir, image->workdir) < 0)
        return -1;
    return default_text(&spec->user, image->user);
}

int resolve_spec(struct container_spec *ret, const struct container_spec *asked, const struct image *image)
{
    if (schema_copy(&container_spec_schema, ret, asked) < 0)
        return -1;
    if (fill_in(ret, asked, &image->config) == 0)
        return 0;
    schema_release(&container_spec_schema, ret);
    return -1;
}
