/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/help.h"

#include <string.h>

#include "base/say.h"
#include "cmd/client/table.h"

#define WIDTH 80

const char *help_group_title(enum verb_group group)
{
    static const char *const titles[VERB_GROUPS] = {[VERB_CONTAINERS] = "Containers",
                                                    [VERB_IMAGES] = "Images",
                                                    [VERB_HISTORY] = "History",
                                                    [VERB_STACK] = "The stack",
                                                    [VERB_OTHER] = "Other"};
    return titles[group];
}

const char *help_options_word(const struct verb *verb)
{
    return verb->options != NULL ? " [OPTION...]" : "";
}

void help_print_all(FILE *out)
{
    fputs("Usage: wharf [--run-dir DIR] COMMAND [ARGUMENT...]\n\n"
          "An event-sourced container manager: every intent is a command on a log, everything that\n"
          "happened an event.\n",
          out);
    for (int group = 0; group < VERB_GROUPS; group++) {
        fprintf(out, "\n%s:\n", help_group_title((enum verb_group)group));
        for (size_t i = 0; verbs[i] != NULL; i++)
            if ((int)verbs[i]->group == group && (verbs[i]->flags & VERB_HIDDEN) == 0)
                fprintf(out, "  %-11s %s\n", verbs[i]->name, verbs[i]->summary);
    }
    fputs("\n'wharf COMMAND --help' explains a command; wharf(1) all of them.\n", out);
}

/* Breaks a paragraph between words. */
static void print_wrapped(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, " \n");
        if (column > 0 && column + 1 + size > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column > 0 && size > 0) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, size, out);
        column += size;
        text += size;
        for (; *text == ' ' || *text == '\n'; text++) {
            if (*text == '\n') {
                fputc('\n', out);
                column = 0;
            }
        }
    }
    fputc('\n', out);
}

static bool has_letter(const struct option_row *rows, char letter)
{
    for (const struct option_row *row = rows; row != NULL && row->name != NULL; row++)
        if (row->letter == letter)
            return true;
    return false;
}

/* `over`: rows whose letters win over these. */
static void print_options(FILE *out, const struct option_row *rows, const struct option_row *over)
{
    for (const struct option_row *row = rows; row != NULL && row->name != NULL; row++) {
        if (row->kind == OPTION_UNSUPPORTED)
            continue;
        char left[64];
        char letter[8] = "    ";
        if (row->letter != 0 && !has_letter(over, row->letter))
            snprintf(letter, sizeof(letter), "-%c, ", row->letter);
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, row->name, row->argument != NULL ? " " : "",
                 row->argument != NULL ? row->argument : "");
        fprintf(out, "  %-28s %s%s\n", left, row->help, row->kind == OPTION_LIST ? " (repeatable)" : "");
    }
}

void help_print_verb(FILE *out, const struct verb *verb)
{
    fprintf(out, "Usage: wharf %s%s%s%s\n\n", verb->name, help_options_word(verb),
            verb->synopsis[0] != '\0' ? " " : "", verb->synopsis);
    fprintf(out, "%c%s.\n", verb->summary[0] & ~0x20, verb->summary + 1);
    if (verb->description != NULL) {
        fputc('\n', out);
        print_wrapped(out, verb->description);
    }
    fputs("\nOptions:\n", out);
    print_options(out, verb->options, NULL);
    if ((verb->flags & VERB_RAW) == 0)
        print_options(out, common_option_rows, verb->options);
}

static int help(struct client *client, const void *options, int argc, char **argv)
{
    (void)client;
    (void)options;
    if (argc == 0) {
        help_print_all(stdout);
        return 0;
    }
    const struct verb *verb = verb_find(argv[0]);
    if (verb == NULL) {
        say_error("there is no command '%s'; 'wharf help' lists them", argv[0]);
        return 1;
    }
    help_print_verb(stdout, verb);
    return 0;
}

const struct verb verb_help = {
    .name = "help",
    .group = VERB_OTHER,
    .flags = VERB_NO_CONFIG,
    .synopsis = "[COMMAND]",
    .summary = "explain a command, or list them",
    .operands = "command",
    .max_operands = 1,
    .execute = help,
};
