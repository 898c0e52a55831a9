/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of `--format`, and a row by each. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/client/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_labels(struct buf *ret, const json_t *row, const char *argument,
                       const struct template_look *look)
{
    (void)look;
    template_add_labels(ret, json_object_get(row, "labels"), argument);
}

static const struct template_field fields[] = {
    {.name = "Name", .title = "NAME", .member = "name"},
    {.name = "Size", .title = "SIZE", .member = "size"},
    {.name = "Label", .title = "LABEL", .value = add_labels, .takes_argument = true},
    {.name = NULL},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct template_look look = {.now_ns = 0};
    struct err err = ERR_INIT;
    struct template template;
    auto_free char *text = calloc(1, size + 1);
    if (text == NULL)
        abort();
    memcpy(text, data, size);
    bool of_members = size % 2 == 0;
    if (template_parse(&template, text, of_members ? NULL : fields, &err) < 0) {
        if (err.code != ERR_INVALID || err.message[0] == '\0')
            abort();
        return 0;
    }
    json_auto_t *rows = json_pack("[{s:s, s:i, s:{s:s}}]", "name", "a\tb", "size", 3, "labels", "a", "1");
    FILE *out = fopen("/dev/null", "w");
    if (rows == NULL || out == NULL || template_print(&template, rows, &look, out, &err) < 0)
        abort();
    fclose(out);
    template_release(&template);
    return 0;
}
