/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci.h - the verbs of `wharf oci`, an OCI runtime (runtime.md of the runtime-spec) on the same engine as
 * managed containers: a config.json becomes a plan (../sandbox), and wharf-init (../shim) carries it out.
 *
 * One process a verb, one thread, no loop. Each verb returns 0 or -1 with an error; only cmd/wharf-oci.c
 * prints.
 */
#ifndef WHARF_RUNTIME_OCI_OCI_H
#define WHARF_RUNTIME_OCI_OCI_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

#define OCI_VERSION "1.2.0"

struct oci_texts {
    const char **items;
    size_t n;
};

/* As the command line gives them; NULL: not changed. */
struct oci_limits {
    const char *blkio_weight;
    const char *cpu_burst, *cpu_idle, *cpu_period, *cpu_quota, *cpu_share;
    const char *cpu_rt_period, *cpu_rt_runtime;
    const char *cpuset_cpus, *cpuset_mems;
    const char *memory, *memory_reservation, *memory_swap; /* bytes, or with k, m, g, t */
    const char *kernel_memory, *kernel_memory_tcp;
    const char *pids_limit;
};

/* What the command line says; what a verb does not take is unset. */
struct oci_options {
    const char *root; /* where the containers' state directories are */
    const char *bundle;
    const char *pid_file;
    const char *console_socket;
    int preserve_fds;
    bool no_pivot;
    bool no_new_keyring;
    bool all;
    bool force;
    bool detach;
    bool quiet;
    const char *format;
    /* exec: */
    const char *process; /* file with the process as JSON; NULL: the config's with other arguments */
    bool tty;
    const char *cwd;
    const char *user; /* UID[:GID] */
    struct oci_texts env;
    struct oci_texts additional_gids;
    struct oci_texts caps;
    bool no_new_privs;
    const char *apparmor;
    const char *process_label;
    bool ignore_paused;
    /* update: */
    const char *resources; /* file with linux.resources as JSON, or "-" */
    struct oci_limits limits;
    /* events: */
    bool stats;
    const char *interval; /* seconds, or with ms, s, m */
    /* Where actions are reported to (report.h): the writer's socket and, where it has several nodes, which
     * one; NULL: nowhere. `deliver` sends a command under its idempotency key: 0 if it is on the log, 1 if it
     * never will be, -1 if later may be better. */
    const char *event_log;
    const char *event_node;
    int (*deliver)(const char *socket_path, const char *key, const char *body, int timeout_ms,
                   struct err *err);
    /* Called with what goes on although it failed, as a poststop hook may. */
    void (*warn)(const char *message);
};

int oci_create(const struct oci_options *options, const char *id, struct err *err);
int oci_start(const struct oci_options *options, const char *id, struct err *err);
/* Creates and starts; unless detached it waits, deletes, and gives the exit code. */
int oci_run(const struct oci_options *options, const char *id, int *ret_exit_code, struct err *err);
/* One more process in a container. `argv`: its arguments, empty with a process file. Unless detached it waits
 * and gives the exit code. */
int oci_exec(const struct oci_options *options, const char *id, char *const *argv, int *ret_exit_code,
             struct err *err);
/* ERR_NOT_FOUND when there is no such container. */
int oci_state(const struct oci_options *options, const char *id, FILE *out, struct err *err);
/* `signal`: a name with or without SIG, or a number. */
int oci_kill(const struct oci_options *options, const char *id, const char *signal, struct err *err);
int oci_delete(const struct oci_options *options, const char *id, struct err *err);
int oci_list(const struct oci_options *options, FILE *out, struct err *err);
int oci_ps(const struct oci_options *options, const char *id, FILE *out, struct err *err);
int oci_pause(const struct oci_options *options, const char *id, struct err *err);
int oci_resume(const struct oci_options *options, const char *id, struct err *err);
/* Changes the limits of a container that is not stopped, and its saved configuration. All or nothing. */
int oci_update(const struct oci_options *options, const char *id, struct err *err);
/* Prints statistics as runc does, one JSON document a line: once with `stats`, else after every interval and
 * after every OOM kill until the container ends. */
int oci_events(const struct oci_options *options, const char *id, FILE *out, struct err *err);
/* Writes a config.json to begin with into the bundle; ERR_EXISTS if there is one. */
int oci_spec(const struct oci_options *options, struct err *err);
int oci_features(FILE *out, struct err *err);

#endif
