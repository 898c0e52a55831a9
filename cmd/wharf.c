/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf.c - the client: finds the command in the table and runs it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/say.h"
#include "cmd/client/help.h"
#include "cmd/client/verb.h"

/* Output that could not be written (a full disk) must not look like success. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    say_error("cannot write to standard output: %s", strerror(errno));
    return code != 0 ? code : 1;
}

static int without_command(const struct common_options *common)
{
    help_print_all(common->help ? stdout : stderr);
    return common->help ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct common_options common = {0};
    const struct option_target targets[] = {{common_option_rows, &common}};
    say_init("wharf");
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0))
        argv[1] = "version";
    int n = argc - 1;
    char **rest = argv + 1;
    if (argc < 1 || options_parse(targets, 1, true, &n, rest, &err) < 0) {
        say_error("%s; 'wharf help' lists the commands", err.message);
        return 1;
    }
    if (n == 0)
        return finish(without_command(&common));
    const struct verb *verb = verb_find(rest[0]);
    if (verb == NULL) {
        say_error("there is no command '%s'; 'wharf help' lists them", rest[0]);
        return 1;
    }
    return finish(verb_main(verb, common, n - 1, rest + 1));
}
