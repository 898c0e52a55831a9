/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/mount_values.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/client/values.h"
#include "events/message.h"

static int set(json_t *mount, const char *member, json_t *value, struct err *err)
{
    if (value == NULL)
        return err_set(err, ERR_INVALID, "the %s of a mount is not UTF-8", member);
    return json_object_set_new(mount, member, value) < 0 ? err_nomem(err, "reading a mount") : 0;
}

/* "/data/" means "/data". */
static int set_path(json_t *mount, const char *member, const char *path, size_t size, struct err *err)
{
    while (size > 1 && path[size - 1] == '/')
        size--;
    return set(mount, member, json_stringn(path, size), err);
}

/* realpath(3), also of what is not there yet below a directory that is, and will be made. -1 with errno. */
static int whole_path(const char *path, char **ret)
{
    auto_free char *begin = strdup(path);
    for (size_t at = strlen(path); begin != NULL; at--) {
        if (at != strlen(path) && path[at] != '/')
            continue;
        begin[at] = '\0';
        auto_free char *known = realpath(at == 0 ? "." : begin, NULL);
        if (known != NULL && asprintf(ret, "%s%s", known, path + at) < 0)
            *ret = NULL;
        if (known != NULL)
            return *ret != NULL ? 0 : -1;
        if (errno != ENOENT || at == 0 || strstr(path + at, "..") != NULL)
            return -1;
    }
    return -1;
}

/* A path of the client's, as "./data", is made absolute; others stay as they are. */
static int set_source(json_t *mount, const char *text, size_t size, struct err *err)
{
    auto_free char *path = strndup(text, size);
    auto_free char *whole = NULL;
    if (path == NULL)
        return err_nomem(err, "reading a mount");
    bool relative = path[0] == '.' && (path[1] == '/' || path[1] == '\0' || strncmp(path, "../", 3) == 0 ||
                                       strcmp(path, "..") == 0);
    if (relative) {
        if (whole_path(path, &whole) < 0)
            return err_sys(err, errno, "cannot mount '%s'", path);
    }
    const char *source = whole != NULL ? whole : path;
    if (set_path(mount, "source", source, strlen(source), err) < 0)
        return -1;
    return set(mount, "type", json_string(source[0] == '/' ? "bind" : "volume"), err);
}

static int set_volume_option(json_t *mount, const char *option, const char *text, struct err *err)
{
    bool bind = strcmp(json_string_value(json_object_get(mount, "type")), "bind") == 0;
    if (strcmp(option, "ro") == 0 || strcmp(option, "readonly") == 0)
        return set(mount, "read_only", json_true(), err);
    if (strcmp(option, "rw") == 0)
        return 0;
    if (bind && check_propagation(option) == NULL)
        return set(mount, "propagation", json_string(option), err);
    if (!bind && strcmp(option, "nocopy") == 0)
        return set(mount, "no_copy", json_true(), err);
    return err_set(err, ERR_INVALID, "option '%s' of the volume '%s' is not supported: give %s", option, text,
                   bind ? "ro, rw, or a propagation such as rslave" : "ro, rw or nocopy");
}

/* Calls `use` for each word between the separators. */
static int each_word(const char *text,
                     int (*use)(json_t *mount, const char *word, const char *text, struct err *),
                     json_t *mount, const char *all, struct err *err)
{
    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        auto_free char *word = strndup(text, size);
        if (word == NULL)
            return err_nomem(err, "reading a mount");
        if (use(mount, word, all, err) < 0)
            return -1;
        text += size + (text[size] == ',');
    }
    return 0;
}

/* What the schema will say anyhow, said in the words of the command line. */
static int check_target(const json_t *mount, const char *text, struct err *err)
{
    const char *target = json_string_value(json_object_get(mount, "target"));
    const char *source = json_string_value(json_object_get(mount, "source"));
    if (target == NULL || check_mount_target(target) != NULL)
        return err_set(err, ERR_INVALID, "the target of the mount '%s' %s", text,
                       target == NULL ? "is missing" : check_mount_target(target));
    if (source != NULL && check_mount_source(source) != NULL)
        return err_set(err, ERR_INVALID, "the source of the mount '%s' %s", text, check_mount_source(source));
    return 0;
}

int mount_from_volume(const char *text, json_t **ret, struct err *err)
{
    json_auto_t *mount = json_object();
    size_t first = strcspn(text, ":");
    const char *second = text[first] == ':' ? text + first + 1 : NULL;
    size_t size = second != NULL ? strcspn(second, ":") : 0;
    const char *options = second != NULL && second[size] == ':' ? second + size + 1 : "";
    if (mount == NULL)
        return err_nomem(err, "reading a mount");
    if (second == NULL) {
        if (set(mount, "type", json_string("volume"), err) < 0 ||
            set_path(mount, "target", text, first, err) < 0)
            return -1;
    } else if (set_source(mount, text, first, err) < 0 || set_path(mount, "target", second, size, err) < 0) {
        return -1;
    }
    bool bind = strcmp(json_string_value(json_object_get(mount, "type")), "bind") == 0;
    if (bind && set(mount, "make_source", json_true(), err) < 0)
        return -1;
    if (each_word(options, set_volume_option, mount, text, err) < 0 || check_target(mount, text, err) < 0)
        return -1;
    *ret = json_incref(mount);
    return 0;
}

static int add_tmpfs_option(json_t *mount, const char *option, const char *text, struct err *err)
{
    json_t *list = json_object_get(mount, "options");
    if (check_tmpfs_option(option) != NULL)
        return err_set(err, ERR_INVALID, "option '%s' of '%s' %s", option, text, check_tmpfs_option(option));
    if (list == NULL) {
        list = json_array();
        if (set(mount, "options", list, err) < 0)
            return -1;
    }
    return json_array_append_new(list, json_string(option)) < 0 ? err_nomem(err, "reading a mount") : 0;
}

int mount_from_tmpfs(const char *text, json_t **ret, struct err *err)
{
    json_auto_t *mount = json_object();
    size_t size = strcspn(text, ":");
    if (mount == NULL)
        return err_nomem(err, "reading a mount");
    if (set(mount, "type", json_string("tmpfs"), err) < 0 || set_path(mount, "target", text, size, err) < 0 ||
        check_target(mount, text, err) < 0)
        return -1;
    if (text[size] == ':' && each_word(text + size + 1, add_tmpfs_option, mount, text, err) < 0)
        return -1;
    *ret = json_incref(mount);
    return 0;
}

/* --- --mount --- */

enum word_kind {
    WORD_TYPE,
    WORD_SOURCE,
    WORD_TARGET,
    WORD_FLAG,
    WORD_TEXT,
    WORD_RECURSION,
    WORD_SIZE,
    WORD_MODE
};

static const struct word {
    const char *name;
    enum word_kind kind;
    const char *member;
} WORDS[] = {
    {"type", WORD_TYPE, "type"},
    {"source", WORD_SOURCE, "source"},
    {"src", WORD_SOURCE, "source"},
    {"target", WORD_TARGET, "target"},
    {"destination", WORD_TARGET, "target"},
    {"dst", WORD_TARGET, "target"},
    {"readonly", WORD_FLAG, "read_only"},
    {"ro", WORD_FLAG, "read_only"},
    {"bind-propagation", WORD_TEXT, "propagation"},
    {"bind-nonrecursive", WORD_FLAG, "not_recursive"},
    {"bind-recursive", WORD_RECURSION, "not_recursive"},
    {"bind-create-src", WORD_FLAG, "make_source"},
    {"volume-nocopy", WORD_FLAG, "no_copy"},
    {"tmpfs-size", WORD_SIZE, "size"},
    {"tmpfs-mode", WORD_MODE, "mode"},
};

static int bad_value(const char *name, const char *value, const char *why_not, struct err *err)
{
    return err_set(err, ERR_INVALID, "'%s' of a mount %s, but is '%s'", name, why_not, value);
}

static int set_flag(json_t *mount, const struct word *word, const char *value, struct err *err)
{
    bool off = strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
    if (!off && value[0] != '\0' && strcmp(value, "true") != 0 && strcmp(value, "1") != 0)
        return bad_value(word->name, value, "must be true or false", err);
    return off ? 0 : set(mount, word->member, json_true(), err);
}

static int set_mode(json_t *mount, const char *value, struct err *err)
{
    char *end = NULL;
    long mode = strtol(value, &end, 8);
    if (value[0] == '\0' || *end != '\0' || mode < 0 || mode > 07777)
        return bad_value("tmpfs-mode", value, "must be an octal number such as 1777", err);
    return set(mount, "mode", json_integer(mode), err);
}

static int set_word(json_t *mount, const struct word *word, const char *value, struct err *err)
{
    int64_t size = 0;
    switch (word->kind) {
    case WORD_TYPE:
        if (check_mount_type(value) != NULL)
            return bad_value("type", value, check_mount_type(value), err);
        return set(mount, "type", json_string(value), err);
    case WORD_SOURCE:
    case WORD_TARGET:
        return set_path(mount, word->member, value, strlen(value), err);
    case WORD_FLAG:
        return set_flag(mount, word, value, err);
    case WORD_TEXT:
        if (check_propagation(value) != NULL)
            return bad_value(word->name, value, check_propagation(value), err);
        return set(mount, word->member, json_string(value), err);
    case WORD_RECURSION:
        if (strcmp(value, "enabled") != 0 && strcmp(value, "disabled") != 0)
            return bad_value(word->name, value, "must be enabled or disabled", err);
        return value[0] == 'd' ? set(mount, word->member, json_true(), err) : 0;
    case WORD_SIZE:
        return value_memory(value, &size, err) < 0 ? -1 : set(mount, word->member, json_integer(size), err);
    case WORD_MODE:
        return set_mode(mount, value, err);
    }
    return err_set(err, ERR_INTERNAL, "the option '%s' of a mount has no kind", word->name);
}

static int use_word(json_t *mount, const char *text, const char *all, struct err *err)
{
    size_t size = strcspn(text, "=");
    const char *value = text[size] == '=' ? text + size + 1 : "";
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (strlen(WORDS[i].name) == size && strncmp(WORDS[i].name, text, size) == 0)
            return set_word(mount, &WORDS[i], value, err);
    return err_set(err, ERR_INVALID, "option '%s' of the mount '%s' is not supported", text, all);
}

int mount_from_words(const char *text, json_t **ret, struct err *err)
{
    json_auto_t *mount = json_object();
    if (mount == NULL)
        return err_nomem(err, "reading a mount");
    if (strchr(text, '"') != NULL)
        return err_set(err, ERR_INVALID, "the mount '%s' has quotes: paths with commas are not supported",
                       text);
    if (set(mount, "type", json_string("volume"), err) < 0 || /* docker's default */
        each_word(text, use_word, mount, text, err) < 0 || check_target(mount, text, err) < 0)
        return -1;
    *ret = json_incref(mount);
    return 0;
}
