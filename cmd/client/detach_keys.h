/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detach_keys.h - the key sequence that leaves a container's terminal: how it is written, and finding it in
 * what is typed.
 *
 * Pure.
 */
#ifndef WHARF_CMD_CLIENT_DETACH_KEYS_H
#define WHARF_CMD_CLIENT_DETACH_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"
#define DETACH_KEYS_MAX 16

struct detach_keys {
    unsigned char keys[DETACH_KEYS_MAX];
    size_t n;       /* 0: nothing detaches */
    size_t matched; /* of them typed last, and held back */
};

/* "ctrl-p,ctrl-q", "a,b": characters, or ctrl- with a letter or one of @ [ \ ] ^ _, as docker has them. The
 * empty text is none. ERR_INVALID. */
int detach_keys_parse(struct detach_keys *ret, const char *text, struct err *err);

/* Copies what goes to the container to `ret`, which has room for size + DETACH_KEYS_MAX bytes; returns how
 * much. Keys that may still become the sequence are held back until the next call. *ret_detached is set, and
 * the rest dropped, when it is complete. */
size_t detach_keys_filter(struct detach_keys *keys, const char *typed, size_t size, char *ret,
                          bool *ret_detached);

#endif
