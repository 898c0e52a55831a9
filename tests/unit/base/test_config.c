/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char file[96];

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/wharf-config-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(file, sizeof(file), "%s/wharf.conf", dir);
    clearenv();
    return setenv("WHARF_CONFIG", file, 1);
}

static int teardown(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(dir);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config config;
    struct err err = ERR_INIT;
    char host[256];
    gethostname(host, sizeof(host));
    write_file("# nothing\n\n   \n");
    assert_int_equal(config_load(&config, NULL, NULL, 0, &err), 0);
    assert_string_equal(config.state_dir, "/var/lib/wharf");
    assert_string_equal(config.run_dir, "/run/wharf");
    assert_string_equal(config.log_url, "sqlite:/var/lib/wharf/log");
    assert_string_equal(config.redis_url, "unix:/run/wharf/redis.sock");
    assert_string_equal(config.node, host);
    assert_string_equal(config.user, "wharf");
    assert_string_equal(config.cgroup_parent, "wharf");
    assert_int_equal(config.partitions, 0);
    assert_int_equal(config.userns_size, 0);
    assert_true(config.embedded_redis);
    assert_null(config.kafka[0]);
    assert_int_equal(config.snapshot_every, 10000);
    config_release(&config);
    config_release(&config);
}

static void test_precedence(void **state)
{
    (void)state;
    struct config config;
    struct err err = ERR_INIT;
    write_file("state-dir = /file/state\nrun-dir=/file/run # why\nnode = n-file\nuser\t=\tu#1\n"
               "kafka.sasl.password = pa#ss=word\nkafka.security.protocol = ssl\npartitions = 4\n"
               "snapshot-every = 77\n");
    setenv("WHARF_RUN_DIR", "/env/run", 1);
    setenv("WHARF_NODE", "n-env", 1);
    setenv("WHARF_KAFKA_SECURITY_PROTOCOL", "sasl_ssl", 1);
    setenv("WHARF_UNRELATED", "x", 1);
    char *argv[] = {"wharf-writer", "--node", "n-flag", "--redis=redis://h:1", "--replication", "3", NULL};
    assert_int_equal(config_from_argv(&config, 6, argv, &err), 0);
    assert_string_equal(config.state_dir, "/file/state");
    assert_string_equal(config.run_dir, "/env/run");
    assert_string_equal(config.node, "n-flag");
    assert_string_equal(config.user, "u#1");
    assert_string_equal(config.log_url, "sqlite:/file/state/log");
    assert_string_equal(config.redis_url, "redis://h:1");
    assert_false(config.embedded_redis);
    assert_int_equal(config.partitions, 4);
    assert_int_equal(config.replication, 3);
    assert_int_equal(config.snapshot_every, 77);
    assert_string_equal(config.kafka[0], "sasl.password");
    assert_string_equal(config.kafka[1], "pa#ss=word");
    assert_string_equal(config.kafka[2], "security.protocol");
    assert_string_equal(config.kafka[3], "sasl_ssl");
    assert_null(config.kafka[4]);
    config_release(&config);
}

static void test_relative(void **state)
{
    (void)state;
    struct config config;
    struct err err = ERR_INIT;
    char here[512], expected[600];
    assert_non_null(getcwd(here, sizeof(here)));
    snprintf(expected, sizeof(expected), "%s/x/state", here);
    write_file("");
    const struct config_flag flag = {"state-dir", "x/state"};
    assert_int_equal(config_load(&config, NULL, &flag, 1, &err), 0);
    assert_string_equal(config.state_dir, expected);
    config_release(&config);
}

static void test_pool(void **state)
{
    (void)state;
    struct config config;
    struct err err = ERR_INIT;
    write_file("userns-pool = 65536:4294901759\n");
    assert_int_equal(config_load(&config, NULL, NULL, 0, &err), 0);
    assert_int_equal(config.userns_base, 65536);
    assert_int_equal(config.userns_size, 4294901759);
    config_release(&config);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message; /* after the file's name */
    } rows[] = {
        {"nonsense\n", "line 1: 'nonsense' is not of the form key = value"},
        {"\n# x\nstate_dir = /x\n", "line 3: unknown setting 'state_dir'"},
        {"state-dir = x\n", "line 1: 'x' is no value for 'state-dir': it must be an absolute path"},
        {"state-dir =\n", "line 1: '' is no value for 'state-dir': it must not be empty"},
        {"log = bogus:", "'bogus:' is no value for 'log': it must be sqlite:DIR or kafka://HOST:PORT"},
        {"log = sqlite:", "'sqlite:' is no value for 'log'"},
        {"redis = localhost:6379",
         "'localhost:6379' is no value for 'redis': it must be unix:PATH or redis://"},
        {"node = a/b", "'a/b' is no value for 'node'"},
        {"node = -a", "'-a' is no value for 'node'"},
        {"log = nothing", "'nothing' is no value for 'log'"},
        {"partitions = -1", "must be a number from 0 to 10000"},
        {"partitions = 99999999999999999999", "must be a number from 0 to 10000"},
        {"partitions = 3x", "must be a number from 0 to 10000"},
        {"cgroup-parent = a/../b", "without '..'"},
        {"userns-pool = 100000", "it must be BASE:SIZE"},
        {"userns-pool = 100000:65535", "65536 or more"},
        {"userns-pool = 65535:65536", "65536 or more"},
        {"userns-pool = 65536:4294901760", "it must be BASE:SIZE"},
        {"userns-pool = 100000:65536x", "it must be BASE:SIZE"},
        {"userns-pool = -100000:65536", "it must be BASE:SIZE"},
        {"userns-pool = 99999999999999999999:65536", "it must be BASE:SIZE"},
        {"node = a\nnode = b\n", "line 2: 'node' is set twice"},
        {"kafka.a = 1\nkafka.a = 2\n", "line 2: 'kafka.a' is set twice"},
        {"kafka. = 1\n", "unknown setting 'kafka.'"},
        {"= 1\n", "unknown setting ''"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config config;
        struct err err = ERR_INIT;
        write_file(rows[i].text);
        assert_int_equal(config_load(&config, NULL, NULL, 0, &err), -1);
        if (strstr(err.message, rows[i].message) == NULL || strstr(err.message, file) == NULL)
            print_error("row %zu: %s\n", i, err.message);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_non_null(strstr(err.message, file));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void test_bad_arguments(void **state)
{
    (void)state;
    static const struct {
        char *argv[4];
        int argc;
        const char *message;
    } rows[] = {
        {{"w", "--nope", "x"}, 3, "unknown option '--nope'"},
        {{"w", "--node"}, 2, "option '--node' needs a value"},
        {{"w", "stray"}, 2, "unexpected argument 'stray'"},
        {{"w", "--"}, 2, "unexpected argument '--'"},
        {{"w", "--node="}, 2, "option --node: '' is no value for 'node'"},
        {{"w", "--config", "/nonexistent/wharf.conf"}, 3, "/nonexistent/wharf.conf"},
    };
    write_file("");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config config;
        struct err err = ERR_INIT;
        assert_int_equal(config_from_argv(&config, rows[i].argc, (char **)rows[i].argv, &err), -1);
        if (strstr(err.message, rows[i].message) == NULL)
            print_error("row %zu: %s\n", i, err.message);
        assert_non_null(strstr(err.message, rows[i].message));
    }
    setenv("WHARF_PARTITIONS", "many", 1);
    struct config config;
    struct err err = ERR_INIT;
    assert_int_equal(config_load(&config, NULL, NULL, 0, &err), -1);
    assert_non_null(strstr(err.message, "WHARF_PARTITIONS"));
}

static void test_binary(void **state)
{
    (void)state;
    struct config_settings *settings = config_settings_new();
    struct err err = ERR_INIT;
    assert_int_equal(config_parse_text(settings, "a\0b", 3, "f", &err), -1);
    assert_non_null(strstr(err.message, "is not a text file"));
    config_settings_free(settings);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_defaults),  TEST(test_precedence),    TEST(test_relative),
                                       TEST(test_bad_files), TEST(test_bad_arguments), TEST(test_binary),
                                       TEST(test_pool)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
