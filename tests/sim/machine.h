/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - the simulated kernel and disk of one host: container directories, cgroups, shims and the
 * processes they watch over, and the kernel's own books of what every incarnation did, which the checkers
 * compare the log with.
 *
 * The disk keeps two versions of each file: what is in the page cache, and what a sync has made durable. A
 * power cut leaves one of the two, or a torn file. host*.c puts runtime/host.h over this; the shim here
 * behaves as runtime/shim/main.c does.
 */
#ifndef WHARF_TESTS_SIM_MACHINE_H
#define WHARF_TESTS_SIM_MACHINE_H

#include "base/id.h"
#include "tests/sim/world.h"

#define DIGEST_SIZE (7 + SHA256_HEX_SIZE)

/* One of the small files of a container's directory. */
struct sim_file {
    bool present;
    bool torn; /* its checksum or syntax is wrong */
    int64_t incarnation;
    int64_t command_offset;          /* launch.json */
    int boot;                        /* launch.json and shim */
    char exec_of[CONTAINER_ID_SIZE]; /* launch.json of an exec: its container */
    int64_t shim_pid;                /* shim */
    int64_t pid;
    int64_t started_at_ns;
    int exit_code; /* exit */
    int signal;
    bool oom_killed;
    int64_t finished_at_ns;
};

enum { FILE_LAUNCH, FILE_SHIM, FILE_EXIT, DIR_FILES };

struct sim_dir {
    char id[CONTAINER_ID_SIZE];
    bool trash;  /* renamed aside, to be deleted */
    bool marked; /* suspended for a commit */
    struct sim_file now[DIR_FILES];
    struct sim_file disk[DIR_FILES];
    struct sim_dir *next;
};

/* What a container's process does, drawn from its id and incarnation. */
struct behaviour {
    enum { RUNS, NOT_FOUND, NOT_EXECUTABLE, CANNOT_SET_UP } kind;
    int64_t life_ns; /* until it exits by itself; 0: never */
    int exit_code;
    bool ignores_stop;
    bool handles_stop; /* exits with 0 when asked to */
    int64_t stop_ns;   /* and takes so long for it */
};

enum shim_stage {
    SHIM_FORKED, /* the process is cloned and waits */
    SHIM_READY,  /* the records are written */
    SHIM_RUNNING,
    SHIM_ENDED, /* the process has ended; its exit is being recorded */
};

struct truth;
struct launch_op;
struct entry;

struct shim {
    struct machine *machine;
    struct sim_dir *dir;
    char id[CONTAINER_ID_SIZE];
    char exec_of[CONTAINER_ID_SIZE]; /* of an exec: its container; "" otherwise */
    int64_t target_pid;              /* of an exec: the container's first process */
    int64_t incarnation;
    int64_t shim_pid;
    int64_t pid;
    enum shim_stage stage;
    bool alive;     /* the shim itself */
    bool pid_alive; /* the container's first process, or the exec's */
    bool layers_go; /* the runtime's two bytes */
    bool go;
    struct behaviour behaviour;
    struct truth *truth;   /* NULL before the command is executed */
    struct launch_op *op;  /* whose answer is to come; NULL if nobody hears it */
    struct entry *watcher; /* a runtime's pidfd; NULL if nobody watches */
    struct task shim_task; /* the shim's next step */
    struct task life;      /* the end of the process */
    struct task stop;      /* ... because of a signal */
    int stop_signal;
    bool frozen;       /* nothing of it happens but SIGKILL by the kernel itself */
    bool life_is_over; /* it would have ended by itself meanwhile */
    uint64_t pending;  /* signals that came meanwhile, a bit each */
    int64_t memory;    /* its cgroup's limit; SCHEMA_ABSENT for none */
    struct shim *next;
};

/* The kernel's book of one execution. */
struct truth {
    struct machine *machine;
    char id[CONTAINER_ID_SIZE];
    char exec_of[CONTAINER_ID_SIZE]; /* of an exec: its container; "" otherwise */
    int64_t incarnation;
    int boot;
    int64_t pid;
    bool ended;
    int exit_code;
    int signal;
    bool oom_killed;
    int64_t finished_at_ns; /* realtime, as the shim saw it; 0: it did not */
    bool recorded;          /* the exit record was written whole, and no power cut took it back */
    bool forgotten;         /* of an exec: a power cut took what says whose it is, or that it was started */
    const char *lost_by;    /* "shim-lost" or "host-restart", if there is no record */
    struct truth *next;     /* newest first */
};

struct cgroup {
    char id[CONTAINER_ID_SIZE];
    struct cgroup *next;
};

struct stored_image {
    char digest[DIGEST_SIZE];
    struct stored_image *next;
};

struct machine {
    int number;
    int boot;
    bool up;
    int64_t next_pid;
    struct rng rng;
    struct sim_dir *dirs;
    struct cgroup *cgroups;
    struct shim *shims; /* of this boot; those that have ended are dropped */
    struct stored_image *images;
    char *snapshot; /* the runtime's; replaced durably and in one step */
    size_t snapshot_size;
    char *writer_file; /* the writer's placement; a power cut may tear it */
    size_t writer_file_size;
    bool claimed; /* node.json is there */
    struct truth *truths;
    struct task start; /* it comes up again */
};

struct machine *machine_new(int number, uint64_t seed);
void machine_free(struct machine *machine);

/* Everything that runs is gone at once. With `power_cut` the disk loses what was not synced. */
void machine_down(struct machine *machine, bool power_cut);
void machine_up(struct machine *machine);

struct sim_dir *machine_dir(const struct machine *machine, const char *id, bool trash);
struct sim_dir *machine_make_dir(struct machine *machine, const char *id);
void machine_remove_dir(struct machine *machine, struct sim_dir *dir);

bool machine_has_cgroup(const struct machine *machine, const char *id);
void machine_make_cgroup(struct machine *machine, const char *id);
/* Kills what is in it. */
void machine_remove_cgroup(struct machine *machine, const char *id);

bool machine_has_image(const struct machine *machine, const char *digest);
void machine_add_image(struct machine *machine, const char *digest);
void machine_remove_image(struct machine *machine, const char *digest);

void file_unlink(struct sim_file *file);
bool file_is_whole(const struct sim_file *file);

/* --- shim.c --- */

struct shim *shim_fork(struct machine *machine, struct sim_dir *dir, const char *id, int64_t incarnation);
/* That of one more command in the container whose first process is `target_pid`. */
struct shim *shim_fork_exec(struct machine *machine, struct sim_dir *dir, const char *id, const char *exec_of,
                            int64_t incarnation, int64_t target_pid);
/* The runtime's bytes; a hang-up before the second one makes the shim give up. */
void shim_layers_ready(struct shim *shim);
void shim_go(struct shim *shim);
void shim_hang_up(struct shim *shim);
/* By its record; NULL if it is gone. */
struct shim *shim_find(const struct machine *machine, int64_t shim_pid);
/* A shim that is just starting goes through with it, or gives up, at once. */
void shim_hurry(struct shim *shim);
struct shim *shim_of(const struct machine *machine, const char *id);
void shim_signal(struct shim *shim, int signal);
void shim_thaw(struct shim *shim);
void shim_kill_container(struct shim *shim, bool oom);
void shim_kill(struct shim *shim);
/* What the kernel does to every process of the container's execs. */
void execs_kill(struct machine *machine, const char *container_id);
void execs_freeze(struct machine *machine, const char *container_id);
void execs_thaw(struct machine *machine, const char *container_id);
void shims_free(struct machine *machine);

#endif
