/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/root/host_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define WAIT_MS 10000

static const char *build_dir(void)
{
    const char *dir = getenv("WHARF_BUILD");
    return dir == NULL ? "build" : dir;
}

static void on_exit_seen(const struct host_exit *exit, void *data)
{
    struct fixture *f = data;
    f->exit = *exit;
    f->n_exits++;
    f->exited = true;
}

void fixture_open_host(struct fixture *f)
{
    struct err err = ERR_INIT;
    char shim[PATH_MAX], image[PATH_MAX];
    snprintf(shim, sizeof(shim), "%s/wharf-shim", build_dir());
    snprintf(image, sizeof(image), "%s/wharf-image", build_dir());
    struct host_options options = {
        .state_dir = f->state_dir,
        .run_dir = f->run_dir,
        .cgroup_parent = f->cgroup_parent,
        .shim_path = shim,
        .image_path = image,
        .on_exit = on_exit_seen,
        .data = f,
    };
    if (host_open(&f->host, &f->loop, &options, &err) < 0)
        fail_msg("%s", err.message);
}

static void on_host_closed(void *data)
{
    struct fixture *f = data;
    f->host = NULL;
    f->done = true;
}

void fixture_close_host(struct fixture *f)
{
    f->done = false;
    host_close(f->host, on_host_closed, f);
    fixture_run_until(f, &f->done);
}

static void on_imported(const struct host_imported *imported, const struct err *err, void *data)
{
    struct fixture *f = data;
    f->done = true;
    if (err != NULL)
        f->done_err = *err;
    else
        f->imported = *imported;
}

static int run(const char *command)
{
    int status = system(command); // NOLINT(cert-env33-c): fixed commands of the test
    return status;
}

static void make_image(struct fixture *f)
{
    char command[1024];
    snprintf(
        command, sizeof(command),
        "set -e; r=%s/rootfs; mkdir -p $r/bin $r/etc $r/tmp $r/root $r/proc $r/dev $r/sys; chmod 1777 $r/tmp;"
        "cp \"$(command -v busybox)\" $r/bin/busybox;"
        "for a in $(busybox --list); do ln -s busybox $r/bin/$a 2>/dev/null || :; done;"
        "printf 'root:x:0:0:root:/root:/bin/sh\\nalice:x:1000:1001::/home/alice:/bin/sh\\n' >$r/etc/passwd;"
        "printf 'root:x:0:\\nalice:x:1001:\\nwheel:x:10:alice,root\\naudio:x:29:alice\\n' >$r/etc/group;"
        "printf 'no program' >$r/bin/plain; printf 'no program' >$r/bin/noexec-format; chmod 755 "
        "$r/bin/noexec-format",
        f->dir);
    assert_int_equal(run(command), 0);
    char source[100];
    struct err err = ERR_INIT;
    snprintf(source, sizeof(source), "%s/rootfs", f->dir);
    f->done = false;
    assert_int_equal(host_image_import(f->host, source, on_imported, f, &err), 0);
    fixture_run_until(f, &f->done);
    if (f->done_err.code != ERR_NONE)
        fail_msg("%s", f->done_err.message);
    f->image.reference = strdup("busybox:latest");
    f->image.digest = strdup(f->imported.digest);
    struct strings store = {0};
    assert_int_equal(host_images(f->host, &store, &err), 0);
    assert_int_equal(store.n, 1);
    assert_string_equal(store.items[0], f->image.digest);
    strings_release(&store);
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    const char *where = getenv("WHARF_TEST_DIR");
    snprintf(f->dir, sizeof(f->dir), "%.40s/wharf-root-XXXXXX", where != NULL ? where : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->state_dir, sizeof(f->state_dir), "%s/state", f->dir);
    snprintf(f->run_dir, sizeof(f->run_dir), "%s/run", f->dir);
    snprintf(f->cgroup_parent, sizeof(f->cgroup_parent), "wharf-test-%d", (int)getpid());
    assert_int_equal(uv_loop_init(&f->loop), 0);
    fixture_open_host(f);
    make_image(f);
    *state = f;
    return 0;
}

/* What must not be left once every container is removed. */
static void assert_nothing_left(const struct fixture *f)
{
    char command[600];
    snprintf(command, sizeof(command),
             "set -e; ! grep -q %s /proc/self/mountinfo; ! ls %s/containers | grep .;"
             "for d in $(find /sys/fs/cgroup -maxdepth 2 -type d -name %s); do ! ls -d $d/*/ 2>/dev/null; "
             "rmdir $d; done;"
             "for p in /proc/[0-9]*; do case $(readlink $p/cwd) in %s*) echo left: $p; exit 1;; esac; done",
             f->dir, f->state_dir, f->cgroup_parent, f->dir);
    assert_int_equal(run(command), 0);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    if (f->host == NULL)
        fixture_open_host(f);
    struct host_observation *found = NULL;
    size_t n = 0;
    struct err err = ERR_INIT;
    assert_int_equal(host_observe(f->host, &found, &n, &err), 0);
    for (size_t i = 0; i < n; i++)
        fixture_remove(f, found[i].container_id);
    free(found);
    fixture_close_host(f);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_nothing_left(f);
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->dir, &err), 0);
    free(f->image.reference);
    free(f->image.digest);
    free(f);
    return 0;
}

static void add_word(struct strings *list, const char *word)
{
    list->items = realloc(list->items, (list->n + 2) * sizeof(char *));
    assert_non_null(list->items);
    list->items[list->n++] = strdup(word);
    list->items[list->n] = NULL;
}

struct container_spec spec_of_words(const char *first, ...)
{
    struct container_spec spec;
    schema_init(&container_spec_schema, &spec);
    spec.image = strdup("busybox:latest");
    va_list args;
    va_start(args, first);
    for (const char *word = first; word != NULL; word = va_arg(args, const char *))
        add_word(&spec.command, word);
    va_end(args);
    return spec;
}

struct container_spec spec_of(const char *script)
{
    return spec_of_words("sh", "-c", script, NULL);
}

void spec_release(struct container_spec *spec)
{
    schema_release(&container_spec_schema, spec);
}

void fixture_new_id(struct fixture *f, char ret[CONTAINER_ID_SIZE])
{
    snprintf(ret, CONTAINER_ID_SIZE, "%032x%032zx", 0xabc, ++f->next_id);
}

static void on_timeout(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* An emulated processor gets more: WHARF_TEST_PATIENCE times as much. */
static uint64_t wait_ms(void)
{
    const char *patience = getenv("WHARF_TEST_PATIENCE");
    long factor = patience == NULL ? 1 : strtol(patience, NULL, 10);
    return WAIT_MS * (uint64_t)(factor < 1 ? 1 : factor);
}

void fixture_run_until(struct fixture *f, const bool *flag)
{
    bool late = false;
    uv_timer_t timer;
    uv_timer_init(&f->loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, on_timeout, wait_ms(), 0);
    while (!*flag && !late)
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    while (uv_is_active((uv_handle_t *)&timer) || uv_is_closing((uv_handle_t *)&timer)) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        if (!uv_is_active((uv_handle_t *)&timer))
            break;
    }
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_false(late);
}

static void on_launched(const struct host_launched *result, void *data)
{
    struct fixture *f = data;
    f->result = *result;
    f->launched = true;
}

void fixture_launch(struct fixture *f, const char *id, int64_t incarnation, const struct container_spec *spec)
{
    struct err err = ERR_INIT;
    struct host_launch launch = {.container_id = id,
                                 .incarnation = incarnation,
                                 .command_offset = 7,
                                 .spec = spec,
                                 .image = &f->image};
    f->launched = false;
    assert_int_equal(host_launch(f->host, &launch, on_launched, f, &err), 0);
    assert_false(f->launched);
    fixture_run_until(f, &f->launched);
}

void fixture_exec(struct fixture *f, const char *id, int64_t incarnation, const char *exec_id,
                  const struct container_spec *spec, const char *script)
{
    const struct schema *schema = command_types[COMMAND_CONTAINER_EXEC].schema();
    struct container_exec_command command;
    struct err err = ERR_INIT;
    schema_init(schema, &command);
    strings_add(&command.command, "sh");
    strings_add(&command.command, "-c");
    strings_add(&command.command, script);
    const struct host_exec exec = {.container_id = id,
                                   .incarnation = incarnation,
                                   .exec_id = exec_id,
                                   .command_offset = 9,
                                   .spec = spec,
                                   .image_digest = f->image.digest,
                                   .exec = &command};
    f->launched = false;
    assert_int_equal(host_exec(f->host, &exec, on_launched, f, &err), 0);
    assert_false(f->launched);
    schema_release(schema, &command);
    fixture_run_until(f, &f->launched);
}

static void count_launched(const struct host_launched *result, void *data)
{
    assert_true(result->ok);
    ++*(size_t *)data;
}

void fixture_launch_only(struct fixture *f, const char *id, int64_t incarnation,
                         const struct container_spec *spec, size_t *ret_launched)
{
    struct err err = ERR_INIT;
    struct host_launch launch = {.container_id = id,
                                 .incarnation = incarnation,
                                 .command_offset = -1,
                                 .spec = spec,
                                 .image = &f->image};
    assert_int_equal(host_launch(f->host, &launch, count_launched, ret_launched, &err), 0);
}

void fixture_wait_exit(struct fixture *f)
{
    fixture_run_until(f, &f->exited);
    f->exited = --f->n_exits > 0;
}

static void on_done(const struct err *err, void *data)
{
    struct fixture *f = data;
    f->done_err = err != NULL ? *err : (struct err)ERR_INIT;
    f->done = true;
}

void fixture_remove(struct fixture *f, const char *id)
{
    struct err err = ERR_INIT;
    f->done = false;
    assert_int_equal(host_remove(f->host, id, on_done, f, &err), 0);
    fixture_run_until(f, &f->done);
    if (f->done_err.code != ERR_NONE)
        fail_msg("%s", f->done_err.message);
}

char *fixture_read(const char *path_fmt, ...)
{
    char path[PATH_MAX];
    va_list args;
    va_start(args, path_fmt);
    vsnprintf(path, sizeof(path), path_fmt, args);
    va_end(args);
    char *text = NULL;
    return fs_read_file(AT_FDCWD, path, 64u << 20, &text, NULL, NULL) < 0 ? NULL : text;
}

char *fixture_log(struct fixture *f, const char *id)
{
    char *text = fixture_read("%s/containers/%s/log", f->state_dir, id);
    if (text == NULL)
        return strdup("");
    char *to = text;
    for (const char *at = text; *at != '\0';) {
        const char *end = strchr(at, '\n');
        assert_non_null(end);
        const char *tag = strstr(at, " stdout ");
        if (tag == NULL || tag > end)
            tag = strstr(at, " stderr ");
        assert_non_null(tag);
        const char *words = tag + strlen(" stdout F ");
        bool whole = tag[strlen(" stdout ")] == 'F'; /* before it is overwritten */
        memmove(to, words, (size_t)(end - words));
        to += end - words;
        if (whole)
            *to++ = '\n';
        at = end + 1;
    }
    *to = '\0';
    return text;
}

char *fixture_output(struct fixture *f, const struct container_spec *spec)
{
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, spec);
    if (!f->result.ok)
        fail_msg("%s", f->result.message);
    fixture_wait_exit(f);
    char *text = fixture_log(f, id);
    fixture_remove(f, id);
    return text;
}
