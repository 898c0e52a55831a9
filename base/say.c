/* SPDX-License-Identifier: Apache-2.0 */
#include "base/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static const char *program_name = "wharf";

void say_init(const char *program)
{
    program_name = program;
}

/* One write(2) a line, so that lines of several processes on one stderr do not mix. */
static void say(const char *label, const char *fmt, va_list args)
{
    char line[ERR_MESSAGE_SIZE + 256];
    int used = snprintf(line, sizeof(line), "%s: %s", program_name, label);
    if (used < 0)
        return;
    int more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, fmt, args);
    if (more < 0)
        return;
    size_t size = strlen(line);
    line[size++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, size);
    (void)ignored; /* stderr is gone: there is nobody left to tell */
}

void say_info(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("", fmt, args);
    va_end(args);
}

void say_warning(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("warning: ", fmt, args);
    va_end(args);
}

void say_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("error: ", fmt, args);
    va_end(args);
}
