/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a runtime takes from its start to serving with a long log behind it:
 *
 *     bench_restart [EVENTS [CONTAINERS]]      default 100000 events, of at most 50 containers at a time
 *
 * Writes a legal history of short-lived containers into a SQLite log, starts $BUILD/wharf-runtime on it and
 * waits for its READY=1 (sd_notify(3)): once without a snapshot, which the orderly end then leaves, and three
 * times with it. Needs root. What is left in the history as running is recorded as gone by the recovery.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "tests/support/event_writer.h"
#include "tests/support/log_feed.h"

#define BATCH 1000

extern char **environ;

static void die(const char *what)
{
    fprintf(stderr, "bench_restart: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void write_history(const char *url, size_t n, size_t n_containers)
{
    struct event_writer writer;
    struct log_feed feed;
    event_writer_init(&writer, "bench", 1, n_containers);
    log_feed_open(&feed, url);
    for (size_t done = 0; done < n; done += BATCH) {
        char *texts[BATCH];
        size_t sizes[BATCH];
        for (size_t i = 0; i < BATCH; i++)
            texts[i] = event_writer_next(&writer, &sizes[i]);
        log_feed_append(&feed, texts, sizes, BATCH);
        for (size_t i = 0; i < BATCH; i++)
            free(texts[i]);
    }
    log_feed_close(&feed);
    event_writer_release(&writer);
}

static int listen_for_ready(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path); /* our own, short path */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("cannot listen for readiness");
    return fd;
}

static double start_until_ready_ms(const char *dir, pid_t *ret_pid)
{
    char binary[4096], state[4096], run[4096], notify[4096], message[64];
    const char *build = getenv("BUILD");
    snprintf(binary, sizeof(binary), "%s/wharf-runtime", build != NULL ? build : "build");
    snprintf(state, sizeof(state), "--state-dir=%s/state", dir);
    snprintf(run, sizeof(run), "--run-dir=%s/run", dir);
    snprintf(notify, sizeof(notify), "%s/notify", dir);
    int fd = listen_for_ready(notify);
    setenv("NOTIFY_SOCKET", notify, 1);
    char *argv[] = {binary, state, run, (char *)"--node=bench", NULL};
    int64_t began_ns = clock_monotonic_ns();
    errno = posix_spawn(ret_pid, binary, NULL, NULL, argv, environ);
    if (errno != 0)
        die(binary);
    if (recv(fd, message, sizeof(message), 0) < 0)
        die("the runtime did not say that it is ready");
    close(fd);
    unlink(notify);
    return (double)(clock_monotonic_ns() - began_ns) / 1e6;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    char dir[] = "/tmp/wharf-restart.XXXXXX", url[4096];
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    size_t n_containers = argc > 2 ? strtoul(argv[2], NULL, 10) : 50;
    if (mkdtemp(dir) == NULL)
        die("cannot make a directory");
    snprintf(url, sizeof(url), "%s/state", dir);
    if (fs_mkdirs(AT_FDCWD, url, 0755, &err) < 0)
        die(err.message);
    snprintf(url, sizeof(url), "sqlite:%s/state/log", dir);
    write_history(url, n, n_containers);
    for (int i = 0; i < 4; i++) {
        pid_t pid;
        double ms = start_until_ready_ms(dir, &pid);
        printf("runtime start with %zu events in its log, %s snapshot: %.0f ms to serving%s\n", n,
               i == 0 ? "no" : "a", ms, i == 0 ? "" : " (goal 1000)");
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    }
    if (fs_remove_tree(AT_FDCWD, dir, &err) < 0)
        die(err.message);
    return 0;
}
