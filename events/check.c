/* SPDX-License-Identifier: Apache-2.0 */
/* The member checks that the .def rows name: each returns NULL, or what the text would have to be. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "events/container_state.h"
#include "events/message.h"

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool only(const char *text, const char *others)
{
    for (; *text != '\0'; text++)
        if (!is_alnum(*text) && strchr(others, *text) == NULL)
            return false;
    return true;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

const char *check_container_name(const char *text)
{
    if (!is_alnum(text[0]) || strlen(text) > 128 || !only(text, "_.-"))
        return "must be 1 to 128 letters, digits, '_', '.' or '-', starting with a letter or digit";
    return NULL;
}

const char *check_container_ref(const char *text)
{
    return check_container_name(text) == NULL ? NULL
                                              : "must be a container's id, a prefix of it, or its name";
}

const char *check_image_reference(const char *text)
{
    if (!is_alnum(text[0]) || strlen(text) > 255 || !only(text, "_.-/:@") || strstr(text, "//") != NULL ||
        strstr(text, "..") != NULL)
        return "must be an image reference such as busybox or registry/name:tag";
    return NULL;
}

int image_reference_normalize(const char *reference, char *ret, size_t size)
{
    const char *slash = strrchr(reference, '/');
    const char *last = slash != NULL ? slash + 1 : reference;
    bool tagged = strpbrk(last, ":@") != NULL;
    int needed = snprintf(ret, size, "%s%s", reference, tagged ? "" : ":latest");
    return needed >= 0 && (size_t)needed < size ? 0 : -1;
}

const char *check_uuid(const char *text)
{
    return uuid_is_valid(text) ? NULL : "must be a UUID in lower case";
}

const char *check_sha256(const char *text)
{
    return container_id_is_valid(text) ? NULL : "must be 64 hex digits in lower case";
}

const char *check_digest(const char *text)
{
    if (strncmp(text, "sha256:", 7) == 0 && container_id_is_valid(text + 7))
        return NULL;
    return "must be sha256: and 64 hex digits";
}

const char *check_env(const char *text)
{
    const char *equals = strchr(text, '=');
    return equals != NULL && equals != text ? NULL : "must be KEY=VALUE";
}

const char *check_label_key(const char *text)
{
    size_t size = strlen(text);
    if (size == 0 || size > 128 || strchr(text, '=') != NULL)
        return "a label's key must be 1 to 128 characters without '='";
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text) || *text == ' ')
            return "a label's key must have no spaces or control characters";
    return NULL;
}

const char *check_user(const char *text)
{
    const char *why_not = "must be user[:group], each a name or a number";
    const char *colon = strchr(text, ':');
    if (text[0] == '\0' || strlen(text) > 128 || !only(text, "_.-:") || text[0] == '-')
        return why_not;
    if (colon != NULL && (colon == text || colon[1] == '\0' || strchr(colon + 1, ':') != NULL))
        return why_not;
    return NULL;
}

const char *check_absolute_path(const char *text)
{
    return text[0] == '/' && strlen(text) < 4096 ? NULL : "must be an absolute path";
}

const char *check_hostname(const char *text)
{
    size_t size = strlen(text);
    /* 64 is what sethostname(2) takes; the characters are RFC 1123's, and '_', which many names have */
    if (size == 0 || size > 63 || !only(text, "._-") || !is_alnum(text[0]) || !is_alnum(text[size - 1]))
        return "must be a host name of 1 to 63 letters, digits, '.', '_' and '-'";
    return NULL;
}

const char *check_restart_policy(const char *text)
{
    static const char *const words[] = {"no", "on-failure", "always", "unless-stopped", NULL};
    return is_one_of(text, words) ? NULL : "must be no, on-failure, always or unless-stopped";
}

const char *shared_container(const char *sharing)
{
    static const char prefix[] = "container:";
    return sharing != NULL && strncmp(sharing, prefix, strlen(prefix)) == 0 ? sharing + strlen(prefix) : NULL;
}

static bool is_sharing(const char *text)
{
    const char *container = shared_container(text);
    return strcmp(text, "host") == 0 || (container != NULL && check_container_ref(container) == NULL);
}

const char *check_network(const char *text)
{
    return strcmp(text, "none") == 0 || is_sharing(text) ? NULL
                                                         : "must be none, host or container: and a container";
}

const char *check_sharing(const char *text)
{
    return is_sharing(text) ? NULL : "must be host or container: and a container";
}

const char *check_signal(const char *text)
{
    return signal_by_name(text) > 0 ? NULL : "must be a signal's name or number, such as SIGTERM or 15";
}

const char *check_health(const char *text)
{
    return container_health_by_name(text) > HEALTH_STARTING ? NULL : "must be healthy or unhealthy";
}

const char *check_exit_reason(const char *text)
{
    static const char *const words[] = {"exited",       "signaled",   "oom-killed", "shim-lost",
                                        "host-restart", "state-lost", "unknown",    NULL};
    return is_one_of(text, words)
               ? NULL
               : "must be exited, signaled, oom-killed, shim-lost, host-restart, state-lost or unknown";
}

const char *check_copy_direction(const char *text)
{
    static const char *const words[] = {"in", "out", NULL};
    return is_one_of(text, words) ? NULL : "must be in or out";
}

const char *check_oci_id(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");
    return size > 0 && size <= 255 && text[size] == '\0'
               ? NULL
               : "must be 1 to 255 letters, digits and '_', '+', '-', '.'";
}

const char *check_oci_action(const char *text)
{
    static const char *const words[] = {"created", "started", "killed",  "paused", "resumed", "updated",
                                        "exec",    "exited",  "deleted", "failed", NULL};
    return is_one_of(text, words)
               ? NULL
               : "must be created, started, killed, paused, resumed, updated, exec, exited, "
                 "deleted or failed";
}

const char *check_time(const char *text)
{
    int64_t ignored;
    return timestamp_parse(text, &ignored, NULL) == 0 ? NULL : "must be an RFC 3339 time";
}

/* Our own table rather than sigabbrev_np(3), which musl does not have. */
static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT}, {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU}, {"URG", SIGURG},       {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF}, {"WINCH", SIGWINCH},   {"IO", SIGIO},     {"PWR", SIGPWR},   {"SYS", SIGSYS},
    {"IOT", SIGABRT},  {"STKFLT", SIGSTKFLT}, {"POLL", SIGIO},
};

/* The first real-time signal that programs can use: glibc and musl keep 32 to 33 or 34 (signal(7)). */
#define RTMIN_NUMBER 34
#define SIGNAL_MAX 64

int signal_by_name(const char *text)
{
    if (isdigit((unsigned char)text[0])) {
        char *end;
        long number = strtol(text, &end, 10);
        return *end == '\0' && number >= 1 && number <= SIGNAL_MAX ? (int)number : -1;
    }
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (strcasecmp(text, signals[i].name) == 0)
            return signals[i].number;
    if (strncasecmp(text, "RTMIN", 5) == 0 && (text[5] == '\0' || text[5] == '+')) {
        char *end = NULL;
        long more = text[5] == '+' && isdigit((unsigned char)text[6]) ? strtol(text + 6, &end, 10) : 0;
        bool complete = text[5] == '\0' || (end != NULL && *end == '\0');
        return complete && more <= SIGNAL_MAX - RTMIN_NUMBER ? (int)(RTMIN_NUMBER + more) : -1;
    }
    return -1;
}

void signal_format(char ret[16], int signal)
{
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        if (signals[i].number == signal) {
            snprintf(ret, 16, "SIG%s", signals[i].name);
            return;
        }
    }
    if (signal >= RTMIN_NUMBER && signal <= SIGNAL_MAX)
        snprintf(ret, 16, "SIGRTMIN+%d", signal - RTMIN_NUMBER);
    else
        snprintf(ret, 16, "%d", signal);
}
