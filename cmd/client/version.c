/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/version.h"
#include "cmd/client/verb.h"

static int version(struct client *client, const void *options, int argc, char **argv)
{
    (void)client;
    (void)options;
    (void)argc;
    (void)argv;
    puts("wharf " WHARF_VERSION);
    return 0;
}

const struct verb verb_version = {
    .name = "version",
    .group = VERB_OTHER,
    .flags = VERB_NO_CONFIG,
    .synopsis = "",
    .summary = "print the version",
    .execute = version,
};
