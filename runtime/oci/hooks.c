/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/hooks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/shim/shim.h"

static int run_one(const json_t *hook, const char *name, const char *state, struct err *err)
{
    const json_t *args = json_object_get(hook, "args"), *env = json_object_get(hook, "env");
    size_t n_args = json_array_size(args), n_env = json_array_size(env);
    auto_free struct plan_hook_call *call = calloc(1, sizeof(*call));
    char why[64];
    if (call == NULL)
        return err_nomem(err, "running a hook");
    if (n_args + n_env > PLAN_HOOK_STRINGS)
        return err_set(err, ERR_INVALID, "the hook '%s' has more than %d arguments and variables",
                       oci_text(hook, "path"), PLAN_HOOK_STRINGS);
    call->path = oci_text(hook, "path");
    call->timeout_s = (uint32_t)oci_number(hook, "timeout");
    call->argv = call->strings;
    call->envp = call->strings + n_args + 1;
    for (size_t i = 0; i < n_args; i++)
        call->argv[i] = (char *)(uintptr_t)json_string_value(json_array_get(args, i));
    for (size_t i = 0; i < n_env; i++)
        call->envp[i] = (char *)(uintptr_t)json_string_value(json_array_get(env, i));
    if (hook_run(call, state, strlen(state), why) == 0)
        return 0;
    if (why[0] == '\0')
        return err_sys(err, errno, "cannot run the %s hook '%s'", name, call->path);
    return err_set(err, ERR_CONFLICT, "the %s hook '%s' failed: %s", name, call->path, why);
}

int oci_hooks_run(const json_t *config, const char *name, const json_t *state, struct err *err)
{
    size_t i;
    json_t *hook;
    auto_free char *text = json_dumps(state, JSON_COMPACT);
    if (text == NULL)
        return err_nomem(err, "running hooks");
    json_array_foreach(json_object_get(json_object_get(config, "hooks"), name), i, hook)
    {
        if (run_one(hook, name, text, err) < 0)
            return -1;
    }
    return 0;
}

void oci_hooks_run_all(const json_t *config, const char *name, const json_t *state,
                       void (*warn)(const char *message))
{
    size_t i;
    json_t *hook;
    auto_free char *text = json_dumps(state, JSON_COMPACT);
    json_array_foreach(json_object_get(json_object_get(config, "hooks"), name), i, hook)
    {
        struct err err = ERR_INIT;
        if (text == NULL)
            warn("out of memory while running hooks");
        else if (run_one(hook, name, text, &err) < 0)
            warn(err.message);
    }
}
