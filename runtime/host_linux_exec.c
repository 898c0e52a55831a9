/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One more command in a container that runs. On a pool thread: a directory of its own with the intent, the
 * container's config.json with what the command wants otherwise, the plan, the shim, which joins the
 * container by a pidfd of its first process. From there on as a start (host_linux_shim.c).
 *
 * Failure modes: a container that ends meanwhile makes the shim fail, or kills what has joined; either way it
 * is told. An exec whose shim wrote its record was started, and is never started again: it may have done what
 * must not be done twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/utf8.h"
#include "runtime/host_linux_launch.h"
#include "runtime/output/cri.h"
#include "runtime/sandbox/oci_plan.h"
#include "runtime/sandbox/oci_process.h"
#include "runtime/shim/cri_log.h"

#define CONFIG_LIMIT (16u << 20)
#define OUTPUT_LOOKED_AT 4096 /* bytes of a log, from its beginning */

static bool was_started_before(struct launch_op *launch)
{
    const struct host *host = launch->op.host;
    struct exit_record exit;
    if (!host_read_shim_record(launch->dir_fd, &launch->record))
        return false;
    bool this_boot = strcmp(launch->record.boot_id, host->boot_id) == 0;
    launch->shim_fd = this_boot ? host_open_shim(&launch->record) : -1;
    launch->ended = launch->shim_fd < 0;
    /* The second look comes after the shim's end, which may have taken everything back. */
    if (launch->ended && !host_read_shim_record(launch->dir_fd, &launch->record))
        return false;
    if (launch->ended && host_read_exit_record(launch->dir_fd, launch->record.incarnation, &exit))
        host_exit_from_record(&launch->exit, launch->op.container, &exit);
    else if (launch->ended)
        host_exit_unseen(&launch->exit, launch->op.container, launch->record.incarnation,
                         this_boot ? "shim-lost" : "host-restart");
    return true;
}

static int open_directory(struct launch_op *launch, bool *ret_fresh)
{
    const struct host *host = launch->op.host;
    const char *id = launch->op.container->id;
    *ret_fresh = mkdirat(host->containers_fd, id, 0710) == 0;
    if (!*ret_fresh && errno != EEXIST)
        return err_sys(&launch->err, errno, "cannot make the directory of an exec in '%s'", host->state_dir);
    launch->dir_fd = openat(host->containers_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return launch->dir_fd < 0 ? err_sys(&launch->err, errno, "cannot open the directory of an exec") : 0;
}

/* A start that a crash has cut off leaves its directory, and perhaps a shim that is slow: it finds the record
 * claimed, or its directory gone, and gives up. */
static int make_directory(struct launch_op *launch)
{
    const struct host *host = launch->op.host;
    const char *id = launch->op.container->id;
    bool fresh;
    if (open_directory(launch, &fresh) < 0)
        return -1;
    launch->already =
        !fresh && (was_started_before(launch) || (!host_claim_exec(host, id) && was_started_before(launch)));
    if (launch->already)
        return 0;
    if (!fresh) {
        close(steal_fd(&launch->dir_fd));
        if (fs_remove_tree(host->containers_fd, id, &launch->err) < 0 || open_directory(launch, &fresh) < 0)
            return -1;
    }
    return launch_write_intent(launch);
}

static json_t *read_config(struct launch_op *launch, int container_fd)
{
    auto_free char *text = NULL;
    size_t size = 0;
    json_error_t why;
    if (fs_read_file(container_fd, "config.json", CONFIG_LIMIT, &text, &size, &launch->err) < 0)
        return NULL;
    json_t *config = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (config == NULL)
        err_set(&launch->err, ERR_CORRUPT, "the container's config.json is damaged: %s", why.text);
    return config;
}

static json_t *make_process(struct launch_op *launch, int container_fd, const json_t *config)
{
    struct user user;
    const char *name = launch->exec.user;
    if (name != NULL) {
        auto_fd int image_fd = launch_open_image(launch);
        if (image_fd < 0 || launch_find_user(launch, container_fd, image_fd, name, &user) < 0)
            return NULL;
    }
    return oci_process_of_exec(config, &launch->exec, name != NULL ? &user : NULL,
                               launch->op.host->capabilities, &launch->err);
}

static int make_plan(struct launch_op *launch, struct buf *ret)
{
    struct host *host = launch->op.host;
    auto_fd int container_fd = host_container_dir(host, launch->result.container_id, &launch->err);
    json_auto_t *config = container_fd >= 0 ? read_config(launch, container_fd) : NULL;
    json_auto_t *process = config != NULL ? make_process(launch, container_fd, config) : NULL;
    if (process == NULL)
        return -1;
    host_cgroup_open(host, launch->result.container_id, &launch->cgroup);
    const struct oci_process_input input = {
        .config = config,
        .process = process,
        .n_cgroup_fds = (uint32_t)launch->cgroup.layout->n,
        .flags = launch->exec.interactive ? PLAN_INPUT : 0,
        .lower_limits = true, /* the container has been given what there was */
        .seccomp = &host->seccomp,
        .unconfined = launch->exec.privileged,
        .boot_id = host->boot_id,
        .layout = launch->cgroup.layout,
        .incarnation = launch->incarnation,
        .log_max_bytes = LAUNCH_LOG_MAX_BYTES,
        .log_files = CRI_FILES,
    };
    return oci_plan_process(&input, ret, &launch->err);
}

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

/* The container's cgroups, and its first process. Returns how many, or -1. */
static int open_place(struct launch_op *launch, int ret[CGROUP_MAX_HIERARCHIES + 1])
{
    const struct cgroup_layout *cgroups = launch->cgroup.layout;
    int n = 0;
    for (size_t i = 0; i < cgroups->n; i++) {
        int fd = openat(cgroups->hierarchies[i].parent_fd, launch->cgroup.name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            err_sys(&launch->err, errno, "cannot open the cgroup of container '%.12s'",
                    launch->result.container_id);
            close_all(ret, n);
            return -1;
        }
        ret[n++] = fd;
    }
    ret[n++] = steal_fd(&launch->target_fd);
    return n;
}

static int start(struct launch_op *launch, const struct buf *plan)
{
    struct shim_fds fds = SHIM_FDS_INIT;
    int place[CGROUP_MAX_HIERARCHIES + 1];
    int n = open_place(launch, place);
    if (n < 0)
        return -1;
    int result = launch_start_shim(launch, &fds, plan, place, n);
    FAULT_POINT(LAUNCH_SHIM_FORKED);
    /* as a container is let go in two steps, for there is nothing that it would have to wait for */
    if (result == 0 && write(fds.go[1], "lg", 2) != 2)
        result = err_sys(&launch->err, errno, "cannot let the command go");
    FAULT_POINT(LAUNCH_LET_GO);
    close_all(place, n);
    launch_close_shim_fds(&fds);
    return result;
}

static int prepare_and_start(struct launch_op *launch)
{
    auto_buf struct buf plan = BUF_INIT;
    if (make_directory(launch) < 0)
        return -1;
    if (launch->already)
        return 0;
    FAULT_POINT(LAUNCH_INTENT_WRITTEN);
    if (launch->target_fd < 0) {
        launch->code = "not-running";
        return err_set(&launch->err, ERR_NOT_FOUND, "the container '%.12s' has just ended",
                       launch->result.container_id);
    }
    return make_plan(launch, &plan) < 0 ? -1 : start(launch, &plan);
}

static void run_exec(struct host_op *op)
{
    prepare_and_start((struct launch_op *)op);
}

/* The first process of that incarnation, if it still runs. */
static int open_target(const struct host *host, const char *container_id, int64_t incarnation)
{
    struct host_container *container;
    HASH_FIND_STR(host->containers, container_id, container);
    if (container == NULL || container->state != HOST_CONTAINER_RUNNING ||
        container->record.incarnation != incarnation)
        return -1;
    return host_open_process(container->record.pid, container->record.pid_start);
}

static int copy_inputs(struct launch_op *op, const struct host_exec *exec)
{
    const struct schema *schema = command_types[COMMAND_CONTAINER_EXEC].schema();
    op->image.reference = strdup(exec->spec->image);
    op->image.digest = strdup(exec->image_digest);
    if (op->image.reference == NULL || op->image.digest == NULL ||
        schema_copy(&container_spec_schema, &op->spec, exec->spec) < 0)
        return -1;
    return schema_copy(schema, &op->exec, exec->exec);
}

int host_exec(struct host *host, const struct host_exec *exec, host_launched_cb cb, void *data,
              struct err *err)
{
    struct host_container *container = host_container_get(host, exec->exec_id);
    struct launch_op *op = launch_new(cb, data, exec->container_id, exec->exec_id, exec->incarnation);
    if (container == NULL || op == NULL) {
        free(op);
        return err_nomem(err, "executing in a container");
    }
    memcpy(container->exec_of, op->result.container_id, sizeof(container->exec_of));
    op->command_offset = exec->command_offset;
    op->op.run = run_exec;
    op->op.done = launch_done;
    if (copy_inputs(op, exec) < 0) {
        launch_free(op);
        return err_nomem(err, "executing in a container");
    }
    if (container->state == HOST_CONTAINER_RUNNING || container->state == HOST_CONTAINER_EXITED) {
        op->op.run = NULL; /* it was found, or adopted: there is one of that id only */
        op->already = op->known = true;
        op->record = container->record;
    } else {
        op->target_fd = open_target(host, exec->container_id, exec->incarnation);
        container->state = HOST_CONTAINER_LAUNCHING;
    }
    host_op_begin(host, container, &op->op);
    return 0;
}

/* --- what it wrote --- */

void host_output_begins(const struct host *host, const char *id, char *ret, size_t size)
{
    char data[OUTPUT_LOOKED_AT];
    size_t used = 0, at = 0, taken;
    struct cri_record record;
    ret[0] = '\0';
    auto_fd int dir_fd = host_container_dir(host, id, NULL);
    auto_fd int fd = dir_fd < 0 ? -1 : openat(dir_fd, "log", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data));
    while (n > 0 && (taken = cri_parse(data + at, (size_t)n - at, &record)) > 0) {
        int written =
            snprintf(ret + used, size - used, "%s%.*s", used > 0 ? "\n" : "", (int)record.size, record.text);
        at += taken;
        used += written > 0 ? (size_t)written : 0;
        if (used >= size - 1)
            break;
    }
    utf8_or_ascii(ret); /* a piece may end within a character */
}
