/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The placement's file, read at start in place of most events and written again after every so many, and at
 * the end. It is a cache that nobody misses: whatever is wrong with it is said once, and the events are read.
 *
 * It fits the log if the record before a partition's mark is the one whose digest the mark has. What is
 * before the mark is in the placement already; it is read only from the oldest outcome that was of interest,
 * for the outcomes.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/say.h"
#include "writer/writer_internal.h"

#define NAME "placement"
#define SIZE_LIMIT_BYTES (1024UL * 1024 * 1024)

static bool file_path(const struct writer *writer, char ret[PATH_MAX])
{
    return writer->options.state_dir != NULL &&
           snprintf(ret, PATH_MAX, "%s/" NAME, writer->options.state_dir) < PATH_MAX;
}

void follow_file_load(struct writer *writer)
{
    char path[PATH_MAX];
    auto_free char *text = NULL;
    auto_free struct placement_mark *marks = NULL;
    struct err err = ERR_INIT;
    size_t size = 0, n = 0;
    if (!file_path(writer, path))
        return;
    if (fs_read_file(AT_FDCWD, path, SIZE_LIMIT_BYTES, &text, &size, &err) < 0) {
        if (err.code != ERR_NOT_FOUND)
            say_warning("%s; all events are read instead", err.message);
        return;
    }
    if (placement_decode(&writer->placement, &marks, &n, text, size, &err) < 0) {
        say_warning("'%s' %s; all events are read instead", path, err.message);
        return;
    }
    if (n > writer->events.n) {
        placement_release(&writer->placement);
        say_warning("'%s' has more partitions than the log; all events are read instead", path);
        return;
    }
    for (size_t i = 0; i < n; i++)
        writer->events.partitions[i].mark = marks[i];
}

int64_t follow_file_from(const struct follow_partition *partition)
{
    const struct placement_mark *mark = &partition->mark;
    if (mark->next_offset == 0)
        return 0;
    return mark->outcomes_from < mark->next_offset ? mark->outcomes_from : mark->next_offset - 1;
}

bool follow_file_is_unchecked(const struct follow_partition *partition)
{
    return partition->mark.next_offset > 0 && !partition->checked;
}

bool follow_file_fits(struct follow_partition *partition, const struct log_record *record)
{
    char digest[SHA256_HEX_SIZE];
    if (!follow_file_is_unchecked(partition) || record->offset < partition->mark.next_offset - 1)
        return true;
    sha256_hex(digest, record->value, record->value_size);
    partition->checked =
        record->offset == partition->mark.next_offset - 1 && strcmp(digest, partition->mark.newest) == 0;
    return partition->checked;
}

void follow_file_forget(struct writer *writer)
{
    char path[PATH_MAX];
    if (file_path(writer, path))
        say_warning("'%s' does not fit the log; all events are read instead", path);
    placement_release(&writer->placement);
    for (size_t i = 0; i < writer->events.n; i++)
        writer->events.partitions[i].mark = (struct placement_mark){0};
}

void follow_file_note(struct follow_partition *partition, const struct log_record *records, size_t n)
{
    const struct log_record *newest = &records[n - 1];
    partition->next_offset = newest->offset + 1;
    buf_reset(&partition->newest);
    buf_add(&partition->newest, newest->value, newest->value_size);
    if (newest->offset >= partition->mark.next_offset)
        partition->writer->events_since_file += (int64_t)n;
}

static int write_file(struct writer *writer, const char *path, struct err *err)
{
    size_t n = writer->events.n;
    auto_free struct placement_mark *marks = calloc(n, sizeof(*marks));
    auto_buf struct buf text = BUF_INIT;
    if (marks == NULL)
        return err_nomem(err, "writing the placement");
    for (size_t i = 0; i < n; i++) {
        const struct follow_partition *partition = &writer->events.partitions[i];
        if (partition->next_offset == 0)
            continue;
        if (partition->newest.failed)
            return err_nomem(err, "writing the placement");
        marks[i].next_offset = partition->next_offset;
        marks[i].outcomes_from =
            pending_oldest_outcome(&writer->pending, partition->partition, partition->next_offset);
        sha256_hex(marks[i].newest, partition->newest.data, partition->newest.size);
    }
    if (placement_encode(&writer->placement, marks, n, &text, err) < 0)
        return -1;
    /* not synced: a file that a power cut leaves torn is noticed by its seal */
    return fs_write_file(AT_FDCWD, path, 0600, text.data, text.size, false, err);
}

void follow_file_write(struct writer *writer, int64_t at_least)
{
    char path[PATH_MAX];
    struct err err = ERR_INIT;
    if (!writer->events.caught_up || writer->options.snapshot_every == 0 ||
        writer->events_since_file < at_least || !file_path(writer, path))
        return;
    writer->events_since_file = 0;
    if (write_file(writer, path, &err) == 0)
        writer->told_file = false;
    else if (!writer->told_file) {
        writer->told_file = true;
        say_warning("%s; the next start reads all events", err.message);
    }
}
