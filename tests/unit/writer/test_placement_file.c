/* SPDX-License-Identifier: Apache-2.0 */
/* The placement as a file: there and back is the same, and what is not whole is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/seal.h"
#include "writer/placement_file.h"

#define A "aaaa000000000000000000000000000000000000000000000000000000000000"
#define B "bbbb000000000000000000000000000000000000000000000000000000000000"

static const struct placement_mark marks[] = {{.next_offset = 70, .outcomes_from = 12, .newest = A}, {0}};

static struct buf encoded(void)
{
    struct placement placement = PLACEMENT_INIT;
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    assert_non_null(placement_add_node(&placement, "n1", 0, &err));
    struct placement_node *second = placement_add_node(&placement, "n2", 1, &err);
    assert_non_null(second);
    second->epoch = 7;
    second->nodeseq = 70;
    assert_int_equal(placement_add_container(&placement, A, "web", "n2", &err), 0);
    assert_int_equal(placement_add_container(&placement, B, "db\" \\", "n2", &err), 0);
    assert_int_equal(placement_encode(&placement, marks, 2, &text, &err), 0);
    placement_release(&placement);
    return text;
}

static void test_there_and_back(void **state)
{
    (void)state;
    auto_buf struct buf text = encoded();
    auto_buf struct buf again = BUF_INIT;
    struct placement placement;
    auto_free struct placement_mark *back = NULL;
    struct err err = ERR_INIT;
    size_t n = 0;
    if (placement_decode(&placement, &back, &n, text.data, text.size, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(n, 2);
    assert_memory_equal(back, marks, sizeof(marks));
    assert_int_equal(HASH_COUNT(placement.nodes), 2);
    assert_int_equal(placement.nodes->n_containers, 0);
    const struct placement_node *second = placement.nodes->hh.next;
    assert_string_equal(second->name, "n2");
    assert_int_equal(second->partition, 1);
    assert_int_equal(second->n_containers, 2);
    assert_int_equal(second->epoch, 7);
    assert_int_equal(second->nodeseq, 70);
    assert_int_equal(placement_encode(&placement, back, n, &again, &err), 0);
    assert_string_equal(again.data, text.data);
    placement_release(&placement);
}

static void refuses(const char *text, size_t size, const char *why)
{
    struct placement placement;
    struct placement_mark *back = NULL;
    struct err err = ERR_INIT;
    size_t n = 0;
    assert_int_equal(placement_decode(&placement, &back, &n, text, size, &err), -1);
    if (err.code != ERR_CORRUPT || strstr(err.message, why) == NULL)
        fail_msg("expected '%s', got '%s'", why, err.message);
}

static void test_damage(void **state)
{
    (void)state;
    auto_buf struct buf text = encoded();
    for (size_t i = 0; i < text.size; i++) {
        text.data[i] ^= 1;
        refuses(text.data, text.size, "was changed");
        text.data[i] ^= 1;
        refuses(text.data, i, "is cut off");
    }
}

static void test_members(void **state)
{
    static const struct {
        const char *from, *to, *why;
    } edits[] = {
        {"\"version\":2", "\"version\":3", "is of another version"},
        {"wharf.placement", "wharf.snapshot", "is of another version"},
        {"\"partitions\":2", "\"partitions\":1", "cannot be"},
        {"\"nodes\":2", "\"nodes\":1", "cannot be"},
        {"\"containers\":2", "\"containers\":3", "cannot be"},
        {"[70,12,", "[70,71,", "cannot be"},
        {"[70,12,", "[0,0,", "cannot be"},
        {"[\"n2\",1,", "[\"n1\",1,", "cannot be"},
        {"[\"n2\",1,", "[\"n2\",-1,", "cannot be"},
        {"1,7,70]", "1,-7,70]", "cannot be"},
        {"1,7,70]", "1,7,-70]", "cannot be"},
        {"\"web\",\"n2\"", "\"web\",\"n3\"", "cannot be"},
        {"[\"bbbb", "[\"bbbB", "cannot be"},
    };
    (void)state;
    auto_buf struct buf text = encoded();
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        auto_buf struct buf edited = BUF_INIT;
        const char *at = strstr(text.data, edits[i].from);
        assert_non_null(at);
        buf_printf(&edited, "%.*s%s%s", (int)(at - text.data), text.data, edits[i].to,
                   at + strlen(edits[i].from));
        *strstr(edited.data, "{\"sha256\"") = '\0';
        edited.size = strlen(edited.data);
        seal_add(&edited);
        refuses(edited.data, edited.size, edits[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_members)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
