/* SPDX-License-Identifier: Apache-2.0 */
/*
 * say.h - what a process tells its operator on stderr, one line a message: "wharf-runtime: log 'x' is away:
 * ...". Only mains and the shells right under them use it; libraries return errors. No allocation; any
 * thread.
 */
#ifndef WHARF_BASE_SAY_H
#define WHARF_BASE_SAY_H

/* Sets the name that every message starts with; borrowed for the process's life. */
void say_init(const char *program);

/* Something the operator should know. */
void say_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Something that needs attention but does not stop the process ("warning: ..."). */
void say_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Why the process gives up or an operation failed. */
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
