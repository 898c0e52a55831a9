/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/say.h"
#include "cmd/client/verb.h"

/* Answers for containers and images come from the stack, with what it takes to stay silent when there is
 * none. */
static const char head[] =
    "# bash completion for wharf\n"
    "_wharf_containers() { wharf ps \"$@\" --format json 2>/dev/null | sed -n "
    "'s/.*\"name\":\"\\([^\"]*\\)\".*/\\1/p'; }\n"
    "_wharf_images() { wharf images --format json 2>/dev/null | sed -n "
    "'s/.*\"reference\":\"\\([^\"]*\\)\".*/\\1/p'; }\n"
    "_wharf() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= i\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in --run-dir|--config) ((i++));; -*) ;; *) verb=${COMP_WORDS[i]}; break;; "
    "esac\n"
    "    done\n"
    "    local words= kind= values=\n"
    "    case $verb in\n";

static const char tail[] =
    "    esac\n"
    "    case $prev in --env-file|--config) COMPREPLY=($(compgen -f -- \"$cur\")); return;; esac\n"
    "    if [[ -n $values ]]; then COMPREPLY=($(compgen -W \"$values\" -- \"$cur\")); return; fi\n"
    "    if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return; fi\n"
    "    case $kind in\n"
    "        container) words=$(_wharf_containers -a);;\n"
    "        running) words=$(_wharf_containers);;\n"
    "        image) words=$(_wharf_images);;\n"
    "        file) COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n"
    "        shell) words=bash;;\n"
    "        command|verb) ;;\n"
    "        *) words=;;\n"
    "    esac\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
    "}\n"
    "complete -F _wharf wharf\n";

static void print_option_words(const struct option_row *rows)
{
    for (const struct option_row *row = rows; row != NULL && row->name != NULL; row++)
        if (row->kind != OPTION_UNSUPPORTED)
            printf(" --%s", row->name);
}

static void print_verb_names(void)
{
    for (size_t i = 0; verbs[i] != NULL; i++)
        if ((verbs[i]->flags & VERB_HIDDEN) == 0)
            printf(" %s", verbs[i]->name);
}

static void print_verb(const struct verb *verb)
{
    printf("    %s)\n        words='", verb->name);
    print_option_words(verb->options);
    print_option_words(common_option_rows);
    printf("'; kind=%s\n", verb->operands != NULL ? verb->operands : "none");
    if (verb->operands != NULL && strcmp(verb->operands, "command") == 0) {
        fputs("        words+='", stdout);
        print_verb_names();
        puts("'");
    }
    fputs("        case $prev in\n", stdout);
    for (const struct option_row *row = verb->options; row != NULL && row->name != NULL; row++)
        if (row->words != NULL)
            printf("            --%s) values='%s';;\n", row->name, row->words);
    fputs("        esac;;\n", stdout);
}

static int completion(struct client *client, const void *options, int argc, char **argv)
{
    (void)client;
    (void)options;
    if (argc > 0 && strcmp(argv[0], "bash") != 0) {
        say_error("there is no completion for '%s', only for bash", argv[0]);
        return 1;
    }
    fputs(head, stdout);
    for (size_t i = 0; verbs[i] != NULL; i++)
        print_verb(verbs[i]);
    fputs("    *) kind=verb; words='", stdout);
    print_verb_names();
    print_option_words(common_option_rows);
    fputs("';;\n", stdout);
    fputs(tail, stdout);
    return 0;
}

const struct verb verb_completion = {
    .name = "completion",
    .group = VERB_OTHER,
    .flags = VERB_NO_CONFIG,
    .synopsis = "[bash]",
    .summary = "print the completion script for a shell",
    .description = "In bash: source <(wharf completion bash)",
    .operands = "shell",
    .max_operands = 1,
    .execute = completion,
};
