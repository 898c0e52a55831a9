/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim.h - what the files of wharf-shim and wharf-init share.
 *
 * main.c is the shim: the parent of a managed container's first process, or of one more (an exec), which runs
 * container.c. init.c is wharf-init: the first process of a container that wharf-oci makes, or one more. All
 * do the same to become the command: mounts.c (with paths.c, copy_up.c) makes the root, process.c gives up
 * what the command is not to have; hook.c runs programs that the config names. join.c (join.h) is for one
 * more process in a container, terminal.c for any that has a terminal, filter.c for any that has a filter of
 * the config.
 *
 * One thread. Nothing here allocates after the plan was decoded.
 */
#ifndef WHARF_RUNTIME_SHIM_SHIM_H
#define WHARF_RUNTIME_SHIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/sandbox/plan.h"

/* What the host's root mounts for a process that is not to do so itself: it will be in a user namespace. */
struct mapped_mounts {
    int root_fd;                   /* detached */
    int sources[PLAN_MAX_SOURCES]; /* of the steps that bind (sources_open) */
};

/* What the container's process inherits from the shim. */
struct container_fds {
    int in;     /* read end of the stdin pipe; -1 for /dev/null */
    int out;    /* write end of the stdout pipe; with a terminal, the socket that its master is sent on */
    int err;    /* write end of the stderr pipe; -1 with a terminal */
    int report; /* pipe to the shim: a struct plan_failure if something fails, end of file once the command
                   runs */
    int go;     /* pipe from the shim: one byte lets the command go; end of file means give up */
    const struct mapped_mounts *mapped; /* what the shim has mounted already; NULL: nothing */
};

/* Becomes the container's first process: mounts, joins, drops, executes. Never returns. */
_Noreturn void container_main(const struct plan *plan, const struct container_fds *fds);

/* Becomes one more process in a container that there is (PLAN_JOIN). Never returns. */
_Noreturn void joined_main(const struct plan *plan, const struct container_fds *fds);

/* Fills *ret from errno; returns -1. */
int fail(struct plan_failure *ret, enum plan_stage stage, const char *subject);

/* --- mounts.c --- */

/* A file in one of the mounts that show it. */
struct mount_place {
    uint64_t mount, inode;
};

struct held_mount {
    int fd; /* -1: nothing is held */
    struct mount_place place;
};

enum { MOUNTS_HELD = 3, MOUNTS_MAX_CGROUPS = 16 };

struct mount_work {
    const struct plan *plan;
    struct plan_failure *failure;
    int root_fd;                         /* the container's root; -1 before it is made */
    struct held_mount held[MOUNTS_HELD]; /* what is mounted on /proc, /sys and /dev, if by its descriptor */
    int empty_fd; /* an empty read-only directory that masks are cloned from; -1 until needed */
    int cgroup_fds[MOUNTS_MAX_CGROUPS]; /* directories that the steps for cgroups have made, in their order */
    size_t n_cgroups;
    const int *sources; /* detached mounts in the order of the steps that bind; NULL: they are looked up */
    int mapped_root_fd; /* the root, mounted already but detached; -1: it is to be mounted */
};

#define MOUNT_WORK_INIT(plan_, failure_)                                                                     \
    {                                                                                                        \
        .plan = plan_, .failure = failure_, .root_fd = -1, .held = {{.fd = -1}, {.fd = -1}, {.fd = -1}},     \
        .empty_fd = -1, .mapped_root_fd = -1                                                                 \
    }

/* Carries out all file system steps, in a mount namespace of its own. For an overlay the container's
 * directory is the working directory. Leaves the umask 0. -1 with *work->failure filled. */
int mounts_make(struct mount_work *work);

/* open_tree(2) of what a step binds, and with the step's mapping of ids if it has one (sources.c). */
int mounts_open_source(const struct plan_step *step);

/* Mounts the cgroups, as a cgroup namespace shows them that the process has made in its cgroups. After
 * mounts_make, also when the root has been entered since. */
int mounts_show_cgroups(struct mount_work *work);

/* Makes what was mounted the root, and enters the working directory. */
int mounts_enter(struct mount_work *work);

/* move_mount(2) of one descriptor to another. */
int mount_move(int from_fd, int to_fd);
/* mount_setattr(2) of what the descriptor refers to. */
struct mount_attr;
int mount_set(int fd, const struct mount_attr *attr, unsigned flags);

/* --- sources.c --- */

/* Opens what the steps of the plan bind, for a process that is not to open it itself: it will be in a user
 * namespace, which neither may look everywhere nor map the ids of the host's file systems. What is opened
 * gets the propagation that it would have had in there. */
int sources_open(const struct plan *plan, int ret[PLAN_MAX_SOURCES], struct plan_failure *failure);

/* Clones a mount below /proc/PID/root of a process whose IPC namespace is this one's too: from another mount
 * namespace open_tree(2) refuses that. Detached; -1 with errno, EINVAL for any other path. */
int sources_open_shared(const char *path);

/* A descriptor of a new user namespace that has the maps, and that nobody is in. -1 with errno. */
int sources_user_namespace(const char *uid_map, const char *gid_map);

/* --- user_namespace.c, for the shim: a container in a user namespace of its own --- */

/* Mounts what the container cannot. The layers of its root must be there. */
int user_namespace_mount(const struct plan *plan, struct mapped_mounts *ret, struct plan_failure *failure);
void user_namespace_unmount(const struct mapped_mounts *mounts);
/* Hands a pipe to the container's root, who can open it again through /dev/stdout then. */
void user_namespace_give(const struct plan *plan, int fd);
/* Gives the container's first process its ids, and what it would have no right to itself. */
int user_namespace_begin(const struct plan *plan, int pid, struct plan_failure *failure);
/* Moves the process into the container's cgroups, which it could not write to (v1). */
int user_namespace_join_cgroups(const struct plan *plan, int pid, struct plan_failure *failure);

/* --- layers.c --- */

/* The overlay of a plan's first step with the ids of its layers mapped by the plan's maps: a detached mount,
 * or -1 with *failure filled. Needs Linux 5.19 and layers on a file system that can be mapped
 * (mount_setattr(2)). */
int layers_mount(const struct plan *plan, struct plan_failure *failure);
/* Whom the id is outside the namespace that has the map; -1 for nobody. */
int64_t layers_outside(const char *map, uint32_t id);

/* --- filesystem.c --- */

/* True if filesystem_open knows all about the type. */
bool filesystem_is_virtual(const char *type);
/* What mount(2) would mount for the step, of such a type, mounted nowhere yet: a descriptor, or -1 with
 * errno. */
int filesystem_open(const struct plan_step *step);
/* True for proc and sysfs. */
bool filesystem_is_the_kernels(int fd);
/* Where the descriptor's file is seen (statx(2), STATX_MNT_ID, Linux 5.8). False if that cannot be told. */
bool mount_place_of(int fd, struct mount_place *ret);

/* --- copy_up.c --- */

/* Copies all that is in the one directory into the other, with modes, owners and times. -1 with errno. */
int copy_up(int from_fd, int to_fd);

/* --- scheduling.c --- */

/* Scheduler, priority of input and output, and personality. */
int scheduling_apply(const struct plan *plan, struct plan_failure *failure);

/* --- paths.c: openat2(2) confined to `root_fd`, where neither links nor ".." nor /proc's magic links lead
 * out of it. All return a descriptor, or -1 with errno. --- */

int open_in_root(int root_fd, const char *path, uint64_t flags);
int open_plain_in_root(int root_fd, const char *path, uint64_t flags); /* ELOOP where there is any link */
int open_directory_in_root(int root_fd, const char *path);             /* made if missing, with its parents */
int open_file_in_root(int root_fd, const char *path); /* O_PATH; made empty if missing, with its parents */
/* The directory of the last component, and the component's name, which points into `path`. */
int open_parent_in_root(int root_fd, const char *path, const char **ret_name);
int make_parent_in_root(int root_fd, const char *path, const char **ret_name);

/* --- process.c, in the order in which they are needed --- */

/* Writes all of `value`, as files of the kernel want it; -1 with errno. */
int process_write_file(const char *path, const char *value);
/* Nobody may trace this process or look into it through /proc, whatever shares its pid namespace, until it
 * executes the command. A change of credentials undoes it, so it is said again then. */
int process_hide(struct plan_failure *failure);

/* No descriptor from this number on reaches the command. */
int process_close_on_exec(unsigned from_fd, struct plan_failure *failure);

/* Through the host's /proc. */
int process_set_oom_score(const struct plan *plan, struct plan_failure *failure);
int process_set_limits(const struct plan *plan, struct plan_failure *failure);
/* Session keyring, groups, user, capabilities, no_new_privs, umask. What execve(2) takes away anyhow is kept
 * until then, so that the filter can still be loaded. */
int process_become_user(const struct plan *plan, struct plan_failure *failure);
int process_load_filter(const struct plan *plan, struct plan_failure *failure);
/* seccomp(2) alone: 0 or the listener's descriptor; -1 with errno. */
int process_set_filter(const struct plan *plan);
/* Becomes the user 0 and the group 0 of the user namespace, if it has them. */
int process_become_namespace_root(struct plan_failure *failure);
/* The labels that the command gets by AppArmor and SELinux. */
int process_set_labels(const struct plan *plan, struct plan_failure *failure);
/* Raises a process's hard limits to what the plan wants, while there is the right to; 0 is this one. */
void process_raise_limits(const struct plan *plan, int pid);
int process_bring_loopback_up(struct plan_failure *failure);
/* Returns only on failure, with errno. */
void process_execute(const struct plan *plan);
/* 0 if process_execute would find something to execute, whoever the user is; otherwise -1 with errno. */
int process_find_command(const struct plan *plan);

/* Hands standard streams that are no terminals to the command's user, who can open them again through
 * /dev/stdout then. What cannot change hands stays. */
void process_give_streams(const struct plan *plan);

/* --- terminal.c --- */

/* Opens a new terminal of the container's own devpts, as the controlling one of this session and as the
 * standard streams, with the size and owner that the plan says. With `console` it is mounted on the root's
 * /dev/console too. Its master goes to `socket_fd` (SCM_RIGHTS, one message "/dev/ptmx"). */
int terminal_open(const struct plan *plan, int root_fd, bool console, int socket_fd,
                  struct plan_failure *failure);
/* --- kernel.c --- */

/* Sysctls of the process's own namespaces and its OOM score, through the host's /proc, which shows each
 * process its own, while it is still there. */
int kernel_set_parameters(const struct plan *plan, struct plan_failure *failure);

/* --- reaper.c --- */

/* Returns 0 in a child that is to become the command. This process never returns: it stays as the first one.
 * -1 if there is no child. */
int reaper_begin(struct plan_failure *failure);

/* The master that was sent; -1 if none came. */
int terminal_receive(int socket_fd);

/* --- filter.c, for wharf-init --- */

/* Loads the filter and executes the command; returns, with *failure filled, only while a failure can still be
 * sent to `to_fd`: later ones are written to the memory that goes there before the filter is loaded. */
int filter_and_execute(const struct plan *plan, int to_fd, struct plan_failure *failure);

/* --- share.c --- */

/* Joins those of the shared namespaces that `which` has the CLONE_NEW* flags of. CLONE_NEWPID is for children
 * only (setns(2)). */
int share_join(const struct plan *plan, uint64_t which, struct plan_failure *failure);
void share_close(const struct plan *plan);

/* --- hook.c --- */

/* Runs a hook to its end, with `state` on its standard input. -1 with errno and, in `ret_why` if the hook
 * itself failed, how: "exit status 3". A hook beyond its time is killed. */
int hook_run(const struct plan_hook_call *hook, const char *state, size_t state_size, char ret_why[64]);

#endif
