/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - settings from three places: flags over environment (WHARF_*) over /etc/wharf/wharf.conf (`key =
 * value`, `#` starts a comment). Keys are lower-case words with dashes; the environment's form is WHARF_ and
 * the key in capitals with underscores. `kafka.<property>` keys are kept aside and passed through to
 * librdkafka.
 *
 * libc only, since the client links it. Used once at start, on the main thread.
 */
#ifndef WHARF_BASE_CONFIG_H
#define WHARF_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct config {
    char *state_dir;        /* "state-dir", default /var/lib/wharf */
    char *run_dir;          /* "run-dir", default /run/wharf */
    char *log_url;          /* "log", default sqlite:STATE_DIR/log */
    char *redis_url;        /* "redis", default unix:RUN_DIR/redis.sock */
    char *node;             /* "node", default the host name; "" where that is none (config_check_node) */
    char *user;             /* "user", default wharf: whom writer, projector and query become */
    char *cgroup_parent;    /* "cgroup-parent", default wharf: under which containers' cgroups are made */
    char *oci_event_log;    /* "oci-event-log", default "": the writer's socket that wharf-oci reports to; "":
                               none */
    char *oci_event_node;   /* "oci-event-node", default "": the node whose events those are, if there are
                               several */
    uint32_t userns_base;   /* "userns-pool", ids of the host for containers' user namespaces: the first, */
    uint32_t userns_size;   /* and how many; 0 = found on the host (runtime/id_pool.h) */
    uint32_t partitions;    /* "partitions", of topics to be created; 0 = default */
    uint32_t replication;   /* "replication", of topics to be created; 0 = default */
    int64_t snapshot_every; /* "snapshot-every", events between snapshots, default 10000; 0 = none */
    char **kafka;           /* name, value, name, value, ..., NULL; never NULL itself */
    bool embedded_redis;    /* no "redis" was given anywhere: `wharf up` starts a private one */
};

/* One setting from the command line. */
struct config_flag {
    const char *key; /* "state-dir" */
    const char *value;
};

/* Merges the three sources; `file` NULL means WHARF_CONFIG or /etc/wharf/wharf.conf, which may be absent (a
 * file that was named must exist). Unknown keys and bad values are errors that name file and line. */
int config_load(struct config *ret, const char *file, const struct config_flag *flags, size_t n_flags,
                struct err *err);

/* For those who need the node: ERR_INVALID when nobody has named it and the host's name cannot. */
int config_check_node(const struct config *config, struct err *err);

void config_release(struct config *config);

/* The options every role takes: --state-dir, --run-dir, --log, --redis, --node, --user, --cgroup-parent,
 * --userns-pool, --partitions, --replication, --snapshot-every, --config, each as "--key value" or
 * "--key=value". Parses argv from argv[1] on; ERR_INVALID names an unknown option. */
int config_from_argv(struct config *ret, int argc, char **argv, struct err *err);

/* What one source says, before merging: a value by key, later ones over earlier ones. */
struct config_settings;

struct config_settings *config_settings_new(void); /* NULL when memory runs out */
void config_settings_free(struct config_settings *settings);

/* Adds what a configuration file's text says. `source` names it in errors. A `#` starts a comment at the
 * beginning of a line or after a blank, so that a password may contain one. Setting a key twice is an error.
 */
int config_parse_text(struct config_settings *settings, const char *text, size_t size, const char *source,
                      struct err *err);

#endif
