/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each check is a function that fills one finding; the table of checks is the whole doctor.
 */
#include <errno.h>
#include <stdarg.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/seccomp.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/role.h"
#include "cmd/client/supervisor.h"
#include "cmd/client/table.h"

struct doctor_options {
    const char *format;
};

static const struct option_row rows[] = {{.name = "format",
                                          .argument = "FORMAT",
                                          .kind = OPTION_STRING,
                                          .offset = offsetof(struct doctor_options, format),
                                          .help = "table, or json: one object a line",
                                          .words = "table json"},
                                         OPTION_END};

enum severity { FINE, NOTE, MISSING };

struct finding {
    enum severity severity;
    char text[512];
    char fix[256]; /* what to do; "" when nothing */
};

static void find(struct finding *finding, enum severity severity, const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void find(struct finding *finding, enum severity severity, const char *fix, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(finding->text, sizeof(finding->text), fmt, args);
    va_end(args);
    finding->severity = severity;
    snprintf(finding->fix, sizeof(finding->fix), "%s", severity == FINE ? "" : fix);
}

static void check_kernel(const struct client *client, struct finding *finding)
{
    (void)client;
    struct utsname name;
    if (uname(&name) < 0) {
        find(finding, NOTE, "check that it is Linux 5.10 or newer", "the kernel does not tell its version");
        return;
    }
    char *rest = name.release;
    long major = strtol(rest, &rest, 10);
    long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    bool enough = major > 5 || (major == 5 && minor >= 10);
    find(finding, enough ? FINE : MISSING, "wharf needs Linux 5.10 or newer (clone3, pidfds, openat2)",
         "Linux %s", name.release);
}

static void check_root(const struct client *client, struct finding *finding)
{
    (void)client;
    bool root = geteuid() == 0;
    find(finding, root ? FINE : NOTE, "the runtime must be started by root",
         root ? "we are root" : "we are not root");
}

static void check_namespaces(const struct client *client, struct finding *finding)
{
    (void)client;
    static const char *const names[] = {"pid", "net", "ipc", "mnt", "uts", "cgroup", "user"};
    char missing[128] = "";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
        if (access(path, F_OK) < 0)
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " %s", names[i]);
    }
    if (missing[0] == '\0')
        find(finding, FINE, "", "pid, net, ipc, mnt, uts, cgroup and user");
    else
        find(finding, MISSING, "use a kernel with CONFIG_NAMESPACES and all of its kinds", "not there:%s",
             missing);
}

/* cgroup v2: one file with the controllers. v1 and hybrid: a directory for each. */
static void check_cgroups(const struct client *client, struct finding *finding)
{
    (void)client;
    static const char fix[] =
        "mount cgroup2 at /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1";
    static const char *const needed[] = {"memory", "pids", "cpu"};
    struct statfs fs;
    char text[512] = "";
    char missing[64] = "";
    if (statfs("/sys/fs/cgroup", &fs) < 0) {
        find(finding, MISSING, fix, "nothing is mounted at /sys/fs/cgroup");
        return;
    }
    bool unified = fs.f_type == CGROUP2_SUPER_MAGIC;
    auto_file FILE *file = unified ? fopen("/sys/fs/cgroup/cgroup.controllers", "re") : NULL;
    if (file != NULL && fgets(text, sizeof(text), file) != NULL)
        text[strcspn(text, "\n")] = '\0';
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", needed[i]);
        if (unified ? strstr(text, needed[i]) == NULL : access(path, F_OK) < 0)
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " %s", needed[i]);
    }
    if (missing[0] != '\0')
        find(finding, MISSING,
             "enable the controllers (some need cgroup_enable=memory on the kernel's command line)",
             "cgroup %s without the controllers%s", unified ? "v2" : "v1", missing);
    else if (unified)
        find(finding, FINE, "", "v2 with %s", text);
    else
        find(finding, FINE, "", "v1%s with memory, pids and cpu",
             access("/sys/fs/cgroup/unified", F_OK) == 0 ? " (hybrid)" : "");
}

static void check_overlay(const struct client *client, struct finding *finding)
{
    (void)client;
    auto_file FILE *file = fopen("/proc/filesystems", "re");
    char line[128];
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strstr(line, "\toverlay\n") != NULL) {
            find(finding, FINE, "", "available");
            return;
        }
    }
    find(finding, MISSING, "modprobe overlay", "the kernel does not list it");
}

static void check_seccomp(const struct client *client, struct finding *finding)
{
    (void)client;
    /* EFAULT: filters exist and only our NULL was wrong (seccomp(2)). */
    bool there = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) < 0 && errno == EFAULT;
    find(finding, there ? FINE : MISSING, "use a kernel with CONFIG_SECCOMP_FILTER",
         there ? "filters" : "no filters");
}

static void check_executables(const struct client *client, struct finding *finding)
{
    (void)client;
    static const char *const names[] = {"writer", "runtime", "projector", "query", "shim", "image"};
    char missing[128] = "";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        auto_free char *path = NULL;
        if (role_find(names[i], &path, NULL) < 0)
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " wharf-%s", names[i]);
    }
    if (missing[0] == '\0')
        find(finding, FINE, "", "writer, runtime, projector, query, shim and image");
    else
        find(finding, MISSING, "install wharf whole: they belong beside wharf or in ../libexec/wharf",
             "not found:%s", missing);
}

static void check_state_dir(const struct client *client, struct finding *finding)
{
    const char *dir = client->config.state_dir;
    struct statfs fs;
    if (statfs(dir, &fs) < 0) {
        find(finding, NOTE, "'wharf up' makes it", "'%s': %s", dir, strerror(errno));
        return;
    }
    char size[32];
    unsigned long long free_bytes = (unsigned long long)fs.f_bavail * (unsigned long long)fs.f_bsize;
    snprintf(size, sizeof(size), "%.1f GB", (double)free_bytes / 1e9);
    if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
        find(finding, MISSING,
             "put the state directory on ext4, xfs, btrfs or tmpfs: overlays do not stack there",
             "'%s' is on an overlay itself", dir);
    else
        find(finding, free_bytes < 100000000ULL ? MISSING : FINE, "make room: the log is never shortened",
             "'%s', %s free", dir, size);
}

/* A TCP port that accepts within two seconds. `text` is "host:port". */
static bool reaches(const char *text, size_t size)
{
    auto_free char *copy = strndup(text, size);
    char *colon = copy != NULL ? strrchr(copy, ':') : NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool ok = false;
    if (colon == NULL)
        return false;
    *colon = '\0';
    if (getaddrinfo(copy, colon + 1, &hints, &found) != 0)
        return false;
    for (const struct addrinfo *at = found; at != NULL && !ok; at = at->ai_next) {
        auto_fd int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval timeout = {.tv_sec = 2};
        ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
             connect(fd, at->ai_addr, at->ai_addrlen) == 0;
    }
    freeaddrinfo(found);
    return ok;
}

static void check_log(const struct client *client, struct finding *finding)
{
    const char *url = client->config.log_url;
    const char *dir = log_directory(url);
    if (dir != NULL) {
        if (access(dir, W_OK) == 0)
            find(finding, FINE, "", "embedded, in '%s'", dir);
        else
            find(finding, errno == ENOENT ? NOTE : MISSING,
                 errno == ENOENT ? "'wharf up' makes it" : "make the directory writable for the roles",
                 "'%s': %s", dir, strerror(errno));
        return;
    }
    if (strncmp(url, "kafka://", 8) != 0) {
        find(finding, MISSING, "give sqlite:DIR or kafka://HOST:PORT/PREFIX", "'%s' is no log", url);
        return;
    }
    const char *hosts = url + 8;
    size_t size = strcspn(hosts, "/");
    for (const char *at = hosts; at < hosts + size;) {
        size_t one = strcspn(at, ",/");
        if (reaches(at, one)) {
            find(finding, FINE, "", "Kafka, '%.*s' accepts connections", (int)one, at);
            return;
        }
        at += one + 1;
    }
    find(finding, MISSING, "start the broker, or correct the URL; wharf retries until it is there",
         "no broker of '%.*s' accepts connections", (int)size, hosts);
}

static void check_redis(const struct client *client, struct finding *finding)
{
    const char *url = client->config.redis_url;
    if (strncmp(url, "redis://", 8) == 0) {
        bool there = reaches(url + 8, strcspn(url + 8, "/"));
        find(finding, there ? FINE : MISSING, "start it, or correct the URL", "'%s' %s", url,
             there ? "accepts connections" : "accepts no connections");
        return;
    }
    const char *path = strncmp(url, "unix:", 5) == 0 ? url + 5 : url;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        find(finding, FINE, "", "'%s' accepts connections", path);
    else if (client->config.embedded_redis && access("/usr/bin/redis-server", X_OK) < 0)
        find(finding, MISSING, "apt-get install redis-server, or name a Redis with --redis",
             "'wharf up' would start a private one, but redis-server is not installed");
    else
        find(finding, client->config.embedded_redis ? NOTE : MISSING,
             client->config.embedded_redis ? "'wharf up' starts it" : "start it, or correct the URL",
             "'%s': %s", path, strerror(errno));
}

static void check_user(const struct client *client, struct finding *finding)
{
    const char *user = client->config.user;
    bool there = getpwnam(user) != NULL;
    find(finding, there ? FINE : NOTE,
         "useradd --system --no-create-home wharf, so that only the runtime stays root",
         there
             ? "'%s'"
             : "there is no user '%s'; writer, projector and query stay root with few capabilities, and the "
               "private Redis with all",
         user);
}

static void check_service(const struct client *client, enum api_service service, struct finding *finding)
{
    struct err err = ERR_INIT;
    auto_free char *text = NULL;
    int status = 0;
    if (api_get_text(client, service, "/readyz", 3000, &status, &text, &err) < 0) {
        char *hint = strstr(err.message, "; is the stack up?");
        if (hint != NULL)
            *hint = '\0';
        find(finding, NOTE, "wharf up --detach", "%s", err.message);
        return;
    }
    json_auto_t *answer = json_loads(text, 0, NULL);
    const json_t *warnings = json_object_get(answer, "warnings");
    const char *warning = json_string_value(json_array_get(warnings, 0));
    size_t more = json_array_size(warnings) - (warning != NULL);
    if (status != 200)
        find(finding, MISSING, "see its messages in RUN_DIR/up.log or the journal", "%s",
             json_text(answer, "detail", "not ready"));
    else if (warning == NULL)
        find(finding, FINE, "", "ready");
    else if (more == 0)
        find(finding, NOTE, "", "%s", warning);
    else
        find(finding, NOTE, "", "%s; and %zu more such warnings, which its messages have", warning, more);
}

static void check_writer(const struct client *client, struct finding *finding)
{
    check_service(client, API_WRITER, finding);
}

static void check_runtime(const struct client *client, struct finding *finding)
{
    check_service(client, API_RUNTIME, finding);
}

static void check_query(const struct client *client, struct finding *finding)
{
    check_service(client, API_QUERY, finding);
}

static const struct {
    const char *name;
    void (*check)(const struct client *client, struct finding *finding);
} checks[] = {
    {"kernel", check_kernel},
    {"root", check_root},
    {"namespaces", check_namespaces},
    {"cgroups", check_cgroups},
    {"overlayfs", check_overlay},
    {"seccomp", check_seccomp},
    {"executables", check_executables},
    {"state", check_state_dir},
    {"log", check_log},
    {"redis", check_redis},
    {"user", check_user},
    {"writer", check_writer},
    {"runtime", check_runtime},
    {"query", check_query},
};

static int print_finding(const char *name, const struct finding *finding, bool json, struct table *table,
                         struct err *err)
{
    static const char *const marks[] = {[FINE] = "ok", [NOTE] = "note", [MISSING] = "missing"};
    const char *mark = marks[finding->severity];
    if (!json) {
        table_add(table, "%s", name);
        table_add(table, "%s", mark);
        table_add(table, "%s%s%s", finding->text, finding->fix[0] != '\0' ? "; to do: " : "", finding->fix);
        return 0;
    }
    json_auto_t *object =
        json_pack("{s:s, s:s, s:s}", "check", name, "result", mark, "detail", finding->text);
    if (object == NULL)
        return err_nomem(err, "describing a finding");
    if (finding->fix[0] != '\0')
        json_object_set_new(object, "fix", json_string(finding->fix));
    return listing_print_json(object, err);
}

static int examine(const struct client *client, bool json, bool *ret_missing, struct err *err)
{
    struct table table;
    table_init(&table, 3);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(checks) / sizeof(checks[0]); i++) {
        struct finding finding = {0};
        checks[i].check(client, &finding);
        *ret_missing = *ret_missing || finding.severity == MISSING;
        rc = print_finding(checks[i].name, &finding, json, &table, err);
    }
    if (rc == 0 && !json)
        rc = table_print(&table, stdout, err);
    table_release(&table);
    return rc;
}

static int doctor(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct doctor_options *options = values;
    struct err err = ERR_INIT;
    enum listing_format format;
    bool missing = false;
    int rc = listing_format(options->format, LISTING_TABLE, &format, &err);
    if (rc == 0)
        rc = examine(client, format == LISTING_JSON, &missing, &err);
    if (rc < 0)
        say_error("%s", err.message);
    return rc < 0 || missing ? 1 : 0;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .group = VERB_STACK,
    .synopsis = "",
    .summary = "show what kernel, cgroups, log and Redis offer, what is missing, and how to fix it",
    .description =
        "The exit code is 1 when something that is needed is missing. A note is not needed, or comes with "
        "'wharf up'.",
    .options = rows,
    .options_size = sizeof(struct doctor_options),
    .execute = doctor,
};
