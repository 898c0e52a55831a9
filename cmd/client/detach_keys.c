/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/detach_keys.h"

#include <ctype.h>
#include <string.h>

#define CTRL "ctrl-"

/* The key of one word, or -1. */
static int parse_key(const char *word, size_t size)
{
    if (size == 1)
        return (unsigned char)word[0];
    if (size != sizeof(CTRL) || strncmp(word, CTRL, sizeof(CTRL) - 1) != 0)
        return -1;
    int key = tolower((unsigned char)word[size - 1]);
    if (key >= 'a' && key <= 'z')
        return key - 'a' + 1;
    return strchr("@[\\]^_", key) != NULL ? key - '@' : -1;
}

int detach_keys_parse(struct detach_keys *ret, const char *text, struct err *err)
{
    struct detach_keys keys = {0};
    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        int key = parse_key(text, size);
        if (key < 0)
            return err_set(err, ERR_INVALID,
                           "'%.*s' is no detach key: give characters or ctrl-X, with commas in between, such "
                           "as " DETACH_KEYS_DEFAULT,
                           (int)size, text);
        if (keys.n == DETACH_KEYS_MAX)
            return err_set(err, ERR_INVALID, "more than %d detach keys", DETACH_KEYS_MAX);
        keys.keys[keys.n++] = (unsigned char)key;
        text += size;
        if (*text == ',' && *++text == '\0')
            return err_set(err, ERR_INVALID, "no detach key behind the last comma");
    }
    *ret = keys;
    return 0;
}

/* After a key that does not go on with the sequence: how much of what was held and the key begins it anew.
 * The rest of it is no part of any sequence and goes out. */
static size_t release_held(struct detach_keys *keys, char key, char *ret)
{
    char held[DETACH_KEYS_MAX + 1];
    size_t n = keys->matched + 1;
    memcpy(held, keys->keys, keys->matched);
    held[keys->matched] = key;
    size_t out = 1;
    while (out < n && memcmp(held + out, keys->keys, n - out) != 0)
        out++;
    memcpy(ret, held, out);
    keys->matched = n - out;
    return out;
}

size_t detach_keys_filter(struct detach_keys *keys, const char *typed, size_t size, char *ret,
                          bool *ret_detached)
{
    size_t out = 0;
    for (size_t i = 0; i < size; i++) {
        if (keys->n == 0)
            ret[out++] = typed[i];
        else if ((unsigned char)typed[i] != keys->keys[keys->matched])
            out += release_held(keys, typed[i], ret + out);
        else if (++keys->matched == keys->n) {
            keys->matched = 0;
            *ret_detached = true;
            return out;
        }
    }
    return out;
}
