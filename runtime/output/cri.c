/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/output/cri.h"

#include <string.h>

#include "base/timestamp.h"

static bool parse_head(const char *line, size_t size, struct cri_record *ret)
{
    const char *space = memchr(line, ' ', size);
    if (space == NULL || space - line >= 64)
        return false;
    char time[64];
    memcpy(time, line, (size_t)(space - line));
    time[space - line] = '\0';
    const char *rest = space + 1;
    size_t left = size - (size_t)(rest - line);
    if (left < 9 || timestamp_parse(time, &ret->time_ns, NULL) < 0 || rest[6] != ' ' || rest[8] != ' ')
        return false;
    if (memcmp(rest, "stdout", 6) == 0)
        ret->stream = CRI_STDOUT;
    else if (memcmp(rest, "stderr", 6) == 0)
        ret->stream = CRI_STDERR;
    else
        return false;
    if (rest[7] != 'F' && rest[7] != 'P')
        return false;
    ret->complete = rest[7] == 'F';
    ret->text = rest + 9;
    ret->size = left - 9;
    return true;
}

size_t cri_parse(const char *data, size_t size, struct cri_record *ret)
{
    const char *end = memchr(data, '\n', size);
    if (end == NULL)
        return 0;
    size_t line_size = (size_t)(end - data);
    if (!parse_head(data, line_size, ret))
        *ret = (struct cri_record){.stream = CRI_STDOUT, .complete = true, .text = data, .size = line_size};
    return line_size + 1;
}
