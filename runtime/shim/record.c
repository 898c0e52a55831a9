/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/shim/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, 32 bits: enough to recognise a torn write. */
static uint32_t checksum(const char *bytes, size_t size)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)bytes[i]) * 16777619u;
    return sum;
}

static void finish(char ret[RECORD_BYTES], int length)
{
    snprintf(ret + length, RECORD_BYTES - (size_t)length, " sum=%08" PRIx32 "\n",
             checksum(ret, (size_t)length));
}

/* The length of the text before " sum=", or 0 if the checksum is missing or wrong. */
static size_t checked_length(const char *text)
{
    const char *sum = strstr(text, " sum=");
    if (sum == NULL || strlen(sum) != strlen(" sum=00000000\n"))
        return 0;
    char expected[16];
    snprintf(expected, sizeof(expected), " sum=%08" PRIx32 "\n", checksum(text, (size_t)(sum - text)));
    return strcmp(sum, expected) == 0 ? (size_t)(sum - text) : 0;
}

void shim_record_format(char ret[RECORD_BYTES], const struct shim_record *record)
{
    memset(ret, 0, RECORD_BYTES);
    int length = snprintf(ret, RECORD_BYTES / 2,
                          "wharf-shim 1 incarnation=%" PRId64 " shim_pid=%" PRId64 " shim_start=%" PRIu64
                          " pid=%" PRId64 " pid_start=%" PRIu64 " started_at=%" PRId64 " boot_id=%.39s",
                          record->incarnation, record->shim_pid, record->shim_start, record->pid,
                          record->pid_start, record->started_at_ns, record->boot_id);
    finish(ret, length);
}

void exit_record_format(char ret[RECORD_BYTES], const struct exit_record *record)
{
    memset(ret, 0, RECORD_BYTES);
    int length = snprintf(
        ret, RECORD_BYTES / 2,
        "wharf-exit 1 incarnation=%" PRId64 " exit_code=%d signal=%d oom_killed=%d finished_at=%" PRId64
        " log_lost=%" PRIu64 " shim_pid=%" PRId64 " pid=%" PRId64 " started_at=%" PRId64,
        record->incarnation, record->exit_code, record->signal, record->oom_killed ? 1 : 0,
        record->finished_at_ns, record->log_lost_bytes, record->shim_pid, record->pid, record->started_at_ns);
    finish(ret, length);
}

static bool copy_text(char text[RECORD_BYTES + 1], const char *bytes, size_t size)
{
    if (size > RECORD_BYTES)
        return false;
    memcpy(text, bytes, size);
    text[size] = '\0';
    return checked_length(text) > 0;
}

int record_version(const char *bytes, size_t size)
{
    char text[RECORD_BYTES + 1];
    int version = 0;
    if (!copy_text(text, bytes, size) ||
        (sscanf(text, "wharf-shim %d ", &version) != 1 && sscanf(text, "wharf-exit %d ", &version) != 1))
        return 0;
    return version;
}

bool shim_record_parse(struct shim_record *ret, const char *bytes, size_t size)
{
    char text[RECORD_BYTES + 1];
    if (!copy_text(text, bytes, size))
        return false;
    struct shim_record r = {0};
    int n =
        sscanf(text,
               "wharf-shim 1 incarnation=%" SCNd64 " shim_pid=%" SCNd64 " shim_start=%" SCNu64 " pid=%" SCNd64
               " pid_start=%" SCNu64 " started_at=%" SCNd64 " boot_id=%39s",
               &r.incarnation, &r.shim_pid, &r.shim_start, &r.pid, &r.pid_start, &r.started_at_ns, r.boot_id);
    if (n != 7)
        return false;
    *ret = r;
    return true;
}

bool exit_record_parse(struct exit_record *ret, const char *bytes, size_t size)
{
    char text[RECORD_BYTES + 1];
    if (!copy_text(text, bytes, size))
        return false;
    struct exit_record r = {0};
    int oom_killed = 0;
    int n = sscanf(text,
                   "wharf-exit 1 incarnation=%" SCNd64
                   " exit_code=%d signal=%d oom_killed=%d finished_at=%" SCNd64 " log_lost=%" SCNu64
                   " shim_pid=%" SCNd64 " pid=%" SCNd64 " started_at=%" SCNd64,
                   &r.incarnation, &r.exit_code, &r.signal, &oom_killed, &r.finished_at_ns, &r.log_lost_bytes,
                   &r.shim_pid, &r.pid, &r.started_at_ns);
    if (n != 6 && n != 9)
        return false;
    r.oom_killed = oom_killed != 0;
    *ret = r;
    return true;
}

bool proc_stat_start(const char *text, uint64_t *ret_ticks)
{
    const char *at = strrchr(text, ')');
    if (at == NULL)
        return false;
    for (int spaces = 0; spaces < 20; spaces++) { /* field 3 starts after the first space */
        at = strchr(at, ' ');
        if (at == NULL)
            return false;
        at++;
    }
    char *end;
    unsigned long long ticks = strtoull(at, &end, 10);
    if (end == at)
        return false;
    *ret_ticks = ticks;
    return true;
}
