/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_process.h"

#include <stdio.h>
#include <string.h>

#include "runtime/sandbox/oci_rights.h"

int oci_put_env(json_t *env, const char *text)
{
    size_t key = strcspn(text, "=") + 1, i;
    json_t *item;
    json_array_foreach(env, i, item)
    {
        if (json_is_string(item) && strncmp(json_string_value(item), text, key) == 0)
            return json_array_set_new(env, i, json_string(text));
    }
    return json_array_append_new(env, json_string(text));
}

int oci_put_env_list(json_t *env, const struct strings *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (oci_put_env(env, list->items[i]) < 0)
            return -1;
    }
    return 0;
}

json_t *oci_user_object(const struct user *user)
{
    json_t *groups = json_array();
    for (size_t i = 0; i < user->n_groups; i++) {
        if (json_array_append_new(groups, json_integer(user->groups[i])) < 0) {
            json_decref(groups);
            return NULL;
        }
    }
    return json_pack("{s:I, s:I, s:i, s:o}", "uid", (json_int_t)user->uid, "gid", (json_int_t)user->gid,
                     "umask", 022, "additionalGids", groups);
}

json_t *oci_console_size(int64_t rows, int64_t columns)
{
    if (rows == SCHEMA_ABSENT || columns == SCHEMA_ABSENT)
        return NULL;
    return json_pack("{s:I, s:I}", "height", (json_int_t)rows, "width", (json_int_t)columns);
}

/* docker's: the container's variables, HOME of the user that it is, TERM for a terminal, what was asked for.
 */
static int put_environment(json_t *env, const struct container_exec_command *exec, const struct user *user)
{
    char home[sizeof(user->home) + 8];
    if (user != NULL) {
        snprintf(home, sizeof(home), "HOME=%s", user->home);
        if (oci_put_env(env, home) < 0)
            return -1;
    }
    if (exec->tty && oci_put_env(env, "TERM=xterm") < 0)
        return -1;
    return oci_put_env_list(env, &exec->env);
}

static json_t *arguments(const struct strings *command)
{
    json_t *args = json_array();
    for (size_t i = 0; i < command->n; i++) {
        if (json_array_append_new(args, json_string(command->items[i])) < 0) {
            json_decref(args);
            return NULL;
        }
    }
    return args;
}

/* Whether the user may use them is the kernel's business: a user other than root loses them at execve(2). */
static int give_everything(json_t *process, uint64_t capabilities)
{
    json_t *names = oci_capability_names(capabilities);
    if (json_object_set_new(
            process, "capabilities",
            json_pack("{s:O, s:O, s:o}", "bounding", names, "effective", names, "permitted", names)) < 0)
        return -1;
    return json_object_set_new(process, "noNewPrivileges", json_false());
}

json_t *oci_process_of_exec(const json_t *config, const struct container_exec_command *exec,
                            const struct user *user, uint64_t capabilities, struct err *err)
{
    json_auto_t *process = json_deep_copy(json_object_get(config, "process"));
    json_t *size = exec->tty ? oci_console_size(exec->terminal_rows, exec->terminal_columns) : NULL;
    int result =
        process != NULL && put_environment(json_object_get(process, "env"), exec, user) == 0 ? 0 : -1;
    result |= json_object_set_new(process, "args", arguments(&exec->command));
    result |= json_object_set_new(process, "terminal", json_boolean(exec->tty));
    json_object_del(process, "consoleSize");
    if (size != NULL)
        result |= json_object_set_new(process, "consoleSize", size);
    if (exec->workdir != NULL)
        result |= json_object_set_new(process, "cwd", json_string(exec->workdir));
    if (user != NULL)
        result |= json_object_set_new(process, "user", oci_user_object(user));
    if (exec->privileged)
        result |= give_everything(process, capabilities);
    if (result < 0)
        return err_nomem(err, "writing what is to be executed"), NULL;
    return json_incref(process);
}
