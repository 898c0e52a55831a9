/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/spec_values.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/capability.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "events/message.h"

static int take(json_t *value, json_t **ret, const char *text, struct err *err)
{
    if (value == NULL)
        return err_set(err, ERR_INVALID, "'%s' is not UTF-8", text);
    *ret = value;
    return 0;
}

int spec_text(const char *text, json_t **ret, struct err *err)
{
    return take(json_string(text), ret, text, err);
}

int spec_add_host(const char *text, json_t **ret, struct err *err)
{
    struct in6_addr address;
    auto_free char *pair = strdup(text);
    if (pair == NULL)
        return err_nomem(err, "reading a host to add");
    char *divider = strpbrk(pair, ":="); /* docker's newer form is NAME=ADDRESS */
    if (divider == NULL || divider == pair ||
        (inet_pton(AF_INET, divider + 1, &address) != 1 && inet_pton(AF_INET6, divider + 1, &address) != 1))
        return err_set(err, ERR_INVALID, "'%s' is no host to add: give NAME:ADDRESS with an IP address",
                       text);
    *divider = ':';
    return spec_text(pair, ret, err);
}

int spec_capability(const char *text, json_t **ret, struct err *err)
{
    int number = capability_by_word(text);
    if (strcasecmp(text, "all") == 0)
        return take(json_string("ALL"), ret, text, err);
    if (number < 0)
        return err_set(err, ERR_INVALID,
                       "'%s' is no capability: give one of capabilities(7), such as NET_ADMIN, or ALL", text);
    return take(json_string(capability_name(number)), ret, text, err);
}

int spec_ulimit(const char *text, json_t **ret, struct err *err)
{
    const char *equals = strchr(text, '=');
    auto_free char *whole = NULL;
    if (equals != NULL && asprintf(&whole, "%s%s%s", text, strchr(equals, ':') == NULL ? ":" : "",
                                   strchr(equals, ':') == NULL ? equals + 1 : "") < 0)
        return err_nomem(err, "reading the options");
    const char *why_not = whole == NULL ? "must be NAME=SOFT[:HARD]" : check_ulimit(whole);
    if (why_not != NULL)
        return err_set(err, ERR_INVALID, "resource limit '%s' %s", text, why_not);
    return take(json_string(whole), ret, text, err);
}

static bool is_access(const char *text, size_t size)
{
    return size > 0 && size <= 3 && strspn(text, "rwm") >= size;
}

int spec_device(const char *text, json_t **ret, struct err *err)
{
    size_t host = strcspn(text, ":");
    const char *second = text[host] == ':' ? text + host + 1 : NULL;
    size_t size = second != NULL ? strcspn(second, ":") : 0;
    const char *third = second != NULL && second[size] == ':' ? second + size + 1 : NULL;
    bool only_access = second != NULL && third == NULL && is_access(second, strlen(second));
    const char *inside = second == NULL || only_access ? text : second;
    int inside_size = (int)(second == NULL || only_access ? host : size);
    const char *access = third != NULL ? third : only_access ? second : "rwm";
    auto_free char *whole = NULL;
    if (asprintf(&whole, "%.*s:%.*s:%s", (int)host, text, inside_size, inside, access) < 0)
        return err_nomem(err, "reading the options");
    if (check_device(whole) != NULL)
        return err_set(err, ERR_INVALID,
                       "device '%s' must be PATH[:PATH_IN_CONTAINER[:ACCESS]] with absolute paths and access "
                       "of r, w and m",
                       text);
    return take(json_string(whole), ret, text, err);
}

int spec_set_list(json_t *spec, const char *member, const struct option_list *list, spec_convert convert,
                  struct err *err)
{
    if (list->n == 0)
        return 0;
    json_auto_t *array = json_array();
    for (size_t i = 0; i < list->n; i++) {
        json_t *value = NULL;
        if (convert(list->items[i], &value, err) < 0)
            return -1;
        if (json_array_append_new(array, value) < 0)
            return err_nomem(err, "making a container spec");
    }
    return json_object_set(spec, member, array) < 0 ? err_nomem(err, "making a container spec") : 0;
}

int spec_set_sysctls(json_t *spec, const struct option_list *list, struct err *err)
{
    if (list->n == 0)
        return 0;
    json_auto_t *sysctls = json_object();
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->items[i], *equals = strchr(text, '=');
        auto_free char *key = strndup(text, equals != NULL ? (size_t)(equals - text) : 0);
        if (key == NULL)
            return err_nomem(err, "making a container spec");
        if (equals == NULL || check_sysctl(key) != NULL)
            return err_set(err, ERR_INVALID, "kernel parameter '%s' %s", text,
                           equals == NULL ? "must be NAME=VALUE" : check_sysctl(key));
        json_t *value = json_string(equals + 1);
        if (value == NULL || json_object_set_new(sysctls, key, value) < 0)
            return err_set(err, ERR_INVALID, "kernel parameter '%s' is not UTF-8", text);
    }
    return json_object_set(spec, "sysctls", sysctls) < 0 ? err_nomem(err, "making a container spec") : 0;
}

/* The file as one line, so that it takes no more of the log than it has to. */
static int read_profile(const char *path, json_t **ret, struct err *err)
{
    auto_free char *text = NULL;
    json_error_t why;
    if (fs_read_file(AT_FDCWD, path, 4 * SECCOMP_PROFILE_MAX, &text, NULL, err) < 0)
        return err_wrap(err, "cannot read the system call filter '%s'", path);
    json_auto_t *profile = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (profile == NULL)
        return err_set(err, ERR_INVALID, "the system call filter '%s' is no JSON: %s in line %d", path,
                       why.text, why.line);
    auto_free char *compact = json_dumps(profile, JSON_COMPACT);
    if (compact == NULL)
        return err_nomem(err, "reading a system call filter");
    if (check_seccomp(compact) != NULL)
        return err_set(err, ERR_INVALID, "the system call filter '%s' %s", path, check_seccomp(compact));
    return take(json_string(compact), ret, path, err);
}

static int set_one(json_t *spec, const char *member, json_t *value, struct err *err)
{
    return json_object_set_new(spec, member, value) < 0 ? err_nomem(err, "making a container spec") : 0;
}

static int set_new_privileges(json_t *spec, const char *text, const char *value, struct err *err)
{
    bool off = strcmp(value, "false") == 0;
    if (!off && value[0] != '\0' && strcmp(value, "true") != 0)
        return err_set(err, ERR_INVALID, "security option '%s' must be true or false", text);
    return set_one(spec, "new_privileges", json_boolean(off), err);
}

int spec_set_security(json_t *spec, const struct option_list *list, struct err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->items[i];
        size_t size = strcspn(text, "=:");
        const char *value = text[size] == '\0' ? "" : text + size + 1;
        json_t *filter = NULL;
        if (strncmp(text, "no-new-privileges", size) == 0 && size == strlen("no-new-privileges")) {
            if (set_new_privileges(spec, text, value, err) < 0)
                return -1;
        } else if (strncmp(text, "seccomp", size) == 0 && size == strlen("seccomp") && value[0] != '\0') {
            int rc = strcmp(value, "unconfined") == 0 ? spec_text(value, &filter, err)
                                                      : read_profile(value, &filter, err);
            if (rc < 0 || set_one(spec, "seccomp", filter, err) < 0)
                return -1;
        } else {
            return err_set(err, ERR_INVALID,
                           "security option '%s' is not supported: give seccomp=FILE, seccomp=unconfined or "
                           "no-new-privileges[=false]",
                           text);
        }
    }
    return 0;
}
