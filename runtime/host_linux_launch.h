/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_linux_launch.h - what starting a container (host_linux_launch.c) and starting one more command in it
 * (host_linux_exec.c) have in common: an operation with a shim that answers (host_linux_shim.c). Part of
 * host_linux.h.
 */
#ifndef WHARF_RUNTIME_HOST_LINUX_LAUNCH_H
#define WHARF_RUNTIME_HOST_LINUX_LAUNCH_H

#include "runtime/host_linux.h"
#include "runtime/sandbox/users.h"

#define LAUNCH_LOG_MAX_BYTES (10u << 20)

struct launch_op {
    struct host_op op;
    host_launched_cb cb;
    void *data;
    /* the caller's, copied: */
    int64_t incarnation;
    int64_t command_offset;
    struct container_spec spec;
    struct image image;                 /* of an exec only its digest */
    struct container_exec_command exec; /* of an exec */
    /* found on the way: */
    struct host_launched result;
    bool already; /* this incarnation had been started before: `record`, and `exit` if it has ended */
    bool known;   /* this process knows of it: nothing is to be looked up */
    bool ended;
    struct shim_record record;
    struct host_exit exit;
    struct host_shared shared;
    struct host_cgroup cgroup; /* the container's; open once it is needed */
    int target_fd;             /* of an exec: pidfd of the container's first process */
    int dir_fd;
    int status_fd;
    int shim_fd; /* pidfd; -1 before the shim exists */
    bool shim_is_child;
    pid_t shim_pid;
    struct plan_status status;
    struct err err;
    const char *code; /* for err */
    uv_poll_t poll;
};

struct shim_fds {
    int plan;
    int status[2];
    int go[2];
};
#define SHIM_FDS_INIT                                                                                        \
    {                                                                                                        \
        -1, {-1, -1},                                                                                        \
        {                                                                                                    \
            -1, -1                                                                                           \
        }                                                                                                    \
    }

static inline bool launch_is_exec(const struct launch_op *launch)
{
    return launch->result.exec_id[0] != '\0';
}

/* A new operation whose descriptors are closed; NULL when memory runs out. */
struct launch_op *launch_new(host_launched_cb cb, void *data, const char *container_id, const char *exec_id,
                             int64_t incarnation);
void launch_free(struct launch_op *launch);

/* The answer of then, for an incarnation this process knows and that no removal comes before. */
bool launch_is_known(const struct host_container *container, int64_t incarnation);

/* For pool threads: a file of the directory, in place of what was there. -1 with errno. */
int launch_write_file(int dir_fd, const char *path, const void *data, size_t size, mode_t mode);
/* The intent. A crash of this process cannot tear it, and after a crash of the machine nothing of it runs. */
int launch_write_intent(struct launch_op *launch);
/* A user's numbers by the container's passwd and group: those of its upper layer, if it has its own, or the
 * image's. `container_fd` is the container's directory. */
int launch_find_user(struct launch_op *launch, int container_fd, int image_fd, const char *user,
                     struct user *ret);
/* The image's contents; sets the code if they are missing. */
int launch_open_image(struct launch_op *launch);

/* Starts the shim with the plan and, from PLAN_FD_CGROUPS on, with `n` descriptors. */
int launch_start_shim(struct launch_op *launch, struct shim_fds *fds, const struct buf *plan, const int *more,
                      int n);
void launch_close_shim_fds(struct shim_fds *fds);

/* `done` of the operation: waits for the shim's answer and tells it, or undoes what was begun. */
void launch_done(struct host_op *op);

#endif
