/* SPDX-License-Identifier: Apache-2.0 */
#include "base/role.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/say.h"

#define PASSWD_BUFFER_SIZE 16384
#define GROUPS_MAX 256

/* ---- readiness ---- */

void role_notify_ready(void)
{
    static const char message[] = "READY=1";
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@'))
        return;
    size_t size = strlen(path);
    if (size >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace (unix(7)) */
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    auto_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        sendto(fd, message, sizeof(message) - 1, MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0)
        say_warning("cannot tell '%s' that the service is ready: %s", path, strerror(errno));
}

/* ---- privileges ---- */

struct account {
    uid_t uid;
    gid_t gid;
    gid_t groups[GROUPS_MAX];
    int n_groups;
};

/* False if there is no such user (or its entry cannot be read, which comes to the same). */
static bool find_account(const char *user, struct account *ret)
{
    char buffer[PASSWD_BUFFER_SIZE];
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwnam_r(user, &entry, buffer, sizeof(buffer), &found) != 0 || found == NULL)
        return false;
    ret->uid = entry.pw_uid;
    ret->gid = entry.pw_gid;
    ret->n_groups = GROUPS_MAX;
    if (getgrouplist(user, entry.pw_gid, ret->groups, &ret->n_groups) < 0)
        ret->n_groups = GROUPS_MAX; /* it has more: those that fit are kept */
    return true;
}

gid_t role_group(const char *user)
{
    struct account account;
    return find_account(user, &account) ? account.gid : (gid_t)-1;
}

static int become(const struct account *account)
{
    if (setgroups((size_t)account->n_groups, account->groups) < 0 ||
        setresgid(account->gid, account->gid, account->gid) < 0 ||
        setresuid(account->uid, account->uid, account->uid) < 0)
        return -1;
    return 0;
}

/* Asks in a process of its own, which becomes the account. Returns the index of the first path it cannot
 * search, -1 if it can search all, -2 on failure. */
static int first_unreachable(const struct account *account, const char *const *paths)
{
    pid_t child = fork();
    if (child < 0)
        return -2;
    if (child == 0) {
        if (become(account) < 0)
            _exit(255);
        for (int i = 0; paths[i] != NULL && i < 254; i++)
            if (access(paths[i], X_OK) < 0)
                _exit(i + 1);
        _exit(0);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -2;
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 255)
        return -2;
    return WEXITSTATUS(status) - 1;
}

/* No program this process runs gets more than it has; nothing comes back by way of the bounding or ambient
 * set. */
static int seal(uint32_t keep, struct err *err)
{
    /* EINVAL: beyond the last capability. EPERM: no CAP_SETPCAP, as in a container, whose maker has set the
     * bounds. */
    for (unsigned long cap = 0; cap < 64; cap++)
        if ((cap >= 32 || (keep & (1u << cap)) == 0) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            break;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* fails only on kernels without ambient sets */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(err, errno, "cannot set no_new_privs");
    return 0;
}

static int set_capabilities(uint32_t keep, struct err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, held) < 0)
        return err_sys(err, errno, "cannot read the process's capabilities");
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = keep & held[0].permitted, .permitted = keep & held[0].permitted}};
    if (syscall(SYS_capset, &header, data) < 0)
        return err_sys(err, errno, "cannot give up capabilities");
    return 0;
}

static int stay_root(struct err *err)
{
    const uint32_t keep = 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER;
    if (seal(keep, err) < 0)
        return -1;
    return set_capabilities(keep, err);
}

int role_drop_privileges(const char *user, const char *const *paths, struct err *err)
{
    struct account account;
    if (geteuid() != 0)
        return 0;
    if (!find_account(user, &account)) {
        say_warning(
            "there is no user '%s': staying root, without its capabilities; make the user or set 'user'",
            user);
        return stay_root(err);
    }
    if (account.uid == 0)
        return stay_root(err);
    int unreachable = first_unreachable(&account, paths);
    if (unreachable == -2)
        return err_set(err, ERR_SYSTEM, "cannot become user '%s': the process may not change its user", user);
    if (unreachable >= 0) {
        say_warning("user '%s' cannot reach '%s': staying root, without its capabilities; let it in or "
                    "choose another "
                    "directory",
                    user, paths[unreachable]);
        return stay_root(err);
    }
    if (seal(0, err) < 0)
        return -1;
    if (become(&account) < 0)
        return err_sys(err, errno, "cannot become user '%s'", user);
    return set_capabilities(0, err);
}

/* ---- the embedded log ---- */

const char *role_log_dir(const char *log_url)
{
    static const char scheme[] = "sqlite:";
    return strncmp(log_url, scheme, sizeof(scheme) - 1) == 0 ? log_url + sizeof(scheme) - 1 : NULL;
}

/* Group members may read and write what is there, and what comes gets the group too (the set-group-ID bit).
 */
static int share_directory(const char *path, gid_t gid, struct err *err)
{
    auto_dir DIR *dir = opendir(path);
    if (dir == NULL)
        return err_sys(err, errno, "cannot read log directory '%s'", path);
    if (fchown(dirfd(dir), (uid_t)-1, gid) < 0 || fchmod(dirfd(dir), 02770) < 0)
        return err_sys(err, errno, "cannot give log directory '%s' to group %u", path, gid);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, "wharf.", 6) == 0 &&
            fchownat(dirfd(dir), entry->d_name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            return err_sys(err, errno, "cannot give '%s/%s' to group %u", path, entry->d_name, gid);
    return 0;
}

int role_share_log(const char *log_url, const char *user, struct err *err)
{
    const char *dir = role_log_dir(log_url);
    gid_t gid = role_group(user);
    if (dir == NULL || gid == (gid_t)-1 || geteuid() != 0)
        return 0;
    if (fs_mkdirs(AT_FDCWD, dir, 0755, err) < 0)
        return err_wrap(err, "cannot create log directory '%s'; create it, or choose another with --log",
                        dir);
    return share_directory(dir, gid, err);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct role_signals *signals = handle->data;
    uv_signal_stop(&signals->term);
    uv_signal_stop(&signals->interrupt);
    signals->on_stop(signals->data);
}

int role_signals_start(struct role_signals *signals, uv_loop_t *loop, void (*on_stop)(void *data), void *data,
                       struct err *err)
{
    *signals = (struct role_signals){.on_stop = on_stop, .data = data};
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_sys(err, errno, "cannot ignore SIGPIPE");
    int rc = uv_signal_init(loop, &signals->term);
    if (rc == 0 && (rc = uv_signal_init(loop, &signals->interrupt)) < 0)
        uv_close((uv_handle_t *)&signals->term, NULL);
    if (rc < 0)
        return err_sys(err, -rc, "cannot wait for signals");
    signals->term.data = signals->interrupt.data = signals;
    rc = uv_signal_start(&signals->term, on_signal, SIGTERM);
    if (rc == 0)
        rc = uv_signal_start(&signals->interrupt, on_signal, SIGINT);
    if (rc < 0) {
        role_signals_stop(signals);
        return err_sys(err, -rc, "cannot wait for signals");
    }
    return 0;
}

void role_signals_stop(struct role_signals *signals)
{
    uv_close((uv_handle_t *)&signals->term, NULL);
    uv_close((uv_handle_t *)&signals->interrupt, NULL);
}
