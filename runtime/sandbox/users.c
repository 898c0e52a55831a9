/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/users.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 7

struct field {
    const char *at;
    size_t size;
};

/* Splits the next line at colons; false at the end of the text. Missing fields are empty. */
static bool next_line(const char **text, struct field fields[FIELDS_MAX])
{
    const char *at = *text;
    if (at == NULL || *at == '\0')
        return false;
    for (size_t i = 0; i < FIELDS_MAX; i++) {
        fields[i] = (struct field){at, strcspn(at, i + 1 < FIELDS_MAX ? ":\n" : "\n")};
        at += fields[i].size;
        at += *at == ':';
    }
    at += strcspn(at, "\n");
    *text = at + (*at == '\n');
    return true;
}

static bool field_is(const struct field *field, const char *text, size_t size)
{
    return field->size == size && memcmp(field->at, text, size) == 0;
}

static bool parse_number(const char *text, size_t size, uint32_t *ret)
{
    uint64_t value = 0;
    if (size == 0 || size > 10)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value >= UINT32_MAX) /* (uid_t)-1 means "leave alone" to setresuid(2) */
        return false;
    *ret = (uint32_t)value;
    return true;
}

struct name {
    char text[256]; /* of the user's passwd line, "" if it has none */
};

/* True if passwd knows the user by name, or by number. */
static bool find_user(struct user *user, struct name *ret_name, const char *passwd, const char *text,
                      size_t size)
{
    uint32_t number = 0, uid, gid;
    bool numeric = parse_number(text, size, &number);
    struct field fields[FIELDS_MAX];
    while (next_line(&passwd, fields)) {
        if (!parse_number(fields[2].at, fields[2].size, &uid) ||
            !parse_number(fields[3].at, fields[3].size, &gid))
            continue;
        if (!field_is(&fields[0], text, size) && !(numeric && uid == number))
            continue;
        user->uid = uid;
        user->gid = gid;
        if (fields[5].size > 0)
            snprintf(user->home, sizeof(user->home), "%.*s", (int)fields[5].size, fields[5].at);
        snprintf(ret_name->text, sizeof(ret_name->text), "%.*s", (int)fields[0].size, fields[0].at);
        return true;
    }
    if (numeric)
        user->uid = number;
    return numeric;
}

static bool find_group(uint32_t *ret_gid, const char *group, const char *text)
{
    struct field fields[FIELDS_MAX];
    size_t size = strlen(text);
    while (next_line(&group, fields)) {
        if (field_is(&fields[0], text, size) && parse_number(fields[2].at, fields[2].size, ret_gid))
            return true;
    }
    return parse_number(text, size, ret_gid);
}

static bool is_member(const struct field *members, const char *name)
{
    size_t size = strlen(name);
    const char *at = members->at, *end = members->at + members->size;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t length = (size_t)((comma == NULL ? end : comma) - at);
        if (length == size && memcmp(at, name, size) == 0)
            return true;
        at += length + 1;
    }
    return false;
}

static void find_memberships(struct user *user, const char *group, const char *name)
{
    struct field fields[FIELDS_MAX];
    uint32_t gid;
    while (name[0] != '\0' && user->n_groups < USER_GROUPS_MAX && next_line(&group, fields)) {
        if (is_member(&fields[3], name) && parse_number(fields[2].at, fields[2].size, &gid))
            user->groups[user->n_groups++] = gid;
    }
}

int user_resolve(struct user *ret, const char *user, const char *passwd, const char *group, struct err *err)
{
    struct user found = {.home = "/"};
    struct name name = {.text = ""};
    if (user == NULL || user[0] == '\0')
        user = "0";
    size_t size = strcspn(user, ":");
    const char *group_text = user[size] == ':' ? user + size + 1 : "";
    if (!find_user(&found, &name, passwd, user, size) && !(size == 4 && memcmp(user, "root", 4) == 0))
        return err_set(err, ERR_NOT_FOUND, "the user '%.*s' is not in the image's /etc/passwd", (int)size,
                       user);
    if (found.uid == 0 && name.text[0] == '\0')
        snprintf(found.home, sizeof(found.home), "/root");
    if (group_text[0] == '\0')
        find_memberships(&found, group, name.text);
    else if (!find_group(&found.gid, group, group_text))
        return err_set(err, ERR_NOT_FOUND, "the group '%s' is not in the image's /etc/group", group_text);
    /* The primary group counts among the supplementary ones too: else it could be dropped to gain access that
     * a file denies to that group (CVE-2022-36109). */
    memmove(found.groups + 1, found.groups, (USER_GROUPS_MAX - 1) * sizeof(found.groups[0]));
    found.groups[0] = found.gid;
    found.n_groups += found.n_groups < USER_GROUPS_MAX;
    *ret = found;
    return 0;
}

int user_add_groups(struct user *user, char *const *groups, size_t n, const char *group, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t gid;
        if (!find_group(&gid, group, groups[i]))
            return err_set(err, ERR_NOT_FOUND, "the group '%s' is not in the image's /etc/group", groups[i]);
        if (user->n_groups == USER_GROUPS_MAX)
            return err_set(err, ERR_INVALID, "more than %d groups for one user", USER_GROUPS_MAX);
        user->groups[user->n_groups++] = gid;
    }
    return 0;
}
