/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/host_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/memfd.h"
#include "runtime/archive.h"
#include "runtime/sandbox/seccomp.h"

#define KILL_TIMEOUT_MS 10000
#define SHIM_LIMIT_BYTES (16u << 20)
#define TRASH_PREFIX ".removing-" /* a removed container's directory until its files are deleted */

/* --- opening and closing --- */

static int open_directory(const char *base, const char *name, mode_t mode, int *ret_fd, struct err *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/%s", base, name) >= (int)sizeof(path))
        return err_sys(err, ENAMETOOLONG, "cannot use the directory '%s'", base);
    if (fs_mkdirs(AT_FDCWD, path, mode, err) < 0)
        return err_wrap(err, "cannot use '%s' (choose another with --state-dir or --run-dir)", base);
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? err_sys(err, errno, "cannot open '%s'", path) : 0;
}

static int read_boot_id(char ret[RECORD_BOOT_ID_SIZE], struct err *err)
{
    auto_free char *text = NULL;
    if (fs_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &text, NULL, err) < 0)
        return -1;
    snprintf(ret, RECORD_BOOT_ID_SIZE, "%.*s", (int)strcspn(text, "\n"), text);
    return 0;
}

static void free_host(struct host *host)
{
    struct host_container *container, *next;
    HASH_ITER(hh, host->containers, container, next)
    {
        HASH_DEL(host->containers, container);
        free(container->trash);
        free(container);
    }
    cgroup_layout_close(&host->cgroups);
    uv_mutex_destroy(&host->parents_lock);
    if (host->parents_fd >= 0)
        close(host->parents_fd);
    buf_release(&host->seccomp);
    if (host->shim_fd >= 0)
        close(host->shim_fd);
    if (host->containers_fd >= 0)
        close(host->containers_fd);
    if (host->images_fd >= 0)
        close(host->images_fd);
    if (host->volumes_fd >= 0)
        close(host->volumes_fd);
    free(host->volumes_dir);
    free(host->state_dir);
    free(host->shim_path);
    free(host->image_path);
    free(host->cgroup_parent);
    free(host);
}

static int copy_options(struct host *host, const struct host_options *options, struct err *err)
{
    host->state_dir = strdup(options->state_dir);
    host->shim_path = strdup(options->shim_path);
    host->image_path = strdup(options->image_path);
    host->cgroup_parent = strdup(options->cgroup_parent);
    host->on_exit = options->on_exit;
    host->data = options->data;
    if (host->state_dir == NULL || host->shim_path == NULL || host->image_path == NULL ||
        host->cgroup_parent == NULL)
        return err_nomem(err, "opening the host");
    return 0;
}

/* Beyond the numbers that a shim is given its descriptors by. */
/* A copy in memory: every container's shim is of this runtime's build, whatever is installed over it, and
 * nothing in a container can reach a file of the host through the program it came from (CVE-2019-5736). */
static int load_shim(struct host *host, struct err *err)
{
    auto_free char *program = NULL;
    size_t size = 0;
    struct err why = ERR_INIT;
    if (fs_read_file(AT_FDCWD, host->shim_path, SHIM_LIMIT_BYTES, &program, &size, &why) < 0)
        return err_set(err, why.code, "%s: wharf's programs must be installed beside each other",
                       why.message);
    auto_fd int fd = memfd_sealed("wharf-shim", program, size, err);
    if (fd < 0)
        return -1;
    host->shim_fd = fcntl(fd, F_DUPFD_CLOEXEC, 2 * HOST_SHIM_FDS);
    return host->shim_fd < 0 ? err_sys(err, errno, "cannot keep '%s' open", host->shim_path) : 0;
}

/* What tells of an incarnation, in the order in which it is deleted. The shim's record goes first: an exit
 * record alone still says all, a shim's record alone would look like a loss. */
static const char *const EVIDENCE[] = {"shim", "exit", "launch.json"};

static void delete_evidence(const struct host *host, const char *directory)
{
    char path[sizeof(TRASH_PREFIX) + CONTAINER_ID_SIZE + 16];
    for (size_t i = 0; i < sizeof(EVIDENCE) / sizeof(EVIDENCE[0]); i++) {
        if (snprintf(path, sizeof(path), "%s/%s", directory, EVIDENCE[i]) < (int)sizeof(path))
            unlinkat(host->containers_fd, path, 0);
        FAULT_POINT(RUNTIME_EXIT_HALF_FORGOTTEN);
    }
}

static bool has_evidence(const struct host *host, const char *directory)
{
    char path[sizeof(TRASH_PREFIX) + CONTAINER_ID_SIZE + 16];
    for (size_t i = 0; i < sizeof(EVIDENCE) / sizeof(EVIDENCE[0]); i++) {
        if (snprintf(path, sizeof(path), "%s/%s", directory, EVIDENCE[i]) < (int)sizeof(path) &&
            faccessat(host->containers_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
    }
    return false;
}

/* A removal that was cut off: done again as long as the log may not have the exit, whose evidence is deleted
 * first; otherwise only the rest has to go. */
static void settle_trash(const struct host *host, const char *trash)
{
    const char *id = trash + strlen(TRASH_PREFIX);
    if (has_evidence(host, trash) && renameat(host->containers_fd, trash, host->containers_fd, id) == 0)
        return;
    fs_remove_tree(host->containers_fd, trash, NULL); /* the next start tries again */
}

static void clear_trash(const struct host *host)
{
    int fd = openat(host->containers_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, TRASH_PREFIX, strlen(TRASH_PREFIX)) == 0)
            settle_trash(host, entry->d_name);
    }
}

/* What imports and removals of images left half done when they were killed. */
static void clear_store(int store_fd)
{
    int fd = openat(store_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, ".import-", 8) == 0 || strncmp(entry->d_name, ".new-", 5) == 0 ||
            strncmp(entry->d_name, ".removing-", 10) == 0)
            fs_remove_tree(store_fd, entry->d_name, NULL); /* the next start tries again */
    }
}

/* Containers mount from it wherever they are: its path has to be absolute. */
static int find_volumes_dir(struct host *host, struct err *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/volumes", host->state_dir) >= (int)sizeof(path))
        return err_sys(err, ENAMETOOLONG, "cannot use the directory '%s'", host->state_dir);
    host->volumes_dir = realpath(path, NULL);
    return host->volumes_dir != NULL ? 0 : err_sys(err, errno, "cannot use the directory '%s'", path);
}

static void read_capabilities(struct host *host)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    syscall(SYS_capget, &head, data); /* of ourselves: cannot fail (capget(2)) */
    host->capabilities = ((uint64_t)data[1].permitted << 32 | data[0].permitted) & CAPABILITY_ALL;
}

static int prepare(struct host *host, const struct host_options *options, struct err *err)
{
    if (geteuid() != 0)
        return err_set(err, ERR_INVALID, "containers need root: start the runtime as root");
    auto_fd int run_fd = -1;
    if (copy_options(host, options, err) < 0 || load_shim(host, err) < 0 ||
        open_directory(options->state_dir, "containers", 0711, &host->containers_fd, err) < 0 ||
        open_directory(options->state_dir, "images", 0700, &host->images_fd, err) < 0 ||
        open_directory(options->state_dir, "volumes", 0700, &host->volumes_fd, err) < 0 ||
        open_directory(options->state_dir, "cgroup-parents", 0700, &host->parents_fd, err) < 0 ||
        find_volumes_dir(host, err) < 0 || open_directory(options->run_dir, ".", 0711, &run_fd, err) < 0 ||
        read_boot_id(host->boot_id, err) < 0 ||
        cgroup_layout_open(&host->cgroups, options->cgroup_parent, err) < 0)
        return -1;
    clear_trash(host);
    host_cgroup_clear_parents(host);
    clear_store(host->images_fd);
    clear_store(host->volumes_fd);
    read_capabilities(host);
    return seccomp_default_program(0, &host->seccomp, err);
}

/* Only what is there. */
static int prepare_to_look(struct host *host, const struct host_options *options, struct err *err)
{
    char path[PATH_MAX];
    host->state_dir = strdup(options->state_dir);
    if (host->state_dir == NULL)
        return err_nomem(err, "opening the host");
    snprintf(path, sizeof(path), "%s/containers", options->state_dir);
    host->containers_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (host->containers_fd < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot look into '%s'", path);
    snprintf(path, sizeof(path), "%s/images", options->state_dir);
    host->images_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (host->images_fd < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot look into '%s'", path);
    return read_boot_id(host->boot_id, err);
}

int host_open(struct host **ret, uv_loop_t *loop, const struct host_options *options, struct err *err)
{
    struct host *host = calloc(1, sizeof(*host));
    if (host == NULL)
        return err_nomem(err, "opening the host");
    host->loop = loop;
    host->shim_fd = -1;
    host->containers_fd = -1;
    host->images_fd = -1;
    host->volumes_fd = -1;
    host->parents_fd = -1;
    if (uv_mutex_init(&host->parents_lock) < 0) {
        free(host);
        return err_nomem(err, "opening the host");
    }
    host->look_only = options->look_only;
    if ((host->look_only ? prepare_to_look(host, options, err) : prepare(host, options, err)) < 0) {
        free_host(host);
        return -1;
    }
    *ret = host;
    return 0;
}

void host_unbusy(struct host *host)
{
    host->n_busy--;
    if (!host->closing || host->n_busy > 0)
        return;
    void (*on_closed)(void *) = host->on_closed;
    void *data = host->on_closed_data;
    cgroup_layout_remove_empty(&host->cgroups);
    free_host(host);
    if (on_closed != NULL)
        on_closed(data);
}

struct closing {
    uv_timer_t timer;
    struct host *host;
};

static void on_close_timer_closed(uv_handle_t *handle)
{
    struct closing *closing = handle->data;
    struct host *host = closing->host;
    free(closing);
    host_unbusy(host);
}

static void on_close_timer(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, on_close_timer_closed);
}

/* The timer makes sure that on_closed does not run before host_close has returned. */
void host_close(struct host *host, void (*on_closed)(void *data), void *data)
{
    host->on_closed = on_closed;
    host->on_closed_data = data;
    struct host_container *container, *next;
    archives_end(host, NULL);
    HASH_ITER(hh, host->containers, container, next)
    {
        host_watch_end(container);
    }
    struct closing *closing = calloc(1, sizeof(*closing));
    host->closing = true;
    host->n_busy++;
    if (closing == NULL) {
        host_unbusy(host);
        return;
    }
    closing->host = host;
    closing->timer.data = closing;
    uv_timer_init(host->loop, &closing->timer);
    uv_timer_start(&closing->timer, on_close_timer, 0, 0);
}

const char *host_boot_id(const struct host *host)
{
    return host->boot_id;
}

/* --- registry and operations --- */

struct host_container *host_container_get(struct host *host, const char *id)
{
    struct host_container *container;
    HASH_FIND_STR(host->containers, id, container);
    if (container != NULL)
        return container;
    container = calloc(1, sizeof(*container));
    if (container == NULL)
        return NULL;
    snprintf(container->id, sizeof(container->id), "%s", id);
    HASH_ADD_STR(host->containers, id, container);
    if (container->hh.tbl == NULL) {
        free(container);
        return NULL;
    }
    return container;
}

static void run_op(uv_work_t *work)
{
    struct host_op *op = work->data;
    if (op->run != NULL)
        op->run(op);
}

static void after_op(uv_work_t *work, int status)
{
    (void)status; /* never cancelled */
    struct host_op *op = work->data;
    op->done(op);
}

void host_op_continue(struct host_op *op)
{
    op->work.data = op;
    uv_queue_work(op->host->loop, &op->work, run_op, after_op); /* fails only without a callback */
}

void host_container_drop(struct host *host, struct host_container *container)
{
    if (container->queue != NULL || container->trash != NULL)
        return;
    HASH_DEL(host->containers, container);
    free(container);
}

void host_op_begin(struct host *host, struct host_container *container, struct host_op *op)
{
    op->host = host;
    op->container = container;
    op->next = NULL;
    host->n_busy++;
    struct host_op **last = &container->queue;
    while (*last != NULL)
        last = &(*last)->next;
    *last = op;
    if (container->queue == op)
        host_op_continue(op);
}

void host_op_finish(struct host_op *op)
{
    op->container->queue = op->next;
    if (op->next != NULL)
        host_op_continue(op->next);
    host_unbusy(op->host);
}

/* --- signals --- */

int host_signal(struct host *host, const char *container_id, int64_t incarnation, int signal, struct err *err)
{
    struct host_container *container;
    HASH_FIND_STR(host->containers, container_id, container);
    if (container == NULL || container->state != HOST_CONTAINER_RUNNING ||
        container->record.incarnation != incarnation)
        return err_set(err, ERR_NOT_FOUND, "the container '%.12s' is not running", container_id);
    auto_fd int fd = host_open_process(container->record.pid, container->record.pid_start);
    if (fd < 0 || (pidfd_send_signal(fd, signal, NULL, 0) < 0 && errno == ESRCH))
        return err_set(err, ERR_NOT_FOUND, "the container '%.12s' has just ended", container_id);
    return 0;
}

/* --- removal --- */

void host_kill_container(const struct host *host, const char *id)
{
    struct shim_record record;
    auto_fd int dir_fd = openat(host->containers_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0 || !host_read_shim_record(dir_fd, &record) || strcmp(record.boot_id, host->boot_id) != 0)
        return;
    auto_fd int shim_fd = host_open_process(record.shim_pid, record.shim_start);
    auto_fd int pid_fd = host_open_process(record.pid, record.pid_start);
    if (pid_fd >= 0)
        pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
    host_thaw(host, id);
    if (shim_fd < 0)
        return;
    struct pollfd wait = {.fd = shim_fd, .events = POLLIN};
    if (poll(&wait, 1, KILL_TIMEOUT_MS) == 0) { /* a shim that cannot end, such as on a dead disk */
        pidfd_send_signal(shim_fd, SIGKILL, NULL, 0);
        poll(&wait, 1, KILL_TIMEOUT_MS);
    }
    siginfo_t info;
    waitid(P_PIDFD, (id_t)shim_fd, &info,
           WEXITED | WNOHANG); /* ECHILD where it was another runtime's child */
}

/* A removed container's directory, whose files nobody has to wait for. */
struct trash {
    uv_work_t work;
    struct host *host;
    char name[sizeof(TRASH_PREFIX) + CONTAINER_ID_SIZE];
};

static void run_trash(uv_work_t *work)
{
    const struct trash *trash = work->data;
    delete_evidence(trash->host, trash->name);
    FAULT_POINT(REMOVE_HALF_DELETED);
    fs_remove_tree(trash->host->containers_fd, trash->name, NULL); /* the next start tries again */
}

static void done_trash(uv_work_t *work, int status)
{
    (void)status; /* never cancelled */
    struct trash *trash = work->data;
    struct host *host = trash->host;
    free(trash);
    host_unbusy(host);
}

struct remove_op {
    struct host_op op;
    struct trash *trash; /* NULL once the host deletes it */
    bool moved;          /* there is something to delete */
    host_done_cb cb;
    void *data;
    struct err err;
};

static void run_remove(struct host_op *op)
{
    struct remove_op *remove = (struct remove_op *)op;
    const char *id = op->container->id;
    if (op->container->exec_of[0] != '\0')
        host_claim_exec(op->host, id);
    host_kill_container(op->host, id);
    auto_fd int dir_fd = host_container_dir(op->host, id, NULL);
    if (dir_fd >= 0 && host_lock_directory(op->host, dir_fd) == DIRECTORY_RUNS)
        host_kill_container(op->host, id); /* a start that was interrupted has gone on meanwhile */
    FAULT_POINT(REMOVE_KILLED);
    if (host_cgroup_destroy(op->host, id, &remove->err) < 0)
        return;
    FAULT_POINT(REMOVE_CGROUP_GONE);
    remove->moved = renameat(op->host->containers_fd, id, op->host->containers_fd, remove->trash->name) == 0;
    FAULT_POINT(REMOVE_MOVED_ASIDE);
    if (!remove->moved)
        fs_remove_tree(op->host->containers_fd, id, &remove->err);
}

static void free_remove(struct remove_op *remove)
{
    free(remove->trash);
    free(remove);
}

static void begin_trash(struct host *host, struct trash *trash_take)
{
    host->n_busy++;
    trash_take->host = host;
    trash_take->work.data = trash_take;
    uv_queue_work(host->loop, &trash_take->work, run_trash, done_trash); /* fails only without a callback */
}

static void done_remove(struct host_op *op)
{
    struct remove_op *remove = (struct remove_op *)op;
    struct host_container *container = op->container;
    struct host *host = op->host;
    bool failed = remove->err.code != ERR_NONE;
    host->n_busy++; /* the callback may close the host */
    container->state = HOST_CONTAINER_IDLE;
    container->record = (struct shim_record){0};
    remove->cb(failed ? &remove->err : NULL, remove->data);
    host_op_finish(op);
    if (remove->moved && container->owed && container->trash == NULL)
        container->trash = steal_ptr(remove->trash);
    else if (remove->moved)
        begin_trash(host, steal_ptr(remove->trash));
    if (!failed)
        host_container_drop(host, container);
    free_remove(remove);
    host_unbusy(host);
}

int host_remove(struct host *host, const char *container_id, host_done_cb cb, void *data, struct err *err)
{
    struct host_container *container = host_container_get(host, container_id);
    struct remove_op *remove = calloc(1, sizeof(*remove));
    if (remove != NULL)
        remove->trash = calloc(1, sizeof(*remove->trash));
    if (container == NULL || remove == NULL || remove->trash == NULL) {
        if (remove != NULL)
            free_remove(remove);
        return err_nomem(err, "removing a container");
    }
    host_watch_end(container);
    archives_end(host, container_id);
    snprintf(remove->trash->name, sizeof(remove->trash->name), TRASH_PREFIX "%s", container_id);
    remove->cb = cb;
    remove->data = data;
    remove->op.run = run_remove;
    remove->op.done = done_remove;
    remove->op.removes = true;
    host_op_begin(host, container, &remove->op);
    return 0;
}

void host_keep_exit(struct host *host, const char *container_id, int64_t incarnation)
{
    struct host_container *container;
    HASH_FIND_STR(host->containers, container_id, container);
    if (container != NULL && container->state == HOST_CONTAINER_EXITED &&
        container->record.incarnation == incarnation)
        container->owed = true;
}

static void begin_held(struct host *host, struct host_container *container)
{
    struct host_op *held = steal_ptr(container->held);
    if (held == NULL)
        return;
    container->state = HOST_CONTAINER_LAUNCHING;
    archives_end(host, container->id);
    host_op_begin(host, container, held);
}

void host_forget_exit(struct host *host, const char *container_id, int64_t incarnation)
{
    struct host_container *container;
    FAULT_POINT(RUNTIME_EXIT_OWED);
    HASH_FIND_STR(host->containers, container_id, container);
    bool any = incarnation == HOST_ANY_INCARNATION;
    if (container != NULL && container->trash != NULL &&
        (any || container->exit.incarnation == incarnation)) {
        begin_trash(host, steal_ptr(container->trash));
        container->owed = false;
        host_container_drop(host, container);
        return;
    }
    if (container == NULL || container->state != HOST_CONTAINER_EXITED ||
        (!any && container->record.incarnation != incarnation))
        return;
    container->state = HOST_CONTAINER_IDLE;
    container->owed = false;
    delete_evidence(host, container_id);
    begin_held(host, container);
}

int host_container_dir(const struct host *host, const char *container_id, struct err *err)
{
    int fd = openat(host->containers_fd, container_id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_NOT_FOUND, "the container '%.12s' has no files", container_id);
    return fd;
}
