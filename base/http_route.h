/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_route.h - which handler a request line belongs to, and percent-decoding. The pure part of http_server.
 *
 * Paths are matched before they are decoded, so that an encoded slash ("%2F") stays inside its segment.
 */
#ifndef WHARF_BASE_HTTP_ROUTE_H
#define WHARF_BASE_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/http_server.h"

#define HTTP_PARAMS_MAX 4
#define HTTP_ALLOW_SIZE 64

struct http_param {
    const char *name; /* within the route's pattern, `name_size` bytes, not terminated */
    size_t name_size;
    char *value; /* owned, decoded */
};

struct http_match {
    const struct http_route *route;
    struct http_param params[HTTP_PARAMS_MAX];
    size_t n_params;
};

enum http_match_result {
    HTTP_MATCHED,
    HTTP_NO_PATH,    /* 404 */
    HTTP_NO_METHOD,  /* 405: `ret_allow` says what would do */
    HTTP_BAD_ESCAPE, /* 400: a segment does not decode */
    HTTP_MATCH_NOMEM,
};

/* How often the route takes a query key of that name: never, once, or SIZE_MAX for as often as one likes. */
size_t http_route_takes(const struct http_route *route, const char *key);

/* Finds the row for `method` and the raw (still encoded) `path`; HEAD is served by GET's rows. On
 * HTTP_MATCHED the params in `ret` are the caller's to release. */
enum http_match_result http_match(const struct http_route *routes, const char *method, const char *path,
                                  struct http_match *ret, char ret_allow[HTTP_ALLOW_SIZE]);

void http_match_release(struct http_match *match);

/* Decodes %XX (RFC 3986, section 2.1) in place. False, with the text unchanged up to the fault, for an escape
 * that is malformed or stands for a NUL. */
bool http_percent_decode(char *text);

/* Replaces every byte that is not part of valid UTF-8 (RFC 3629) by '?', in place, so that the text can be
 * JSON. */
void http_utf8_repair(char *text);

#endif
