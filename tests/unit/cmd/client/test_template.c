/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/client/template.h"

static void add_loud(struct buf *ret, const json_t *row, const char *argument,
                     const struct template_look *look)
{
    (void)argument;
    template_add_member(ret, row, "name");
    buf_add_string(ret, look->whole ? "!!" : "!");
}

static void add_labels(struct buf *ret, const json_t *row, const char *argument,
                       const struct template_look *look)
{
    (void)look;
    template_add_labels(ret, json_object_get(row, "labels"), argument);
}

static void add_time(struct buf *ret, const json_t *row, const char *argument,
                     const struct template_look *look)
{
    (void)argument;
    (void)look;
    template_add_time(ret, row, "at");
}

static const struct template_field fields[] = {
    {.name = "Name", .title = "NAME", .member = "name"},
    {.name = "Names", .title = "NAMES", .value = add_loud},
    {.name = "Size", .title = "SIZE", .member = "size"},
    {.name = "Labels", .title = "LABELS", .value = add_labels},
    {.name = "Label", .title = "LABEL", .value = add_labels, .takes_argument = true},
    {.name = "At", .title = "AT", .value = add_time},
    {.name = NULL},
};

static json_t *rows(void)
{
    return json_loads("[{\"name\":\"web\",\"size\":7,\"at\":\"2026-01-02T03:04:05.000000006Z\","
                      "\"labels\":{\"a b\":\"1\",\"c\":\"x,y\"}},"
                      "{\"name\":\"tab\\there\\u001b\",\"size\":null,\"at\":\"x\"}]",
                      0, NULL);
}

static const struct template_field *known = fields;

static void expect(const char *text, const char *expected)
{
    struct err err = ERR_INIT;
    struct template template;
    json_auto_t *all = rows();
    char *printed = NULL;
    size_t size = 0;
    const struct template_look look = {.whole = true};
    FILE *out = open_memstream(&printed, &size);
    if (template_parse(&template, text, known, &err) < 0)
        fail_msg("'%s': %s", text, err.message);
    assert_int_equal(template_print(&template, all, &look, out, &err), 0);
    fclose(out);
    if (strcmp(printed, expected) != 0)
        fail_msg("'%s' prints '%s'", text, printed);
    free(printed);
    template_release(&template);
}

static void refuse(const char *text, const char *why)
{
    struct err err = ERR_INIT;
    struct template template;
    assert_int_equal(template_parse(&template, text, known, &err), -1);
    if (strstr(err.message, why) == NULL)
        fail_msg("'%s': %s", text, err.message);
}

static void fields_and_text(void **state)
{
    (void)state;
    expect("{{.Name}}", "web\ntab?here?\n");
    expect("{{ .Name }}-{{.Size}}", "web-7\ntab?here?-\n");
    expect("{{.Name}}{{.Names}}", "webweb!!\ntab?here?tab?here?!!\n");
    expect("a\\tb\\nc\\x }} {{.Size}}", "a\tb\nc\\x }} 7\na\tb\nc\\x }} \n");
    expect("{{.At}}", "2026-01-02 03:04:05 +0000 UTC\n\n");
    expect("{{.Labels}}|{{.Label \"a b\"}}|{{.Label \"\"}}", "a b=1,c=x,y|1|\n||\n");
    expect("{{json .Name}} {{json .Size}}", "\"web\" \"7\"\n\"tab\\there\\u001B\" \"\"\n");
    expect("{{json .}}", "{\"name\":\"web\",\"size\":7,\"at\":\"2026-01-02T03:04:05.000000006Z\",\"labels\":"
                         "{\"a b\":\"1\",\"c\":\"x,y\"}}\n"
                         "{\"name\":\"tab\\there\\u001B\",\"size\":null,\"at\":\"x\"}\n");
}

static void tables(void **state)
{
    (void)state;
    expect("table {{.Name}}\\t{{.Size}}", "NAME        SIZE\nweb         7\ntab?here?   \n");
    expect("table {{.Label \"c\"}}: {{.Name}}", "c: NAME\nx,y: web\n: tab?here?\n");
    expect("table {{.Size}}\t{{json .Size}}", "SIZE   SIZE\n7      \"7\"\n       \"\"\n");
}

static void paths_of_members(void **state)
{
    (void)state;
    known = NULL;
    expect("{{.name}}: {{ .size }}", "web: 7\ntab?here?: <no value>\n");
    expect("{{.labels.c}} {{.nope.nope}}", "x,y <no value>\n<no value> <no value>\n");
    expect("{{index .labels \"a b\"}}{{index . \"name\"}}", "1web\ntab?here?\n");
    expect("{{.labels}}", "{\"a b\":\"1\",\"c\":\"x,y\"}\n<no value>\n");
    expect("{{json .labels}} {{json .size}} {{json .nope}}",
           "{\"a b\":\"1\",\"c\":\"x,y\"} 7 null\nnull null null\n");
    expect("{{json .}}", "{\"name\":\"web\",\"size\":7,\"at\":\"2026-01-02T03:04:05.000000006Z\",\"labels\":"
                         "{\"a b\":\"1\",\"c\":\"x,y\"}}\n"
                         "{\"name\":\"tab\\there\\u001B\",\"size\":null,\"at\":\"x\"}\n");
    expect("table {{.name}}\\t{{.labels.c}}", "name        c\nweb         x,y\ntab?here?   <no value>\n");
    refuse("{{json index .labels \"c\"}}", "is not understood");
    refuse("{{.}}", "is not understood");
    refuse("{{.labels.}}", "is not understood");
    refuse("{{..name}}", "is not understood");
    refuse("{{.name x}}", "is not understood");
    refuse("{{index .labels}}", "{{index .MEMBER \"KEY\"}}");
    refuse("{{index .labels \"a}}", "is not understood");
    refuse("{{range .labels}}", "is not understood");
    refuse("{{.name", "has no '}}'");
    known = fields;
}

static void what_is_not_understood(void **state)
{
    (void)state;
    refuse("{{.Nope}}",
           "'.Nope' is no field of this listing: give .Name, .Names, .Size, .Labels, .Label or .At");
    refuse("{{.name}}", "'.name' is no field");
    refuse("{{.Name", "'{{.Name' has no '}}' that closes it");
    refuse("{{Name}}", "'{{Name}}' is not understood: give {{.FIELD}}");
    refuse("{{}}", "is not understood");
    refuse("{{.}}", "is not understood");
    refuse("{{json}}", "is not understood");
    refuse("{{json Name}}", "is not understood");
    refuse("{{range .Name}}", "is not understood");
    refuse("{{.Name .Size}}", "is not understood");
    refuse("{{.Name | upper}}", "is not understood");
    refuse("{{.Name.Size}}", "is not understood");
    refuse("{{.Name \"x\"}}", "is not understood");
    refuse("{{.Label}}", "'.Label' takes a key in quotes: {{.Label \"KEY\"}}");
    refuse("{{.Label \"x}}", "takes a key in quotes");
    refuse("{{.Label x}}", "takes a key in quotes");
    refuse("{{json . .}}", "is not understood");
    assert_true(template_is("x {{.Name}}"));
    assert_false(template_is("json"));
    assert_false(template_is(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_text),
        cmocka_unit_test(tables),
        cmocka_unit_test(paths_of_members),
        cmocka_unit_test(what_is_not_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
