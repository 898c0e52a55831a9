/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/proc_text.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Fields by their numbers in proc(5). */
enum {
    FIELD_STATE = 3,
    FIELD_PARENT = 4,
    FIELD_UTIME = 14,
    FIELD_CSTIME = 17,
    FIELD_START = 22,
    FIELD_RESIDENT = 24,
};

bool proc_stat_parse(const char *text, struct proc_stat *ret)
{
    int64_t fields[FIELD_RESIDENT + 1] = {0};
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0')
        return false;
    ret->state = at[2];
    at += 3;
    for (int field = FIELD_STATE + 1; field <= FIELD_RESIDENT; field++) {
        char *end;
        fields[field] = strtoll(at, &end, 10);
        if (end == at)
            return false;
        at = end;
    }
    ret->parent_pid = fields[FIELD_PARENT];
    ret->cpu_ticks = 0;
    for (int field = FIELD_UTIME; field <= FIELD_CSTIME; field++)
        ret->cpu_ticks += fields[field];
    ret->started_ticks = fields[FIELD_START];
    ret->resident_pages = fields[FIELD_RESIDENT];
    return true;
}

/* Behind the colon: received bytes, packets, errs, drop, fifo, frame, compressed, multicast, sent bytes. */
static void add_interface(const char *numbers, int64_t *received, int64_t *sent)
{
    char *end = (char *)(uintptr_t)numbers;
    for (int column = 0; column <= 8; column++) {
        const char *at = end;
        int64_t number = strtoll(at, &end, 10);
        if (end == at)
            return;
        if (column == 0)
            *received += number;
        else if (column == 8)
            *sent += number;
    }
}

void proc_net_dev_sum(const char *text, int64_t *ret_received, int64_t *ret_sent)
{
    *ret_received = 0;
    *ret_sent = 0;
    for (const char *line = text; *line != '\0'; line += *line == '\n') {
        size_t size = strcspn(line, "\n");
        const char *name = line + strspn(line, " ");
        const char *colon = memchr(line, ':', size);
        bool loopback = colon != NULL && colon - name == 2 && memcmp(name, "lo", 2) == 0;
        if (colon != NULL && !loopback)
            add_interface(colon + 1, ret_received, ret_sent);
        line += size;
    }
}

int64_t proc_keyed_number(const char *text, const char *key, char separator)
{
    size_t size = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, size) == 0 && line[size] == separator)
            return strtoll(line + size + 1, NULL, 10);
    }
    return -1;
}
