/* SPDX-License-Identifier: Apache-2.0 */
/* A process that joins a container, stopped where the container sees it already and nothing is executed yet:
 * what somebody inside can do to it then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/oci/cgroups.h"
#include "runtime/oci/follow.h"
#include "runtime/oci/launch.h"
#include "runtime/oci/oci.h"
#include "runtime/oci/state.h"
#include "runtime/sandbox/oci_plan.h"

#define ID "wharf-join-test"

static char directory[] = "/tmp/wharf-join-XXXXXX";
static char root[64], bundle[64];

static void warn(const char *message)
{
    fprintf(stderr, "%s\n", message);
}

static struct oci_options options(void)
{
    return (struct oci_options){.root = root, .bundle = bundle, .force = true, .warn = warn};
}

static const char CONFIG[] =
    "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"cwd\":\"/\",\"args\":[\"/"
    "busybox\",\"sleep\",\"1000\"],\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"permitted\":[\"CAP_KILL\"]"
    ","
    "\"effective\":[\"CAP_KILL\"]}},\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":"
    "\"proc\"},{\"destination\":\"/host\",\"source\":\"/etc\",\"options\":[\"rbind\",\"ro\"]}],\"linux\":{"
    "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":"
    "\"network\"},{\"type\":\"cgroup\"}]}}";

static int set_up(void **state)
{
    (void)state;
    char path[128];
    struct err err = ERR_INIT;
    struct oci_options o;
    assert_non_null(mkdtemp(directory));
    snprintf(root, sizeof(root), "%s/root", directory);
    snprintf(bundle, sizeof(bundle), "%s/bundle", directory);
    snprintf(path, sizeof(path), "%s/bundle/rootfs/host", directory);
    assert_int_equal(fs_mkdirs(AT_FDCWD, path, 0755, NULL), 0);
    auto_free char *program = NULL;
    size_t size = 0;
    /* So that what joins has no right that the attacker has not: nothing but being hidden protects it then.
     */
    assert_int_equal(prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0), 0);
    assert_int_equal(fs_read_file(AT_FDCWD, "/bin/busybox", 16u << 20, &program, &size, NULL), 0);
    snprintf(path, sizeof(path), "%s/bundle/rootfs/busybox", directory);
    assert_int_equal(fs_write_file(AT_FDCWD, path, 0755, program, size, false, NULL), 0);
    snprintf(path, sizeof(path), "%s/bundle/config.json", directory);
    assert_int_equal(fs_write_file(AT_FDCWD, path, 0644, CONFIG, strlen(CONFIG), false, NULL), 0);
    o = options();
    if (oci_create(&o, ID, &err) < 0 || oci_start(&o, ID, &err) < 0)
        fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct oci_options o = options();
    if (oci_delete(&o, ID, &err) < 0)
        fail_msg("%s", err.message);
    return fs_remove_tree(AT_FDCWD, directory, NULL);
}

/* All that we have, but CAP_SYS_PTRACE. Their order is that of their numbers (capabilities(7)). */
static json_t *capabilities(void)
{
    static const char NAMES[] =
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
        "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
        "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
        "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
        "PERFMON BPF CHECKPOINT_RESTORE ";
    json_t *list = json_array();
    unsigned long cap = 0;
    for (const char *at = NAMES; *at != '\0'; at += strcspn(at, " ") + 1, cap++) {
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            json_array_append_new(list, json_sprintf("CAP_%.*s", (int)strcspn(at, " "), at));
    }
    return json_pack("{s:o, s:O, s:O}", "bounding", list, "permitted", list, "effective", list);
}

/* As far as the clone: it waits to be let go. */
static void join(struct oci_launch *launch, const char *script)
{
    struct err err = ERR_INIT;
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    struct oci_cgroups cgroups;
    auto_buf struct buf plan = BUF_INIT;
    assert_int_equal(oci_container_open(&container, root, ID, false, &err), 0);
    json_auto_t *config = oci_container_config(&container, &err);
    json_auto_t *process = json_pack("{s:s, s:[s,s,s,s], s:{s:i}, s:o}", "cwd", "/", "args", "/busybox", "sh",
                                     "-c", script, "user", "uid", 0, "capabilities", capabilities());
    assert_int_equal(oci_cgroups_open(&cgroups, container.document, &err), 0);
    const struct oci_process_input input = {
        .config = config, .process = process, .n_cgroup_fds = (uint32_t)cgroups.n};
    assert_int_equal(oci_plan_process(&input, &plan, &err), 0);
    auto_fd int target_fd = oci_container_process(&container);
    if (oci_launch_begin(launch, &plan, target_fd, -1, -1, &cgroups, 0, &err) < 0 ||
        oci_launch_answer(launch, "{}", &err) < 0 || oci_launch_expect(launch, INIT_CLONED, &err) < 0)
        fail_msg("%s", err.message);
    oci_cgroups_close(&cgroups);
}

static int let_go(struct oci_launch *launch)
{
    struct err err = ERR_INIT;
    auto_follow struct oci_follow follow = OCI_FOLLOW_INIT;
    int status;
    if (oci_launch_answer(launch, "{}", &err) < 0 ||
        oci_follow(&follow, launch->sync_fd, launch->pid, NULL, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(waitpid(launch->pid, &status, 0), launch->pid);
    oci_launch_close(launch);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Its number inside. */
static int inner_pid(int pid)
{
    char path[64];
    auto_free char *text = NULL;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    assert_int_equal(fs_read_file(AT_FDCWD, path, 65536, &text, NULL, NULL), 0);
    const char *line = strstr(text, "\nNSpid:");
    assert_non_null(line);
    return atoi(strchr(line + 8, '\t') + 1);
}

/* The attacker is root inside, with all rights but CAP_SYS_PTRACE. It sees
 * the process, and reaches neither its descriptors, nor its program, nor its memory, nor its directory. */
static void cannot_be_looked_into(void **state)
{
    (void)state;
    struct oci_launch victim = OCI_LAUNCH_INIT, attacker = OCI_LAUNCH_INIT;
    char script[512];
    auto_fd int secret_fd = open("/etc", O_RDONLY | O_DIRECTORY);
    assert_true(secret_fd >= 0);
    join(&victim, "exit 5");
    snprintf(script, sizeof(script),
             "p=/proc/%d; /busybox test -d $p || exit 20; for f in $p/fd/*; do /busybox readlink $f && exit "
             "21; done;"
             "/busybox readlink $p/exe && exit 22; /busybox readlink $p/cwd && exit 23;"
             "/busybox readlink $p/root && exit 24; /busybox cat $p/mem && exit 25;"
             "exit 7",
             inner_pid(victim.pid));
    join(&attacker, script);
    assert_int_equal(let_go(&attacker), 7);
    assert_int_equal(let_go(&victim), 5);
}

/* From outside, where everything can be seen: what it has open is nothing of the host's but the socket that
 * it is let go by, and what is left at execve is what the command is to have. */
static void has_nothing_of_the_host(void **state)
{
    (void)state;
    struct oci_launch launch = OCI_LAUNCH_INIT;
    char path[64], target[128];
    int sockets = 0;
    auto_fd int secret_fd = open("/etc", O_RDONLY | O_DIRECTORY);
    assert_true(secret_fd >= 0);
    join(&launch, "set -- /proc/self/fd/*; exit $#");
    for (int fd = 3; fd < 1024; fd++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", launch.pid, fd);
        ssize_t size = readlink(path, target, sizeof(target) - 1);
        if (size < 0)
            continue;
        target[size] = '\0';
        sockets += strncmp(target, "socket:", 7) == 0;
        if (strncmp(target, "socket:", 7) != 0 && strcmp(target, "/dev/null") != 0)
            fail_msg("descriptor %d is '%s'", fd, target);
    }
    assert_int_equal(sockets, 1);
    snprintf(path, sizeof(path), "/proc/%d/exe", launch.pid);
    ssize_t size = readlink(path, target, sizeof(target) - 1);
    assert_true(size > 7 && strncmp(target, "/memfd:", 7) == 0);
    assert_int_equal(let_go(&launch), 4); /* 0 to 2, and the directory that is listed */
}

/* A directory of the host by way of a descriptor that the process is given on purpose (CVE-2024-21626). */
static void does_not_start_outside_of_the_root(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    int code = 0;
    struct oci_options o = options();
    auto_fd int secret_fd = open("/", O_RDONLY | O_DIRECTORY);
    assert_int_equal(dup2(secret_fd, 40), 40);
    o.preserve_fds = 38;
    o.cwd = "/proc/self/fd/40";
    char *const argv[] = {"/busybox", "true", NULL};
    assert_int_equal(oci_exec(&o, ID, argv, &code, &err), -1);
    close(40);
    assert_non_null(strstr(err.message, "cannot enter the working directory '/proc/self/fd/40'"));
}

/* Whoever starts it is gone before it was let go: it is gone too. */
static void ends_with_an_early_end_of_its_starter(void **state)
{
    (void)state;
    struct oci_launch launch = OCI_LAUNCH_INIT;
    int status;
    join(&launch, "exit 5");
    oci_launch_close(&launch);
    assert_int_equal(waitpid(launch.pid, &status, 0), launch.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* The container ends while somebody joins it: the kernel ends who has joined. */
static void ends_with_the_container(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct oci_launch launch = OCI_LAUNCH_INIT;
    struct oci_options o = options();
    int status;
    join(&launch, "exit 5");
    assert_int_equal(oci_kill(&o, ID, "KILL", &err), 0);
    assert_int_equal(waitpid(launch.pid, &status, 0), launch.pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    oci_launch_close(&launch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cannot_be_looked_into),
        cmocka_unit_test(has_nothing_of_the_host),
        cmocka_unit_test(does_not_start_outside_of_the_root),
        cmocka_unit_test(ends_with_an_early_end_of_its_starter),
        cmocka_unit_test(ends_with_the_container),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
