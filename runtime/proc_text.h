/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc_text.h - reads the texts of /proc that usage is made from (proc(5)).
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_PROC_TEXT_H
#define WHARF_RUNTIME_PROC_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* Of /proc/PID/stat; times in clock ticks. */
struct proc_stat {
    char state;
    int64_t parent_pid;
    int64_t cpu_ticks;     /* user and system, of it and of the children it has waited for */
    int64_t started_ticks; /* since boot */
    int64_t resident_pages;
};

/* The command's name may contain anything, so what counts follows its last parenthesis. */
bool proc_stat_parse(const char *text, struct proc_stat *ret);

/* Bytes of all interfaces but loopback in the text of /proc/PID/net/dev. */
void proc_net_dev_sum(const char *text, int64_t *ret_received, int64_t *ret_sent);

/* The number behind the key and `separator` at the beginning of a line, or -1: ':' in /proc/PID/status and
 * /proc/PID/io, ' ' in a cgroup's memory.stat and cpu.stat. */
int64_t proc_keyed_number(const char *text, const char *key, char separator);

#endif
