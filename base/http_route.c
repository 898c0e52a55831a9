/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_route.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool http_percent_decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int high = hex_digit(from[1]);
        int low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *to++ = (char)(high << 4 | low);
        from += 2;
    }
    *to = '\0';
    return true;
}

/* How many bytes the valid UTF-8 sequence at `at` has; 0 when there is none. */
static size_t utf8_sequence(const uint8_t *at)
{
    if (at[0] < 0x80)
        return 1;
    size_t size = at[0] >= 0xf0 && at[0] <= 0xf4 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
    if (size == 0 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] > 0x9f;
    bool beyond = at[0] == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : size;
}

void http_utf8_repair(char *text)
{
    while (*text != '\0') {
        size_t size = utf8_sequence((const uint8_t *)text);
        if (size == 0) {
            *text = '?';
            size = 1;
        }
        text += size;
    }
}

static bool add_param(struct http_match *match, const char *name, size_t name_size, const char *value,
                      size_t size)
{
    if (match->n_params == HTTP_PARAMS_MAX)
        return false;
    char *copy = strndup(value, size);
    if (copy == NULL)
        return false;
    match->params[match->n_params++] =
        (struct http_param){.name = name, .name_size = name_size, .value = copy};
    return true;
}

size_t http_route_takes(const struct http_route *route, const char *key)
{
    size_t size = strlen(key);
    const char *at = strchr(route->pattern, '?');
    if (at == NULL)
        return SIZE_MAX;
    do {
        at++;
        size_t length = strcspn(at, "*&");
        if (length == size && memcmp(at, key, size) == 0)
            return at[length] == '*' ? SIZE_MAX : 1;
        at += strcspn(at, "&");
    } while (*at != '\0');
    return 0;
}

/* Walks pattern and path segment by segment; both begin with a slash. */
static enum http_match_result match_path(const char *pattern, const char *path, struct http_match *match)
{
    while (*pattern == '/' && *path == '/') {
        pattern++;
        path++;
        size_t pattern_size = strcspn(pattern, "/?");
        size_t path_size = strcspn(path, "/");
        if (pattern_size >= 2 && pattern[0] == '{' && pattern[pattern_size - 1] == '}') {
            if (path_size == 0)
                return HTTP_NO_PATH;
            if (!add_param(match, pattern + 1, pattern_size - 2, path, path_size))
                return HTTP_MATCH_NOMEM;
        } else if (pattern_size != path_size || memcmp(pattern, path, path_size) != 0) {
            return HTTP_NO_PATH;
        }
        pattern += pattern_size;
        path += path_size;
    }
    return (*pattern == '\0' || *pattern == '?') && *path == '\0' ? HTTP_MATCHED : HTTP_NO_PATH;
}

static void allow_method(char allow[HTTP_ALLOW_SIZE], const char *method)
{
    size_t used = strlen(allow);
    const char *also = strcmp(method, "GET") == 0 ? ", HEAD" : "";
    snprintf(allow + used, HTTP_ALLOW_SIZE - used, "%s%s%s", used > 0 ? ", " : "", method, also);
}

static enum http_match_result decode_params(struct http_match *match)
{
    for (size_t i = 0; i < match->n_params; i++) {
        if (!http_percent_decode(match->params[i].value)) {
            http_match_release(match);
            return HTTP_BAD_ESCAPE;
        }
    }
    return HTTP_MATCHED;
}

enum http_match_result http_match(const struct http_route *routes, const char *method, const char *path,
                                  struct http_match *ret, char ret_allow[HTTP_ALLOW_SIZE])
{
    *ret = (struct http_match){.route = NULL};
    ret_allow[0] = '\0';
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (const struct http_route *route = routes; route->method != NULL; route++) {
        enum http_match_result result = match_path(route->pattern, path, ret);
        if (result == HTTP_MATCHED && strcmp(route->method, wanted) == 0) {
            ret->route = route;
            return decode_params(ret);
        }
        http_match_release(ret);
        if (result == HTTP_MATCH_NOMEM)
            return result;
        if (result == HTTP_MATCHED)
            allow_method(ret_allow, route->method);
    }
    return ret_allow[0] != '\0' ? HTTP_NO_METHOD : HTTP_NO_PATH;
}

void http_match_release(struct http_match *match)
{
    for (size_t i = 0; i < match->n_params; i++)
        free(match->params[i].value);
    match->n_params = 0;
}
