/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting an incarnation. On a pool thread: the directory and the intent on disk, config.json and the plan,
 * the shim (vfork), then, while the shim clones and mounts, the cgroups, and at last the byte that lets the
 * container go. Back on the loop: the shim's answer through a pipe, and a pidfd on the shim for the rest of
 * its life.
 *
 * Failure modes: what fails before the shim exists is answered at once. Afterwards the shim is never waited
 * for without the certainty that it ends: closing `go` makes it give up. A start that failed takes its cgroup
 * and shim with it.
 */
#include "runtime/host_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "runtime/sandbox/oci_config.h"
#include "runtime/sandbox/oci_plan.h"
#include "runtime/sandbox/plan.h"

#define LOG_MAX_BYTES (10u << 20)
#define LOG_FILES 3
#define PASSWD_LIMIT (1u << 20)

struct launch_op {
    struct host_op op;
    host_launched_cb cb;
    void *data;
    /* the caller's, copied: */
    int64_t incarnation;
    int64_t command_offset;
    struct container_spec spec;
    struct image image;
    /* found on the way: */
    struct host_launched result;
    bool already; /* this incarnation had been started before: `record`, and `exit` if it has ended */
    bool known;   /* this process knows of it: nothing is to be looked up */
    bool ended;
    struct shim_record record;
    struct exit_record exit;
    struct host_shared shared;
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

/* --- the answer --- */

static const char *const STAGES[PLAN_STAGES] = {
    [PLAN_STAGE_SHIM] = "cannot set the container's first process up",
    [PLAN_STAGE_PLAN] = "the shim does not understand its plan",
    [PLAN_STAGE_CLONE] = "cannot make the container's namespaces",
    [PLAN_STAGE_RECORD] = "cannot write the container's record",
    [PLAN_STAGE_ROOT] = "cannot mount the container's root",
    [PLAN_STAGE_MOUNT] = "cannot mount in the container",
    [PLAN_STAGE_DEVICE] = "cannot make a device in the container",
    [PLAN_STAGE_MASK] = "cannot protect a path in the container",
    [PLAN_STAGE_NETWORK] = "cannot bring the loopback interface up",
    [PLAN_STAGE_HOSTNAME] = "cannot set the host name",
    [PLAN_STAGE_WORKDIR] = "cannot enter the working directory",
    [PLAN_STAGE_CGROUP] = "cannot join the container's cgroup",
    [PLAN_STAGE_RLIMIT] = "cannot set a resource limit",
    [PLAN_STAGE_CREDENTIALS] = "cannot become the container's user",
    [PLAN_STAGE_SECCOMP] = "cannot load the system call filter",
    [PLAN_STAGE_EXEC] = "cannot run",
    [PLAN_STAGE_NAMESPACE] = "cannot join the namespace",
    [PLAN_STAGE_SYSCTL] = "cannot set the kernel parameter",
    [PLAN_STAGE_HOOK] = "the hook failed:",
    [PLAN_STAGE_TERMINAL] = "cannot make the terminal",
};

static void set_failed(struct host_launched *result, int exit_code, const char *code)
{
    result->ok = false;
    result->exit_code = exit_code;
    result->code = code;
}

static void explain_exec(struct host_launched *result, const char *command, int cause)
{
    if (cause == ENOENT || cause == ENOTDIR) {
        set_failed(result, 127, "command-not-found");
        if (strchr(command, '/') == NULL)
            snprintf(result->message, sizeof(result->message),
                     "cannot run '%s': not found in the image's PATH", command);
        else
            snprintf(result->message, sizeof(result->message),
                     "cannot run '%s': the image has no such file, or not the interpreter it needs", command);
        return;
    }
    set_failed(result, 126, "not-executable");
    const char *why = cause == EACCES ? "it is not an executable file, or the user may not execute it"
                      : cause == ENOEXEC
                          ? "it is neither a program for this machine nor a script that begins with #!"
                          : strerror(cause);
    snprintf(result->message, sizeof(result->message), "cannot run '%s': %s", command, why);
}

static void explain(struct host_launched *result, const struct plan_failure *failure)
{
    if (failure->stage == PLAN_STAGE_EXEC) {
        explain_exec(result, failure->subject, failure->cause);
        return;
    }
    const char *what = failure->stage < PLAN_STAGES ? STAGES[failure->stage] : NULL;
    set_failed(result, 125, "setup-failed");
    snprintf(result->message, sizeof(result->message), "%s%s%s%s: %s",
             what == NULL ? "the start failed" : what, failure->subject[0] == '\0' ? "" : " '",
             failure->subject, failure->subject[0] == '\0' ? "" : "'", strerror(failure->cause));
}

/* --- on the pool thread: files --- */

static int write_new(int dir_fd, const char *path, const void *data, size_t size, mode_t mode)
{
    auto_fd int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd >= 0 && write(fd, data, size) == (ssize_t)size ? 0 : -1;
}

/* The intent. A crash of this process cannot tear it, and after a crash of the machine nothing of it runs. */
static int write_intent(struct launch_op *launch)
{
    char text[512];
    int size =
        snprintf(text, sizeof(text),
                 "{\"container\":\"%s\",\"incarnation\":%lld,\"command_offset\":%lld,\"boot_id\":\"%s\"}\n",
                 launch->op.container->id, (long long)launch->incarnation, (long long)launch->command_offset,
                 launch->op.host->boot_id);
    if (write_new(launch->dir_fd, "launch.json", text, (size_t)size, 0640) < 0)
        return err_sys(&launch->err, errno, "cannot write 'launch.json' in the container's directory");
    return 0;
}

/* What an interrupted start, or the incarnation before, left. */
static int clear_directory(struct launch_op *launch)
{
    const char *id = launch->op.container->id;
    host_kill_container(launch->op.host, id);
    if (cgroup_destroy(&launch->op.host->cgroups, id, &launch->err) < 0)
        return -1;
    unlinkat(launch->dir_fd, "shim", 0);
    unlinkat(launch->dir_fd, "exit", 0);
    /* A volatile overlay may not be mounted again unless its work directory is new
     * (Documentation/filesystems/overlayfs). */
    return fs_remove_tree(launch->dir_fd, "work", &launch->err);
}

static bool was_started_before(struct launch_op *launch)
{
    struct host *host = launch->op.host;
    if (!host_read_shim_record(launch->dir_fd, &launch->record) ||
        launch->record.incarnation != launch->incarnation ||
        strcmp(launch->record.boot_id, host->boot_id) != 0)
        return false;
    launch->shim_fd = host_open_shim(&launch->record);
    /* The second look comes after the shim's end. */
    launch->ended =
        launch->shim_fd < 0 && host_read_exit_record(launch->dir_fd, launch->incarnation, &launch->exit);
    return launch->ended || launch->shim_fd >= 0;
}

static int make_directory(struct launch_op *launch)
{
    struct host *host = launch->op.host;
    const char *id = launch->op.container->id;
    bool fresh = mkdirat(host->containers_fd, id, 0710) == 0;
    if (!fresh && errno != EEXIST)
        return err_sys(&launch->err, errno, "cannot make the container's directory in '%s'", host->state_dir);
    launch->dir_fd = openat(host->containers_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (launch->dir_fd < 0)
        return err_sys(&launch->err, errno, "cannot open the container's directory");
    if (!fresh && was_started_before(launch)) {
        launch->already = true;
        return 0;
    }
    if (!fresh && clear_directory(launch) < 0)
        return -1;
    FAULT_POINT(LAUNCH_DIRECTORY_MADE);
    return write_intent(launch);
}

/* --- on the pool thread: what it is made from --- */

static int open_image(struct launch_op *launch)
{
    char path[SHA256_HEX_SIZE + 16];
    const char *hex = strchr(launch->image.digest, ':');
    snprintf(path, sizeof(path), "%s/rootfs", hex == NULL ? "" : hex + 1);
    int fd = openat(launch->op.host->images_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        launch->code = "image-missing";
        return err_set(&launch->err, ERR_NOT_FOUND,
                       "image contents of '%s' (%s) are not on this host: import it again",
                       launch->image.reference, launch->image.digest);
    }
    return fd < 0 ? err_sys(&launch->err, errno, "cannot open the contents of the image '%s'",
                            launch->image.reference)
                  : fd;
}

/* A file of the container, which may have its own version in the upper layer; NULL if there is none. Links
 * are followed within the layer only. */
static char *read_confined(int root_fd, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    auto_fd int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)PASSWD_LIMIT)
        return NULL;
    char *text = calloc(1, (size_t)st.st_size + 1);
    if (text != NULL && read(fd, text, (size_t)st.st_size) < 0)
        text[0] = '\0';
    return text;
}

static char *read_either(int upper_fd, int image_fd, const char *path)
{
    char *text = upper_fd < 0 ? NULL : read_confined(upper_fd, path);
    return text != NULL ? text : read_confined(image_fd, path);
}

static int find_user(struct launch_op *launch, int image_fd, struct user *ret)
{
    auto_fd int upper_fd = openat(launch->dir_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *passwd = read_either(upper_fd, image_fd, "etc/passwd");
    auto_free char *group = read_either(upper_fd, image_fd, "etc/group");
    const char *user = launch->spec.user != NULL ? launch->spec.user : launch->image.user;
    if (user_resolve(ret, user, passwd, group, &launch->err) == 0 &&
        user_add_groups(ret, launch->spec.group_add.items, launch->spec.group_add.n, group, &launch->err) ==
            0)
        return 0;
    launch->code = "unknown-user";
    return -1;
}

/* The text, and a line for each NAME:ADDRESS. */
static int write_hosts(int etc_fd, const char *text, const struct strings *more)
{
    auto_buf struct buf hosts = BUF_INIT;
    buf_add_string(&hosts, text);
    for (size_t i = 0; i < more->n; i++) {
        const char *colon = strchr(more->items[i], ':'); /* check_add_host has seen it */
        buf_printf(&hosts, "%s\t%.*s\n", colon + 1, (int)(colon - more->items[i]), more->items[i]);
    }
    return hosts.failed ? -1 : write_new(etc_fd, "hosts", hosts.data, hosts.size, 0644);
}

/* /etc/hostname, /etc/hosts and, with the host's network, /etc/resolv.conf go into the upper layer. The
 * directory keeps the image's owner and mode; an image whose /etc is no directory goes without. */
static int write_etc(struct launch_op *launch, int image_fd)
{
    struct stat st = {.st_mode = S_IFDIR | 0755};
    if (fstatat(image_fd, "etc", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
        return 0;
    bool made = mkdirat(launch->dir_fd, "upper/etc", st.st_mode & 07777) == 0;
    auto_fd int etc_fd = openat(launch->dir_fd, "upper/etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (etc_fd < 0)
        return made ? -1 : 0; /* the container has replaced it by something else */
    if (made && (fchmod(etc_fd, st.st_mode & 07777) < 0 ||
                 ((st.st_uid != 0 || st.st_gid != 0) && fchown(etc_fd, st.st_uid, st.st_gid) < 0)))
        return -1;
    char hostname[256], text[1024];
    if (!oci_hostname(&launch->spec, launch->op.container->id, hostname)) {
        auto_free char *resolv = NULL;
        auto_free char *hosts = NULL;
        size_t size = 0;
        if (fs_read_file(AT_FDCWD, "/etc/resolv.conf", PASSWD_LIMIT, &resolv, &size, NULL) == 0 &&
            write_new(etc_fd, "resolv.conf", resolv, size, 0644) < 0)
            return -1;
        if (fs_read_file(AT_FDCWD, "/etc/hosts", PASSWD_LIMIT, &hosts, &size, NULL) < 0)
            return 0;
        return write_hosts(etc_fd, hosts, &launch->spec.add_hosts);
    }
    snprintf(text, sizeof(text),
             "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t%s\n", hostname);
    if (write_hosts(etc_fd, text, &launch->spec.add_hosts) < 0)
        return -1;
    int size = snprintf(text, sizeof(text), "%s\n", hostname);
    return write_new(etc_fd, "hostname", text, (size_t)size, 0644);
}

/* What the container's root is mounted from. */
static int make_layers(struct launch_op *launch, int image_fd)
{
    if ((mkdirat(launch->dir_fd, "upper", 0755) < 0 && errno != EEXIST) ||
        (mkdirat(launch->dir_fd, "work", 0700) < 0 && errno != EEXIST))
        return err_sys(&launch->err, errno, "cannot make the container's layers");
    if (write_etc(launch, image_fd) < 0)
        return err_sys(&launch->err, errno, "cannot write the container's /etc");
    return host_prepare_mounts(launch->op.host, launch->op.container->id, image_fd, &launch->spec,
                               &launch->err);
}

static json_t *make_config(struct launch_op *launch, int image_fd)
{
    struct host *host = launch->op.host;
    struct user user;
    struct utsname kernel;
    __attribute__((cleanup(host_devices_release))) struct host_devices devices = {0};
    char overlay[256];
    const char *hex = strchr(launch->image.digest, ':');
    if (find_user(launch, image_fd, &user) < 0 ||
        host_find_devices(host, &launch->spec, &devices, &launch->err) < 0)
        return NULL;
    uname(&kernel);
    /* `volatile`: what is removed afterwards need not be synced when it is unmounted. */
    snprintf(overlay, sizeof(overlay), "lowerdir=../../images/%s/rootfs,upperdir=upper,workdir=work%s",
             hex + 1, launch->spec.auto_remove ? ",volatile" : "");
    struct oci_config_input input = {
        .container_id = launch->op.container->id,
        .incarnation = launch->incarnation,
        .spec = &launch->spec,
        .image = &launch->image,
        .user = &user,
        .cgroup_parent = host->cgroups.parent,
        .overlay_options = overlay,
        .cgroup2 = host->cgroups.v2,
        .volumes_dir = host->volumes_dir,
        .devices = devices.items,
        .n_devices = devices.n,
        .capabilities = host->capabilities,
        .kernel = kernel.release,
    };
    memcpy(input.shared_pids, launch->shared.pids, sizeof(input.shared_pids));
    return oci_config(&input, &launch->err);
}

/* --- on the pool thread: the shim --- */

struct shim_fds {
    int plan;
    int status[2];
    int go[2];
};

static void close_shim_fds(struct shim_fds *fds)
{
    const int all[] = {fds->plan, fds->status[0], fds->status[1], fds->go[0], fds->go[1]};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] >= 0)
            close(all[i]);
    }
}

static int prepare_shim_fds(struct shim_fds *fds, const struct buf *plan, struct err *err)
{
    fds->plan = memfd_create("wharf-plan", MFD_CLOEXEC);
    if (fds->plan < 0 || write(fds->plan, plan->data, plan->size) != (ssize_t)plan->size ||
        pipe2(fds->status, O_CLOEXEC) < 0 || pipe2(fds->go, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make what the shim needs");
    return 0;
}

/* Between vfork and execve only system calls: the memory is shared with this process. First everything is
 * moved out of the way of the numbers it has to get. */
static _Noreturn void exec_shim(int shim_fd, char *const argv[], const int *from, int n)
{
    int high[HOST_SHIM_FDS];
    for (int i = 0; i < n; i++) {
        high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, HOST_SHIM_FDS);
        if (high[i] < 0)
            _exit(127);
    }
    for (int i = 0; i < n; i++) {
        if (dup2(high[i], PLAN_FD_PLAN + i) < 0)
            _exit(127);
    }
    syscall(SYS_execveat, shim_fd, "", argv, FAULT_ENVIRONMENT, AT_EMPTY_PATH);
    _exit(127);
}

/* vfork keeps the cost independent of this process's size. All signals are blocked around it, so that no
 * handler of ours runs in the child, and the shim starts with them blocked, which is how it wants to live. */
static pid_t vfork_shim(int shim_fd, char *const argv[], const int *from, int n)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork)
    if (pid == 0)
        exec_shim(shim_fd, argv, from, n); // NOLINT(clang-analyzer-unix.Vfork)
    int cause = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = cause;
    return pid;
}

static pid_t spawn_shim(const struct launch_op *launch, const struct shim_fds *fds)
{
    const struct host *host = launch->op.host;
    char *const argv[] = {"wharf-shim", launch->op.container->id, NULL};
    int from[HOST_SHIM_FDS] = {fds->plan, launch->dir_fd, fds->status[1], fds->go[0]};
    int n = PLAN_FD_CGROUPS - PLAN_FD_PLAN;
    for (size_t i = 0; i < host->cgroups.n; i++)
        from[n++] = host->cgroups.hierarchies[i].parent_fd;
    for (int i = 0; i < SHARED_NAMESPACES; i++)
        if (launch->shared.fds[i] >= 0)
            from[n++] = launch->shared.fds[i];
    return vfork_shim(host->shim_fd, argv, from, n);
}

static int start_shim(struct launch_op *launch, struct shim_fds *fds, const struct buf *plan)
{
    if (prepare_shim_fds(fds, plan, &launch->err) < 0)
        return -1;
    launch->shim_pid = spawn_shim(launch, fds);
    if (launch->shim_pid < 0)
        return err_sys(&launch->err, errno, "cannot start '%s'", launch->op.host->shim_path);
    /* Our own child that nobody else reaps: the number cannot have changed hands. */
    launch->shim_fd = pidfd_open(launch->shim_pid, 0);
    launch->shim_is_child = true;
    launch->status_fd = steal_fd(&fds->status[0]);
    return launch->shim_fd < 0 ? err_sys(&launch->err, errno, "cannot watch the shim") : 0;
}

static int write_config(struct launch_op *launch, const json_t *config)
{
    auto_free char *text = json_dumps(config, JSON_COMPACT);
    if (text == NULL)
        return err_nomem(&launch->err, "writing the container's configuration");
    if (write_new(launch->dir_fd, "config.json", text, strlen(text), 0640) < 0)
        return err_sys(&launch->err, errno, "cannot write 'config.json' in the container's directory");
    return 0;
}

/* While the shim starts and makes namespaces, the layers; while the container mounts, the cgroups. */
static int prepare_beside_shim(struct launch_op *launch, int image_fd, int go_fd, const json_t *config,
                               const struct cgroup_limits *limits)
{
    const struct host *host = launch->op.host;
    if (make_layers(launch, image_fd) < 0)
        return -1;
    if (write(go_fd, "l", 1) != 1)
        return err_sys(&launch->err, errno, "cannot let the container mount its root");
    FAULT_POINT(LAUNCH_LAYERS_MADE);
    if (!host->cgroups.v2 &&
        cgroup_create(&host->cgroups, launch->op.container->id, limits, &launch->err) < 0)
        return -1;
    FAULT_POINT(LAUNCH_CGROUP_MADE);
    if (write_config(launch, config) < 0)
        return -1;
    if (write(go_fd, "g", 1) != 1)
        return err_sys(&launch->err, errno, "cannot let the container go");
    FAULT_POINT(LAUNCH_LET_GO);
    return 0;
}

static int launch_shim(struct launch_op *launch, int image_fd, const json_t *config, const struct buf *plan,
                       const struct cgroup_limits *limits)
{
    const struct host *host = launch->op.host;
    struct shim_fds fds = {-1, {-1, -1}, {-1, -1}};
    /* With v2 the process is cloned into its cgroup, which has to be there. */
    int result =
        host->cgroups.v2 ? cgroup_create(&host->cgroups, launch->op.container->id, limits, &launch->err) : 0;
    if (result == 0)
        result = start_shim(launch, &fds, plan);
    FAULT_POINT(LAUNCH_SHIM_FORKED);
    if (result == 0)
        result = prepare_beside_shim(launch, image_fd, fds.go[1], config, limits);
    close_shim_fds(&fds);
    return result;
}

static int prepare_and_launch(struct launch_op *launch)
{
    struct host *host = launch->op.host;
    if (make_directory(launch) < 0)
        return -1;
    if (launch->already)
        return 0;
    FAULT_POINT(LAUNCH_INTENT_WRITTEN);
    if (launch->shared.err.code != ERR_NONE) {
        launch->code = "namespace-gone";
        return err_set(&launch->err, ERR_NOT_FOUND, "%s", launch->shared.err.message);
    }
    auto_fd int image_fd = open_image(launch);
    if (image_fd < 0)
        return -1;
    json_auto_t *config = make_config(launch, image_fd);
    if (config == NULL)
        return -1;
    struct oci_plan_input input = {
        .config = config,
        .incarnation = launch->incarnation,
        .boot_id = host->boot_id,
        .cgroup_name = launch->op.container->id,
        .layout = &host->cgroups,
        .seccomp = &host->seccomp,
        .flags = launch->spec.interactive ? PLAN_INPUT : 0,
        .log_max_bytes = LOG_MAX_BYTES,
        .log_files = LOG_FILES,
    };
    auto_buf struct buf plan = BUF_INIT;
    __attribute__((cleanup(cgroup_limits_release))) struct cgroup_limits limits = {0};
    if (oci_plan(&input, &plan, &limits, &launch->err) < 0)
        return -1;
    return launch_shim(launch, image_fd, config, &plan, &limits);
}

static void run_launch(struct host_op *op)
{
    prepare_and_launch((struct launch_op *)op);
}

/* --- on the loop: the answer --- */

static void free_launch(struct launch_op *launch)
{
    host_share_close(&launch->shared);
    if (launch->dir_fd >= 0)
        close(launch->dir_fd);
    if (launch->status_fd >= 0)
        close(launch->status_fd);
    if (launch->shim_fd >= 0)
        close(launch->shim_fd);
    schema_release(&container_spec_schema, &launch->spec);
    free(launch->image.reference);
    free(launch->image.digest);
    free(launch->image.workdir);
    free(launch->image.user);
    struct strings *const lists[] = {&launch->image.entrypoint, &launch->image.command, &launch->image.env};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (size_t j = 0; j < lists[i]->n; j++)
            free(lists[i]->items[j]);
        free(lists[i]->items);
    }
    free(launch);
}

static void finish_launch(struct launch_op *launch)
{
    struct host_container *container = launch->op.container;
    struct host *host = launch->op.host;
    if (container->state == HOST_CONTAINER_LAUNCHING)
        container->state = HOST_CONTAINER_IDLE;
    /* Told before, it may have come when the core did not yet know of this start. */
    bool tell_exit = launch->already && container->state == HOST_CONTAINER_EXITED;
    container->owed |= tell_exit;
    struct host_exit exit = container->exit;
    host->n_busy++; /* the callbacks may close the host */
    host_op_finish(&launch->op);
    launch->cb(&launch->result, launch->data);
    if (tell_exit && !host->closing)
        host->on_exit(&exit, host->data);
    host_unbusy(host);
    free_launch(launch);
}

/* The shim ends by itself once `go` is closed or its start has failed. */
static void run_undo(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    siginfo_t info;
    if (launch->shim_is_child) {
        while (waitid(P_PID, (id_t)launch->shim_pid, &info, WEXITED) < 0 && errno == EINTR)
            ;
    }
    FAULT_POINT(LAUNCH_UNDO);
    cgroup_destroy(&op->host->cgroups, op->container->id, NULL);
}

static void done_undo(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    if (launch->err.code != ERR_NONE) {
        set_failed(&launch->result, 125, launch->code == NULL ? "setup-failed" : launch->code);
        snprintf(launch->result.message, sizeof(launch->result.message), "%s", launch->err.message);
    } else if (launch->status.failure.stage != 0) {
        explain(&launch->result, &launch->status.failure);
    } else {
        set_failed(&launch->result, 125, "setup-failed");
        snprintf(launch->result.message, sizeof(launch->result.message),
                 "the shim ended before the container ran: is '%s' of the same build?", op->host->shim_path);
    }
    finish_launch(launch);
}

static void undo(struct launch_op *launch)
{
    launch->op.run = run_undo;
    launch->op.done = done_undo;
    host_op_continue(&launch->op);
}

static void succeed(struct launch_op *launch)
{
    struct host_container *container = launch->op.container;
    struct host *host = launch->op.host;
    launch->result.ok = true;
    launch->result.pid = launch->record.pid;
    launch->result.shim_pid = launch->record.shim_pid;
    launch->result.started_at_ns = launch->record.started_at_ns;
    if (launch->known) {
        finish_launch(launch);
        return;
    }
    container->record = launch->record;
    container->owed = false;
    if (launch->ended) {
        container->state = HOST_CONTAINER_EXITED;
        host_exit_from_record(&container->exit, container->id, &launch->exit);
    } else if (!host->closing && container->watch == NULL) {
        struct err err = ERR_INIT;
        if (host_watch_begin(host, container, steal_fd(&launch->shim_fd), launch->shim_is_child, &err) < 0)
            container->state =
                HOST_CONTAINER_RUNNING; /* without a watch only the next start of the runtime sees its end */
    }
    finish_launch(launch);
}

static void on_status_closed(uv_handle_t *handle)
{
    struct launch_op *launch = handle->data;
    if (launch->err.code != ERR_NONE || !launch->status.ok) {
        undo(launch);
        return;
    }
    launch->record = (struct shim_record){
        .incarnation = launch->incarnation,
        .shim_pid = launch->shim_pid,
        .shim_start = launch->status.shim_start,
        .pid = launch->status.pid,
        .pid_start = launch->status.pid_start,
        .started_at_ns = launch->status.started_at_ns,
    };
    succeed(launch);
}

static void on_status(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct launch_op *launch = poll->data;
    ssize_t n = read(launch->status_fd, &launch->status, sizeof(launch->status));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != (ssize_t)sizeof(launch->status))
        launch->status = (struct plan_status){.ok = 0};
    FAULT_POINT(LAUNCH_ANSWERED);
    uv_close((uv_handle_t *)poll, on_status_closed);
}

static void done_launch(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    if (launch->already) {
        succeed(launch);
        return;
    }
    if (launch->err.code != ERR_NONE || launch->status_fd < 0 ||
        uv_poll_init(op->host->loop, &launch->poll, launch->status_fd) < 0) {
        undo(launch);
        return;
    }
    launch->poll.data = launch;
    uv_poll_start(&launch->poll, UV_READABLE, on_status); /* fails only on a closed handle */
}

/* --- the caller's side --- */

static int copy_strings(struct strings *ret, const struct strings *from)
{
    ret->items = calloc(from->n + 1, sizeof(char *));
    if (ret->items == NULL)
        return -1;
    for (; ret->n < from->n; ret->n++) {
        ret->items[ret->n] = strdup(from->items[ret->n]);
        if (ret->items[ret->n] == NULL)
            return -1;
    }
    return 0;
}

static int copy_string(char **ret, const char *from)
{
    *ret = from == NULL ? NULL : strdup(from);
    return from != NULL && *ret == NULL ? -1 : 0;
}

static int copy_inputs(struct launch_op *op, const struct host_launch *launch)
{
    const struct image *image = launch->image;
    if (schema_copy(&container_spec_schema, &op->spec, launch->spec) < 0)
        return -1;
    if (copy_string(&op->image.reference, image->reference) < 0 ||
        copy_string(&op->image.digest, image->digest) < 0 ||
        copy_string(&op->image.workdir, image->workdir) < 0 ||
        copy_string(&op->image.user, image->user) < 0 ||
        copy_strings(&op->image.entrypoint, &image->entrypoint) < 0 ||
        copy_strings(&op->image.command, &image->command) < 0 ||
        copy_strings(&op->image.env, &image->env) < 0)
        return -1;
    return 0;
}

/* The answer of then, for an incarnation this process knows and that no removal comes before. */
static bool is_known(const struct host_container *container, int64_t incarnation)
{
    for (const struct host_op *op = container->queue; op != NULL; op = op->next)
        if (op->removes)
            return false;
    return (container->state == HOST_CONTAINER_RUNNING || container->state == HOST_CONTAINER_EXITED) &&
           container->record.incarnation == incarnation;
}

int host_launch(struct host *host, const struct host_launch *launch, host_launched_cb cb, void *data,
                struct err *err)
{
    struct host_container *container = host_container_get(host, launch->container_id);
    struct launch_op *op = calloc(1, sizeof(*op));
    if (container == NULL || op == NULL) {
        free(op);
        return err_nomem(err, "starting a container");
    }
    op->cb = cb;
    op->data = data;
    op->incarnation = launch->incarnation;
    op->command_offset = launch->command_offset;
    host_share_find(host, launch->spec, &op->shared);
    op->dir_fd = -1;
    op->status_fd = -1;
    op->shim_fd = -1;
    op->result.incarnation = launch->incarnation;
    snprintf(op->result.container_id, sizeof(op->result.container_id), "%s", launch->container_id);
    op->op.run = run_launch;
    op->op.done = done_launch;
    if (copy_inputs(op, launch) < 0) {
        free_launch(op);
        return err_nomem(err, "starting a container");
    }
    if (is_known(container, launch->incarnation)) {
        op->op.run = NULL;
        op->already = true;
        op->record = container->record;
        op->known = true;
    } else if (container->owed && container->held == NULL) {
        container->held = &op->op; /* it would destroy the only evidence of the exit before */
        return 0;
    } else {
        host_watch_end(container); /* whatever runs is of another incarnation and is about to be killed */
        container->state = HOST_CONTAINER_LAUNCHING;
    }
    host_op_begin(host, container, &op->op);
    return 0;
}
