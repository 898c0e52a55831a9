/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void handle(struct http_request *request, void *data)
{
    (void)request;
    (void)data;
}

static const struct http_route routes[] = {
    {"GET", "/v1/containers", handle},
    {"POST", "/v1/containers", handle},
    {"GET", "/v1/containers/{ref}", handle},
    {"GET", "/v1/containers/{ref}/history", handle},
    {"DELETE", "/a/{b}/c/{d}", handle},
    {"GET", "/b/{c}?d&ef", handle},
    {"GET", "/e?", handle},
    {NULL, NULL, NULL},
};

struct row {
    const char *method;
    const char *path;
    enum http_match_result result;
    const char *pattern; /* of the matched row, or the Allow header */
    const char *param;   /* the first one's value */
};

static const struct row table[] = {
    {"GET", "/v1/containers", HTTP_MATCHED, "/v1/containers", NULL},
    {"HEAD", "/v1/containers", HTTP_MATCHED, "/v1/containers", NULL},
    {"POST", "/v1/containers", HTTP_MATCHED, "/v1/containers", NULL},
    {"GET", "/v1/containers/", HTTP_NO_PATH, "", NULL},
    {"GET", "/v1/containers//history", HTTP_NO_PATH, "", NULL},
    {"GET", "/v1/containers/web", HTTP_MATCHED, "/v1/containers/{ref}", "web"},
    {"GET", "/v1/containers/n1%2Fweb", HTTP_MATCHED, "/v1/containers/{ref}", "n1/web"},
    {"GET", "/v1/containers/n1/web", HTTP_NO_PATH, "", NULL},
    {"GET", "/v1/containers/a%2fb/history", HTTP_MATCHED, "/v1/containers/{ref}/history", "a/b"},
    {"GET", "/v1/containers/%zz", HTTP_BAD_ESCAPE, "", NULL},
    {"GET", "/v1/containers/%4", HTTP_BAD_ESCAPE, "", NULL},
    {"GET", "/v1/containers/%", HTTP_BAD_ESCAPE, "", NULL},
    {"GET", "/v1/containers/a%00b", HTTP_BAD_ESCAPE, "", NULL},
    {"PUT", "/v1/containers", HTTP_NO_METHOD, "GET, HEAD, POST", NULL},
    {"GET", "/a/1/c/2", HTTP_NO_METHOD, "DELETE", NULL},
    {"DELETE", "/a/1/c/2", HTTP_MATCHED, "/a/{b}/c/{d}", "1"},
    {"DELETE", "/a/1/x/2", HTTP_NO_PATH, "", NULL},
    {"GET", "/b/1", HTTP_MATCHED, "/b/{c}?d&ef", "1"},
    {"GET", "/b/1/d", HTTP_NO_PATH, "", NULL},
    {"GET", "/e", HTTP_MATCHED, "/e?", NULL},
    {"GET", "/", HTTP_NO_PATH, "", NULL},
    {"GET", "", HTTP_NO_PATH, "", NULL},
    {"GET", "*", HTTP_NO_PATH, "", NULL},
    {"GET", "/v1/containersx", HTTP_NO_PATH, "", NULL},
    {"GET", "/v1/container", HTTP_NO_PATH, "", NULL},
};

static void test_query_keys(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *key;
        size_t takes;
    } rows[] = {{"/a", "x", SIZE_MAX},         {"/a?", "x", 0},        {"/a?", "", 1},
                {"/a?b&cd", "b", 1},           {"/a?b&cd", "cd", 1},   {"/a?b&cd", "c", 0},
                {"/a?b&cd", "a", 0},           {"/a?b&cd", "b&cd", 0}, {"/a?b*&cd*", "b", SIZE_MAX},
                {"/a?b*&cd*", "cd", SIZE_MAX}, {"/a?b*&cd", "cd", 1},  {"/a?b*&cd", "b*", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(http_route_takes(&(struct http_route){.pattern = rows[i].pattern}, rows[i].key),
                         rows[i].takes);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct row *row = &table[i];
        struct http_match match;
        char allow[HTTP_ALLOW_SIZE];
        enum http_match_result result = http_match(routes, row->method, row->path, &match, allow);
        if (result != row->result)
            print_error("row %zu: %s '%s' gives %d\n", i, row->method, row->path, (int)result);
        assert_int_equal(result, row->result);
        if (result == HTTP_MATCHED)
            assert_string_equal(match.route->pattern, row->pattern);
        if (result == HTTP_NO_METHOD)
            assert_string_equal(allow, row->pattern);
        if (row->param != NULL)
            assert_string_equal(match.params[0].value, row->param);
        http_match_release(&match);
    }
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"plain", "plain"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff\xfe", "??"},
        {"\xc3", "?"},
        {"\xc3(", "?("},
        {"\xc0\xaf", "??"},
        {"\xe0\x80\xaf", "???"},
        {"\xed\xa0\x80", "???"},
        {"\xf4\x90\x80\x80", "????"},
        {"\xf5\x80\x80\x80", "????"},
        {"\xe2\x82", "??"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s", rows[i].in);
        http_utf8_repair(text);
        assert_string_equal(text, rows[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_query_keys),
                                       cmocka_unit_test(test_utf8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
