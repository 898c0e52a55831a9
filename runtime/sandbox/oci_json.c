/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct scan {
    const char *at, *end;
    const char *name; /* the text that was read last */
    size_t name_size;
    const char *copied; /* what `out` has is up to here */
    struct buf out;
};

static void read_text(struct scan *scan)
{
    const char *at = scan->at + 1;
    scan->name = at;
    while (at < scan->end && *at != '"')
        at += *at == '\\' && at + 1 < scan->end ? 2 : 1;
    scan->name_size = (size_t)(at - scan->name);
    scan->at = at < scan->end ? at + 1 : at;
}

static bool is_unsigned_member(const struct scan *scan)
{
    static const char *const MEMBERS[] = {"soft", "hard", "value", "valueTwo"};
    for (size_t i = 0; i < sizeof(MEMBERS) / sizeof(MEMBERS[0]); i++) {
        if (scan->name_size == strlen(MEMBERS[i]) && memcmp(scan->name, MEMBERS[i], scan->name_size) == 0)
            return true;
    }
    return false;
}

/* A number as a whole, so that what has a sign, a fraction or an exponent is not taken for such an integer.
 */
static void read_number(struct scan *scan)
{
    const char *from = scan->at;
    char digits[24], *end;
    while (scan->at < scan->end && *scan->at != '\0' && strchr("+-.0123456789eE", *scan->at) != NULL)
        scan->at++;
    size_t size = (size_t)(scan->at - from);
    if (size > 20 || !is_unsigned_member(scan) || *from == '-')
        return;
    memcpy(digits, from, size);
    digits[size] = '\0';
    errno = 0;
    unsigned long long number = strtoull(digits, &end, 10);
    if (*end != '\0' || errno != 0 || number <= INT64_MAX)
        return;
    buf_add(&scan->out, scan->copied, (size_t)(from - scan->copied));
    buf_printf(&scan->out, "%lld", (long long)number);
    scan->copied = scan->at;
}

json_t *oci_json_parse(const char *text, size_t size, json_error_t *ret_error)
{
    struct scan scan = {.at = text, .end = text + size, .copied = text, .out = BUF_INIT};
    while (scan.at < scan.end) {
        if (*scan.at == '"')
            read_text(&scan);
        else if (*scan.at == '-' || (*scan.at >= '0' && *scan.at <= '9'))
            read_number(&scan);
        else
            scan.at++;
    }
    if (scan.copied == text)
        return json_loadb(text, size, JSON_REJECT_DUPLICATES, ret_error);
    buf_add(&scan.out, scan.copied, (size_t)(scan.end - scan.copied));
    json_t *document = NULL;
    if (scan.out.failed)
        *ret_error = (json_error_t){.text = "out of memory"};
    else
        document = json_loadb(scan.out.data, scan.out.size, JSON_REJECT_DUPLICATES, ret_error);
    buf_release(&scan.out);
    return document;
}
