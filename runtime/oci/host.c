/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/sandbox/oci_ids.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/oci_plan.h"

bool oci_host_has_selinux(void)
{
    return access("/sys/fs/selinux/enforce", F_OK) == 0;
}

bool oci_host_has_apparmor(void)
{
    auto_free char *text = NULL;
    return fs_read_file(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 16, &text, NULL, NULL) == 0 &&
           text[0] == 'Y';
}

/* Tried, and undone, since it depends on more than a capability: "fs.nr_open" is above RLIMIT_NOFILE. */
static bool may_raise(unsigned resource, const struct rlimit *now, rlim_t hard)
{
    if (setrlimit(resource, &(struct rlimit){now->rlim_cur, hard}) < 0)
        return false;
    setrlimit(resource, now);
    return true;
}

static void tell_lower_limits(const json_t *process, void (*warn)(const char *message))
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(process, "rlimits"), i, item)
    {
        struct rlimit now;
        char text[192];
        int number = oci_rlimit(oci_text(item, "type"));
        unsigned resource = (unsigned)number;
        rlim_t hard = (rlim_t)json_integer_value(json_object_get(item, "hard"));
        if (number < 0 || getrlimit(resource, &now) < 0 || hard <= now.rlim_max ||
            may_raise(resource, &now, hard))
            continue;
        snprintf(text, sizeof(text), "the limit %s is %ju instead of %ju: no more is allowed to this process",
                 oci_text(item, "type"), (uintmax_t)now.rlim_max, (uintmax_t)hard);
        warn(text);
    }
}

int oci_host_check_process(const json_t *process, struct err *err)
{
    const char *apparmor = oci_text(process, "apparmorProfile"), *selinux = oci_text(process, "selinuxLabel");
    if (apparmor[0] != '\0' && !oci_host_has_apparmor())
        return err_set(err, ERR_UNAVAILABLE,
                       "'process.apparmorProfile' is '%s', but AppArmor is not enabled in this kernel",
                       apparmor);
    if (selinux[0] != '\0' && !oci_host_has_selinux())
        return err_set(err, ERR_UNAVAILABLE,
                       "'process.selinuxLabel' is '%s', but SELinux is not enabled in this kernel", selinux);
    return 0;
}

int oci_host_check(const json_t *config, void (*warn)(const char *message), struct err *err)
{
    if (oci_host_check_process(json_object_get(config, "process"), err) < 0)
        return -1;
    tell_lower_limits(json_object_get(config, "process"), warn);
    if (oci_text(json_object_get(config, "linux"), "mountLabel")[0] != '\0' && !oci_host_has_selinux())
        warn("'linux.mountLabel' has no effect: SELinux is not enabled in this kernel");
    return 0;
}

static bool has_namespace(const json_t *config, const char *type, bool only_new)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(json_object_get(config, "linux"), "namespaces"), i, item)
    {
        if (strcmp(oci_text(item, "type"), type) == 0)
            return !only_new || oci_text(item, "path")[0] == '\0';
    }
    return false;
}

uint64_t oci_host_capabilities(const json_t *config)
{
    uint64_t mask = 0;
    if (has_namespace(config, "user", false))
        return ~UINT64_C(0);
    for (unsigned long bit = 0; bit < 64; bit++)
        mask |= prctl(PR_CAPBSET_READ, bit, 0, 0, 0) == 1 ? UINT64_C(1) << bit : 0;
    return mask;
}

static int write_map(const json_t *config, const char *member, pid_t pid, const char *file, struct err *err)
{
    char path[48], where[32];
    auto_buf struct buf map = BUF_INIT;
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    snprintf(where, sizeof(where), "linux.%s", member);
    if (oci_ids(json_object_get(json_object_get(config, "linux"), member), where, &map, err) < 0)
        return -1;
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, map.data, map.size) != (ssize_t)map.size)
        return err_sys(err, errno, "cannot map ids as '%s' says", where);
    return 0;
}

int oci_host_map_ids(const json_t *config, pid_t pid, struct err *err)
{
    if (!has_namespace(config, "user", true))
        return 0;
    if (write_map(config, "uidMappings", pid, "uid_map", err) < 0)
        return -1;
    return write_map(config, "gidMappings", pid, "gid_map", err);
}

/* The mount that is on top where the path leads. */
static int open_root(const json_t *document, uint64_t *ret_mount, struct err *err)
{
    struct statx st;
    const char *rootfs = oci_text(document, "rootfs");
    auto_fd int fd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
        return err_sys(err, errno, "cannot use the root '%s'", rootfs);
    *ret_mount = st.stx_mnt_id;
    return steal_fd(&fd);
}

int oci_host_note_root(json_t *document, const json_t *config, struct err *err)
{
    uint64_t mount_id;
    if (has_namespace(config, "mount", false))
        return 0;
    auto_fd int fd = open_root(document, &mount_id, err);
    if (fd < 0)
        return -1;
    return json_object_set_new(document, "rootMount", json_integer((json_int_t)mount_id)) < 0
               ? err_nomem(err, "creating a container")
               : 0;
}

int oci_host_release_root(const json_t *document, struct err *err)
{
    const json_t *before = json_object_get(document, "rootMount");
    struct err why = ERR_INIT;
    uint64_t mount_id;
    char path[40];
    if (before == NULL)
        return 0;
    auto_fd int fd = open_root(document, &mount_id, &why);
    if (fd < 0 || mount_id == (uint64_t)json_integer_value(before))
        return 0; /* nothing was mounted, or all is gone */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (umount2(path, MNT_DETACH) < 0)
        return err_sys(err, errno, "cannot unmount the container's root '%s'", oci_text(document, "rootfs"));
    return 0;
}
