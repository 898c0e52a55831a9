/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/options.h"

#include <stdlib.h>
#include <string.h>

struct found {
    const struct option_row *row;
    void *values;
};

struct parser {
    const struct option_target *targets;
    size_t n_targets;
    int argc;
    char **argv;
    int at; /* the next argument to look at */
};

static struct found find_name(const struct parser *parser, const char *name, size_t size)
{
    for (size_t t = 0; t < parser->n_targets; t++)
        for (const struct option_row *row = parser->targets[t].rows; row != NULL && row->name != NULL; row++)
            if (strlen(row->name) == size && memcmp(row->name, name, size) == 0)
                return (struct found){row, parser->targets[t].values};
    return (struct found){NULL, NULL};
}

static struct found find_letter(const struct parser *parser, char letter)
{
    for (size_t t = 0; t < parser->n_targets; t++)
        for (const struct option_row *row = parser->targets[t].rows; row != NULL && row->name != NULL; row++)
            if (row->letter == letter)
                return (struct found){row, parser->targets[t].values};
    return (struct found){NULL, NULL};
}

static int add_to_list(struct option_list *list, const char *value, struct err *err)
{
    const char **items = realloc(list->items, (list->n + 1) * sizeof(*items));
    if (items == NULL)
        return err_nomem(err, "reading the options");
    items[list->n++] = value;
    list->items = items;
    return 0;
}

static int store(struct found option, const char *value, struct err *err)
{
    char *member = (char *)option.values + option.row->offset;
    switch (option.row->kind) {
    case OPTION_FLAG:
        *(bool *)(void *)member = value == NULL || strcmp(value, "true") == 0;
        return 0;
    case OPTION_ON:
        *(bool *)(void *)member = value != NULL && strcmp(value, "false") == 0;
        return 0;
    case OPTION_STRING:
        *(const char **)(void *)member = value;
        return 0;
    case OPTION_LIST:
        return add_to_list((struct option_list *)(void *)member, value, err);
    case OPTION_UNSUPPORTED:
        break;
    }
    return err_set(err, ERR_INTERNAL, "option '--%s' cannot be stored", option.row->name);
}

static int unsupported(const struct option_row *row, struct err *err)
{
    if (row->letter != 0)
        return err_set(err, ERR_INVALID, "option '-%c, --%s' is not supported: %s", row->letter, row->name,
                       row->help);
    return err_set(err, ERR_INVALID, "option '--%s' is not supported: %s", row->name, row->help);
}

/* `value` is what came attached to the option, or NULL; an option that needs one takes the next argument. */
static int take(struct parser *parser, struct found option, const char *value, struct err *err)
{
    if (option.row->kind == OPTION_UNSUPPORTED)
        return unsupported(option.row, err);
    if (option.row->kind == OPTION_FLAG || option.row->kind == OPTION_ON) {
        if (value != NULL && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return err_set(err, ERR_INVALID, "option '--%s' is a switch: '%s' is neither true nor false",
                           option.row->name, value);
        return store(option, value, err);
    }
    if (value == NULL) {
        if (parser->at >= parser->argc)
            return err_set(err, ERR_INVALID, "option '--%s' needs a value: %s", option.row->name,
                           option.row->argument);
        value = parser->argv[parser->at++];
    }
    return store(option, value, err);
}

static int take_long(struct parser *parser, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    size_t size = equals != NULL ? (size_t)(equals - text) : strlen(text);
    struct found option = find_name(parser, text, size);
    if (option.row == NULL)
        return err_set(err, ERR_INVALID, "unknown option '--%.*s'", (int)size, text);
    return take(parser, option, equals != NULL ? equals + 1 : NULL, err);
}

static int take_letters(struct parser *parser, const char *letters, struct err *err)
{
    for (const char *at = letters; *at != '\0'; at++) {
        struct found option = find_letter(parser, *at);
        if (option.row == NULL)
            return err_set(err, ERR_INVALID, "unknown option '-%c'%s%s%s", *at, at > letters ? " in '-" : "",
                           at > letters ? letters : "", at > letters ? "'" : "");
        if (at[1] == '=')
            return take(parser, option, at + 2, err);
        bool valued = option.row->kind == OPTION_STRING || option.row->kind == OPTION_LIST;
        if (valued)
            return take(parser, option, at[1] != '\0' ? at + 1 : NULL, err);
        if (take(parser, option, NULL, err) < 0)
            return -1;
    }
    return 0;
}

int options_parse(const struct option_target *targets, size_t n_targets, bool stop_at_operand, int *argc,
                  char **argv, struct err *err)
{
    struct parser parser = {.targets = targets, .n_targets = n_targets, .argc = *argc, .argv = argv};
    int n = 0;
    bool operands_only = false;
    while (parser.at < parser.argc) {
        char *text = argv[parser.at++];
        if (operands_only || text[0] != '-' || text[1] == '\0') {
            argv[n++] = text;
            operands_only = operands_only || stop_at_operand;
            continue;
        }
        if (strcmp(text, "--") == 0) {
            operands_only = true;
            continue;
        }
        int rc = text[1] == '-' ? take_long(&parser, text + 2, err) : take_letters(&parser, text + 1, err);
        if (rc < 0)
            return -1;
    }
    *argc = n;
    return 0;
}

void options_release(const struct option_row *rows, void *values)
{
    for (const struct option_row *row = rows; row != NULL && row->name != NULL; row++) {
        if (row->kind != OPTION_LIST)
            continue;
        struct option_list *list = (struct option_list *)(void *)((char *)values + row->offset);
        free(list->items);
        *list = (struct option_list){NULL, 0};
    }
}
