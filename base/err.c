/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

static void append(struct err *err, const char *text)
{
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof(err->message) - used, "%s", text);
}

void err_fill(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    err->code = code;
    err->sys_errno = 0;
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
}

void err_fill_sys(struct err *err, int sys_errno, const char *fmt, ...)
{
    if (err == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    err->code = ERR_SYSTEM;
    err->sys_errno = sys_errno;
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    char text[128];
    append(err, ": ");
    append(err, strerror_r(sys_errno, text, sizeof(text)));
}

void err_prefix(struct err *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    char inner[ERR_MESSAGE_SIZE];
    memcpy(inner, err->message, sizeof(inner));
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    append(err, ": ");
    append(err, inner);
}

void err_clear(struct err *err)
{
    if (err != NULL)
        *err = (struct err)ERR_INIT;
}

const char *err_code_name(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_SYSTEM:
        return "system";
    case ERR_NOMEM:
        return "out-of-memory";
    case ERR_INVALID:
        return "invalid";
    case ERR_NOT_FOUND:
        return "not-found";
    case ERR_EXISTS:
        return "exists";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_PROTOCOL:
        return "protocol";
    case ERR_TOO_LARGE:
        return "too-large";
    case ERR_FENCED:
        return "fenced";
    case ERR_INTERNAL:
        return "internal";
    }
    return "internal";
}
