/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define CONFIG_FILE "/etc/wharf/wharf.conf"
#define CONFIG_FILE_LIMIT_BYTES (1024 * 1024)
#define CONFIG_NODE_SIZE_MAX 128
#define CONFIG_SNAPSHOT_EVERY 10000
#define CONFIG_ID_RANGE 65536 /* of a container with a user namespace of its own */
#define KAFKA_PREFIX "kafka."
#define KAFKA_ENVIRONMENT_PREFIX "WHARF_KAFKA_"

extern char **environ;

enum config_key {
    KEY_STATE_DIR,
    KEY_RUN_DIR,
    KEY_LOG,
    KEY_REDIS,
    KEY_NODE,
    KEY_USER,
    KEY_CGROUP_PARENT,
    KEY_USERNS_POOL,
    KEY_PARTITIONS,
    KEY_REPLICATION,
    KEY_SNAPSHOT_EVERY,
    KEY_OCI_EVENT_LOG,
    KEY_OCI_EVENT_NODE,
    CONFIG_KEYS,
};

/* NULL if the value will do, or why not. */
typedef const char *(*config_check)(const char *value);

static const char *check_directory(const char *value)
{
    return value[0] == '/' ? NULL : "must be an absolute path";
}

/* Whether `value` begins with one of the schemes and says something behind it. */
static bool has_scheme(const char *value, const char *const *schemes)
{
    for (size_t i = 0; schemes[i] != NULL; i++)
        if (strncmp(value, schemes[i], strlen(schemes[i])) == 0 && value[strlen(schemes[i])] != '\0')
            return true;
    return false;
}

static const char *check_log(const char *value)
{
    static const char *const schemes[] = {"sqlite:", "kafka://", NULL};
    bool ok = has_scheme(value, schemes) || strcmp(value, "memory:") == 0;
    return ok ? NULL : "must be sqlite:DIR or kafka://HOST:PORT[,HOST:PORT][/PREFIX]";
}

static const char *check_redis(const char *value)
{
    static const char *const schemes[] = {"unix:", "redis://", NULL};
    return has_scheme(value, schemes) ? NULL : "must be unix:PATH or redis://HOST:PORT";
}

static const char *check_node(const char *value)
{
    size_t size = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (!isalnum((unsigned char)value[0]) || value[size] != '\0' || size > CONFIG_NODE_SIZE_MAX)
        return "must be letters, digits, '.', '_' and '-', beginning with a letter or digit, 128 at most";
    return NULL;
}

static const char *check_user_name(const char *value)
{
    return strpbrk(value, ":/ \t") == NULL ? NULL : "must be the name of a user";
}

static const char *check_cgroup(const char *value)
{
    bool climbs = strcmp(value, "..") == 0 || strncmp(value, "../", 3) == 0 ||
                  strstr(value, "/../") != NULL ||
                  (strlen(value) > 3 && strcmp(value + strlen(value) - 3, "/..") == 0);
    return climbs ? "must be a path below the root of the cgroups, without '..'" : NULL;
}

/* BASE:SIZE; -1 is no id (credentials(7)), and the host's own users are not to be given away. */
static bool read_pool(const char *value, uint32_t *ret_base, uint32_t *ret_size)
{
    char *end;
    errno = 0;
    unsigned long base = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != ':' || !isdigit((unsigned char)end[1]))
        return false;
    unsigned long size = strtoul(end + 1, &end, 10);
    if (*end != '\0' || errno != 0 || base < CONFIG_ID_RANGE || size < CONFIG_ID_RANGE || base > UINT32_MAX ||
        size > UINT32_MAX - base)
        return false;
    *ret_base = (uint32_t)base;
    *ret_size = (uint32_t)size;
    return true;
}

static const char *check_pool(const char *value)
{
    uint32_t base, size;
    return read_pool(value, &base, &size)
               ? NULL
               : "must be BASE:SIZE, the first of the ids and how many there are, 65536 or more both";
}

static bool is_count(const char *value, unsigned long max)
{
    char *end;
    errno = 0;
    unsigned long count = strtoul(value, &end, 10);
    return isdigit((unsigned char)value[0]) && *end == '\0' && errno == 0 && count <= max;
}

static const char *check_count(const char *value)
{
    return is_count(value, 10000) ? NULL : "must be a number from 0 to 10000";
}

static const char *check_many(const char *value)
{
    return is_count(value, 1000000000) ? NULL : "must be a number from 0 to 1000000000";
}

static const struct {
    const char *name;
    const char *environment;
    config_check check;
} keys[CONFIG_KEYS] = {
    [KEY_STATE_DIR] = {"state-dir", "WHARF_STATE_DIR", check_directory},
    [KEY_RUN_DIR] = {"run-dir", "WHARF_RUN_DIR", check_directory},
    [KEY_LOG] = {"log", "WHARF_LOG", check_log},
    [KEY_REDIS] = {"redis", "WHARF_REDIS", check_redis},
    [KEY_NODE] = {"node", "WHARF_NODE", check_node},
    [KEY_USER] = {"user", "WHARF_USER", check_user_name},
    [KEY_CGROUP_PARENT] = {"cgroup-parent", "WHARF_CGROUP_PARENT", check_cgroup},
    [KEY_USERNS_POOL] = {"userns-pool", "WHARF_USERNS_POOL", check_pool},
    [KEY_PARTITIONS] = {"partitions", "WHARF_PARTITIONS", check_count},
    [KEY_REPLICATION] = {"replication", "WHARF_REPLICATION", check_count},
    [KEY_SNAPSHOT_EVERY] = {"snapshot-every", "WHARF_SNAPSHOT_EVERY", check_many},
    [KEY_OCI_EVENT_LOG] = {"oci-event-log", "WHARF_OCI_EVENT_LOG", check_directory},
    [KEY_OCI_EVENT_NODE] = {"oci-event-node", "WHARF_OCI_EVENT_NODE", check_node},
};

/* ---- settings ---- */

struct config_settings {
    char *values[CONFIG_KEYS];
    char **kafka; /* name, value, ..., NULL; NULL while there are none */
    size_t n_kafka;
};

struct config_settings *config_settings_new(void)
{
    return calloc(1, sizeof(struct config_settings));
}

static void free_pairs(char **pairs)
{
    for (char **at = pairs; at != NULL && *at != NULL; at++)
        free(*at);
    free(pairs);
}

void config_settings_free(struct config_settings *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        free(settings->values[i]);
    free_pairs(settings->kafka);
    free(settings);
}

static void cleanup_settings(struct config_settings **settings)
{
    config_settings_free(*settings);
}

#define auto_settings __attribute__((cleanup(cleanup_settings)))

static int replace(char **where, const char *value, struct err *err)
{
    char *copy = strdup(value);
    if (copy == NULL)
        return err_nomem(err, "reading the configuration");
    free(*where);
    *where = copy;
    return 0;
}

/* Where the property's value is kept, or NULL. */
static char **kafka_slot(struct config_settings *settings, const char *property)
{
    for (size_t i = 0; i < settings->n_kafka; i++)
        if (strcmp(settings->kafka[2 * i], property) == 0)
            return &settings->kafka[2 * i + 1];
    return NULL;
}

static int set_kafka(struct config_settings *settings, const char *property, const char *value,
                     struct err *err)
{
    char **slot = kafka_slot(settings, property);
    if (slot != NULL)
        return replace(slot, value, err);
    size_t n = settings->n_kafka;
    char **grown = realloc(settings->kafka, (2 * n + 3) * sizeof(*grown));
    if (grown == NULL)
        return err_nomem(err, "reading the configuration");
    settings->kafka = grown;
    memset(grown + 2 * n, 0, 3 * sizeof(*grown));
    grown[2 * n] = strdup(property);
    grown[2 * n + 1] = grown[2 * n] != NULL ? strdup(value) : NULL;
    if (grown[2 * n + 1] == NULL) {
        free(grown[2 * n]);
        grown[2 * n] = NULL;
        return err_nomem(err, "reading the configuration");
    }
    settings->n_kafka++;
    return 0;
}

static int key_by_name(const char *name)
{
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return i;
    return -1;
}

static bool is_kafka(const char *name)
{
    return strncmp(name, KAFKA_PREFIX, strlen(KAFKA_PREFIX)) == 0 && name[strlen(KAFKA_PREFIX)] != '\0';
}

static bool is_set(struct config_settings *settings, const char *name)
{
    int key = key_by_name(name);
    if (key >= 0)
        return settings->values[key] != NULL;
    return is_kafka(name) && kafka_slot(settings, name + strlen(KAFKA_PREFIX)) != NULL;
}

/* Checks and keeps one setting; the error does not say where it comes from: the caller wraps it. */
static int set(struct config_settings *settings, const char *name, const char *value, struct err *err)
{
    if (is_kafka(name))
        return set_kafka(settings, name + strlen(KAFKA_PREFIX), value, err);
    int key = key_by_name(name);
    if (key < 0)
        return err_set(err, ERR_INVALID, "unknown setting '%s'", name);
    const char *why = value[0] == '\0' ? "must not be empty" : keys[key].check(value);
    if (why != NULL)
        return err_set(err, ERR_INVALID, "'%s' is no value for '%s': it %s", value, name, why);
    return replace(&settings->values[key], value, err);
}

/* ---- the file ---- */

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t size = strlen(text);
    while (size > 0 && isspace((unsigned char)text[size - 1]))
        text[--size] = '\0';
    return text;
}

static void cut_comment(char *line)
{
    for (char *at = line; *at != '\0'; at++) {
        if (*at == '#' && (at == line || isspace((unsigned char)at[-1]))) {
            *at = '\0';
            return;
        }
    }
}

static int parse_line(struct config_settings *settings, char *line, struct err *err)
{
    cut_comment(line);
    char *name = trim(line);
    if (*name == '\0')
        return 0;
    char *equals = strchr(name, '=');
    if (equals == NULL)
        return err_set(err, ERR_INVALID, "'%.200s' is not of the form key = value", name);
    *equals = '\0';
    name = trim(name);
    if (is_set(settings, name))
        return err_set(err, ERR_INVALID, "'%.200s' is set twice", name);
    return set(settings, name, trim(equals + 1), err);
}

int config_parse_text(struct config_settings *settings, const char *text, size_t size, const char *source,
                      struct err *err)
{
    if (memchr(text, '\0', size) != NULL)
        return err_set(err, ERR_INVALID, "'%s' is not a text file", source);
    auto_free char *copy = strndup(text, size);
    if (copy == NULL)
        return err_nomem(err, "reading the configuration");
    char *rest = copy;
    for (int number = 1; rest != NULL; number++) {
        char *line = strsep(&rest, "\n");
        if (parse_line(settings, line, err) < 0)
            return err_wrap(err, "%s, line %d", source, number);
    }
    return 0;
}

/* A file that nobody named may be absent. */
static int load_file(struct config_settings *settings, const char *file, struct err *err)
{
    const char *named = file != NULL ? file : getenv("WHARF_CONFIG");
    const char *path = named != NULL ? named : CONFIG_FILE;
    auto_free char *text = NULL;
    size_t size;
    struct err why = ERR_INIT;
    if (fs_read_file(AT_FDCWD, path, CONFIG_FILE_LIMIT_BYTES, &text, &size, &why) < 0) {
        if (named == NULL && why.code == ERR_NOT_FOUND)
            return 0;
        if (err != NULL)
            *err = why;
        return err_wrap(err, "cannot read the configuration");
    }
    return config_parse_text(settings, text, size, path, err);
}

/* ---- environment and flags ---- */

/* A relative directory from the environment or a flag is meant from where the process stands. */
static int set_from_user(struct config_settings *settings, const char *name, const char *value,
                         struct err *err)
{
    int key = key_by_name(name);
    bool is_directory = key == KEY_STATE_DIR || key == KEY_RUN_DIR;
    if (!is_directory || value[0] == '/' || value[0] == '\0')
        return set(settings, name, value, err);
    auto_free char *here = getcwd(NULL, 0);
    if (here == NULL)
        return err_sys(err, errno, "cannot tell the current directory for '%s'", value);
    auto_free char *absolute = NULL;
    if (asprintf(&absolute, "%s/%s", here, value) < 0) {
        absolute = NULL;
        return err_nomem(err, "reading the configuration");
    }
    return set(settings, name, absolute, err);
}

/* "WHARF_KAFKA_SECURITY_PROTOCOL=x" sets kafka.security.protocol: librdkafka's names have dots where the
 * environment cannot. */
static int load_kafka_variable(struct config_settings *settings, const char *variable, struct err *err)
{
    auto_free char *name = strdup(variable + strlen(KAFKA_ENVIRONMENT_PREFIX));
    if (name == NULL)
        return err_nomem(err, "reading the configuration");
    char *equals = strchr(name, '=');
    if (equals == NULL || equals == name)
        return 0;
    *equals = '\0';
    for (char *at = name; *at != '\0'; at++)
        *at = *at == '_' ? '.' : (char)tolower((unsigned char)*at);
    return set_kafka(settings, name, equals + 1, err);
}

static int load_environment(struct config_settings *settings, struct err *err)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        const char *value = getenv(keys[i].environment);
        if (value != NULL && set_from_user(settings, keys[i].name, value, err) < 0)
            return err_wrap(err, "environment variable %s", keys[i].environment);
    }
    for (char **at = environ; at != NULL && *at != NULL; at++)
        if (strncmp(*at, KAFKA_ENVIRONMENT_PREFIX, strlen(KAFKA_ENVIRONMENT_PREFIX)) == 0 &&
            load_kafka_variable(settings, *at, err) < 0)
            return -1;
    return 0;
}

/* ---- the result ---- */

static char *take_or(struct config_settings *settings, enum config_key key, const char *otherwise)
{
    char *value = steal_ptr(settings->values[key]);
    return value != NULL ? value : strdup(otherwise);
}

/* PREFIX + DIRECTORY + SUFFIX where the setting was not given. */
static char *take_or_below(struct config_settings *settings, enum config_key key, const char *prefix,
                           const char *directory, const char *suffix)
{
    char *value = steal_ptr(settings->values[key]);
    if (value == NULL && (directory == NULL || asprintf(&value, "%s%s%s", prefix, directory, suffix) < 0))
        return NULL;
    return value;
}

static uint32_t count_or(const struct config_settings *settings, enum config_key key, uint32_t otherwise)
{
    const char *value = settings->values[key];
    return value != NULL ? (uint32_t)strtoul(value, NULL, 10) : otherwise;
}

/* Most of those who read the configuration need no node: a host without a usable name is no error here. */
static int set_host_name(struct config_settings *settings, struct err *err)
{
    char host[HOST_NAME_MAX + 1];
    if (settings->values[KEY_NODE] != NULL)
        return 0;
    if (gethostname(host, sizeof(host)) < 0)
        return err_sys(err, errno, "cannot tell the host name; give the node a name with --node");
    host[HOST_NAME_MAX] = '\0';
    return check_node(host) == NULL ? set(settings, "node", host, err) : 0;
}

int config_check_node(const struct config *config, struct err *err)
{
    if (config->node[0] != '\0')
        return 0;
    return err_set(err, ERR_INVALID, "the host's name cannot name the node; give it one with --node");
}

static int build(struct config *ret, struct config_settings *settings, struct err *err)
{
    if (set_host_name(settings, err) < 0)
        return -1;
    struct config config = {.embedded_redis = settings->values[KEY_REDIS] == NULL,
                            .partitions = count_or(settings, KEY_PARTITIONS, 0),
                            .replication = count_or(settings, KEY_REPLICATION, 0),
                            .snapshot_every = count_or(settings, KEY_SNAPSHOT_EVERY, CONFIG_SNAPSHOT_EVERY)};
    if (settings->values[KEY_USERNS_POOL] != NULL)
        read_pool(settings->values[KEY_USERNS_POOL], &config.userns_base, &config.userns_size);
    config.state_dir = take_or(settings, KEY_STATE_DIR, "/var/lib/wharf");
    config.run_dir = take_or(settings, KEY_RUN_DIR, "/run/wharf");
    config.log_url = take_or_below(settings, KEY_LOG, "sqlite:", config.state_dir, "/log");
    config.redis_url = take_or_below(settings, KEY_REDIS, "unix:", config.run_dir, "/redis.sock");
    config.node = take_or(settings, KEY_NODE, "");
    config.user = take_or(settings, KEY_USER, "wharf");
    config.cgroup_parent = take_or(settings, KEY_CGROUP_PARENT, "wharf");
    config.oci_event_log = take_or(settings, KEY_OCI_EVENT_LOG, "");
    config.oci_event_node = take_or(settings, KEY_OCI_EVENT_NODE, "");
    config.kafka = settings->kafka != NULL ? steal_ptr(settings->kafka) : calloc(1, sizeof(char *));
    if (config.state_dir == NULL || config.run_dir == NULL || config.log_url == NULL ||
        config.redis_url == NULL || config.node == NULL || config.user == NULL ||
        config.cgroup_parent == NULL || config.oci_event_log == NULL || config.oci_event_node == NULL ||
        config.kafka == NULL) {
        config_release(&config);
        return err_nomem(err, "reading the configuration");
    }
    *ret = config;
    return 0;
}

int config_load(struct config *ret, const char *file, const struct config_flag *flags, size_t n_flags,
                struct err *err)
{
    auto_settings struct config_settings *settings = config_settings_new();
    if (settings == NULL)
        return err_nomem(err, "reading the configuration");
    if (load_file(settings, file, err) < 0 || load_environment(settings, err) < 0)
        return -1;
    for (size_t i = 0; i < n_flags; i++)
        if (set_from_user(settings, flags[i].key, flags[i].value, err) < 0)
            return err_wrap(err, "option --%s", flags[i].key);
    return build(ret, settings, err);
}

void config_release(struct config *config)
{
    free(config->state_dir);
    free(config->run_dir);
    free(config->log_url);
    free(config->redis_url);
    free(config->node);
    free(config->user);
    free(config->cgroup_parent);
    free(config->oci_event_log);
    free(config->oci_event_node);
    free_pairs(config->kafka);
    *config = (struct config){.state_dir = NULL};
}

/* Takes "--key value" or "--key=value" from argv[*at] on; `ret_key` is the caller's to free. */
static int take_option(int argc, char **argv, int *at, char **ret_key, const char **ret_value,
                       struct err *err)
{
    const char *arg = argv[*at];
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0')
        return err_set(err, ERR_INVALID, "unexpected argument '%s'", arg);
    const char *equals = strchr(arg, '=');
    size_t size = equals != NULL ? (size_t)(equals - arg) - 2 : strlen(arg) - 2;
    auto_free char *key = strndup(arg + 2, size);
    if (key == NULL)
        return err_nomem(err, "reading the options");
    bool for_others = strncmp(key, "oci-", 4) == 0; /* wharf-oci has options of its own */
    if (strcmp(key, "config") != 0 && (key_by_name(key) < 0 || for_others) && !is_kafka(key))
        return err_set(err, ERR_INVALID, "unknown option '--%s'", key);
    if (equals == NULL && *at + 1 >= argc)
        return err_set(err, ERR_INVALID, "option '--%s' needs a value", key);
    *ret_value = equals != NULL ? equals + 1 : argv[++*at];
    *ret_key = steal_ptr(key);
    return 0;
}

static void free_flags(struct config_flag *flags, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)flags[i].key);
    free(flags);
}

int config_from_argv(struct config *ret, int argc, char **argv, struct err *err)
{
    struct config_flag *flags = calloc((size_t)argc + 1, sizeof(*flags));
    if (flags == NULL)
        return err_nomem(err, "reading the options");
    const char *file = NULL;
    size_t n = 0;
    int rc = 0;
    for (int at = 1; at < argc && rc == 0; at++) {
        char *key = NULL;
        const char *value = NULL;
        rc = take_option(argc, argv, &at, &key, &value, err);
        if (rc == 0 && strcmp(key, "config") == 0) {
            file = value;
            free(key);
        } else if (rc == 0) {
            flags[n++] = (struct config_flag){.key = key, .value = value};
        }
    }
    if (rc == 0)
        rc = config_load(ret, file, flags, n, err);
    free_flags(flags, n);
    return rc;
}
