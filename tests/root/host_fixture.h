/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_fixture.h - a host (runtime/host.h) of its own in a fresh directory, with an image of the machine's
 * static busybox, and calls that run the loop until an answer is there. Needs root. Include after cmocka's
 * headers.
 */
#ifndef WHARF_TESTS_ROOT_HOST_FIXTURE_H
#define WHARF_TESTS_ROOT_HOST_FIXTURE_H

#include <uv.h>

#include "runtime/host.h"

struct fixture {
    char dir[64]; /* state in DIR/state, sockets in DIR/run */
    char state_dir[80];
    char run_dir[80];
    char cgroup_parent[64];
    uv_loop_t loop;
    struct host *host;
    struct image image; /* of busybox, in the store */
    /* what the callbacks said last: */
    bool launched;
    struct host_launched result;
    bool exited;    /* n_exits > 0 */
    size_t n_exits; /* not waited for yet */
    struct host_exit exit;
    bool done;
    struct err done_err;
    struct host_imported imported;
    size_t next_id;
};

/* cmocka's setup and teardown. Teardown removes everything and fails if a process, mount or cgroup is left.
 */
int fixture_setup(void **state);
int fixture_teardown(void **state);

void fixture_open_host(struct fixture *f);
void fixture_close_host(struct fixture *f);

/* A spec that runs `sh -c SCRIPT`; release it with spec_release. */
struct container_spec spec_of(const char *script);
/* A spec that runs the words, the last one NULL. */
struct container_spec spec_of_words(const char *first, ...);
void spec_release(struct container_spec *spec);

/* A container id that was not used before in this fixture. */
void fixture_new_id(struct fixture *f, char ret[CONTAINER_ID_SIZE]);

/* Starts and waits for the answer, which is in f->result. */
void fixture_launch(struct fixture *f, const char *id, int64_t incarnation,
                    const struct container_spec *spec);
/* Starts without waiting; *ret_launched is counted up when it runs. */
void fixture_launch_only(struct fixture *f, const char *id, int64_t incarnation,
                         const struct container_spec *spec, size_t *ret_launched);
/* Executes `sh -c SCRIPT` in a container of that spec and waits for the answer, which is in f->result. */
void fixture_exec(struct fixture *f, const char *id, int64_t incarnation, const char *exec_id,
                  const struct container_spec *spec, const char *script);
/* Waits for the next exit, which is in f->exit. */
void fixture_wait_exit(struct fixture *f);
/* Runs the loop until *flag, for ten seconds at most. */
void fixture_run_until(struct fixture *f, const bool *flag);
void fixture_remove(struct fixture *f, const char *id);
/* Launch, wait for the exit, and return the text of the log's entries without their prefixes; the caller
 * frees. */
char *fixture_output(struct fixture *f, const struct container_spec *spec);
/* The text of the container's `log` without prefixes; the caller frees. */
char *fixture_log(struct fixture *f, const char *id);
/* The file's text, NUL-terminated; the caller frees. NULL if there is none. */
char *fixture_read(const char *path_fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
