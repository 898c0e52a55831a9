/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/part.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/close_range.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/say.h"
#include "cmd/client/role.h"

#define OUTPUT_TAIL ((size_t)8192)
#define LAST_WORDS_LIMIT 400

gid_t part_group(const char *user)
{
    const struct passwd *entry = getpwnam(user);
    return entry != NULL ? entry->pw_gid : (gid_t)-1;
}

void part_release(struct part *part)
{
    for (char **at = part->argv; *at != NULL; at++)
        free(*at);
    part->argv[0] = NULL;
    for (size_t i = 0; i < sizeof(part->dirs) / sizeof(part->dirs[0]); i++) {
        free(part->dirs[i]);
        part->dirs[i] = NULL;
    }
    if (part->link != NULL)
        unlink(part->link);
    free(part->link);
    part->link = NULL;
    free(part->cache);
    part->cache = NULL;
}

static int add_argument(struct part *part, const char *text, struct err *err)
{
    size_t n = 0;
    while (part->argv[n] != NULL)
        n++;
    if (text == NULL || n + 1 >= sizeof(part->argv) / sizeof(part->argv[0]))
        return err_set(err, ERR_INTERNAL, "bad arguments for the %s", part->name);
    part->argv[n] = strdup(text);
    return part->argv[n] != NULL ? 0 : err_nomem(err, "preparing a part of the stack");
}

static int add_setting(struct part *part, const char *flag, const char *value, struct err *err)
{
    if (value == NULL)
        return 0;
    return add_argument(part, flag, err) < 0 ? -1 : add_argument(part, value, err);
}

static int add_number(struct part *part, const char *flag, uint32_t value, struct err *err)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", value);
    return value != 0 ? add_setting(part, flag, text, err) : 0;
}

static int add_pool(struct part *part, const struct config *config, struct err *err)
{
    char text[32];
    snprintf(text, sizeof(text), "%u:%u", config->userns_base, config->userns_size);
    return config->userns_size != 0 ? add_setting(part, "--userns-pool", text, err) : 0;
}

static int find_in_path(const char *program, char **ret, struct err *err)
{
    const char *path = getenv("PATH");
    static const char fallback[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (const char *at = path != NULL ? path : fallback; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, ":");
        auto_free char *candidate = NULL;
        if (asprintf(&candidate, "%.*s/%s", (int)size, at, program) < 0) {
            candidate = NULL;
            return err_nomem(err, "looking for a program");
        }
        if (access(candidate, X_OK) == 0) {
            *ret = steal_ptr(candidate);
            return 0;
        }
        at += size + (at[size] == ':' ? 1 : 0);
    }
    return err_set(
        err, ERR_NOT_FOUND,
        "'%s' is not installed: install it (apt-get install redis-server), or name a Redis with --redis",
        program);
}

/* All in `dir_fd` becomes the part's. The directory itself is root's meanwhile, so that whoever had it cannot
 * put something else in a file's place. */
static int give_entries(const struct part *part, int dir_fd, struct err *err)
{
    int list_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    DIR *list = list_fd >= 0 ? fdopendir(list_fd) : NULL;
    if (list == NULL) {
        err_sys(err, errno, "cannot list a directory of %s", part->name);
        if (list_fd >= 0)
            close(list_fd);
        return -1;
    }
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(list)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = fchownat(dir_fd, entry->d_name, part->uid, part->gid, AT_SYMLINK_NOFOLLOW);
    if (rc < 0)
        err_sys(err, errno, "cannot give the files of %s to its user", part->name);
    closedir(list);
    return rc;
}

/* Makes one of the directories that the part writes into, and gives it to whom the part becomes. */
static int make_directory(struct part *part, size_t i, const char *parent, mode_t mode, struct err *err)
{
    if (asprintf(&part->dirs[i], "%s/redis", parent) < 0) {
        part->dirs[i] = NULL;
        return err_nomem(err, "preparing Redis");
    }
    if (fs_mkdirs(AT_FDCWD, part->dirs[i], mode, err) < 0)
        return -1;
    if (part->uid == (uid_t)-1)
        return 0;
    auto_fd int fd = open(part->dirs[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, 0, part->gid) < 0)
        return err_sys(err, errno, "cannot give '%s' to the user of %s", part->dirs[i], part->name);
    if (give_entries(part, fd, err) < 0)
        return -1;
    return fchown(fd, part->uid, part->gid) == 0
               ? 0
               : err_sys(err, errno, "cannot give '%s' to the user of %s", part->dirs[i], part->name);
}

/* Redis keeps a copy of the read model on disk, so that the next start need not project the whole log again.
 */
static int add_cache(struct part *part, const struct config *config, struct err *err)
{
    if (make_directory(part, 0, config->state_dir, 0700, err) < 0)
        return -1;
    if (asprintf(&part->cache, "%s/dump.rdb", part->dirs[0]) < 0) {
        part->cache = NULL;
        return err_nomem(err, "preparing Redis");
    }
    /* Once a minute if anything changed, and at the end. A full disk is no reason to refuse the projector. */
    return add_setting(part, "--dir", part->dirs[0], err) < 0 || add_setting(part, "--save", "60 1", err) < 0
               ? -1
               : add_setting(part, "--stop-writes-on-bgsave-error", "no", err);
}

/* The run directory is root's: the socket is made in a directory of Redis' own, which RUN_DIR/redis.sock
 * points into. */
static int add_socket(struct part *part, const struct config *config, struct err *err)
{
    auto_free char *path = NULL;
    if (make_directory(part, 1, config->run_dir, 0750, err) < 0)
        return -1;
    if (asprintf(&path, "%s/sock", part->dirs[1]) < 0) {
        path = NULL;
        return err_nomem(err, "preparing Redis");
    }
    if (asprintf(&part->link, "%s/redis.sock", config->run_dir) < 0) {
        part->link = NULL;
        return err_nomem(err, "preparing Redis");
    }
    unlink(part->link);
    if (symlink("redis/sock", part->link) < 0)
        return err_sys(err, errno, "cannot make the link '%s'", part->link);
    return add_setting(part, "--unixsocket", path, err) < 0
               ? -1
               : add_setting(part, "--unixsocketperm", "660", err);
}

/* A new file, since Redis appends; it opens it by its name whenever it has something to say. */
static int add_log(struct part *part, const struct config *config, struct err *err)
{
    auto_free char *path = NULL;
    if (asprintf(&path, "%s/redis.log", config->run_dir) < 0) {
        path = NULL;
        return err_nomem(err, "preparing Redis");
    }
    unlink(path);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0 || (part->uid != (uid_t)-1 && fchown(fd, part->uid, part->gid) < 0))
        return err_sys(err, errno, "cannot make '%s'", path);
    return add_setting(part, "--logfile", path, err) < 0 ? -1
                                                         : add_setting(part, "--loglevel", "warning", err);
}

/* No TCP port, and nothing that the log could not give again. */
static int make_redis(struct part *part, const struct config *config, struct err *err)
{
    const struct passwd *user = getpwnam(config->user);
    auto_free char *program = NULL;
    *part = (struct part){.name = "redis",
                          .uid = user != NULL ? user->pw_uid : (uid_t)-1,
                          .gid = user != NULL ? user->pw_gid : (gid_t)-1};
    if (find_in_path("redis-server", &program, err) < 0 || add_argument(part, program, err) < 0 ||
        add_setting(part, "--port", "0", err) < 0 || add_setting(part, "--appendonly", "no", err) < 0 ||
        add_setting(part, "--daemonize", "no", err) < 0 || add_socket(part, config, err) < 0 ||
        add_cache(part, config, err) < 0)
        return -1;
    return add_log(part, config, err);
}

static int make_role(struct part *part, const char *name, const struct config *config,
                     const char *config_file, struct err *err)
{
    *part = (struct part){.name = name, .uid = (uid_t)-1, .gid = (gid_t)-1, .notifies = true};
    auto_free char *program = NULL;
    if (role_find(name, &program, err) < 0)
        return -1;
    if (add_argument(part, program, err) < 0 || add_setting(part, "--config", config_file, err) < 0 ||
        add_setting(part, "--state-dir", config->state_dir, err) < 0 ||
        add_setting(part, "--run-dir", config->run_dir, err) < 0 ||
        add_setting(part, "--log", config->log_url, err) < 0 ||
        add_setting(part, "--redis", config->redis_url, err) < 0 ||
        add_setting(part, "--node", config->node, err) < 0 ||
        add_setting(part, "--user", config->user, err) < 0 ||
        add_setting(part, "--cgroup-parent", config->cgroup_parent, err) < 0 ||
        add_pool(part, config, err) < 0 || add_number(part, "--partitions", config->partitions, err) < 0)
        return -1;
    return add_number(part, "--replication", config->replication, err);
}

int parts_make(struct supervisor *supervisor, const char *config_file, struct err *err)
{
    static const char *const roles[] = {"writer", "runtime", "projector", "query"};
    const struct config *config = supervisor->config;
    if (config->embedded_redis && make_redis(&supervisor->parts[supervisor->n++], config, err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (make_role(&supervisor->parts[supervisor->n++], roles[i], config, config_file, err) < 0)
            return -1;
    return 0;
}

/* The roles drop their rights by themselves, and stay root where their user cannot reach their directories
 * (role.h): so does what we drop for others. */
static int drop_to_user(const struct part *part)
{
    if (part->uid == (uid_t)-1)
        return 0;
    if (setgroups(0, NULL) < 0 || setgid(part->gid) < 0 || seteuid(part->uid) < 0)
        return -1;
    const char *closed = NULL;
    for (size_t i = 0; i < sizeof(part->dirs) / sizeof(part->dirs[0]); i++)
        if (part->dirs[i] != NULL && faccessat(AT_FDCWD, part->dirs[i], W_OK | X_OK, AT_EACCESS) < 0)
            closed = part->dirs[i];
    if (seteuid(0) < 0)
        return -1;
    if (closed == NULL)
        return setuid(part->uid);
    say_warning("user %u cannot reach '%s': %s stays root", (unsigned)part->uid, closed, part->name);
    return 0;
}

/* In the child, between fork and exec. */
static void become(const struct part *part, int output_fd, const char *notify_path, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output_fd, STDOUT_FILENO) < 0 ||
        dup2(output_fd, STDERR_FILENO) < 0 || close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        _exit(126);
    setsid();
    if (drop_to_user(part) < 0)
        _exit(126);
    /* After that, which would clear it (prctl(2)). */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
        _exit(126);
    if (part->notifies && setenv("NOTIFY_SOCKET", notify_path, 1) < 0)
        _exit(126);
    execv(part->argv[0], part->argv);
    say_error("cannot execute '%s': %s", part->argv[0], strerror(errno));
    _exit(127);
}

int part_spawn(struct part *part, int output_fd, const char *notify_path, struct err *err)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, errno, "cannot start the %s", part->name);
    if (pid == 0)
        become(part, output_fd, notify_path, parent);
    part->pid = pid;
    return 0;
}

bool part_set_cache_aside(const struct part *part)
{
    auto_free char *aside = NULL;
    if (part->cache == NULL || asprintf(&aside, "%s.damaged", part->cache) < 0) {
        aside = NULL;
        return false;
    }
    return rename(part->cache, aside) == 0;
}

bool part_answers_ping(const char *run_dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/redis.sock", run_dir);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return false;
    struct timeval timeout = {.tv_sec = 1};
    char answer[8] = "";
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, answer, 5, MSG_WAITALL) == 5 &&
           memcmp(answer, "+PONG", 5) == 0;
}

/* The last bytes of the file that come from the part: its lines start with "wharf-NAME: "; without any, all
 * of them. */
static const char *find_last_words(char *text, const char *name)
{
    char prefix[64];
    const char *last = NULL;
    snprintf(prefix, sizeof(prefix), "wharf-%s: ", name);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (strncmp(line, prefix, strlen(prefix)) == 0 || last == NULL || strncmp(last, "wharf-", 6) != 0)
            last = line;
    return last;
}

void part_add_last_words(const struct part *part, const char *output, struct err *err)
{
    if (output == NULL || err == NULL)
        return;
    auto_fd int fd = open(output, O_RDONLY | O_CLOEXEC);
    char text[OUTPUT_TAIL];
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    off_t from = end > (off_t)sizeof(text) - 1 ? end - ((off_t)sizeof(text) - 1) : 0;
    ssize_t size = fd >= 0 ? pread(fd, text, sizeof(text) - 1, from) : -1;
    if (size <= 0)
        return;
    text[size] = '\0';
    const char *words = find_last_words(text, part->name);
    size_t used = strlen(err->message);
    if (words != NULL)
        snprintf(err->message + used, sizeof(err->message) - used, ": %.*s; all it said is in '%s'",
                 LAST_WORDS_LIMIT, words, output);
}
