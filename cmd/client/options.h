/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - command line options as tables. A verb describes its options once; parsing, help, manual page
 * and completion all read the same rows.
 *
 * Accepted spellings: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -n=VALUE, flags combined as -ab,
 * --flag=false. A later value replaces an earlier one, except for lists. "--" ends the options.
 *
 * Values are borrowed from argv. Pure apart from memory.
 */
#ifndef WHARF_CMD_CLIENT_OPTIONS_H
#define WHARF_CMD_CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum option_kind {
    OPTION_FLAG,        /* bool */
    OPTION_ON,          /* bool, for a flag that is on by itself: true once it was switched off */
    OPTION_STRING,      /* const char *, NULL when absent */
    OPTION_LIST,        /* struct option_list */
    OPTION_UNSUPPORTED, /* known from docker, not there: `help` says what to do instead */
};

struct option_list {
    const char **items; /* owned array of borrowed strings */
    size_t n;
};

struct option_row {
    char letter;          /* 'e', or 0 */
    const char *name;     /* "env"; NULL ends the table */
    const char *argument; /* "KEY=VALUE"; NULL for flags */
    const char *help;     /* one line */
    enum option_kind kind;
    size_t offset; /* of the member in the verb's struct */
    /* For completion: the words that fit ("json table"), or NULL. */
    const char *words;
};

/* A row for `member` of `struct type_`. */
#define OPTION_ROW(type_, member_, letter_, name_, argument_, kind_, help_)                                  \
    {                                                                                                        \
        .letter = letter_, .name = name_, .argument = argument_, .help = help_, .kind = kind_,               \
        .offset = offsetof(struct type_, member_)                                                            \
    }

#define OPTION_END                                                                                           \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }

/* A table and the struct that its rows fill. */
struct option_target {
    const struct option_row *rows; /* may be NULL */
    void *values;
};

/* Parses argv[0..*argc): fills the targets and leaves the operands, in order, at the front of argv and their
 * number in *argc. `stop_at_operand`: everything from the first operand on is an operand. ERR_INVALID says
 * what is wrong. */
int options_parse(const struct option_target *targets, size_t n_targets, bool stop_at_operand, int *argc,
                  char **argv, struct err *err);

/* Frees the lists. */
void options_release(const struct option_row *rows, void *values);

#endif
