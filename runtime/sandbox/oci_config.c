/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/capability.h"
#include "base/cleanup.h"
#include "runtime/sandbox/oci_process.h"
#include "runtime/sandbox/oci_user_mounts.h"
#include "runtime/sandbox/seccomp_profile.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define SHORT_ID 12
#define SHM_SIZE (64 << 20)

static const char *const MASKED[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
};

static const char *const READ_ONLY[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static const struct {
    const char *destination, *type, *source, *options;
} MOUNTS[] = {
    {"/proc", "proc", "proc", "nosuid,noexec,nodev"},
    {"/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
    {"/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
    {"/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A new array of the texts; on lack of memory jansson hands NULL on, and the whole document becomes NULL. */
static json_t *string_array(const char *const *texts, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        if (json_array_append_new(array, json_string(texts[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *split(const char *text)
{
    json_t *array = json_array();
    while (array != NULL && *text != '\0') {
        size_t size = strcspn(text, ",");
        if (json_array_append_new(array, json_stringn(text, size)) < 0) {
            json_decref(array);
            return NULL;
        }
        text += size + (text[size] == ',');
    }
    return array;
}

static int append_strings(json_t *array, const struct strings *from)
{
    for (size_t i = 0; i < from->n; i++) {
        /* Environment and arguments are bytes to the kernel, and the log carries UTF-8 only. */
        if (json_array_append_new(array, json_string(from->items[i])) < 0)
            return -1;
    }
    return 0;
}

/* One empty string clears the image's entrypoint. An overridden entrypoint drops the image's command too, as
 * docker does. */
static json_t *arguments(const struct container_spec *spec, const struct image *image)
{
    json_t *args = json_array();
    bool overridden = spec->entrypoint.n > 0;
    bool cleared = strings_say_none(&spec->entrypoint);
    int result =
        cleared ? 0 : append_strings(args, overridden ? &spec->entrypoint : &image->config.entrypoint);
    if (result == 0 && (spec->command.n > 0 || !overridden))
        result = append_strings(args, spec->command.n > 0 ? &spec->command : &image->config.command);
    if (result < 0) {
        json_decref(args);
        return NULL;
    }
    return args;
}

static json_t *environment(const struct oci_config_input *input)
{
    char text[300], hostname[256];
    json_t *env = json_array();
    int result = oci_put_env(env, DEFAULT_PATH);
    if (result == 0 && oci_hostname(input->spec, input->container_id, hostname)) {
        snprintf(text, sizeof(text), "HOSTNAME=%s", hostname);
        result = oci_put_env(env, text);
    }
    if (result == 0 && input->spec->tty)
        result = oci_put_env(env, "TERM=xterm");
    snprintf(text, sizeof(text), "HOME=%s", input->user->home);
    if (result < 0 || oci_put_env(env, text) < 0 || oci_put_env_list(env, &input->image->config.env) < 0 ||
        oci_put_env_list(env, &input->spec->env) < 0) {
        json_decref(env);
        return NULL;
    }
    return env;
}

static bool may_gain_privileges(const struct container_spec *spec)
{
    return spec->privileged || spec->new_privileges;
}

static json_t *process(const struct oci_config_input *input)
{
    const struct container_spec *spec = input->spec;
    json_t *caps = oci_capability_names(oci_capability_mask(spec, input->capabilities));
    const char *cwd = spec->workdir != NULL ? spec->workdir : input->image->config.workdir;
    json_t *object = json_pack(
        "{s:b, s:o*, s:o, s:o, s:o, s:s, s:{s:O, s:O, s:o}, s:o, s:b}", "terminal", (int)spec->tty,
        "consoleSize", spec->tty ? oci_console_size(spec->terminal_rows, spec->terminal_columns) : NULL,
        "user", oci_user_object(input->user), "args", arguments(spec, input->image), "env",
        environment(input), "cwd", cwd == NULL || cwd[0] == '\0' ? "/" : cwd, "capabilities", "bounding",
        caps, "effective", caps, "permitted", caps, "rlimits", oci_rlimits(spec), "noNewPrivileges",
        !may_gain_privileges(spec));
    if (spec->oom_score_adj != SCHEMA_ABSENT &&
        json_object_set_new(object, "oomScoreAdj", json_integer(spec->oom_score_adj)) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *mount_object(const char *destination, const char *type, const char *source,
                            const char *options)
{
    return json_pack("{s:s, s:s, s:s, s:o}", "destination", destination, "type", type, "source", source,
                     "options", split(options));
}

/* Where POSIX shared memory is (shm_overview(7)): as shared as the IPC namespace. */
static json_t *shm_mount(const struct oci_config_input *input)
{
    const struct container_spec *spec = input->spec;
    const char *sharing = *container_spec_sharing(spec, SHARED_IPC);
    char options[96], source[64] = "/dev/shm";
    if (shared_container(sharing) != NULL)
        snprintf(source, sizeof(source), "/proc/%lld/root/dev/shm",
                 (long long)input->shared_pids[SHARED_IPC]);
    if (sharing != NULL)
        return mount_object("/dev/shm", "bind", source, "bind,private,nosuid,noexec,nodev");
    long long size = spec->shm_size == SCHEMA_ABSENT ? SHM_SIZE : (long long)spec->shm_size;
    snprintf(options, sizeof(options), "nosuid,noexec,nodev,mode=1777,size=%lld", size);
    return mount_object("/dev/shm", "tmpfs", "shm", options);
}

/* Who is root on the host anyhow may write there. */
static const char *read_only_or_not(const struct container_spec *spec, const char *options)
{
    return spec->privileged ? options + strlen("ro,") : options;
}

static json_t *mounts(const struct oci_config_input *input)
{
    json_t *array = json_array();
    const struct container_spec *spec = input->spec;
    int result = 0;
    for (size_t i = 0; i < COUNT(MOUNTS) && result == 0; i++) {
        if (!oci_mounts_replace(spec, MOUNTS[i].destination))
            result = json_array_append_new(array, mount_object(MOUNTS[i].destination, MOUNTS[i].type,
                                                               MOUNTS[i].source, MOUNTS[i].options));
    }
    if (result == 0 && !oci_mounts_replace(spec, "/dev/shm"))
        result = json_array_append_new(array, shm_mount(input));
    if (result == 0 && !oci_mounts_replace(spec, "/sys"))
        result = json_array_append_new(
            array, mount_object("/sys", "sysfs", "sysfs", read_only_or_not(spec, "ro,nosuid,noexec,nodev")));
    if (result == 0 && !oci_mounts_replace(spec, "/sys/fs/cgroup"))
        result = json_array_append_new(
            array, mount_object("/sys/fs/cgroup", input->cgroup2 ? "cgroup2" : "cgroup", "cgroup",
                                read_only_or_not(spec, "ro,nosuid,noexec,nodev,relatime")));
    if (result == 0 && container_spec_maps_ids(spec))
        result = oci_add_device_mounts(array, input->devices, input->n_devices);
    if (result < 0 || oci_add_user_mounts(array, spec, input->volumes_dir) < 0) {
        json_decref(array);
        return NULL;
    }
    return array;
}

/* New, the host's (none is named), or by the path of another container's. */
static int add_namespace(json_t *array, const char *type, const char *file, const char *sharing, int64_t pid)
{
    char path[64];
    if (shared_container(sharing) != NULL) {
        snprintf(path, sizeof(path), "/proc/%lld/ns/%s", (long long)pid, file);
        return json_array_append_new(array, json_pack("{s:s, s:s}", "type", type, "path", path));
    }
    if (sharing != NULL && strcmp(sharing, "host") == 0)
        return 0;
    return json_array_append_new(array, json_pack("{s:s}", "type", type));
}

static json_t *namespaces(const struct oci_config_input *input)
{
    static const struct {
        const char *type, *file;
    } SHARED[SHARED_NAMESPACES] = {[SHARED_NETWORK] = {"network", "net"},
                                   [SHARED_IPC] = {"ipc", "ipc"},
                                   [SHARED_PID] = {"pid", "pid"},
                                   [SHARED_UTS] = {"uts", "uts"}};
    json_t *array = json_pack("[{s:s}, {s:s}]", "type", "mount", "type", "cgroup");
    if (container_spec_maps_ids(input->spec) && add_namespace(array, "user", "user", NULL, 0) < 0) {
        json_decref(array);
        return NULL;
    }
    for (int i = 0; i < SHARED_NAMESPACES; i++) {
        const char *sharing = *container_spec_sharing(input->spec, (enum shared_namespace)i);
        if (add_namespace(array, SHARED[i].type, SHARED[i].file, sharing, input->shared_pids[i]) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* The kernel takes no quota below 1 ms, so that small shares need a longer period (at most 1 s). */
static json_t *cpu_limit(int64_t cpu_millis)
{
    json_int_t period = cpu_millis < 10 ? 1000000 : 100000;
    return json_pack("{s:I, s:I}", "quota", (json_int_t)cpu_millis * period / 1000, "period", period);
}

/* Sets the member if it was asked for; adds to the failures. */
static void set_number(json_t *object, const char *name, int64_t value, int *result)
{
    if (value != SCHEMA_ABSENT)
        *result |= json_object_set_new(object, name, json_integer(value));
}

static json_t *cpu(const struct container_spec *spec)
{
    json_t *object = spec->cpu_millis != SCHEMA_ABSENT ? cpu_limit(spec->cpu_millis) : json_object();
    int result = 0;
    set_number(object, "shares", spec->cpu_shares, &result);
    if (result == 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *memory(const struct container_spec *spec)
{
    json_t *object = json_object();
    int result = 0;
    set_number(object, "limit", spec->memory, &result);
    set_number(object, "swap", spec->memory_swap, &result);
    set_number(object, "reservation", spec->memory_reservation, &result);
    if (result == 0)
        return object;
    json_decref(object);
    return NULL;
}

json_t *oci_config_resources(const struct container_spec *spec, const struct oci_device *devices,
                             size_t n_devices)
{
    json_t *object = json_pack("{s:o, s:o, s:o}", "memory", memory(spec), "cpu", cpu(spec), "devices",
                               oci_device_rules(spec, devices, n_devices));
    int result = 0;
    if (spec->pids_limit != SCHEMA_ABSENT)
        result =
            json_object_set_new(object, "pids", json_pack("{s:I}", "limit", (json_int_t)spec->pids_limit));
    if (result == 0)
        return object;
    json_decref(object);
    return NULL;
}

static bool has_own_network(const struct container_spec *spec)
{
    return spec->network == NULL || strcmp(spec->network, "host") != 0;
}

/* NULL without a user namespace. */
static json_t *id_mappings(const struct container_spec *spec)
{
    if (!container_spec_maps_ids(spec))
        return NULL;
    return json_pack("[{s:i, s:I, s:I}]", "containerID", 0, "hostID", (json_int_t)spec->id_base, "size",
                     (json_int_t)spec->id_size);
}

/* A user namespace has them mounted. */
static json_t *devices(const struct oci_config_input *input)
{
    return oci_devices(input->devices, container_spec_maps_ids(input->spec) ? 0 : input->n_devices);
}

static json_t *linux_section(const struct oci_config_input *input)
{
    const char *propagation = oci_mounts_propagation(input->spec);
    char cgroup[256];
    const struct container_spec *spec = input->spec;
    snprintf(cgroup, sizeof(cgroup), "/%s/%s", input->cgroup_parent, input->cgroup_name);
    return json_pack("{s:o, s:o*, s:o*, s:o, s:s, s:o, s:o, s:o, s:o, s:s*}", "namespaces", namespaces(input),
                     "uidMappings", id_mappings(spec), "gidMappings", id_mappings(spec), "resources",
                     oci_config_resources(spec, input->devices, input->n_devices), "cgroupsPath", cgroup,
                     "devices", devices(input), "sysctl", oci_sysctls(spec), "maskedPaths",
                     string_array(MASKED, spec->privileged ? 0 : COUNT(MASKED)), "readonlyPaths",
                     string_array(READ_ONLY, spec->privileged ? 0 : COUNT(READ_ONLY)), "rootfsPropagation",
                     propagation);
}

static json_t *annotations(const struct oci_config_input *input)
{
    json_t *object = json_pack("{s:s, s:o, s:s}", "io.wharf.container", input->container_id,
                               "io.wharf.incarnation", json_sprintf("%lld", (long long)input->incarnation),
                               "io.wharf.overlay", input->overlay_options);
    int result = 0;
    if (input->spec->seccomp == NULL && !input->spec->privileged)
        result |= json_object_set_new(object, "io.wharf.seccomp", json_string("default"));
    if (oci_open_files_are_default(input->spec))
        result |= json_object_set_new(object, "io.wharf.open-files", json_string("default"));
    if (input->spec->init)
        result |= json_object_set_new(object, "io.wharf.init", json_string("true"));
    if (result == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* A filter of one's own; there is none beside it, and none at all for "unconfined". */
static int add_seccomp(const struct oci_config_input *input, json_t *config, struct err *err)
{
    const char *text = input->spec->seccomp;
    const struct seccomp_situation situation = {
        .capabilities = oci_capability_mask(input->spec, input->capabilities),
        .kernel = input->kernel,
        .machine = SECCOMP_MACHINE,
        .scmp_arch = SECCOMP_ARCH,
    };
    if (text == NULL || strcmp(text, "unconfined") == 0)
        return 0;
    json_t *section = seccomp_profile(text, &situation, err);
    if (section == NULL)
        return -1;
    if (json_object_set_new(json_object_get(config, "linux"), "seccomp", section) < 0)
        return err_nomem(err, "writing the container's configuration");
    return 0;
}

bool oci_hostname(const struct container_spec *spec, const char *container_id, char ret[256])
{
    if (spec->uts != NULL)
        return false;
    if (spec->hostname != NULL)
        snprintf(ret, 256, "%s", spec->hostname);
    else if (has_own_network(spec))
        snprintf(ret, 256, "%.*s", SHORT_ID, container_id);
    else
        return false;
    return true;
}

/* What is part of the default and cannot be given is found by the kernel. */
static int check_capabilities(const struct oci_config_input *input, struct err *err)
{
    const struct strings *added = &input->spec->cap_add;
    for (size_t i = 0; i < added->n; i++) {
        int number = capability_by_name(added->items[i]);
        if (number >= 0 && (input->capabilities >> number & 1) == 0)
            return err_set(err, ERR_INVALID,
                           "the capability '%s' cannot be given: wharf itself runs without it on this node",
                           added->items[i]);
    }
    return 0;
}

json_t *oci_config(const struct oci_config_input *input, struct err *err)
{
    char hostname[256];
    if (check_capabilities(input, err) < 0)
        return NULL;
    json_auto_t *config =
        json_pack("{s:s, s:o, s:{s:s, s:b}, s:o, s:o, s:o}", "ociVersion", "1.2.0", "process", process(input),
                  "root", "path", "rootfs", "readonly", (int)input->spec->read_only, "mounts", mounts(input),
                  "linux", linux_section(input), "annotations", annotations(input));
    if (config == NULL)
        return err_nomem(err, "writing the container's configuration"), NULL;
    if (oci_hostname(input->spec, input->container_id, hostname) &&
        json_object_set_new(config, "hostname", json_string(hostname)) < 0)
        return err_nomem(err, "writing the container's configuration"), NULL;
    if (json_array_size(json_object_get(json_object_get(config, "process"), "args")) == 0)
        return err_set(err, ERR_INVALID, "no command: neither the container nor its image names one"), NULL;
    return add_seccomp(input, config, err) < 0 ? NULL : json_incref(config);
}
