/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: there and back is the same state, after which the fold goes on alike; what is not whole, not of
 * this node, or not of this version is refused with a reason. The transcripts check the first of random
 * histories' rarer members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "events/snapshot.h"
#include "tests/support/event_writer.h"
#include "tests/support/node_state_compare.h"

#define NEXT_OFFSET 4711

static void apply(struct node_state *state, const char *text, size_t size)
{
    struct event event;
    struct err err = ERR_INIT;
    if (event_decode(&event, text, size, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(node_state_apply(state, &event, text, size), APPLY_DONE);
    event_release(&event);
}

static char *next_event(struct event_writer *writer, size_t *ret_size)
{
    struct event event;
    if (writer->nodeseq % 7 != 5)
        return event_writer_next(writer, ret_size);
    struct string_pair label = {.key = "tier", .value = "front"};
    event_init(&event, EVENT_IMAGE_IMPORTED);
    struct image_imported_event *data = &event.data.image_imported;
    char reference[32];
    snprintf(reference, sizeof(reference), "image%" PRId64, writer->nodeseq % 5);
    data->reference = strdup(reference);
    data->digest = strdup("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    data->size_bytes = writer->nodeseq;
    strings_add(&data->entrypoint, "/bin/\"quoted\" \\ \x01 \t ☃");
    strings_add(&data->env, "A=b");
    data->workdir = strdup("/w");
    data->stop_signal = strdup("SIGQUIT");
    strings_add(&data->health_command, "true");
    data->health_retries = 1 + writer->nodeseq % 3;
    assert_int_equal(string_map_copy(&data->labels, &(struct string_map){.n = 1, .items = &label}), 0);
    return event_writer_encode(writer, &event, reference, 1, ret_size);
}

static void fold(struct event_writer *writer, struct node_state *state, struct node_state *other, int n)
{
    for (int i = 0; i < n; i++) {
        size_t size;
        auto_free char *text = next_event(writer, &size);
        apply(state, text, size);
        if (other != NULL)
            apply(other, text, size);
    }
}

/* Answers and offsets, some beyond the watermark. */
static void answer(struct node_state *state, int n)
{
    for (int i = 0; i < n; i++) {
        char key[16], id[UUID_TEXT_SIZE];
        snprintf(key, sizeof(key), "%d", i);
        uuid_from_key(id, "snapshot", key);
        assert_int_equal(node_state_add_answer(state, id, i), 0);
        if (i % 10 != 9)
            assert_int_equal(node_state_skip_offset(state, i), 0);
    }
}

static void add_volume(struct node_state *state)
{
    struct volume *volume = calloc(1, sizeof(*volume));
    assert_non_null(volume);
    volume->name = strdup("data");
    volume->labels.items = calloc(1, sizeof(*volume->labels.items));
    assert_non_null(volume->labels.items);
    volume->labels.items[volume->labels.n++] = (struct string_pair){strdup("tier"), strdup("back")};
    memset(volume->owner, 'a', sizeof(volume->owner) - 1);
    volume->created_at_ns = 5;
    volume->doomed = volume->found = true;
    assert_int_equal(node_state_add_volume_take(state, volume), 0);
}

static void add_exec(struct node_state *state)
{
    struct exec *exec = calloc(1, sizeof(*exec));
    assert_non_null(exec);
    memset(exec->id, 'e', sizeof(exec->id) - 1);
    memcpy(exec->container_id, state->containers->id, sizeof(exec->container_id));
    memcpy(exec->started_event_id, state->containers->last_event_id, sizeof(exec->started_event_id));
    memcpy(exec->correlationid, state->containers->correlationid, sizeof(exec->correlationid));
    exec->incarnation = 3;
    exec->interactive = true;
    assert_int_equal(node_state_add_exec_take(state, exec), 0);
}

static void make_state(struct node_state *ret, struct event_writer *writer, uint64_t seed, int n_events)
{
    event_writer_init(writer, "n1", seed, 20);
    assert_int_equal(node_state_init(ret, "n1"), 0);
    fold(writer, ret, NULL, n_events);
    answer(ret, n_events * 3);
    add_volume(ret);
    add_exec(ret);
    ret->events_fenced = 3;
    ret->events_illegal = 2;
}

static struct buf encode(const struct node_state *state)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    if (snapshot_encode(state, NEXT_OFFSET, &text, &err) < 0)
        fail_msg("%s", err.message);
    return text;
}

static void there_and_back_is_the_same(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct event_writer writer;
        struct node_state state, back;
        struct err err = ERR_INIT;
        int64_t next_offset = 0;
        make_state(&state, &writer, seed, (int)(2 + seed * 20));
        auto_buf struct buf text = encode(&state);
        if (snapshot_decode(&back, &next_offset, "n1", text.data, text.size, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(next_offset, NEXT_OFFSET);
        const char *difference = node_state_difference(&state, &back);
        if (difference != NULL)
            fail_msg("seed %" PRIu64 ": %s", seed, difference);
        fold(&writer, &state, &back, 100);
        difference = node_state_difference(&state, &back);
        if (difference != NULL)
            fail_msg("seed %" PRIu64 ", later: %s", seed, difference);
        node_state_release(&back);
        node_state_release(&state);
        event_writer_release(&writer);
    }
}

/* If this fails, the format or the fold has changed: raise SNAPSHOT_VERSION, then take the new digest over.
 */
static void the_version_stands_for_format_and_fold(void **unused)
{
    (void)unused;
    struct event_writer writer;
    struct node_state state;
    char digest[SHA256_HEX_SIZE];
    make_state(&state, &writer, 99, 500);
    auto_buf struct buf text = encode(&state);
    sha256_hex(digest, text.data, text.size);
    assert_int_equal(SNAPSHOT_VERSION, 9);
    assert_string_equal(digest, "6b4dd000a8bc275a67089dbc4bf3046d0588daabeff3ff6a9b49a0fb92097229");
    node_state_release(&state);
    event_writer_release(&writer);
}

static void refuses(const char *bytes, size_t size, const char *node, enum err_code code, const char *why)
{
    struct node_state state;
    struct err err = ERR_INIT;
    int64_t next_offset;
    assert_int_equal(snapshot_decode(&state, &next_offset, node, bytes, size, &err), -1);
    if (err.code != code || strstr(err.message, why) == NULL)
        fail_msg("expected '%s' (%s), got '%s' (%s)", why, err_code_name(code), err.message,
                 err_code_name(err.code));
}

static void every_flipped_byte_and_every_cut_is_noticed(void **unused)
{
    (void)unused;
    struct event_writer writer;
    struct node_state state, back;
    int64_t next_offset;
    make_state(&state, &writer, 3, 12);
    auto_buf struct buf text = encode(&state);
    for (size_t i = 0; i < text.size; i++) {
        text.data[i] ^= 4;
        assert_int_equal(snapshot_decode(&back, &next_offset, "n1", text.data, text.size, NULL), -1);
        text.data[i] ^= 4;
        assert_int_equal(snapshot_decode(&back, &next_offset, "n1", text.data, i, NULL), -1);
    }
    refuses(text.data, text.size - 1, "n1", ERR_CORRUPT, "its digest is not");
    refuses(text.data, text.size, "n2", ERR_CONFLICT, "is of node 'n1', not of 'n2'");
    refuses("", 0, "n1", ERR_CORRUPT, "does not begin as one");
    node_state_release(&state);
    event_writer_release(&writer);
}

/* Replaces the first `from` by `to`, and seals the text again if asked. */
static struct buf edit(const struct buf *text, const char *from, const char *to, bool seal)
{
    struct buf ret = BUF_INIT;
    char digest[SHA256_HEX_SIZE];
    const char *at = strstr(text->data, from);
    if (at == NULL)
        fail_msg("no %s in the snapshot", from);
    buf_printf(&ret, "%.*s%s%s", (int)(at - text->data), text->data, to, at + strlen(from));
    if (!seal)
        return ret;
    ret.size -= strlen("{\"sha256\":\"\"}\n") + SHA256_HEX_SIZE - 1;
    sha256_hex(digest, ret.data, ret.size);
    buf_printf(&ret, "{\"sha256\":\"%s\"}\n", digest);
    return ret;
}

static void members_are_checked_one_by_one(void **unused)
{
    static const struct {
        const char *from, *to;
        enum err_code code;
        const char *why;
    } edits[] = {
        {"\"version\":9", "\"version\":10", ERR_PROTOCOL,
         "is of format version 10, and this wharf reads version 9"},
        {"wharf.snapshot", "wharf.else", ERR_CORRUPT, "does not begin as one"},
        {"\"epoch\":1", "\"epoch\":2", ERR_CORRUPT, "in line 2: the event is not the newest"},
        {"\"epoch\":1,", "\"epoch\":\"1\",", ERR_CORRUPT, "in line 1: '/epoch' must be an integer"},
        {"\"next_offset\":4711", "\"next_offset\":0", ERR_CORRUPT, "'/next_offset' must be at least 1"},
        {"\"partition\":0,", "", ERR_CORRUPT, "'/partition' is missing"},
        {"\"partition\":0,", "\"partition\":0,\"new\":1,", ERR_CORRUPT, "'/new' is not known"},
        {"\"answers\":36", "\"answers\":35", ERR_CORRUPT, "more answers than the header counts"},
        {"\"answers\":36", "\"answers\":37", ERR_CORRUPT, "not an array of answers as"},
        {"\"images\":1", "\"images\":0", ERR_CORRUPT, "is not known in the snapshot's volume"},
        {"\"volumes\":1", "\"volumes\":0", ERR_CORRUPT, "not an array of answers"},
        {"\"name\":\"data\"", "\"name\":\"../\"", ERR_CORRUPT, "'/name' must be"},
        {"\"containers\":", "\"containers\":9", ERR_CORRUPT,
         "'/container' is not known in the snapshot's container"},
        {"\"state\":\"", "\"state\":\"x", ERR_CORRUPT, "'/state' must be a container's state"},
        {"\"restart\":\"always\"", "\"restart\":\"ever\"", ERR_CORRUPT, "'/spec/restart' must be"},
        {"\"execs\":1", "\"execs\":0", ERR_CORRUPT, "is not known in the snapshot's image"},
        {"\"execs\":1", "\"execs\":2", ERR_CORRUPT, "is not known in the snapshot's exec"},
        {"\"id\":\"ee", "\"id\":\"EE", ERR_CORRUPT, "'/id' must be 64 hex digits"},
        {"\"container\":\"", "\"container\":\"x", ERR_CORRUPT, "'/container' must be 64 hex digits"},
        {"\"incarnation\":3,\"boot\":0", "\"incarnation\":0,\"boot\":0", ERR_CORRUPT, "must be at least 1"},
        {"{\"id\":\"", "{\"id\":\"0", ERR_CORRUPT, "'/id' must be 64 hex digits"},
        {"\",1,\"", "\",-1,\"", ERR_CORRUPT, "not an array of answers"},
    };
    (void)unused;
    struct event_writer writer;
    struct node_state state;
    make_state(&state, &writer, 6, 12);
    state.containers->stopped_by_user = true;
    auto_buf struct buf text = encode(&state);
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        auto_buf struct buf edited = edit(&text, edits[i].from, edits[i].to, true);
        refuses(edited.data, edited.size, "n1", edits[i].code, edits[i].why);
    }
    /* another version is told apart from damage, whatever its digest is made of */
    auto_buf struct buf newer = edit(&text, "\"version\":9", "\"version\":10", false);
    refuses(newer.data, newer.size, "n1", ERR_PROTOCOL, "version 9");
    node_state_release(&state);
    event_writer_release(&writer);
}

/* A seed of an older version is refused in its first line, and the fuzzer learns nothing from it.
 * WHARF_TRANSCRIPT_WRITE=1 writes it anew. */
static void the_seed_for_fuzzing_is_of_this_version(void **unused)
{
    static const char path[] = "tests/fuzz/corpus/snapshot/small";
    (void)unused;
    struct event_writer writer;
    struct node_state state, back;
    struct err err = ERR_INIT;
    int64_t next_offset;
    char digest[SHA256_HEX_SIZE];
    make_state(&state, &writer, 6, 12);
    auto_buf struct buf text = encode(&state);
    size_t seal = strlen("{\"sha256\":\"\"}\n") + SHA256_HEX_SIZE - 1;
    if (getenv("WHARF_TRANSCRIPT_WRITE") != NULL)
        assert_int_equal(fs_write_file(AT_FDCWD, path, 0644, text.data, text.size - seal, false, NULL), 0);
    auto_buf struct buf seed = BUF_INIT;
    auto_free char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(fs_read_file(AT_FDCWD, path, 1 << 20, &bytes, &size, NULL), 0);
    sha256_hex(digest, bytes, size);
    buf_printf(&seed, "%s{\"sha256\":\"%s\"}\n", bytes, digest);
    if (snapshot_decode(&back, &next_offset, "n1", seed.data, seed.size, &err) < 0)
        fail_msg("%s", err.message);
    node_state_release(&back);
    node_state_release(&state);
    event_writer_release(&writer);
}

static void there_is_none_before_the_node_has_joined(void **unused)
{
    (void)unused;
    struct node_state state;
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(node_state_init(&state, "n1"), 0);
    assert_int_equal(snapshot_encode(&state, 1, &text, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    node_state_release(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back_is_the_same),
        cmocka_unit_test(the_version_stands_for_format_and_fold),
        cmocka_unit_test(every_flipped_byte_and_every_cut_is_noticed),
        cmocka_unit_test(members_are_checked_one_by_one),
        cmocka_unit_test(the_seed_for_fuzzing_is_of_this_version),
        cmocka_unit_test(there_is_none_before_the_node_has_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
