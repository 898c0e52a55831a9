/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help.h - help texts from the tables of verbs and options.
 */
#ifndef WHARF_CMD_CLIENT_HELP_H
#define WHARF_CMD_CLIENT_HELP_H

#include <stdio.h>

#include "cmd/client/verb.h"

/* The title of a group of verbs. */
const char *help_group_title(enum verb_group group);

/* All verbs. */
void help_print_all(FILE *out);

/* One verb with its options. */
void help_print_verb(FILE *out, const struct verb *verb);

/* "[OPTION...] IMAGE ...": what follows the verb's name. */
const char *help_options_word(const struct verb *verb);

#endif
