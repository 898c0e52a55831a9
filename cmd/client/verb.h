/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb.h - one subcommand of `wharf`: what it takes, how it is explained, what it does.
 *
 * Each verb is a row that its own file defines; verbs.c lists the rows; cmd/wharf.c parses the options into
 * the verb's struct and calls execute; help.c, man.c and completion.c read the same rows.
 */
#ifndef WHARF_CMD_CLIENT_VERB_H
#define WHARF_CMD_CLIENT_VERB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "cmd/client/options.h"

/* What every verb can use. */
struct client {
    const struct verb *verb;
    struct config config; /* empty for verbs with VERB_NO_CONFIG */
    const char *config_file;
};

enum verb_group { VERB_CONTAINERS, VERB_IMAGES, VERB_HISTORY, VERB_STACK, VERB_OTHER, VERB_GROUPS };

enum verb_flags {
    VERB_STOP_AT_OPERAND = 1, /* what follows the first operand belongs to the container's command */
    VERB_RAW = 2,             /* arguments are handed on untouched */
    VERB_NO_CONFIG = 4,       /* works without reading the configuration */
    VERB_HIDDEN = 8,          /* not in listings */
};

struct verb {
    const char *name;
    enum verb_group group;
    unsigned flags;
    const char *synopsis;    /* the operands: "IMAGE [COMMAND [ARG...]]"; "" when there are none */
    const char *summary;     /* one line, lower case, no full stop */
    const char *description; /* paragraphs, separated by empty lines; NULL when the summary says it all */
    const char *operands;    /* for completion: "container", "running", "image", "file", or NULL */
    const struct option_row *options;
    size_t options_size; /* of the struct the rows fill */
    int min_operands;
    int max_operands; /* -1: any number */
    /* Changes arguments that mean something else behind an operand, before they are parsed; may be NULL. */
    void (*prepare)(int argc, char **argv);
    int error_code; /* exit code for bad usage and for failures of wharf's own; 0 means 1 */
    /* Returns the exit code. `options` points to options_size bytes; argv holds argc operands and a NULL. */
    int (*execute)(struct client *client, const void *options, int argc, char **argv);
};

/* Ends with NULL. */
extern const struct verb *const verbs[];

const struct verb *verb_find(const char *name);

/* The options every verb takes. */
struct common_options {
    const char *run_dir;
    const char *config;
    bool help;
};
extern const struct option_row common_option_rows[];

/* Parses and executes a verb; argv holds what follows its name. `common` is what came before it. Returns the
 * exit code. */
int verb_main(const struct verb *verb, struct common_options common, int argc, char **argv);

int verb_error_code(const struct verb *verb);

#endif
