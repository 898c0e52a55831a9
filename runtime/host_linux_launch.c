/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting an incarnation. On a pool thread: the directory and the intent on disk, config.json and the plan,
 * the shim (vfork), then, while the shim clones and mounts, the cgroups, and at last the byte that lets the
 * container go. Back on the loop: the shim's answer through a pipe, and a pidfd on the shim for the rest of
 * its life.
 *
 * Failure modes: what fails before the shim exists is answered at once. Afterwards the shim is never waited
 * for without the certainty that it ends: closing `go` makes it give up. A start that failed takes its cgroup
 * and shim with it. The shim of a start that was cut off with its runtime is waited for by the next one,
 * which knows it by its lock on the directory only.
 */
#include "runtime/host_linux_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "runtime/archive.h"
#include "runtime/sandbox/oci_config.h"
#include "runtime/sandbox/oci_plan.h"
#include "runtime/sandbox/plan.h"
#include "runtime/shim/cri_log.h"

#define PASSWD_LIMIT (1u << 20)

/* --- on the pool thread: files --- */

/* What an interrupted start, or the incarnation before, left. */
static int clear_directory(struct launch_op *launch, enum directory_use use)
{
    const char *id = launch->op.container->id;
    host_kill_container(launch->op.host, id);
    if (host_cgroup_destroy(launch->op.host, id, &launch->err) < 0)
        return -1;
    if (use != DIRECTORY_FREE && host_lock_directory(launch->op.host, launch->dir_fd) != DIRECTORY_FREE)
        return err_set(&launch->err, ERR_TIMEOUT,
                       "an earlier start of the container, which was interrupted, does not come to an end");
    unlinkat(launch->dir_fd, "shim", 0);
    unlinkat(launch->dir_fd, "exit", 0);
    unlinkat(launch->dir_fd, "commit", 0); /* host_linux_commit.c */
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
    struct exit_record exit;
    launch->ended = launch->shim_fd < 0 && host_read_exit_record(launch->dir_fd, launch->incarnation, &exit);
    if (launch->ended)
        host_exit_from_record(&launch->exit, launch->op.container, &exit);
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
    enum directory_use use = host_lock_directory(host, launch->dir_fd);
    launch->already = !fresh && was_started_before(launch);
    if (launch->already)
        return 0;
    if (!fresh && clear_directory(launch, use) < 0)
        return -1;
    FAULT_POINT(LAUNCH_DIRECTORY_MADE);
    if (host_cgroup_note(launch->dir_fd, &launch->spec, &launch->err) < 0)
        return -1;
    return launch_write_intent(launch);
}

/* --- on the pool thread: what it is made from --- */

int launch_open_image(struct launch_op *launch)
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

int launch_find_user(struct launch_op *launch, int container_fd, int image_fd, const char *user,
                     struct user *ret)
{
    auto_fd int upper_fd = openat(container_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *passwd = read_either(upper_fd, image_fd, "etc/passwd");
    auto_free char *group = read_either(upper_fd, image_fd, "etc/group");
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
    return hosts.failed ? -1 : launch_write_file(etc_fd, "hosts", hosts.data, hosts.size, 0644);
}

/* The names that are known in the network of another container, as they are there by now. */
static int write_names_of(struct launch_op *launch, const char *other, int etc_fd, const char *otherwise)
{
    char path[CONTAINER_ID_SIZE + 16];
    snprintf(path, sizeof(path), "../%s/upper", other);
    auto_fd int upper_fd = openat(launch->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *hosts = upper_fd < 0 ? NULL : read_confined(upper_fd, "etc/hosts");
    auto_free char *resolv = upper_fd < 0 ? NULL : read_confined(upper_fd, "etc/resolv.conf");
    if (resolv != NULL && launch_write_file(etc_fd, "resolv.conf", resolv, strlen(resolv), 0644) < 0)
        return -1;
    return write_hosts(etc_fd, hosts != NULL ? hosts : otherwise, &launch->spec.add_hosts);
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
            launch_write_file(etc_fd, "resolv.conf", resolv, size, 0644) < 0)
            return -1;
        if (fs_read_file(AT_FDCWD, "/etc/hosts", PASSWD_LIMIT, &hosts, &size, NULL) < 0)
            return 0;
        return write_hosts(etc_fd, hosts, &launch->spec.add_hosts);
    }
    snprintf(text, sizeof(text),
             "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t%s\n", hostname);
    const char *other = shared_container(launch->spec.network);
    if ((other != NULL ? write_names_of(launch, other, etc_fd, text)
                       : write_hosts(etc_fd, text, &launch->spec.add_hosts)) < 0)
        return -1;
    int size = snprintf(text, sizeof(text), "%s\n", hostname);
    return launch_write_file(etc_fd, "hostname", text, (size_t)size, 0644);
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
    const char *name = launch->spec.user != NULL ? launch->spec.user : launch->image.config.user;
    if (launch_find_user(launch, launch->dir_fd, image_fd, name, &user) < 0 ||
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
        .cgroup_parent = launch->cgroup.layout->parent,
        .cgroup_name = launch->cgroup.name,
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

static int start_shim(struct launch_op *launch, struct shim_fds *fds, const struct buf *plan)
{
    const struct cgroup_layout *cgroups = launch->cgroup.layout;
    int more[CGROUP_MAX_HIERARCHIES + SHARED_NAMESPACES], n = 0;
    for (size_t i = 0; i < cgroups->n; i++)
        more[n++] = cgroups->hierarchies[i].parent_fd;
    for (int i = 0; i < SHARED_NAMESPACES; i++)
        if (launch->shared.fds[i] >= 0)
            more[n++] = launch->shared.fds[i];
    return launch_start_shim(launch, fds, plan, more, n);
}

static int write_config(struct launch_op *launch, const json_t *config)
{
    auto_free char *text = json_dumps(config, JSON_COMPACT);
    if (text == NULL)
        return err_nomem(&launch->err, "writing the container's configuration");
    if (launch_write_file(launch->dir_fd, "config.json", text, strlen(text), 0640) < 0)
        return err_sys(&launch->err, errno, "cannot write 'config.json' in the container's directory");
    return 0;
}

/* While the shim starts and makes namespaces, the layers; while the container mounts, the cgroups. */
static int prepare_beside_shim(struct launch_op *launch, int image_fd, int go_fd, const json_t *config,
                               const struct cgroup_limits *limits)
{
    const struct host_cgroup *cgroup = &launch->cgroup;
    if (make_layers(launch, image_fd) < 0)
        return -1;
    if (write(go_fd, "l", 1) != 1)
        return err_sys(&launch->err, errno, "cannot let the container mount its root");
    FAULT_POINT(LAUNCH_LAYERS_MADE);
    if (!cgroup->layout->v2 && cgroup_create(cgroup->layout, cgroup->name, limits, &launch->err) < 0)
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
    const struct host_cgroup *cgroup = &launch->cgroup;
    struct shim_fds fds = SHIM_FDS_INIT;
    /* With v2 the process is cloned into its cgroup, which has to be there. */
    int result = cgroup->layout->v2 ? cgroup_create(cgroup->layout, cgroup->name, limits, &launch->err) : 0;
    if (result == 0)
        result = start_shim(launch, &fds, plan);
    FAULT_POINT(LAUNCH_SHIM_FORKED);
    if (result == 0)
        result = prepare_beside_shim(launch, image_fd, fds.go[1], config, limits);
    launch_close_shim_fds(&fds);
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
    auto_fd int image_fd = launch_open_image(launch);
    if (image_fd < 0 ||
        host_cgroup_make(host, launch->op.container->id, &launch->spec, &launch->cgroup, &launch->err) < 0)
        return -1;
    json_auto_t *config = make_config(launch, image_fd);
    if (config == NULL)
        return -1;
    struct oci_plan_input input = {
        .config = config,
        .incarnation = launch->incarnation,
        .boot_id = host->boot_id,
        .cgroup_name = launch->cgroup.name,
        .layout = launch->cgroup.layout,
        .seccomp = &host->seccomp,
        .flags = launch->spec.interactive ? PLAN_INPUT : 0,
        .log_max_bytes = LAUNCH_LOG_MAX_BYTES,
        .log_files = CRI_FILES,
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

/* --- the caller's side --- */

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
        schema_copy(&image_config_schema, &op->image.config, &image->config) < 0)
        return -1;
    return 0;
}

int host_launch(struct host *host, const struct host_launch *launch, host_launched_cb cb, void *data,
                struct err *err)
{
    struct host_container *container = host_container_get(host, launch->container_id);
    struct launch_op *op = launch_new(cb, data, launch->container_id, "", launch->incarnation);
    if (container == NULL || op == NULL) {
        free(op);
        return err_nomem(err, "starting a container");
    }
    op->command_offset = launch->command_offset;
    host_share_find(host, launch->spec, &op->shared);
    op->op.run = run_launch;
    op->op.done = launch_done;
    if (copy_inputs(op, launch) < 0) {
        launch_free(op);
        return err_nomem(err, "starting a container");
    }
    bool known = launch_is_known(container, launch->incarnation);
    if (!known)
        archives_end(host, launch->container_id); /* they hold its layers */
    if (known) {
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
