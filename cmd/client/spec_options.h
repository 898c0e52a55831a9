/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec_options.h - the options that `wharf run` and `wharf create` share, and the container spec they make.
 */
#ifndef WHARF_CMD_CLIENT_SPEC_OPTIONS_H
#define WHARF_CMD_CLIENT_SPEC_OPTIONS_H

#include <jansson.h>

#include "cmd/client/options.h"

struct spec_options {
    bool detach;
    bool rm;
    bool read_only;
    bool init;
    bool privileged;
    bool interactive;
    bool tty;
    const char *sig_proxy;
    const char *detach_keys;
    const char *name;
    const char *node;
    struct option_list env;
    struct option_list env_files;
    struct option_list labels;
    const char *memory;
    const char *cpus;
    const char *pids_limit;
    const char *user;
    const char *workdir;
    const char *hostname;
    const char *restart;
    const char *network;
    const char *ipc;
    const char *pid;
    const char *uts;
    const char *userns;
    const char *cgroup_parent;
    const char *entrypoint;
    const char *stop_signal;
    const char *stop_timeout;
    const char *memory_swap;
    const char *memory_reservation;
    const char *cpu_shares;
    const char *shm_size;
    const char *oom_score_adj;
    struct option_list group_add;
    struct option_list cap_add;
    struct option_list cap_drop;
    struct option_list security;
    struct option_list ulimits;
    struct option_list sysctls;
    struct option_list devices;
    struct option_list add_hosts;
    struct option_list volumes;
    struct option_list mounts;
    struct option_list tmpfs;
    const char *health_cmd;
    const char *health_interval;
    const char *health_timeout;
    const char *health_start_period;
    const char *health_start_interval;
    const char *health_retries;
    bool no_healthcheck;
};

extern const struct option_row run_option_rows[];
extern const struct option_row create_option_rows[];

/* The data of container.run or container.create for IMAGE [COMMAND...]. A new reference in *ret. */
int spec_make(const struct spec_options *options, int argc, char **argv, bool attach, json_t **ret,
              struct err *err);

/* Members that other commands have too; a member that was not asked for is left out. With a terminal the size
 * of ours is said; files first, so that single variables win over them. */
int spec_set_streams(json_t *spec, bool interactive, bool tty, struct err *err);
int spec_set_env(json_t *spec, const struct option_list *env, const struct option_list *files,
                 struct err *err);
int spec_set_command(json_t *spec, int argc, char **argv, struct err *err);

#endif
