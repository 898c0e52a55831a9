/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/role.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/verb.h"

int role_find(const char *role, char **ret, struct err *err)
{
    char own[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (size < 0)
        return err_sys(err, errno, "cannot find out where wharf is installed");
    own[size] = '\0';
    *strrchr(own, '/') = '\0';
    static const char *const places[] = {"", "/../libexec/wharf"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        auto_free char *path = NULL;
        if (asprintf(&path, "%s%s/wharf-%s", own, places[i], role) < 0) {
            path = NULL;
            return err_nomem(err, "looking for a role");
        }
        if (access(path, X_OK) == 0) {
            *ret = steal_ptr(path);
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND,
                   "'wharf-%s' is neither in '%s' nor in '%s/../libexec/wharf'; is wharf installed whole?",
                   role, own, own);
}

static int execute_role(const char *role, int argc, char **argv)
{
    struct err err = ERR_INIT;
    auto_free char *path = NULL;
    auto_free char **arguments = calloc((size_t)argc + 2, sizeof(*arguments));
    if (arguments == NULL)
        err_nomem(&err, "starting a role");
    else if (role_find(role, &path, &err) == 0) {
        arguments[0] = path;
        memcpy(arguments + 1, argv, (size_t)argc * sizeof(*argv));
        execv(path, arguments);
        err_sys(&err, errno, "cannot execute '%s'", path);
    }
    say_error("%s", err.message);
    return 1;
}

static int role(struct client *client, const void *options, int argc, char **argv)
{
    (void)options;
    return execute_role(client->verb->name, argc, argv);
}

#define ROLE_DESCRIPTION                                                                                     \
    "Stays in the foreground, for systemd and compose. Takes --state-dir, --run-dir, --log, --redis, "       \
    "--node, --user, "                                                                                       \
    "--cgroup-parent, --userns-pool, --partitions, --replication, --snapshot-every and --config."

#define ROLE(member_, name_, summary_)                                                                       \
    const struct verb verb_##member_ = {.name = name_,                                                       \
                                        .group = VERB_STACK,                                                 \
                                        .flags = VERB_RAW | VERB_NO_CONFIG,                                  \
                                        .synopsis = "[OPTION...]",                                           \
                                        .summary = summary_,                                                 \
                                        .description = ROLE_DESCRIPTION,                                     \
                                        .max_operands = -1,                                                  \
                                        .execute = role}

ROLE(writer, "writer", "take commands and append them to the log");
ROLE(runtime, "runtime", "carry out the commands of this node");
ROLE(projector, "projector", "keep the read model in Redis");
ROLE(query, "query", "answer questions from the read model");

const struct verb verb_oci = {
    .name = "oci",
    .group = VERB_STACK,
    .flags = VERB_RAW | VERB_NO_CONFIG,
    .synopsis = "[OPTION...] VERB [OPTION...] [ID]",
    .summary = "an OCI runtime, for podman, containerd and the like",
    .description =
        "Creates, starts, kills and deletes containers from OCI bundles, with the flags of runc. What it "
        "makes is not recorded on the log. 'wharf-oci --help' lists its verbs.",
    .max_operands = -1,
    .execute = role};
