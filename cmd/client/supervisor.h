/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.h - keeps the parts of the local stack running: starts them, waits until each says that it
 * serves, starts again what dies, and stops them in reverse order. It never touches containers or their
 * shims.
 *
 * One thread, one poll(2): signals through a signalfd, readiness through a datagram socket that the parts
 * find in NOTIFY_SOCKET, time through poll's timeout.
 */
#ifndef WHARF_CMD_CLIENT_SUPERVISOR_H
#define WHARF_CMD_CLIENT_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/err.h"

#define SUPERVISOR_PARTS 5

struct part {
    const char *name; /* "redis", "writer", ... */
    char *argv[32];   /* owned strings; NULL-terminated */
    uid_t uid;        /* whom to become, if that user can reach dirs; (uid_t)-1: nobody else */
    gid_t gid;        /* that user's group */
    char *dirs[2];    /* owned; the directories that it writes into, or NULL */
    char *link;       /* owned; a name of its socket that clients know, or NULL */
    char *cache;      /* owned; a file it reads at start and can do without, or NULL */
    bool notifies;    /* sends READY=1; otherwise it is asked with a PING */
    pid_t pid;        /* 0 while it does not run */
    bool ready;
    int64_t restarts;
    int64_t started_ns;
    int64_t due_ns; /* when to start it again; 0: not waiting */
    int64_t delay_ms;
};

struct supervisor {
    const struct config *config;
    struct part parts[SUPERVISOR_PARTS]; /* in the order they are started */
    size_t n;
    int signals_fd;
    int notify_fd;
    int output_fd;       /* where the parts write; also ours */
    const char *output;  /* its path, or NULL when it is our stderr */
    char *notify_path;   /* RUN_DIR/notify.sock */
    int64_t deadline_ns; /* for the first readiness of all */
    bool up;             /* all have been ready once */
    bool stopping;
};

int supervisor_init(struct supervisor *supervisor, const struct config *config, const char *config_file,
                    int output_fd, const char *output, struct err *err);

/* Starts the parts and returns when all serve (1), or when it was asked to end before (0). On error nothing
 * is left running, and the error carries the last words of the part that failed. */
int supervisor_start(struct supervisor *supervisor, struct err *err);

/* Keeps them running until SIGTERM or SIGINT comes. */
int supervisor_run(struct supervisor *supervisor, struct err *err);

/* Stops what runs, in reverse order: SIGTERM, after ten seconds SIGKILL. */
void supervisor_stop(struct supervisor *supervisor);

void supervisor_release(struct supervisor *supervisor);

/* "sqlite:DIR" gives DIR, anything else NULL. */
const char *log_directory(const char *log_url);

#endif
