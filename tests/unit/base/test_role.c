/* SPDX-License-Identifier: Apache-2.0 */
#include "base/role.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_notification(const char *variable, const struct sockaddr_un *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    char got[64] = "";
    assert_int_equal(bind(fd, (const struct sockaddr *)address, size), 0);
    setenv("NOTIFY_SOCKET", variable, 1);
    role_notify_ready();
    assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    close(fd);
    unsetenv("NOTIFY_SOCKET");
}

static void test_notify(void **state)
{
    (void)state;
    char dir[] = "/tmp/wharf-role-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/n", dir);
    expect_notification(address.sun_path, &address, sizeof(address));
    unlink(address.sun_path);
    rmdir(dir);
    char abstract[64];
    int size = snprintf(abstract, sizeof(abstract), "@wharf-role-%d", (int)getpid());
    memset(address.sun_path, 0, sizeof(address.sun_path));
    memcpy(address.sun_path + 1, abstract + 1, (size_t)size - 1);
    expect_notification(abstract, &address,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size));
    unsetenv("NOTIFY_SOCKET");
    role_notify_ready();
}

static void count_stop(void *data)
{
    (*(int *)data)++;
}

static void test_signals(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        uv_loop_t loop;
        struct role_signals signals;
        struct err err = ERR_INIT;
        int stops = 0;
        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(role_signals_start(&signals, &loop, count_stop, &stops, &err), 0);
        raise(SIGPIPE);
        raise(numbers[i]);
        raise(SIGTERM);
        while (stops == 0)
            uv_run(&loop, UV_RUN_ONCE);
        role_signals_stop(&signals);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(stops, 1);
        assert_int_equal(uv_loop_close(&loop), 0);
    }
}

/* The value of a line of /proc/self/status. */
static uint64_t status_value(const char *name, int base)
{
    char line[256];
    uint64_t value = UINT64_MAX;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtoull(line + strlen(name) + 1, NULL, base);
    if (f != NULL)
        fclose(f);
    return value;
}

#define DAC_OVERRIDE_AND_FOWNER 0xaull

struct expectation {
    const char *user;
    const char *path;
    bool drops; /* becomes the user, rather than a root without capabilities */
};

/* In the child: what is left after dropping. 0 is good; otherwise the line that is not. */
static int check_dropped(const struct expectation *want)
{
    const char *paths[] = {"/", want->path, NULL};
    struct err err = ERR_INIT;
    if (role_drop_privileges(want->user, paths, &err) < 0)
        return __LINE__ % 256;
    if ((getuid() != 0) != want->drops || (geteuid() != 0) != want->drops)
        return __LINE__ % 256;
    if (want->drops && (setuid(0) == 0 || getgid() == 0))
        return __LINE__ % 256;
    uint64_t caps = want->drops ? 0 : DAC_OVERRIDE_AND_FOWNER;
    if (status_value("CapEff", 16) != caps || status_value("CapPrm", 16) != caps)
        return __LINE__ % 256;
    if (status_value("CapInh", 16) != 0 || status_value("CapBnd", 16) != caps ||
        status_value("NoNewPrivs", 10) != 1)
        return __LINE__ % 256;
    return 0;
}

static void test_drop(void **state)
{
    (void)state;
    char dir[] = "/tmp/wharf-role-XXXXXX";
    assert_non_null(mkdtemp(dir)); /* 0700, ours */
    const struct expectation rows[] = {
        {"nobody", "/usr", true},
        {"nobody", dir, false},
        {"no-such-user-here", "/usr", false},
        {"root", "/usr", false},
    };
    bool is_root = geteuid() == 0;
    for (size_t i = 0; is_root && i < sizeof(rows) / sizeof(rows[0]); i++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            _exit(check_dropped(&rows[i]));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    struct err err = ERR_INIT;
    const char *none[] = {NULL};
    if (!is_root)
        assert_int_equal(role_drop_privileges("nobody", none, &err), 0); /* nothing to give up */
    rmdir(dir);
}

static void test_group(void **state)
{
    (void)state;
    assert_int_equal(role_group("root"), 0);
    assert_int_equal(role_group("no-such-user-here"), (gid_t)-1);
}

static void test_share_log(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char dir[] = "/tmp/wharf-role-XXXXXX";
    char url[128], file[128];
    struct stat st;
    if (geteuid() != 0)
        return; /* nothing to share for a process that may not change groups */
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof(url), "sqlite:%s/log", dir);
    assert_int_equal(role_share_log(url, "nobody", &err), 0);
    snprintf(file, sizeof(file), "%s/log/wharf.events.db", dir);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(chown(file, 0, 0), 0);
    assert_int_equal(role_share_log(url, "nobody", &err), 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_gid, role_group("nobody"));
    unlink(file);
    snprintf(file, sizeof(file), "%s/log", dir);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_gid, role_group("nobody"));
    assert_int_equal(st.st_mode & 07777, 02770);
    assert_int_equal(role_share_log("kafka://h:1", "nobody", &err), 0);
    assert_int_equal(role_share_log("sqlite:/dev/null/x", "no-such-user-here", &err), 0);
    assert_int_equal(role_share_log("sqlite:/dev/null/x", "nobody", &err), -1);
    rmdir(file);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_notify), cmocka_unit_test(test_signals),
                                       cmocka_unit_test(test_drop), cmocka_unit_test(test_group),
                                       cmocka_unit_test(test_share_log)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
