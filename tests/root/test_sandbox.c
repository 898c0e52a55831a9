/* SPDX-License-Identifier: Apache-2.0 */
/* What a container sees, and what it may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/root/host_fixture.h"

/* Runs the script and compares its whole output. */
static void expect(struct fixture *f, struct container_spec spec, const char *expected)
{
    auto_free char *output = fixture_output(f, &spec);
    assert_string_equal(output, expected);
    spec_release(&spec);
}

static void every_namespace_is_its_own(void **state)
{
    static const char *const NAMES[] = {"pid", "net", "ipc", "mnt", "uts", "cgroup"};
    struct fixture *f = *state;
    struct container_spec spec =
        spec_of("for n in pid net ipc mnt uts cgroup; do readlink /proc/self/ns/$n; done");
    auto_free char *output = fixture_output(f, &spec);
    char *line = strtok(output, "\n");
    for (size_t i = 0; i < 6; i++) {
        char path[64], host[64] = "";
        snprintf(path, sizeof(path), "/proc/self/ns/%s", NAMES[i]);
        assert_true(readlink(path, host, sizeof(host) - 1) > 0);
        assert_non_null(line);
        assert_int_equal(strncmp(line, NAMES[i], strlen(NAMES[i])), 0);
        assert_string_not_equal(line, host);
        line = strtok(NULL, "\n");
    }
    spec_release(&spec);
}

static void host_network_is_the_hosts(void **state)
{
    struct fixture *f = *state;
    char host[80] = "";
    assert_true(readlink("/proc/self/ns/net", host, sizeof(host) - 2) > 0);
    strcat(host, "\n");
    struct container_spec spec = spec_of("readlink /proc/self/ns/net");
    spec.network = strdup("host");
    expect(f, spec, host);
}

static void loopback_is_up(void **state)
{
    expect(*state,
           spec_of("ip -o link show lo | grep -c 'LOOPBACK,UP'; ip -o link | wc -l; ping -c1 -W2 127.0.0.1 "
                   ">/dev/null; echo $?"),
           "1\n1\n0\n");
}

static void first_process_and_its_surroundings(void **state)
{
    struct fixture *f = *state;
    struct container_spec spec =
        spec_of("echo $$; hostname; cat /etc/hostname; grep -c box1 /etc/hosts; pwd; umask");
    spec.hostname = strdup("box1");
    spec.workdir = strdup("/made/for/it");
    expect(f, spec, "1\nbox1\nbox1\n1\n/made/for/it\n0022\n");
    /* Of these, 3 is ls's own: nothing is inherited. */
    expect(f, spec_of_words("ls", "/proc/self/fd", NULL), "0\n1\n2\n3\n");
    expect(f, spec_of_words("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status", NULL),
           "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void mounts_are_as_they_should_be(void **state)
{
    expect(
        *state,
        spec_of("awk '{split($6,o,\",\"); print $5, o[1]}' /proc/self/mountinfo | grep -v '/proc/\\|/sys/' | "
                "sort;"
                "touch /sys/x 2>/dev/null || echo sys-ro; touch /proc/sys/x 2>/dev/null || echo procsys-ro;"
                "echo 1 2>/dev/null >/proc/sys/kernel/printk || echo printk-ro;"
                "wc -c </proc/interrupts; ls /sys/firmware | wc -l; cat /proc/keys | wc -c"),
        "/ rw\n/dev rw\n/dev/mqueue rw\n/dev/pts rw\n/dev/shm rw\n/proc rw\n/sys "
        "ro\nsys-ro\nprocsys-ro\nprintk-ro\n0\n0\n0\n");
}

static void devices_are_the_standard_ones(void **state)
{
    expect(
        *state,
        spec_of(
            "ls /dev | tr '\\n' ' '; echo; echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 4 "
            "/dev/urandom | wc -c;"
            "echo x 2>/dev/null >/dev/full || echo full; readlink /dev/fd;"
            "mknod /dev/sda b 254 0 && dd if=/dev/sda of=/dev/null bs=512 count=1 2>/dev/null || echo denied;"
            "mknod /root/sda b 254 0 && dd if=/root/sda of=/dev/null bs=512 count=1 2>/dev/null || echo "
            "denied"),
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
        "\n3\n4\nfull\n/proc/self/fd\ndenied\ndenied\n");
}

static void root_may_be_read_only(void **state)
{
    struct fixture *f = *state;
    struct container_spec spec = spec_of(
        "touch /x 2>/dev/null || echo ro; touch /etc/x 2>/dev/null || echo ro; touch /dev/shm/x && echo rw");
    spec.read_only = true;
    expect(f, spec, "ro\nro\nrw\n");
}

static void capabilities_are_docker_s(void **state)
{
    expect(*state, spec_of("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status"),
           "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:"
           "\t00000000a80425fb\n"
           "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

static void the_filter_refuses(void **state)
{
    /* unshare of a user namespace and keyctl need no capability: only the filter can refuse them. */
    expect(*state,
           spec_of(
               "unshare -U true 2>/dev/null || echo unshare; mount -t tmpfs x /tmp 2>/dev/null || echo mount;"
               "unshare -U true 2>&1 | grep -c 'not permitted'"),
           "unshare\nmount\n1\n");
}

static void users_come_from_the_image(void **state)
{
    static const struct {
        const char *user, *expected;
    } CASES[] = {
        {"alice", "uid=1000(alice) gid=1001(alice) groups=10(wheel),29(audio),1001(alice)\n/home/alice\n"},
        {"1000", "uid=1000(alice) gid=1001(alice) groups=10(wheel),29(audio),1001(alice)\n/home/alice\n"},
        {"alice:audio", "uid=1000(alice) gid=29(audio) groups=29(audio)\n/home/alice\n"},
        {"4242:4343", "uid=4242 gid=4343 groups=4343\n/\n"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < 4; i++) {
        struct container_spec spec = spec_of("id; echo $HOME");
        spec.user = strdup(CASES[i].user);
        expect(f, spec, CASES[i].expected);
    }
    struct container_spec spec =
        spec_of("grep -E 'Cap(Prm|Eff)' /proc/self/status; touch /x 2>/dev/null || echo refused");
    spec.user = strdup("alice");
    expect(f, spec, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nrefused\n");
}

static void environment_has_defaults_and_overrides(void **state)
{
    struct fixture *f = *state;
    char *env[] = {"A=1", "PATH=/bin", "B="};
    struct container_spec spec = spec_of_words("/bin/env", NULL);
    spec.hostname = strdup("h");
    spec.env.items = calloc(4, sizeof(char *));
    for (; spec.env.n < 3; spec.env.n++)
        spec.env.items[spec.env.n] = strdup(env[spec.env.n]);
    expect(f, spec, "PATH=/bin\nHOSTNAME=h\nHOME=/root\nA=1\nB=\n");
}

static void host_paths_cannot_be_reached_by_links(void **state)
{
    struct fixture *f = *state;
    /* The first incarnation leaves a link where the second one's working directory goes. */
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec plant =
        spec_of("ln -s /proc/self/fd/4/../../.. /work; ln -s ../../../../../.. /up");
    fixture_launch(f, id, 1, &plant);
    assert_true(f->result.ok);
    fixture_wait_exit(f);
    struct container_spec enter = spec_of("true");
    enter.workdir = strdup("/work");
    host_forget_exit(f->host, id, 1);
    fixture_launch(f, id, 2, &enter);
    assert_false(f->result.ok);
    assert_int_equal(f->result.exit_code, 125);
    assert_string_equal(f->result.code, "setup-failed");
    struct container_spec up = spec_of("ls -d bin tmp; ls -d work var 2>/dev/null");
    up.workdir = strdup("/up");
    fixture_launch(f, id, 3, &up);
    assert_true(f->result.ok);
    fixture_wait_exit(f);
    auto_free char *log = fixture_log(f, id);
    assert_string_equal(log, "bin\ntmp\n");
    fixture_remove(f, id);
    spec_release(&plant);
    spec_release(&enter);
    spec_release(&up);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_namespace_is_its_own),
        TEST(host_network_is_the_hosts),
        TEST(loopback_is_up),
        TEST(first_process_and_its_surroundings),
        TEST(mounts_are_as_they_should_be),
        TEST(devices_are_the_standard_ones),
        TEST(root_may_be_read_only),
        TEST(capabilities_are_docker_s),
        TEST(the_filter_refuses),
        TEST(users_come_from_the_image),
        TEST(environment_has_defaults_and_overrides),
        TEST(host_paths_cannot_be_reached_by_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
