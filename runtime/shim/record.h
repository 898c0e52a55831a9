/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - the two files by which a shim is known when nobody remembers it: `shim`, written before the
 * command is executed, and `exit`, written when it has ended.
 *
 * Each is one line of words and key=value pairs that ends with a checksum of what precedes it, so that a torn
 * or empty file is recognised. The shim formats, the runtime parses.
 *
 * A shim lives as long as its container, so a runtime reads the records of shims of any build before it: they
 * are the whole protocol between the two once the container runs (with the shim's pidfd, whose end tells of
 * the exit). Pairs may be added behind those there are without a new version; a change of what is there takes
 * one, and the old one stays readable. A runtime that finds a newer version than its own does not start:
 * guessing could mean ending what runs.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SHIM_RECORD_H
#define WHARF_RUNTIME_SHIM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_VERSION 1
#define RECORD_BYTES 512 /* both files are padded with zeros to this size */
#define RECORD_BOOT_ID_SIZE 40

struct shim_record {
    int64_t incarnation;
    int64_t shim_pid;
    uint64_t shim_start; /* clock ticks since boot (proc(5), field 22 of stat) */
    int64_t pid;
    uint64_t pid_start;
    int64_t started_at_ns;             /* realtime, when the command was let go */
    char boot_id[RECORD_BOOT_ID_SIZE]; /* /proc/sys/kernel/random/boot_id */
};

struct exit_record {
    int64_t incarnation;
    int exit_code; /* 128 + signal when a signal ended it */
    int signal;
    bool oom_killed;
    int64_t finished_at_ns;
    uint64_t log_lost_bytes; /* output that could not be written to the log */
    /* As in the shim's record, which a power cut may take while this one was synced; 0 in those of shims that
     * did not write them. */
    int64_t shim_pid;
    int64_t pid;
    int64_t started_at_ns;
};

/* Fill all RECORD_BYTES. */
void shim_record_format(char ret[RECORD_BYTES], const struct shim_record *record);
void exit_record_format(char ret[RECORD_BYTES], const struct exit_record *record);

/* The version of a whole record of either kind, of any build; 0 if the bytes are none. */
int record_version(const char *bytes, size_t size);

/* False if the bytes are not a whole record. */
bool shim_record_parse(struct shim_record *ret, const char *bytes, size_t size);
bool exit_record_parse(struct exit_record *ret, const char *bytes, size_t size);

/* Field 22 (start time) of the text of /proc/PID/stat; false if it is not such a text. The command's name in
 * field 2 may contain anything, so the search starts behind its last parenthesis. */
bool proc_stat_start(const char *text, uint64_t *ret_ticks);

#endif
