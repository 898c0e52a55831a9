/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/part.h"
#include "cmd/client/stack.h"

#define NS_PER_MS 1000000LL
#define START_TIMEOUT_NS (30LL * 1000 * NS_PER_MS)
#define STOP_TIMEOUT_NS (10LL * 1000 * NS_PER_MS)
#define FIRST_DELAY_MS 200
#define MAX_DELAY_MS 5000
#define STABLE_NS (10LL * 1000 * NS_PER_MS)
#define PING_PAUSE_MS 10

const char *log_directory(const char *log_url)
{
    return strncmp(log_url, "sqlite:", 7) == 0 ? log_url + 7 : NULL;
}

static int open_notify_socket(struct supervisor *supervisor, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (asprintf(&supervisor->notify_path, "%s/notify.sock", supervisor->config->run_dir) < 0) {
        supervisor->notify_path = NULL;
        return err_nomem(err, "making the notify socket");
    }
    if (strlen(supervisor->notify_path) >= sizeof(address.sun_path))
        return err_set(err, ERR_INVALID,
                       "the run directory '%s' is too long for sockets: use one of at most 90 bytes",
                       supervisor->config->run_dir);
    strcpy(address.sun_path, supervisor->notify_path);
    unlink(supervisor->notify_path);
    supervisor->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (supervisor->notify_fd < 0 ||
        bind(supervisor->notify_fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        setsockopt(supervisor->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return err_sys(err, errno, "cannot make the notify socket '%s'", supervisor->notify_path);
    /* Roles may have given up root before they serve. The kernel says who sent what, so anybody may write. */
    if (chmod(supervisor->notify_path, 0666) < 0)
        return err_sys(err, errno, "cannot open the notify socket '%s' to the roles",
                       supervisor->notify_path);
    return 0;
}

int supervisor_init(struct supervisor *supervisor, const struct config *config, const char *config_file,
                    int output_fd, const char *output, struct err *err)
{
    *supervisor = (struct supervisor){
        .config = config, .signals_fd = -1, .notify_fd = -1, .output_fd = output_fd, .output = output};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_sys(err, errno, "cannot block signals");
    supervisor->signals_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (supervisor->signals_fd < 0)
        return err_sys(err, errno, "cannot receive signals");
    if (open_notify_socket(supervisor, err) < 0)
        return -1;
    return parts_make(supervisor, config_file, err);
}

void supervisor_release(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->n; i++)
        part_release(&supervisor->parts[i]);
    if (supervisor->notify_path != NULL)
        unlink(supervisor->notify_path);
    free(supervisor->notify_path);
    if (supervisor->notify_fd >= 0)
        close(supervisor->notify_fd);
    if (supervisor->signals_fd >= 0)
        close(supervisor->signals_fd);
}

static json_t *describe_parts(const struct supervisor *supervisor)
{
    json_t *parts = json_array();
    for (size_t i = 0; i < supervisor->n; i++) {
        const struct part *part = &supervisor->parts[i];
        json_array_append_new(parts, json_pack("{s:s, s:i, s:I, s:b, s:I}", "name", part->name, "pid",
                                               (int)part->pid, "start_ticks",
                                               (json_int_t)process_start_ticks(part->pid), "ready",
                                               (int)part->ready, "restarts", (json_int_t)part->restarts));
    }
    return parts;
}

/* The file is for `down` after a crash and for `status`: trouble with it is said, and no reason to stop. */
static void write_state(const struct supervisor *supervisor)
{
    struct err err = ERR_INIT;
    const struct config *config = supervisor->config;
    json_auto_t *state = json_pack("{s:i, s:s, s:s, s:s, s:s, s:o}", "pid", (int)getpid(), "node",
                                   config->node, "log", config->log_url, "redis", config->redis_url,
                                   "state_dir", config->state_dir, "parts", describe_parts(supervisor));
    if (state == NULL || stack_write_state(config->run_dir, state, &err) < 0)
        say_warning("cannot write the state of the stack: %s", state == NULL ? "out of memory" : err.message);
}

static int start_part(struct supervisor *supervisor, struct part *part, struct err *err)
{
    part->due_ns = 0;
    part->ready = false;
    part->started_ns = clock_monotonic_ns();
    return part_spawn(part, supervisor->output_fd, supervisor->notify_path, err);
}

static void describe_end(char ret[64], int status)
{
    if (WIFSIGNALED(status))
        snprintf(ret, 64, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(ret, 64, "ended with code %d", WEXITSTATUS(status));
}

/* Before everything was ready once, an end is a failure of `up`; later the part is started again. */
static int part_ended(struct supervisor *supervisor, struct part *part, int status, struct err *err)
{
    char how[64];
    describe_end(how, status);
    int64_t now_ns = clock_monotonic_ns();
    int64_t lived_ns = now_ns - part->started_ns;
    bool was_ready = part->ready;
    part->pid = 0;
    part->ready = false;
    if (supervisor->stopping)
        return 0;
    if (!was_ready && part_set_cache_aside(part)) {
        say_warning("the %s %s before it was ready; starting it without '%s', which is now '%s.damaged'",
                    part->name, how, part->cache, part->cache);
        part->due_ns = now_ns;
        return 0;
    }
    if (!supervisor->up) {
        err_set(err, ERR_UNAVAILABLE, "the %s %s before it was ready", part->name, how);
        part_add_last_words(part, supervisor->output, err);
        return -1;
    }
    part->delay_ms = part->delay_ms == 0 || lived_ns > STABLE_NS ? FIRST_DELAY_MS : part->delay_ms * 2;
    if (part->delay_ms > MAX_DELAY_MS)
        part->delay_ms = MAX_DELAY_MS;
    part->due_ns = now_ns + part->delay_ms * NS_PER_MS;
    say_warning("the %s %s; starting it again in %.1f s", part->name, how, (double)part->delay_ms / 1000);
    return 0;
}

static int reap(struct supervisor *supervisor, struct err *err)
{
    int status, rc = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < supervisor->n; i++)
            if (supervisor->parts[i].pid == pid &&
                part_ended(supervisor, &supervisor->parts[i], status, err) < 0)
                rc = -1;
    }
    if (supervisor->up && !supervisor->stopping)
        write_state(supervisor);
    return rc;
}

static int take_signals(struct supervisor *supervisor, struct err *err)
{
    struct signalfd_siginfo info;
    bool child = false;
    while (read(supervisor->signals_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            child = true;
        else if (info.ssi_signo != SIGHUP || supervisor->output == NULL)
            supervisor->stopping = true;
    }
    return child ? reap(supervisor, err) : 0;
}

static void mark_ready(struct supervisor *supervisor, struct part *part)
{
    if (part->ready)
        return;
    part->ready = true;
    if (supervisor->up)
        say_info("the %s serves again", part->name);
    if (supervisor->up)
        write_state(supervisor);
}

/* One datagram: "READY=1\n..." with the sender's credentials (unix(7)). */
static bool take_notification(struct supervisor *supervisor)
{
    char text[4096];
    union {
        char space[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t size = recvmsg(supervisor->notify_fd, &message, MSG_CMSG_CLOEXEC);
    if (size < 0)
        return false;
    text[size] = '\0';
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_type != SCM_CREDENTIALS || strstr(text, "READY=1") == NULL)
        return true;
    struct ucred sender;
    memcpy(&sender, CMSG_DATA(header), sizeof(sender));
    for (size_t i = 0; i < supervisor->n; i++)
        if (supervisor->parts[i].pid == sender.pid && sender.pid > 0)
            mark_ready(supervisor, &supervisor->parts[i]);
    return true;
}

/* Starts what is due, asks Redis whether it serves; returns how long poll may sleep. */
static int take_time(struct supervisor *supervisor)
{
    int64_t now_ns = clock_monotonic_ns();
    int64_t wake_ns = supervisor->up ? INT64_MAX : supervisor->deadline_ns;
    for (size_t i = 0; i < supervisor->n; i++) {
        struct part *part = &supervisor->parts[i];
        struct err err = ERR_INIT;
        if (part->due_ns != 0 && part->due_ns <= now_ns) {
            part->restarts++;
            if (start_part(supervisor, part, &err) < 0) {
                say_error("%s", err.message);
                part->due_ns = now_ns + MAX_DELAY_MS * NS_PER_MS;
            }
            write_state(supervisor);
        }
        if (part->due_ns != 0 && part->due_ns < wake_ns)
            wake_ns = part->due_ns;
        if (part->pid != 0 && !part->ready && !part->notifies) {
            if (part_answers_ping(supervisor->config->run_dir))
                mark_ready(supervisor, part);
            else if (now_ns + PING_PAUSE_MS * NS_PER_MS < wake_ns)
                wake_ns = now_ns + PING_PAUSE_MS * NS_PER_MS;
        }
    }
    if (wake_ns == INT64_MAX)
        return -1;
    int64_t sleep_ms = (wake_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return sleep_ms < 0 ? 0 : (int)sleep_ms;
}

static int turn(struct supervisor *supervisor, struct err *err)
{
    struct pollfd wait[2] = {{.fd = supervisor->signals_fd, .events = POLLIN},
                             {.fd = supervisor->notify_fd, .events = POLLIN}};
    if (poll(wait, 2, take_time(supervisor)) < 0 && errno != EINTR)
        return err_sys(err, errno, "cannot wait for the parts of the stack");
    while (take_notification(supervisor)) {
    }
    return take_signals(supervisor, err);
}

static const struct part *first_not_ready(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->n; i++)
        if (!supervisor->parts[i].ready)
            return &supervisor->parts[i];
    return NULL;
}

static int start_all(struct supervisor *supervisor, struct err *err)
{
    for (size_t i = 0; i < supervisor->n; i++)
        if (start_part(supervisor, &supervisor->parts[i], err) < 0)
            return -1;
    write_state(supervisor);
    supervisor->deadline_ns = clock_monotonic_ns() + START_TIMEOUT_NS;
    const struct part *missing = NULL;
    while (!supervisor->stopping && (missing = first_not_ready(supervisor)) != NULL) {
        if (clock_monotonic_ns() >= supervisor->deadline_ns) {
            err_set(err, ERR_TIMEOUT, "the %s was not ready within 30 seconds", missing->name);
            part_add_last_words(missing, supervisor->output, err);
            return -1;
        }
        if (turn(supervisor, err) < 0)
            return -1;
    }
    return 0;
}

int supervisor_start(struct supervisor *supervisor, struct err *err)
{
    if (start_all(supervisor, err) < 0) {
        supervisor_stop(supervisor);
        return -1;
    }
    if (supervisor->stopping)
        return 0;
    supervisor->up = true;
    write_state(supervisor);
    return 1;
}

int supervisor_run(struct supervisor *supervisor, struct err *err)
{
    while (!supervisor->stopping)
        if (turn(supervisor, err) < 0)
            return -1;
    return 0;
}

static void stop_part(struct supervisor *supervisor, struct part *part)
{
    static const int signals[] = {SIGTERM, SIGKILL};
    for (size_t s = 0; part->pid != 0 && s < 2; s++) {
        int64_t deadline_ns = clock_monotonic_ns() + STOP_TIMEOUT_NS;
        if (s == 1)
            say_warning("the %s did not stop in time and is killed", part->name);
        kill(part->pid, signals[s]);
        for (int64_t now_ns; part->pid != 0 && (now_ns = clock_monotonic_ns()) < deadline_ns;) {
            struct pollfd wait = {.fd = supervisor->signals_fd, .events = POLLIN};
            reap(supervisor, NULL);
            if (part->pid != 0 && poll(&wait, 1, (int)((deadline_ns - now_ns) / NS_PER_MS)) > 0)
                take_signals(supervisor, NULL);
        }
    }
}

void supervisor_stop(struct supervisor *supervisor)
{
    supervisor->stopping = true;
    for (size_t i = supervisor->n; i-- > 0;)
        stop_part(supervisor, &supervisor->parts[i]);
    stack_remove_state(supervisor->config->run_dir);
}
