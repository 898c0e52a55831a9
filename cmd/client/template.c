/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/template.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/client/table.h"

#define TABLE "table "

enum part_kind {
    PART_TEXT,
    PART_FIELD,
    PART_JSON,     /* of a field */
    PART_JSON_ROW, /* of all there is */
    PART_PATH,
    PART_JSON_PATH,
};

struct template_part {
    enum part_kind kind;
    const struct template_field *field;
    char *text;   /* the text; of a field its argument, or NULL; owned */
    json_t *path; /* names of members, each of the one before it; owned */
    bool keyed;   /* the last of them by "index" */
};

bool template_is(const char *format)
{
    return format != NULL && strstr(format, "{{") != NULL;
}

static void part_release(struct template_part *part)
{
    free(part->text);
    json_decref(part->path);
}

void template_release(struct template *template)
{
    for (size_t i = 0; i < template->n; i++)
        part_release(&template->parts[i]);
    free(template->parts);
    *template = (struct template){.parts = NULL};
}

bool template_has(const struct template *template, const char *field)
{
    for (size_t i = 0; i < template->n; i++)
        if (template->parts[i].field != NULL && strcmp(template->parts[i].field->name, field) == 0)
            return true;
    return false;
}

/* --- parsing --- */

static int add_part(struct template *template, struct template_part *part_take, struct err *err)
{
    struct template_part *grown = realloc(template->parts, (template->n + 1) * sizeof(*grown));
    if (grown == NULL) {
        part_release(part_take);
        return err_nomem(err, "reading a format");
    }
    template->parts = grown;
    grown[template->n++] = *part_take;
    return 0;
}

/* What is between braces, or text; docker's shell-proof tabs and line ends. */
static int add_text(struct template *template, const char *text, size_t size, struct err *err)
{
    struct template_part part = {.kind = PART_TEXT, .text = calloc(1, size + 1)};
    if (part.text == NULL)
        return err_nomem(err, "reading a format");
    for (size_t i = 0, to = 0; i < size; i++) {
        bool escape = text[i] == '\\' && i + 1 < size && (text[i + 1] == 't' || text[i + 1] == 'n');
        part.text[to++] = !escape ? text[i] : text[i + 1] == 't' ? '\t' : '\n';
        i += escape;
    }
    return size > 0 ? add_part(template, &part, err) : (free(part.text), 0);
}

static int unknown_field(const char *name, size_t size, const struct template_field *fields, struct err *err)
{
    err_set(err, ERR_INVALID, "'.%.*s' is no field of this listing: give", size > 64 ? 64 : (int)size, name);
    for (const struct template_field *field = fields; err != NULL && field->name != NULL; field++) {
        size_t used = strlen(err->message);
        const char *glue = field == fields ? " " : field[1].name == NULL ? " or " : ", ";
        snprintf(err->message + used, sizeof(err->message) - used, "%s.%s", glue, field->name);
    }
    return -1;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && isspace((unsigned char)*at))
        at++;
    return at;
}

/* What is in quotes next; moves *at behind it. False if there is nothing such. */
static bool find_quoted(const char **at, const char *end, const char **ret, size_t *ret_size)
{
    const char *quote = skip_blanks(*at, end);
    const char *close =
        quote < end && *quote == '"' ? memchr(quote + 1, '"', (size_t)(end - quote - 1)) : NULL;
    if (close == NULL)
        return false;
    *ret = quote + 1;
    *ret_size = (size_t)(close - quote - 1);
    *at = close + 1;
    return true;
}

/* `"KEY"` behind a field that takes one; moves *at behind it. */
static int read_argument(struct template_part *part, const char **at, const char *end, struct err *err)
{
    const char *key, *name = part->field->name;
    size_t size;
    if (!part->field->takes_argument)
        return 0;
    if (!find_quoted(at, end, &key, &size))
        return err_set(err, ERR_INVALID, "'.%s' takes a key in quotes: {{.%s \"KEY\"}}", name, name);
    part->text = strndup(key, size);
    return part->text != NULL ? 0 : err_nomem(err, "reading a format");
}

static const struct template_field *find_field(const struct template_field *fields, const char *name,
                                               size_t size)
{
    for (; fields->name != NULL; fields++)
        if (strlen(fields->name) == size && memcmp(fields->name, name, size) == 0)
            return fields;
    return NULL;
}

static int not_understood(const char *from, const char *end, struct err *err)
{
    size_t size = (size_t)(end - from);
    return err_set(err, ERR_INVALID,
                   "'{{%.*s}}' is not understood: give {{.FIELD}}, {{json .FIELD}} or {{json .}}",
                   size > 64 ? 64 : (int)size, from);
}

/* --- paths of members --- */

static bool takes_word(const char **at, const char *end, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(end - *at) <= size || strncmp(*at, word, size) != 0 || !isspace((unsigned char)(*at)[size]))
        return false;
    *at = skip_blanks(*at + size, end);
    return true;
}

/* ".spec.labels"; "." alone is the row. */
static bool read_path(json_t *path, const char **at, const char *end)
{
    if (*at == end || **at != '.')
        return false;
    do {
        size_t size = 0;
        const char *name = *at + 1;
        while (name + size < end && (isalnum((unsigned char)name[size]) || name[size] == '_'))
            size++;
        *at = name + size;
        if (size == 0)
            return json_array_size(path) == 0 && (*at == end || **at != '.');
        if (json_array_append_new(path, json_stringn(name, size)) < 0)
            return false;
    } while (*at < end && **at == '.');
    return true;
}

/* The keys of "index .PATH KEY...". */
static bool read_keys(json_t *path, const char **at, const char *end)
{
    const char *key;
    size_t size;
    if (!find_quoted(at, end, &key, &size))
        return false;
    do {
        if (json_array_append_new(path, json_stringn(key, size)) < 0)
            return false;
    } while (find_quoted(at, end, &key, &size));
    return true;
}

static int add_path_action(struct template *template, const char *from, const char *end, struct err *err)
{
    struct template_part part = {.kind = PART_PATH, .path = json_array()};
    const char *at = skip_blanks(from, end);
    if (part.path == NULL)
        return err_nomem(err, "reading a format");
    bool keyed = takes_word(&at, end, "index");
    if (!keyed && takes_word(&at, end, "json"))
        part.kind = PART_JSON_PATH;
    bool understood = read_path(part.path, &at, end) && (!keyed || read_keys(part.path, &at, end)) &&
                      skip_blanks(at, end) == end &&
                      (json_array_size(part.path) > 0 || part.kind == PART_JSON_PATH);
    part.keyed = keyed;
    if (understood)
        return add_part(template, &part, err);
    part_release(&part);
    return err_set(err, ERR_INVALID,
                   "'{{%.*s}}' is not understood: give {{.MEMBER}}, {{.MEMBER.MEMBER}}, {{json .MEMBER}} or "
                   "{{index .MEMBER \"KEY\"}}",
                   end - from > 64 ? 64 : (int)(end - from), from);
}

/* What is between "{{" and "}}". */
static int add_action(struct template *template, const char *from, const char *end,
                      const struct template_field *fields, struct err *err)
{
    struct template_part part = {.kind = PART_FIELD};
    const char *at = skip_blanks(from, end);
    if (fields == NULL)
        return add_path_action(template, from, end, err);
    if (takes_word(&at, end, "json"))
        part.kind = PART_JSON;
    if (at == end || *at != '.')
        return not_understood(from, end, err);
    at++;
    size_t size = 0;
    while (at + size < end && isalnum((unsigned char)at[size]))
        size++;
    if (size == 0 && part.kind == PART_JSON)
        part.kind = PART_JSON_ROW;
    else if ((part.field = find_field(fields, at, size)) == NULL)
        return size == 0 ? not_understood(from, end, err) : unknown_field(at, size, fields, err);
    at += size;
    if (part.field != NULL && read_argument(&part, &at, end, err) < 0)
        return -1;
    if (skip_blanks(at, end) == end)
        return add_part(template, &part, err);
    part_release(&part);
    return not_understood(from, end, err);
}

int template_parse(struct template *ret, const char *text, const struct template_field *fields,
                   struct err *err)
{
    struct template template = {.table = strncmp(text, TABLE, strlen(TABLE)) == 0};
    const char *at = text + (template.table ? strlen(TABLE) : 0);
    int rc = 0;
    while (rc == 0 && *at != '\0') {
        const char *open = strstr(at, "{{");
        size_t size = open != NULL ? (size_t)(open - at) : strlen(at);
        const char *close = open != NULL ? strstr(open, "}}") : NULL;
        rc = add_text(&template, at, size, err);
        if (rc == 0 && open != NULL && close == NULL)
            rc = err_set(err, ERR_INVALID, "'%.64s' has no '}}' that closes it", open);
        if (rc == 0 && open != NULL)
            rc = add_action(&template, open + 2, close, fields, err);
        at = open != NULL && close != NULL ? close + 2 : at + size;
    }
    if (rc < 0)
        template_release(&template);
    else
        *ret = template;
    return rc;
}

/* --- rows --- */

static void add_printable(struct buf *ret, const char *text)
{
    for (; *text != '\0'; text++) {
        bool control = (unsigned char)*text < 0x20 || *text == 0x7f;
        buf_add(ret, control ? "?" : text, 1);
    }
}

static void add_json(struct buf *ret, json_t *value_take)
{
    auto_free char *text = value_take == NULL ? NULL : json_dumps(value_take, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL)
        ret->failed = true;
    else
        buf_add_string(ret, text);
    json_decref(value_take);
}

static void add_value(struct buf *ret, const struct template_part *part, const json_t *row,
                      const struct template_look *look)
{
    auto_buf struct buf value = BUF_INIT;
    buf_add_string(&value, "");
    if (part->field->value != NULL)
        part->field->value(&value, row, part->text, look);
    else
        template_add_member(&value, row, part->field->member);
    ret->failed |= value.failed;
    if (value.failed)
        return;
    if (part->kind == PART_JSON)
        add_json(ret, json_string(value.data));
    else
        add_printable(ret, value.data);
}

static const json_t *follow(const json_t *value, const json_t *path)
{
    size_t i;
    json_t *name;
    json_array_foreach(path, i, name) value = json_object_get(value, json_string_value(name));
    return value;
}

/* Texts as they are; what is not there as Go's templates say it, which for a key that a map of texts lacks is
 * nothing. */
static void add_followed(struct buf *ret, const json_t *value, bool keyed)
{
    auto_buf struct buf text = BUF_INIT;
    if (value == NULL || json_is_null(value))
        buf_add_string(&text, keyed ? "" : "<no value>");
    else if (json_is_string(value))
        buf_add_string(&text, json_string_value(value));
    else
        add_json(&text, json_incref((json_t *)(uintptr_t)value)); /* not changed */
    ret->failed |= text.failed;
    if (!text.failed)
        add_printable(ret, text.data);
}

static void add_part_of_row(struct buf *ret, const struct template_part *part, const json_t *row,
                            const struct template_look *look)
{
    const json_t *value;
    switch (part->kind) {
    case PART_TEXT:
        buf_add_string(ret, part->text);
        break;
    case PART_FIELD:
    case PART_JSON:
        add_value(ret, part, row, look);
        break;
    case PART_JSON_ROW:
        add_json(ret, json_incref((json_t *)(uintptr_t)row)); /* not changed */
        break;
    case PART_PATH:
        add_followed(ret, follow(row, part->path), part->keyed);
        break;
    case PART_JSON_PATH:
        value = follow(row, part->path);
        add_json(ret, value != NULL ? json_incref((json_t *)(uintptr_t)value) : json_null());
        break;
    }
}

void template_add_row(const struct template *template, const json_t *row, const struct template_look *look,
                      struct buf *ret)
{
    buf_add_string(ret, "");
    for (size_t i = 0; i < template->n; i++)
        add_part_of_row(ret, &template->parts[i], row, look);
}

/* --- tables --- */

/* A line becomes cells where it has tabs; line ends in it are blanks. */
static void add_cells(struct table *table, const char *line)
{
    for (;; line++) {
        size_t size = strcspn(line, "\t");
        table_add(table, "%.*s", (int)size, line);
        line += size;
        if (*line == '\0')
            return;
    }
}

static void add_titles(const struct template *template, struct buf *ret)
{
    buf_add_string(ret, "");
    for (size_t i = 0; i < template->n; i++) {
        const struct template_part *part = &template->parts[i];
        if (part->kind == PART_TEXT)
            buf_add_string(ret, part->text);
        else if (part->text != NULL)
            add_printable(ret, part->text); /* a label's column is called as the label */
        else if (json_array_size(part->path) > 0)
            add_printable(ret,
                          json_string_value(json_array_get(part->path, json_array_size(part->path) - 1)));
        else
            buf_add_string(ret, part->field != NULL ? part->field->title : "");
    }
}

static size_t count_columns(const struct template *template)
{
    size_t n = 1;
    for (size_t i = 0; i < template->n; i++)
        for (const char *at = template->parts[i].text; template->parts[i].kind == PART_TEXT && *at != '\0';
             at++)
            n += *at == '\t';
    return n;
}

static int print_table(const struct template *template, const json_t *rows, const struct template_look *look,
                       FILE *out, struct err *err)
{
    struct table table;
    size_t i;
    const json_t *row;
    bool failed = false;
    auto_buf struct buf line = BUF_INIT;
    table_init(&table, count_columns(template));
    add_titles(template, &line);
    failed = line.failed;
    if (!failed)
        add_cells(&table, line.data);
    json_array_foreach(rows, i, row)
    {
        buf_reset(&line);
        template_add_row(template, row, look, &line);
        failed = failed || line.failed;
        if (!failed)
            add_cells(&table, line.data);
    }
    int rc = failed ? err_nomem(err, "listing") : table_print(&table, out, err);
    table_release(&table);
    return rc;
}

int template_print(const struct template *template, const json_t *rows, const struct template_look *look,
                   FILE *out, struct err *err)
{
    size_t i;
    const json_t *row;
    if (template->table)
        return print_table(template, rows, look, out, err);
    json_array_foreach(rows, i, row)
    {
        auto_buf struct buf line = BUF_INIT;
        template_add_row(template, row, look, &line);
        if (line.failed)
            return err_nomem(err, "listing");
        if (fprintf(out, "%s\n", line.data) < 0)
            return err_sys(err, errno, "cannot write");
    }
    return 0;
}

/* --- values --- */

void template_add_member(struct buf *ret, const json_t *row, const char *member)
{
    const json_t *value = json_object_get(row, member);
    if (json_is_string(value))
        buf_add_string(ret, json_string_value(value));
    else if (json_is_integer(value))
        buf_printf(ret, "%lld", (long long)json_integer_value(value));
}

void template_add_time(struct buf *ret, const json_t *row, const char *member)
{
    const char *text = json_string_value(json_object_get(row, member));
    if (text != NULL && strlen(text) >= strlen("2026-01-02T03:04:05"))
        buf_printf(ret, "%.10s %.8s +0000 UTC", text, text + 11);
}

void template_add_labels(struct buf *ret, const json_t *labels, const char *key)
{
    const char *each;
    json_t *value;
    size_t n = 0;
    if (key != NULL) {
        template_add_member(ret, labels, key);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)labels, each, value)
        buf_printf(ret, "%s%s=%s", n++ > 0 ? "," : "", each, json_string_value(value));
}
