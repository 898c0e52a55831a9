/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/chaos/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "cmd/client/http.h"

#define READY_TIMEOUT_NS 60000000000
#define PAUSE_US 5000 /* between two looks at a condition */
#define STRUCK_WITHIN_NS 60000000000
#define ENVIRONMENT_MAX 16
#define VARIABLE_SIZE (PATH_MAX + 64)

static const struct {
    const char *name;
    const char *program;
} PART_ROWS[PARTS] = {
    [PART_BROKER] = {"broker", NULL},
    [PART_REDIS] = {"redis", "redis-server"},
    [PART_RUNTIME] = {"runtime", "wharf-runtime"},
    [PART_WRITER] = {"writer", "wharf-writer"},
    [PART_PROJECTOR] = {"projector", "wharf-projector"},
    [PART_QUERY] = {"query", "wharf-query"},
    [PART_REBUILD] = {"rebuild", "wharf-projector"},
};

static const struct {
    const char *name;
    enum fault_role role;
} FAULT_ROWS[FAULTS] = {
#define FAULT(ENUM, name, role, where) [FAULT_##ENUM] = {name, role},
#include "base/fault.def"
#undef FAULT
};

const char *part_name(enum part part)
{
    return PART_ROWS[part].name;
}

const char *fault_name(enum fault fault)
{
    return FAULT_ROWS[fault].name;
}

enum fault_role fault_role(enum fault fault)
{
    return FAULT_ROWS[fault].role;
}

enum part fault_part(enum fault fault)
{
    switch (fault_role(fault)) {
    case WRITER:
        return PART_WRITER;
    case PROJECTOR:
        return PART_PROJECTOR;
    case REBUILD:
        return PART_REBUILD;
    case RUNTIME:
    case SHIM:
    case IMAGE:
        break;
    }
    return PART_RUNTIME;
}

/* --- starting --- */

struct environment {
    char text[ENVIRONMENT_MAX][VARIABLE_SIZE];
    char *all[ENVIRONMENT_MAX + 1];
    size_t n;
};

static void add_variable(struct environment *environment, const char *name, const char *value)
{
    char *text = environment->text[environment->n];
    snprintf(text, VARIABLE_SIZE, "%s=%s", name, value);
    environment->all[environment->n++] = text;
}

static void make_environment(const struct stack *stack, const struct armed *armed, struct environment *ret)
{
    char value[PATH_MAX];
    const char *libs = getenv("TEST_KAFKA_LIBS");
    ret->n = 0;
    add_variable(ret, "PATH", getenv("PATH"));
    add_variable(ret, "WHARF_LOG", stack->log_url);
    add_variable(ret, "WHARF_NODE", stack->node);
    add_variable(ret, "WHARF_SNAPSHOT_EVERY", "40"); /* often enough for its crash points */
    add_variable(ret, "WHARF_CGROUP_PARENT", stack->cgroup_parent);
    snprintf(value, sizeof(value), "unix:%s", stack->redis_socket);
    add_variable(ret, "WHARF_REDIS", value);
    snprintf(value, sizeof(value), "%s/run", stack->dir);
    add_variable(ret, "WHARF_RUN_DIR", value);
    snprintf(value, sizeof(value), "%s/state", stack->dir);
    add_variable(ret, "WHARF_STATE_DIR", value);
    snprintf(value, sizeof(value), "%s/tmp", stack->dir);
    add_variable(ret, "TMPDIR", value);
    if (libs != NULL)
        add_variable(ret, "TEST_KAFKA_LIBS", libs);
    if (armed != NULL && armed->on) {
        snprintf(value, sizeof(value), "%s:%d", fault_name(armed->fault), armed->nth);
        add_variable(ret, "TEST_FAULT", value);
        add_variable(ret, "TEST_FAULT_MARK", armed->mark);
    }
    ret->all[ret->n] = NULL;
}

/* Its output goes to DIR/NAME.log. */
static int spawn(const struct stack *stack, const char *name, char *const argv[], const struct armed *armed,
                 pid_t *ret, struct err *err)
{
    char output[PATH_MAX];
    posix_spawn_file_actions_t files;
    auto_free struct environment *environment = calloc(1, sizeof(*environment));
    if (environment == NULL)
        return err_nomem(err, "starting a process");
    make_environment(stack, armed, environment);
    snprintf(output, sizeof(output), "%s/%s.log", stack->dir, name);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    int result = posix_spawnp(ret, argv[0], &files, NULL, argv, environment->all);
    posix_spawn_file_actions_destroy(&files);
    return result == 0 ? 0 : err_sys(err, result, "cannot start '%s'", argv[0]);
}

static int spawn_broker(struct stack *stack, struct err *err)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s/broker", stack->dir);
    char *const argv[] = {"tests/stack/kafka.sh", "start", dir, NULL};
    return spawn(stack, "broker", argv, NULL, &stack->broker_starter, err);
}

static int spawn_redis(struct stack *stack, struct err *err)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s/redis", stack->dir);
    if (fs_mkdirs(AT_FDCWD, dir, 0755, err) < 0)
        return -1;
    char *const argv[] = {
        "redis-server", "--port", "0", "--unixsocket", stack->redis_socket, "--dir", dir, "--save", "",
        "--appendonly", "yes",    NULL};
    return spawn(stack, "redis", argv, NULL, &stack->parts[PART_REDIS].pid, err);
}

static int spawn_role(struct stack *stack, enum part part, const struct armed *armed, struct err *err)
{
    char program[PATH_MAX];
    if (snprintf(program, sizeof(program), "%s/%s", stack->build, PART_ROWS[part].program) >= PATH_MAX)
        return err_set(err, ERR_TOO_LARGE, "the path of the build is too long");
    char *const argv[] = {program, part == PART_REBUILD ? "--rebuild" : NULL, NULL};
    return spawn(stack, part_name(part), argv, armed, &stack->parts[part].pid, err);
}

int stack_start(struct stack *stack, enum part part, const struct armed *armed, struct err *err)
{
    struct running *running = &stack->parts[part];
    *running = (struct running){.since_ns = clock_monotonic_ns()};
    if (armed != NULL)
        running->armed = *armed;
    report_note(stack->report, "start %s%s%s", part_name(part), running->armed.on ? ", armed with " : "",
                running->armed.on ? fault_name(armed->fault) : "");
    if (part == PART_BROKER)
        return spawn_broker(stack, err);
    if (part == PART_REDIS)
        return spawn_redis(stack, err);
    return spawn_role(stack, part, armed, err);
}

/* --- ending --- */

void stack_end(struct stack *stack, enum part part, int signal)
{
    struct running *running = &stack->parts[part];
    if (running->pid <= 0 || running->has_ended)
        return;
    report_note(stack->report, "%s %s (%d)", signal == SIGKILL ? "kill" : "end", part_name(part),
                running->pid);
    running->ended = true;
    running->ended_ns = clock_monotonic_ns();
    kill(running->pid, signal);
}

/* Killed by us, or by the point it was armed with, or ended as asked. */
static void judge_end(struct stack *stack, enum part part)
{
    struct running *running = &stack->parts[part];
    int status = running->wait_status;
    pid_t by;
    bool fault = running->armed.on && stack_reached(&running->armed, &by) && by == running->pid;
    /* SIGTERM ends one that has not got as far as to handle it */
    bool killed = WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
    if (killed && (running->ended || fault))
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && (running->ended || part == PART_REBUILD))
        return;
    if (part == PART_REBUILD && WIFEXITED(status)) {
        report_note(stack->report, "the rebuild gave up, see rebuild.log");
        return;
    }
    report_fail(stack->report, "roles", "the %s (%d) ended by itself, %s %d; see %s/%s.log", part_name(part),
                running->pid, WIFSIGNALED(status) ? "signal" : "exit status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), stack->dir, part_name(part));
}

static void broker_started(struct stack *stack, int status)
{
    char path[PATH_MAX];
    auto_free char *text = NULL;
    stack->broker_starter = 0;
    snprintf(path, sizeof(path), "%s/broker/pid", stack->dir);
    if (status != 0 || fs_read_file(AT_FDCWD, path, 64, &text, NULL, NULL) < 0) {
        report_fail(stack->report, "roles", "the broker does not start again; see %s/broker.log", stack->dir);
        return;
    }
    stack->parts[PART_BROKER].pid = (pid_t)strtol(text, NULL, 10);
    report_note(stack->report, "the broker answers (%d)", stack->parts[PART_BROKER].pid);
}

void stack_reap(struct stack *stack)
{
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == stack->broker_starter)
            broker_started(stack, status);
        for (int i = 0; i < PARTS; i++) {
            struct running *running = &stack->parts[i];
            if (running->pid != pid || running->has_ended)
                continue;
            running->has_ended = true;
            running->wait_status = status;
            judge_end(stack, (enum part)i);
        }
    }
}

static int await_end(struct stack *stack, enum part part, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + READY_TIMEOUT_NS;
    while (stack->parts[part].pid > 0 && !stack->parts[part].has_ended) {
        stack_reap(stack);
        if (clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT, "the %s does not end; see %s/%s.log", part_name(part),
                           stack->dir, part_name(part));
        usleep(PAUSE_US);
    }
    return 0;
}

int stack_rebuild(struct stack *stack, bool verify, struct err *err)
{
    char program[PATH_MAX];
    struct running *running = &stack->parts[PART_REBUILD];
    snprintf(program, sizeof(program), "%.4000s/wharf-projector", stack->build);
    char *const argv[] = {program, "--rebuild", verify ? "--verify" : NULL, NULL};
    *running = (struct running){.since_ns = clock_monotonic_ns()};
    if (spawn(stack, "rebuild", argv, NULL, &running->pid, err) < 0 ||
        await_end(stack, PART_REBUILD, err) < 0)
        return -1;
    return WIFEXITED(running->wait_status) ? WEXITSTATUS(running->wait_status) : -1;
}

int stack_down(struct stack *stack, struct err *err)
{
    for (int i = PARTS - 1; i >= 0; i--) {
        stack_end(stack, (enum part)i, i == PART_BROKER || i == PART_REDIS ? SIGKILL : SIGTERM);
        if (await_end(stack, (enum part)i, err) < 0)
            return -1;
    }
    return 0;
}

void stack_empty_redis(struct stack *stack)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s/redis", stack->dir);
    fs_remove_tree(AT_FDCWD, dir, NULL);
}

/* --- crash points --- */

int stack_arm(struct stack *stack, enum fault fault, int nth, struct armed *ret, struct err *err)
{
    *ret = (struct armed){.on = true, .fault = fault, .nth = nth};
    snprintf(ret->mark, sizeof(ret->mark), "%s/marks/%u", stack->dir, stack->n_marks++);
    int fd = open(ret->mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_sys(err, errno, "cannot make '%s'", ret->mark);
    close(fd);
    if (fault_role(fault) == SHIM || fault_role(fault) == IMAGE) {
        struct inherited *all = realloc(stack->inherited, (stack->n_inherited + 1) * sizeof(*all));
        if (all == NULL)
            abort();
        stack->inherited = all;
        all[stack->n_inherited++] = (struct inherited){.armed = *ret};
    }
    return 0;
}

/* The newest hundred are enough: no shim of a story lives longer. */
void stack_look_at_inherited(struct stack *stack)
{
    size_t first = stack->n_inherited > 100 ? stack->n_inherited - 100 : 0;
    pid_t pid;
    for (size_t i = first; i < stack->n_inherited; i++) {
        struct inherited *inherited = &stack->inherited[i];
        if (inherited->reached || !stack_reached(&inherited->armed, &pid))
            continue;
        inherited->reached = true;
        report_note(stack->report, "%d died at %s", pid, fault_name(inherited->armed.fault));
        if (fault_role(inherited->armed.fault) == SHIM)
            stack_note_struck(stack, pid);
        else
            stack->n_images_struck++;
    }
}

bool stack_reached(const struct armed *armed, pid_t *ret_pid)
{
    char line[FAULT_MARK_BYTES + 1] = {0};
    auto_fd int fd = armed->on ? open(armed->mark, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 ||
        pread(fd, line, FAULT_MARK_BYTES, (off_t)(armed->nth - 1) * FAULT_MARK_BYTES) != FAULT_MARK_BYTES)
        return false;
    *ret_pid = (pid_t)strtol(line, NULL, 10);
    return true;
}

void stack_note_struck(struct stack *stack, pid_t shim_pid)
{
    struct struck *struck = realloc(stack->struck, (stack->n_struck + 1) * sizeof(*struck));
    if (struck == NULL)
        abort();
    stack->struck = struck;
    struck[stack->n_struck++] = (struct struck){.pid = shim_pid, .at_ns = clock_realtime_ns()};
}

bool stack_was_struck(const struct stack *stack, int64_t shim_pid, int64_t started_ns)
{
    for (size_t i = 0; i < stack->n_struck; i++) {
        int64_t apart_ns = stack->struck[i].at_ns - started_ns;
        if (stack->struck[i].pid == shim_pid && apart_ns < STRUCK_WITHIN_NS && apart_ns > -STRUCK_WITHIN_NS)
            return true;
    }
    return false;
}

/* --- opening --- */

static bool redis_answers(const struct stack *stack)
{
    redisContext *redis = redisConnectUnix(stack->redis_socket);
    redisReply *reply = redis != NULL && redis->err == 0 ? redisCommand(redis, "PING") : NULL;
    bool answers = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    redisFree(redis);
    return answers;
}

static bool role_answers(const struct stack *stack, enum part part)
{
    char path[PATH_MAX];
    struct http_call call = HTTP_CALL_INIT;
    struct http_request request = {.method = "GET", .target = "/readyz"};
    snprintf(path, sizeof(path), "%s/run/%s.sock", stack->dir, part_name(part));
    bool answers = http_connect(&call, part_name(part), path, NULL) == 0 &&
                   http_send(&call, &request, NULL) == 0 && http_receive_all(&call, 5000, NULL) == 0 &&
                   call.response.status == 200;
    http_release(&call);
    return answers;
}

static bool is_ready(const struct stack *stack, enum part part)
{
    if (part == PART_REDIS)
        return redis_answers(stack);
    if (part == PART_BROKER)
        return stack->broker_starter == 0 && stack->parts[PART_BROKER].pid > 0;
    return part == PART_PROJECTOR || role_answers(stack, part); /* a projector has no socket */
}

int stack_await_ready(struct stack *stack, enum part part, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + READY_TIMEOUT_NS;
    while (!is_ready(stack, part)) {
        stack_reap(stack);
        if (clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT, "the %s is not ready; see %s/%s.log", part_name(part),
                           stack->dir, part_name(part));
        usleep(PAUSE_US);
    }
    return 0;
}

static int open_broker(struct stack *stack, struct err *err)
{
    char path[PATH_MAX];
    auto_free char *address = NULL;
    snprintf(path, sizeof(path), "%s/broker/address", stack->dir);
    if (stack_start(stack, PART_BROKER, NULL, err) < 0 || stack_await_ready(stack, PART_BROKER, err) < 0 ||
        fs_read_file(AT_FDCWD, path, 64, &address, NULL, err) < 0)
        return -1;
    snprintf(stack->log_url, sizeof(stack->log_url), "kafka://%.*s", (int)strcspn(address, "\n"), address);
    return 0;
}

int stack_open(struct stack *stack, struct report *report, const char *dir, const char *build, bool kafka,
               struct err *err)
{
    char path[PATH_MAX];
    *stack = (struct stack){.report = report, .kafka = kafka};
    snprintf(stack->dir, sizeof(stack->dir), "%s", dir);
    snprintf(stack->build, sizeof(stack->build), "%s", build);
    snprintf(stack->node, sizeof(stack->node), "chaos");
    snprintf(stack->cgroup_parent, sizeof(stack->cgroup_parent), "%s", strrchr(dir, '/') + 1);
    snprintf(stack->redis_socket, sizeof(stack->redis_socket), "%s/redis.sock", dir);
    snprintf(stack->log_url, sizeof(stack->log_url), "sqlite:%s/state/log", dir);
    static const char *const made[] = {"marks", "tmp", "state/log", "run"};
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, made[i]);
        if (fs_mkdirs(AT_FDCWD, path, 0755, err) < 0)
            return -1;
    }
    return kafka ? open_broker(stack, err) : 0;
}

void stack_release(struct stack *stack)
{
    free(stack->struck);
    free(stack->inherited);
}
