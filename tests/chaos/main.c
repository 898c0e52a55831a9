/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos --build DIR --payload FILE [--seconds N] [--log sqlite|kafka] [--seed N]
 *
 * The outer process makes namespaces (pid, mount, network) and a directory; the inner one, process 1 of its
 * pid namespace, runs everything, so that nothing of a run can outlive it. The directory is kept when
 * something does not hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "tests/chaos/check.h"
#include "tests/chaos/strike.h"

#define CALM_STORIES 25
/* A run goes on until every crash point was reached, but so much longer at most. With Kafka, whose clients
 * take a second to start, a short run reaches what it reaches. */
#define REACH_LIMIT_S 180
#define KAFKA_REACH_FROM_S 180

struct options {
    const char *build;
    const char *payload;
    int seconds;
    bool kafka;
    uint64_t seed;
};

struct chaos {
    const struct options *options;
    const char *dir;
    struct report report;
    struct stack stack;
    struct watch watch;
    struct load load;
    struct strikes strikes;
    struct machine before;
};

/* --- the run --- */

static int make_image(struct chaos *chaos, struct err *err)
{
    char rootfs[PATH_MAX], path[PATH_MAX + 16];
    char *payload = NULL;
    size_t size = 0;
    snprintf(rootfs, sizeof(rootfs), "%s/rootfs", chaos->dir);
    snprintf(path, sizeof(path), "%s/payload", rootfs);
    int result = fs_mkdirs(AT_FDCWD, rootfs, 0755, err);
    if (result == 0)
        result = fs_read_file(AT_FDCWD, chaos->options->payload, (size_t)16 << 20, &payload, &size, err);
    if (result == 0)
        result = fs_write_file(AT_FDCWD, path, 0755, payload, size, false, err);
    free(payload);
    return result;
}

/* The base image is imported before anything is struck. */
static int begin(struct chaos *chaos, struct err *err)
{
    const struct options *options = chaos->options;
    machine_look(&chaos->before);
    if (make_image(chaos, err) < 0 ||
        stack_open(&chaos->stack, &chaos->report, chaos->dir, options->build, options->kafka, err) < 0)
        return -1;
    strikes_init(&chaos->strikes, &chaos->stack, &chaos->watch, options->seed);
    chaos->strikes.calm = true;
    if (strikes_start_all(&chaos->strikes, err) < 0 ||
        watch_start(&chaos->watch, &chaos->report, chaos->stack.log_url, err) < 0)
        return -1;
    load_init(&chaos->load, &chaos->report, &chaos->watch, chaos->dir, options->seed);
    return load_import(&chaos->load, "payload") ? 0
                                                : err_set(err, ERR_INTERNAL, "the image cannot be imported");
}

static void tell_unreached(struct chaos *chaos, bool must_reach)
{
    for (int i = 0; i < FAULTS; i++) {
        if (chaos->strikes.n_reached[i] > 0)
            continue;
        if (must_reach)
            report_fail(&chaos->report, "reached", "the crash point %s was never reached",
                        fault_name((enum fault)i));
        else
            report_say(&chaos->report, "not reached in so short a run: %s", fault_name((enum fault)i));
    }
}

static int strike(struct chaos *chaos, struct err *err)
{
    const struct options *options = chaos->options;
    bool must_reach = !options->kafka || options->seconds >= KAFKA_REACH_FROM_S;
    int64_t end_ns = clock_monotonic_ns() + options->seconds * 1000000000LL;
    int64_t limit_ns = end_ns + (must_reach ? REACH_LIMIT_S * 1000000000LL : 0);
    chaos->strikes.calm = false;
    load_start(&chaos->load, UINT64_MAX);
    for (int64_t now_ns = 0; now_ns < end_ns || (now_ns < limit_ns && !strikes_all_reached(&chaos->strikes));
         now_ns = clock_monotonic_ns()) {
        if (strikes_turn(&chaos->strikes, err) < 0)
            return -1;
    }
    tell_unreached(chaos, must_reach);
    report_say(&chaos->report, "%llu strikes; settling", (unsigned long long)chaos->strikes.n_strikes);
    if (strikes_calm(&chaos->strikes, err) < 0)
        return -1;
    load_stop(&chaos->load);
    return 0;
}

/* Nothing is struck any more: after every round of stories nothing may be left of them. */
static void run_calmly(struct chaos *chaos)
{
    char *census[PARTS][CHECK_ROUNDS];
    for (int round = 0; round < CHECK_ROUNDS; round++) {
        load_start(&chaos->load, atomic_load(&chaos->load.next) + CALM_STORIES);
        load_join(&chaos->load);
        check_cgroups(&chaos->report, &chaos->stack);
        check_processes(&chaos->report, &chaos->stack);
        check_files(&chaos->report, &chaos->stack);
        for (int i = PART_RUNTIME; i <= PART_QUERY; i++)
            census[i][round] = descriptors_of(&chaos->stack, (enum part)i);
    }
    for (int i = PART_RUNTIME; i <= PART_QUERY; i++) {
        check_descriptors(&chaos->report, (enum part)i, census[i]);
        for (int round = 0; round < CHECK_ROUNDS; round++)
            free(census[i][round]);
    }
}

static int check(struct chaos *chaos, struct err *err)
{
    struct report *report = &chaos->report;
    struct history history;
    stack_look_at_inherited(&chaos->stack);
    check_view(report, &chaos->stack);
    watch_stop(&chaos->watch);
    history_init(&history, &chaos->watch.events);
    check_query(report, &chaos->stack, &history, &chaos->load);
    int result = stack_down(&chaos->stack, err);
    check_processes(report, &chaos->stack);
    check_machine(report, &chaos->before);
    check_parse(report, &chaos->watch.commands, "wharf.commands");
    check_parse(report, &chaos->watch.events, "wharf.events");
    check_outcomes(report, &history, &chaos->watch.commands, &chaos->load);
    check_failures(report, &history, &chaos->stack, &chaos->load);
    check_paths(report, &history);
    check_chain(report, &chaos->watch.events);
    check_exits(report, &history, &chaos->stack, &chaos->load);
    check_execs(report, &history, &chaos->stack);
    check_lines(report, &chaos->watch, &chaos->stack, &chaos->load);
    if (!chaos->stack.kafka)
        check_sqlite(report, &chaos->stack);
    report_say(report, "%zu stories, %zu commands, %zu events (%zu fenced), %zu shims and %zu imports killed",
               chaos->load.n_stories, chaos->watch.commands.n, history.n, history.n_fenced,
               chaos->stack.n_struck, chaos->stack.n_images_struck);
    history_release(&history);
    return result;
}

static int run(const struct options *options, const char *dir)
{
    static struct chaos chaos;
    struct err err = ERR_INIT;
    chaos.options = options;
    chaos.dir = dir;
    report_init(&chaos.report, dir);
    report_say(&chaos.report, "chaos on %s for %d s, seed %llu, in %s", options->kafka ? "kafka" : "sqlite",
               options->seconds, (unsigned long long)options->seed, dir);
    if (begin(&chaos, &err) < 0 || strike(&chaos, &err) < 0) {
        report_fail(&chaos.report, "harness", "%s", err.message);
        return 1;
    }
    run_calmly(&chaos);
    if (check(&chaos, &err) < 0)
        report_fail(&chaos.report, "harness", "%s", err.message);
    int failures = report_failures(&chaos.report);
    report_say(&chaos.report, failures == 0 ? "everything holds" : "%d promises do not hold", failures);
    load_release(&chaos.load);
    watch_release(&chaos.watch);
    stack_release(&chaos.stack);
    machine_release(&chaos.before);
    report_release(&chaos.report);
    return failures == 0 ? 0 : 1;
}

/* --- namespaces --- */

static int bring_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return result;
}

static int run_inside(const struct options *options, const char *dir)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
        bring_loopback_up() < 0) {
        perror("chaos: cannot prepare the namespaces");
        return 2;
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    return run(options, dir);
}

static int remove_cgroup(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)where;
    if (type == FTW_DP)
        rmdir(path);
    return 0;
}

/* What is left when nothing lives any more are the directories that the runtime made for itself. */
static void remove_cgroups(const char *parent)
{
    char path[PATH_MAX];
    DIR *dir = opendir("/sys/fs/cgroup");
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        bool single = strcmp(entry->d_name, parent) == 0;
        snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%s%s", entry->d_name, single ? "" : "/",
                 single ? "" : parent);
        if (entry->d_name[0] != '.' && access(path, F_OK) == 0)
            nftw(path, remove_cgroup, 8, FTW_DEPTH | FTW_PHYS);
    }
    if (dir != NULL)
        closedir(dir);
}

/* Told to end, it ends what is inside, so that the cgroups can be removed. */
static int await_inside(pid_t pid)
{
    sigset_t wanted;
    int status = 0, signal;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (sigwait(&wanted, &signal) == 0 && signal != SIGCHLD)
            kill(pid, SIGKILL);
    }
    return status;
}

static int run_apart(const struct options *options)
{
    char dir[] = "/tmp/wharf-chaos.XXXXXX";
    int status = 0;
    sigset_t blocked;
    sigfillset(&blocked);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    if (mkdtemp(dir) == NULL || chmod(dir, 0755) < 0 ||
        unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) < 0) {
        perror("chaos: needs root, and /tmp");
        return 2;
    }
    pid_t pid = fork();
    if (pid < 0)
        return 2;
    if (pid == 0)
        _exit(run_inside(options, dir));
    status = await_inside(pid);
    remove_cgroups(strrchr(dir, '/') + 1);
    bool held = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (held)
        fs_remove_tree(AT_FDCWD, dir, NULL);
    else
        printf("seed %llu; everything is kept in %s\n", (unsigned long long)options->seed, dir);
    return held ? 0 : 1;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: chaos --build DIR --payload FILE [--seconds N] [--log sqlite|kafka] [--seed N]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"build", required_argument, NULL, 'b'},   {"payload", required_argument, NULL, 'p'},
        {"seconds", required_argument, NULL, 's'}, {"log", required_argument, NULL, 'l'},
        {"seed", required_argument, NULL, 'r'},    {NULL, 0, NULL, 0}};
    struct options options = {.seconds = 60, .seed = 0};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 'b')
            options.build = optarg;
        else if (option == 'p')
            options.payload = optarg;
        else if (option == 's')
            options.seconds = atoi(optarg);
        else if (option == 'l')
            options.kafka = strcmp(optarg, "kafka") == 0;
        else if (option == 'r')
            options.seed = strtoull(optarg, NULL, 10);
        else
            return usage();
    }
    if (options.build == NULL || options.payload == NULL)
        return usage();
    if (options.seed == 0 && random_bytes(&options.seed, 4, NULL) < 0)
        return 2;
    return run_apart(&options);
}
