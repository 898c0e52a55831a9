/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/exec_process.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/capability.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/oci_process.h"

/* The member as what it has to be: made if it is missing. Borrowed; NULL if there is no memory. */
static json_t *member(json_t *object, const char *key, json_t *(*make)(void))
{
    json_t *value = json_object_get(object, key);
    if (value != NULL && !json_is_null(value))
        return value;
    return json_object_set_new(object, key, make()) < 0 ? NULL : json_object_get(object, key);
}

static int set_arguments(json_t *process, char *const *argv)
{
    json_t *args = json_array();
    for (size_t i = 0; argv[i] != NULL && args != NULL; i++) {
        if (json_array_append_new(args, json_string(argv[i])) < 0) {
            json_decref(args);
            args = NULL;
        }
    }
    return json_object_set_new(process, "args", args);
}

static int set_environment(json_t *process, const struct oci_texts *env, struct err *err)
{
    json_t *list = member(process, "env", json_array);
    for (size_t i = 0; i < env->n; i++) {
        if (strchr(env->items[i], '=') == NULL || env->items[i][0] == '=')
            return err_set(err, ERR_INVALID, "--env is KEY=VALUE, not '%s'", env->items[i]);
        if (oci_put_env(list, env->items[i]) < 0)
            return err_set(err, ERR_INVALID, "--env '%s' is no text in UTF-8", env->items[i]);
    }
    return 0;
}

static const char *parse_id(const char *text, json_int_t *ret)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (number >= UINT32_MAX)
        return NULL;
    *ret = (json_int_t)number;
    return end;
}

static int set_user(json_t *process, const char *text, struct err *err)
{
    json_t *user = member(process, "user", json_object);
    json_int_t uid = 0, gid = oci_number(user, "gid");
    const char *at = parse_id(text, &uid);
    if (at != NULL && *at == ':')
        at = parse_id(at + 1, &gid);
    if (at == NULL || *at != '\0')
        return err_set(err, ERR_INVALID, "--user is UID or UID:GID in numbers, not '%s'", text);
    if (json_object_set_new(user, "uid", json_integer(uid)) < 0 ||
        json_object_set_new(user, "gid", json_integer(gid)) < 0)
        return err_nomem(err, "reading the options");
    return 0;
}

static int add_groups(json_t *process, const struct oci_texts *gids, struct err *err)
{
    for (size_t i = 0; i < gids->n; i++) {
        json_t *list = member(member(process, "user", json_object), "additionalGids", json_array);
        json_int_t gid;
        const char *end = parse_id(gids->items[i], &gid);
        if (end == NULL || *end != '\0')
            return err_set(err, ERR_INVALID, "--additional-gids is a number, not '%s'", gids->items[i]);
        if (json_array_append_new(list, json_integer(gid)) < 0)
            return err_nomem(err, "reading the options");
    }
    return 0;
}

static bool has(const json_t *list, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
            return true;
    }
    return false;
}

/* Without the ambient set, execve(2) would take them from any other user than root. */
static int add_capabilities(json_t *process, const struct oci_texts *caps, struct err *err)
{
    static const char *const SETS[] = {"bounding", "effective", "permitted", "inheritable", "ambient"};
    bool root = oci_number(json_object_get(process, "user"), "uid") == 0;
    for (size_t i = 0; i < caps->n; i++) {
        /* The configuration may ask for what there is not; who types it is told. */
        if (capability_by_name(caps->items[i]) < 0)
            return err_set(err, ERR_INVALID, "--cap: unknown capability '%s'", caps->items[i]);
        for (size_t set = 0; set < (root ? 3 : 5); set++) {
            json_t *list = member(member(process, "capabilities", json_object), SETS[set], json_array);
            if (!has(list, caps->items[i]) && json_array_append_new(list, json_string(caps->items[i])) < 0)
                return err_nomem(err, "reading the options");
        }
    }
    return 0;
}

static int set_text(json_t *process, const char *key, const char *text, struct err *err)
{
    if (text == NULL || json_object_set_new(process, key, json_string(text)) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "'%s' for 'process.%s' is no text in UTF-8", text, key);
}

static int change(json_t *process, const struct oci_options *options, struct err *err)
{
    if (set_text(process, "cwd", options->cwd, err) < 0 ||
        set_text(process, "apparmorProfile", options->apparmor, err) < 0 ||
        set_text(process, "selinuxLabel", options->process_label, err) < 0 ||
        (options->user != NULL && set_user(process, options->user, err) < 0) ||
        add_groups(process, &options->additional_gids, err) < 0 ||
        add_capabilities(process, &options->caps, err) < 0)
        return -1;
    if ((options->tty && json_object_set_new(process, "terminal", json_true()) < 0) ||
        (options->no_new_privs && json_object_set_new(process, "noNewPrivileges", json_true()) < 0))
        return err_nomem(err, "reading the options");
    return set_environment(process, &options->env, err);
}

static int begin(json_t *process, bool given, char *const *argv, struct err *err)
{
    if (given)
        return argv[0] == NULL
                   ? 0
                   : err_set(err, ERR_INVALID, "--process names the command: '%s' cannot be given as well",
                             argv[0]);
    if (argv[0] == NULL)
        return err_set(err, ERR_INVALID,
                       "there is no command to execute: name one, or a file with --process");
    /* Whether there is a terminal is for this call to say. */
    if (json_object_set_new(process, "terminal", json_false()) < 0)
        return err_nomem(err, "reading the options");
    return set_arguments(process, argv) < 0
               ? err_set(err, ERR_INVALID, "the command's arguments are no texts in UTF-8")
               : 0;
}

json_t *oci_exec_process(const json_t *config, const json_t *given, const struct oci_options *options,
                         char *const *argv, struct err *err)
{
    const json_t *base = given != NULL ? given : json_object_get(config, "process");
    json_t *process = json_is_object(base) ? json_deep_copy(base) : json_object();
    if (process == NULL) {
        err_fill(err, ERR_NOMEM, "out of memory while reading a process");
        return NULL;
    }
    if (begin(process, given != NULL, argv, err) == 0 && change(process, options, err) == 0)
        return process;
    json_decref(process);
    return NULL;
}
