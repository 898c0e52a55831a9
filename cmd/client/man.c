/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual page in mdoc(7), from the same tables as the help.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/version.h"
#include "cmd/client/help.h"

#define LINE_WIDTH 78

/* One character as roff wants it. `word`: within the quoted argument of a macro. */
static const char *escape(char c, bool word, char ret[2])
{
    ret[0] = c;
    ret[1] = '\0';
    switch (c) {
    case '\\':
        return "\\e";
    case '-':
        return "\\-";
    case '\'':
        return "\\(aq";
    case '"':
        return word ? "\\(dq" : ret;
    default:
        return ret;
    }
}

static void print_word(const char *text)
{
    char one[2];
    putchar('"');
    for (; *text != '\0'; text++)
        fputs(escape(*text, true, one), stdout);
    putchar('"');
}

/* Running text without a final newline: a sentence a line, as mdoc wants it, and lines broken between words.
 */
static void print_text(const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        char word[256], one[2];
        word[0] = '\0';
        for (size_t i = 0; i < size; i++)
            strncat(word, escape(text[i], false, one), sizeof(word) - strlen(word) - 1);
        bool wraps = column > 0 && column + 1 + strlen(word) > LINE_WIDTH;
        if (column > 0)
            putchar(wraps ? '\n' : ' ');
        if ((column == 0 || wraps) && text[0] == '.')
            fputs("\\&", stdout);
        fputs(word, stdout);
        column = (wraps ? 0 : column + 1) + strlen(word);
        bool sentence = size > 0 && text[size - 1] == '.' && text[size] != '\0';
        text += size;
        text += strspn(text, " ");
        if (sentence)
            putchar('\n');
        if (sentence)
            column = 0;
    }
}

/* Paragraphs, separated by empty lines. */
static void print_paragraphs(const char *text)
{
    for (const char *end; (end = strstr(text, "\n\n")) != NULL; text = end + 2) {
        auto_free char *paragraph = strndup(text, (size_t)(end - text));
        print_text(paragraph != NULL ? paragraph : "");
        puts("\n.Pp");
    }
    print_text(text);
}

static void print_options(const struct option_row *rows)
{
    bool any = false;
    for (const struct option_row *row = rows; row != NULL && row->name != NULL; row++)
        any = any || row->kind != OPTION_UNSUPPORTED;
    if (!any)
        return;
    puts(".Bl -tag -width Ds");
    for (const struct option_row *row = rows; row->name != NULL; row++) {
        if (row->kind == OPTION_UNSUPPORTED)
            continue;
        fputs(".It ", stdout);
        if (row->letter != 0)
            printf("Fl %c , ", row->letter);
        printf("Fl \\-%s", row->name);
        if (row->argument != NULL) {
            fputs(" Ar ", stdout);
            print_word(row->argument);
        }
        putchar('\n');
        print_text(row->help);
        puts(row->kind == OPTION_LIST ? "; may be repeated" : "");
    }
    puts(".El");
}

static void print_verb(const struct verb *verb)
{
    printf(".It Cm %s", verb->name);
    if (verb->options != NULL)
        fputs(" Oo Ar option ... Oc", stdout);
    if (verb->synopsis[0] != '\0') {
        fputs(" Ar ", stdout);
        print_word(verb->synopsis);
    }
    putchar('\n');
    print_text(verb->summary);
    puts(".");
    if (verb->description != NULL) {
        puts(".Pp");
        print_paragraphs(verb->description);
        putchar('\n');
    }
    print_options(verb->options);
}

static void print_head(void)
{
    puts(".Dd $Mdocdate$\n.Dt WHARF 1\n.Os\n.Sh NAME\n.Nm wharf\n"
         ".Nd event-sourced container manager\n.Sh SYNOPSIS\n.Nm\n.Op Fl \\-run-dir Ar DIR\n.Ar command\n"
         ".Op Ar argument ...\n.Sh DESCRIPTION");
    print_text(
        "Every intent is a command on a log, everything that happened an event. The log is the only truth: "
        "the read model is rebuilt from the events, the containers from both.");
    puts("\n.Nm");
    print_text(
        "talks to the writer, the runtime and the query service through their sockets in the run directory. "
        "This is version " WHARF_VERSION ".");
    putchar('\n');
}

static void print_tail(void)
{
    puts(".Sh OPTIONS\nEvery command takes:");
    print_options(common_option_rows);
    puts(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n.It Ev WHARF_RUN_DIR\nwhich stack to talk to.\n"
         ".It Ev WHARF_CONFIG\nthe configuration file.\n"
         ".It Ev WHARF_STATE_DIR , WHARF_LOG , WHARF_REDIS , WHARF_NODE , WHARF_USER\n"
         "settings of the file by the same names in lower case, with dashes.\n.El\n"
         ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/wharf/wharf.conf\nthe configuration.\n"
         ".It Pa /run/wharf\nsockets of the stack.\n.It Pa /var/lib/wharf\nimages, containers, and the "
         "embedded log.\n.El\n"
         ".Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 0\nsuccess.\n.It 1\nfailure, or bad usage.\n"
         ".It 125 , 126 , 127\nof\n.Cm run :\nwharf itself failed or refused, the command cannot be "
         "executed,\n"
         "it was not found.\n.It 128 + n\nof\n.Cm run :\nsignal n ended the container.\n.El\n"
         ".Sh EXAMPLES\n.Dl # wharf up \\-\\-detach\n"
         ".Dl # wharf import ./rootfs busybox\n"
         ".Dl # wharf run \\-\\-rm busybox echo hello\n.Dl # wharf history web\n"
         ".Sh SEE ALSO\n.Xr cgroups 7 ,\n.Xr namespaces 7");
}

static int man(struct client *client, const void *options, int argc, char **argv)
{
    (void)client;
    (void)options;
    (void)argc;
    (void)argv;
    print_head();
    for (int group = 0; group < VERB_GROUPS; group++) {
        printf(".Ss %s\n.Bl -tag -width Ds\n", help_group_title((enum verb_group)group));
        for (size_t i = 0; verbs[i] != NULL; i++)
            if ((int)verbs[i]->group == group && (verbs[i]->flags & VERB_HIDDEN) == 0)
                print_verb(verbs[i]);
        puts(".El");
    }
    print_tail();
    return 0;
}

const struct verb verb_man = {
    .name = "man",
    .group = VERB_OTHER,
    .flags = VERB_NO_CONFIG | VERB_HIDDEN,
    .synopsis = "",
    .summary = "print the manual page",
    .execute = man,
};
