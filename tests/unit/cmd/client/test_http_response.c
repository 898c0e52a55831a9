/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each response is fed whole and byte by byte: the pieces must not matter.
 */
#include "cmd/client/http_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct vector {
    const char *bytes;
    int status;
    const char *body;
    bool needs_end; /* complete only with the connection's end */
};

static const struct vector good[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", false},
    {"HTTP/1.1 202 \r\ncontent-length:0\r\n\r\n", 202, "", false},
    {"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end", true},
    {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok", false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, "x", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n6;a=b\r\npedia \r\n0\r\n\r\n", 200,
     "Wikipedia ", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", 200,
     "0123456789", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", false},
};

static const char *const bad[] = {
    "HTTP/2 200 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: empty\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nab",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
};

static int feed(struct http_response *response, const char *bytes, size_t size, size_t piece, struct err *err)
{
    for (size_t at = 0; at < size; at += piece)
        if (http_response_feed(response, bytes + at, size - at < piece ? size - at : piece, err) < 0)
            return -1;
    return 0;
}

static void check_good(const struct vector *vector, size_t piece)
{
    struct http_response response;
    struct err err = ERR_INIT;
    http_response_init(&response, 1024);
    assert_int_equal(feed(&response, vector->bytes, strlen(vector->bytes), piece, &err), 0);
    assert_int_equal(response.part == HTTP_DONE, !vector->needs_end);
    assert_true(http_response_has_headers(&response));
    assert_int_equal(http_response_end(&response, &err), 0);
    assert_int_equal(response.part, HTTP_DONE);
    assert_int_equal(response.status, vector->status);
    assert_string_equal(response.body.size > 0 ? response.body.data : "", vector->body);
    http_response_release(&response);
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        for (size_t piece = 1; piece <= strlen(good[i].bytes); piece++)
            check_good(&good[i], piece);
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t piece = 1; piece <= strlen(bad[i]); piece++) {
            struct http_response response;
            struct err err = ERR_INIT;
            http_response_init(&response, 1024);
            if (feed(&response, bad[i], strlen(bad[i]), piece, &err) == 0)
                fail_msg("accepted in pieces of %zu: %s", piece, bad[i]);
            assert_int_equal(err.code, ERR_PROTOCOL);
            http_response_release(&response);
        }
    }
}

static void test_cut_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        size_t whole = strlen(good[i].bytes);
        for (size_t size = 0; size < whole && !good[i].needs_end; size++) {
            struct http_response response;
            struct err err = ERR_INIT;
            http_response_init(&response, 1024);
            assert_int_equal(feed(&response, good[i].bytes, size, 7, &err), 0);
            assert_int_equal(http_response_end(&response, &err), -1);
            assert_int_equal(err.code, ERR_PROTOCOL);
            http_response_release(&response);
        }
    }
}

static void test_headers(void **state)
{
    (void)state;
    static const char bytes[] =
        "HTTP/1.1 200 OK\r\nWharf-Offset:  0:17 \r\nEmpty:\r\nContent-Length: 0\r\n\r\n";
    struct http_response response;
    http_response_init(&response, 0);
    assert_null(http_response_header(&response, "wharf-offset"));
    assert_int_equal(http_response_feed(&response, bytes, sizeof(bytes) - 1, NULL), 0);
    assert_string_equal(http_response_header(&response, "wharf-offset"), "0:17");
    assert_string_equal(http_response_header(&response, "empty"), "");
    assert_null(http_response_header(&response, "wharf"));
    http_response_release(&response);
}

static void test_limits(void **state)
{
    (void)state;
    struct http_response response;
    struct err err = ERR_INIT;
    char line[1024];
    memset(line, 'a', sizeof(line));
    http_response_init(&response, 4);
    int rc = http_response_feed(&response, "HTTP/1.1 200 OK\r\nx: ", 20, &err);
    for (size_t i = 0; rc == 0 && i <= HTTP_HEADER_LIMIT / sizeof(line); i++)
        rc = http_response_feed(&response, line, sizeof(line), &err);
    assert_int_equal(rc, -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    http_response_release(&response);

    err_clear(&err);
    http_response_init(&response, 4);
    static const char large[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    assert_int_equal(http_response_feed(&response, large, sizeof(large) - 1, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    http_response_release(&response);
}

/* A reader of a stream takes what has come: the limit is on what waits. */
static void test_stream(void **state)
{
    (void)state;
    struct http_response response;
    http_response_init(&response, 8);
    assert_int_equal(http_response_feed(&response, "HTTP/1.1 200 OK\r\n\r\n", 19, NULL), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(http_response_feed(&response, "12345678", 8, NULL), 0);
        buf_consume(&response.body, 8);
    }
    http_response_release(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good),      cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_cut_short), cmocka_unit_test(test_headers),
                                       cmocka_unit_test(test_limits),    cmocka_unit_test(test_stream)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
