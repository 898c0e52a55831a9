/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_mounts.h"

#include <linux/mount.h> /* has MS_* too; excludes <sys/mount.h> */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "runtime/sandbox/oci_ids.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/plan_encode.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An option in both of its forms: flags for a new file system, attributes for what is bound. */
struct option {
    const char *name;
    uint64_t flag, unflag; /* MS_* */
    uint64_t set;          /* MOUNT_ATTR_* */
    uint64_t clear;        /* MOUNT_ATTR_* */
    bool not_bind;         /* of the file system, not of the mount */
};

#define MS_ATIMES (MS_RELATIME | MS_NOATIME | MS_STRICTATIME)

static const struct option OPTIONS[] = {
    {"defaults", 0, 0, 0, 0, false},
    {"ro", MS_RDONLY, 0, MOUNT_ATTR_RDONLY, 0, false},
    {"rw", 0, MS_RDONLY, 0, MOUNT_ATTR_RDONLY, false},
    {"nosuid", MS_NOSUID, 0, MOUNT_ATTR_NOSUID, 0, false},
    {"suid", 0, MS_NOSUID, 0, MOUNT_ATTR_NOSUID, false},
    {"nodev", MS_NODEV, 0, MOUNT_ATTR_NODEV, 0, false},
    {"dev", 0, MS_NODEV, 0, MOUNT_ATTR_NODEV, false},
    {"noexec", MS_NOEXEC, 0, MOUNT_ATTR_NOEXEC, 0, false},
    {"exec", 0, MS_NOEXEC, 0, MOUNT_ATTR_NOEXEC, false},
    {"relatime", MS_RELATIME, MS_ATIMES, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, false},
    {"norelatime", 0, MS_RELATIME, 0, 0, false},
    {"noatime", MS_NOATIME, MS_ATIMES, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, false},
    {"atime", 0, MS_NOATIME, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, false},
    {"strictatime", MS_STRICTATIME, MS_ATIMES, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, false},
    {"nostrictatime", 0, MS_STRICTATIME, 0, 0, false},
    {"nodiratime", MS_NODIRATIME, 0, MOUNT_ATTR_NODIRATIME, 0, false},
    {"diratime", 0, MS_NODIRATIME, 0, MOUNT_ATTR_NODIRATIME, false},
    {"nosymfollow", MS_NOSYMFOLLOW, 0, MOUNT_ATTR_NOSYMFOLLOW, 0, false},
    {"symfollow", 0, MS_NOSYMFOLLOW, 0, MOUNT_ATTR_NOSYMFOLLOW, false},
    {"sync", MS_SYNCHRONOUS, 0, 0, 0, true},
    {"async", 0, MS_SYNCHRONOUS, 0, 0, true},
    {"dirsync", MS_DIRSYNC, 0, 0, 0, true},
    {"iversion", MS_I_VERSION, 0, 0, 0, true},
    {"noiversion", 0, MS_I_VERSION, 0, 0, true},
    {"lazytime", MS_LAZYTIME, 0, 0, 0, true},
    {"nolazytime", 0, MS_LAZYTIME, 0, 0, true},
    {"mand", MS_MANDLOCK, 0, 0, 0, true},
    {"nomand", 0, MS_MANDLOCK, 0, 0, true},
    {"silent", MS_SILENT, 0, 0, 0, true},
    {"loud", 0, MS_SILENT, 0, 0, true},
};

static const struct {
    const char *name;
    uint64_t flags;
} PROPAGATIONS[] = {
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

/* The devices and links that the runtime-spec promises every container ("Default Devices", "Dev symbolic
 * links"). */
static const struct {
    const char *path;
    unsigned major, minor;
} DEVICES[] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};
static const struct {
    const char *path, *target;
} LINKS[] = {
    {"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/ptmx", "pts/ptmx"},
};

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < COUNT(OPTIONS); i++) {
        if (strcmp(OPTIONS[i].name, name) == 0)
            return &OPTIONS[i];
    }
    return NULL;
}

/* Plain names, then those of propagation, then what only this file knows. */
const char *oci_mount_option(size_t index)
{
    static const char *const OTHERS[] = {"bind", "rbind", "idmap", "ridmap", "tmpcopyup", "remount"};
    if (index < COUNT(OPTIONS))
        return OPTIONS[index].name;
    index -= COUNT(OPTIONS);
    if (index < COUNT(PROPAGATIONS))
        return PROPAGATIONS[index].name;
    index -= COUNT(PROPAGATIONS);
    return index < COUNT(OTHERS) ? OTHERS[index] : NULL;
}

bool oci_mount_option_has_recursive_form(const char *name)
{
    const struct option *option = find_option(name);
    return option != NULL && !option->not_bind && strcmp(name, "defaults") != 0;
}

uint64_t oci_propagation(const char *name)
{
    for (size_t i = 0; i < COUNT(PROPAGATIONS); i++) {
        if (strcmp(PROPAGATIONS[i].name, name) == 0)
            return PROPAGATIONS[i].flags;
    }
    return 0;
}

/* What a mount's options come to. */
struct options {
    bool bind, recursive;
    bool copy_up;
    bool remount;            /* what is mounted there by then is changed */
    bool id_map, id_map_all; /* "idmap"; "ridmap": for what is mounted below, too */
    uint64_t flags;
    struct plan_attributes attributes;
    struct buf data;
};

static void apply_option(const struct option *option, uint64_t *set, uint64_t *clear)
{
    *set = (*set & ~option->clear) | option->set;
    *clear = (*clear & ~option->set) | option->clear;
}

static int add_propagation(struct options *options, uint64_t flags, const char *where, struct err *err)
{
    size_t n = 0;
    while (n < PLAN_MAX_PROPAGATIONS && options->attributes.propagation[n] != 0)
        n++;
    if (n == PLAN_MAX_PROPAGATIONS)
        return err_set(err, ERR_INVALID, "the mount on '%s' has too many propagation options", where);
    options->attributes.propagation[n] = flags;
    return 0;
}

static int take_option(struct options *options, const char *name, const char *where, struct err *err)
{
    if (strcmp(name, "remount") == 0) {
        options->remount = true;
        return 0;
    }
    if (strcmp(name, "idmap") == 0 || strcmp(name, "ridmap") == 0) {
        options->id_map = true;
        options->id_map_all = name[0] == 'r';
        return 0;
    }
    if (strcmp(name, "tmpcopyup") == 0) {
        options->copy_up = true;
        return 0;
    }
    if (strcmp(name, "bind") == 0 || strcmp(name, "rbind") == 0) {
        options->bind = true;
        options->recursive = name[0] == 'r';
        return 0;
    }
    if (oci_propagation(name) != 0)
        return add_propagation(options, oci_propagation(name), where, err);
    const struct option *option = find_option(name);
    /* "rro": as "ro", for all that is mounted below too. */
    bool recursive = option == NULL && name[0] == 'r' && oci_mount_option_has_recursive_form(name + 1);
    const struct option *all = recursive ? find_option(name + 1) : NULL;
    if (option != NULL) {
        options->flags = (options->flags & ~option->unflag) | option->flag; /* the last one counts */
        apply_option(option, &options->attributes.set, &options->attributes.clear);
    } else if (all != NULL) {
        apply_option(all, &options->attributes.set_all, &options->attributes.clear_all);
    } else {
        buf_add_string(&options->data, options->data.size > 0 ? "," : "");
        buf_add_string(&options->data, name);
    }
    return 0;
}

static int take_options(struct options *options, const json_t *mount, struct err *err)
{
    size_t i;
    json_t *item;
    buf_add_string(&options->data, "");
    json_array_foreach(json_object_get(mount, "options"), i, item)
    {
        if (take_option(options, json_string_value(item), oci_text(mount, "destination"), err) < 0)
            return -1;
    }
    options->bind |= strcmp(oci_text(mount, "type"), "bind") == 0;
    return options->data.failed ? err_nomem(err, "writing a plan") : 0;
}

static int absolute(const struct oci_mounts_input *input, const char *path, char **ret, struct err *err)
{
    if (path[0] != '/' && input->bundle == NULL)
        return err_set(err, ERR_INVALID, "the path '%s' is not absolute", path);
    if (asprintf(ret, "%s%s%s", path[0] == '/' ? "" : input->bundle, path[0] == '/' ? "" : "/", path) < 0) {
        *ret = NULL;
        return err_nomem(err, "writing a plan");
    }
    return 0;
}

/* Mappings of its own, or else the container's (config.md, "mounts"). */
static int read_id_maps(const struct oci_mounts_input *input, const json_t *mount,
                        const struct options *options, struct buf maps[2], struct err *err)
{
    static const char *const MEMBERS[] = {"uidMappings", "gidMappings"};
    bool own = json_array_size(json_object_get(mount, MEMBERS[0])) > 0 ||
               json_array_size(json_object_get(mount, MEMBERS[1])) > 0;
    const json_t *from = own ? mount : json_object_get(input->config, "linux");
    for (size_t i = 0; i < 2 && (own || options->id_map); i++) {
        if (oci_ids(json_object_get(from, MEMBERS[i]), MEMBERS[i], &maps[i], err) < 0)
            return err_wrap(err, "the mount on '%s'", oci_text(mount, "destination"));
        if (maps[i].size == 0)
            return err_set(err, ERR_INVALID,
                           "the mount on '%s' is to be mapped: neither it nor 'linux' has '%s'",
                           oci_text(mount, "destination"), MEMBERS[i]);
        *input->ret_early = true;
    }
    return 0;
}

/* The file system's own options are for who mounts the file system: as mount(2) does, a bind mount takes no
 * notice of them. */
static int add_bind(const struct oci_mounts_input *input, struct buf *plan, const json_t *mount,
                    const struct options *options, struct err *err)
{
    const char *destination = oci_text(mount, "destination");
    auto_free char *source = NULL;
    struct buf maps[2] = {BUF_INIT, BUF_INIT};
    if (oci_text(mount, "source")[0] == '\0')
        return err_set(err, ERR_INVALID, "the bind mount on '%s' has no source", destination);
    int result = absolute(input, oci_text(mount, "source"), &source, err);
    if (result == 0)
        result = read_id_maps(input, mount, options, maps, err);
    if (result == 0)
        plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_BIND,
                                                .mode = options->id_map_all ? 1 : 0,
                                                .flags = options->recursive ? MS_REC : 0,
                                                .attributes = options->attributes,
                                                .path = destination,
                                                .a = source,
                                                .b = maps[0].data,
                                                .c = maps[1].data});
    buf_release(&maps[0]);
    buf_release(&maps[1]);
    return result;
}

/* v1: a small file system with a directory for each hierarchy, and links for the controllers that share one;
 * v2: the hierarchy itself. In each the container's own cgroup is the root: it is bound, or mounted from a
 * cgroup namespace of the container's own. (A process that is cloned into its cgroup just mounts cgroup2:
 * there is nothing to add then.) */
static int add_cgroups(const struct oci_mounts_input *input, struct buf *plan, const char *destination,
                       const struct options *options, struct err *err)
{
    char path[512], target[64];
    bool several = input->n_cgroups > 0 && input->cgroups[0].name[0] != '\0';
    struct plan_attributes read_only = {.set = options->attributes.set & MOUNT_ATTR_RDONLY};
    if (input->n_cgroups == 0)
        return err_set(err, ERR_INVALID, "the mount of the cgroups on '%s' is not supported here",
                       destination);
    if (several)
        plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_MOUNT,
                                                .flags = options->flags & ~(uint64_t)MS_RDONLY,
                                                .path = destination,
                                                .a = "tmpfs",
                                                .b = "mode=755",
                                                .c = "tmpfs"});
    for (size_t i = 0; i < input->n_cgroups; i++) {
        const struct oci_cgroup_dir *dir = &input->cgroups[i];
        snprintf(path, sizeof(path), "%s%s%s", destination, several ? "/" : "", dir->name);
        if (dir->path == NULL)
            plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_CGROUP,
                                                    .flags = options->flags,
                                                    .path = path,
                                                    .a = "cgroup",
                                                    .b = dir->names,
                                                    .c = "cgroup"});
        else
            plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_BIND,
                                                    .attributes = options->attributes,
                                                    .path = path,
                                                    .a = dir->path});
        for (const char *at = dir->names; strchr(dir->names, ',') != NULL && *at != '\0';) {
            size_t size = strcspn(at, ",");
            snprintf(path, sizeof(path), "%s/%.*s", destination, (int)size, at);
            snprintf(target, sizeof(target), "%s", dir->name);
            if (strlen(dir->name) != size || strncmp(at, dir->name, size) != 0)
                plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_SYMLINK, .path = path, .a = target});
            at += size;
            at += *at == ',';
        }
    }
    if (several && read_only.set != 0)
        plan_add_step(plan, &(struct plan_step){
                                .op = PLAN_OP_ATTRIBUTES, .attributes = read_only, .path = destination});
    return 0;
}

/* What is left of the attributes once mount(2) has seen the flags. */
static struct plan_attributes after_mount(const struct options *options)
{
    struct plan_attributes attributes = options->attributes;
    attributes.set = attributes.clear = 0;
    return attributes;
}

static int check_options(const struct options *options, const json_t *mount, struct err *err)
{
    const char *destination = oci_text(mount, "destination");
    bool mapped = options->id_map || json_array_size(json_object_get(mount, "uidMappings")) > 0 ||
                  json_array_size(json_object_get(mount, "gidMappings")) > 0;
    if (mapped && !options->bind)
        return err_set(err, ERR_INVALID, "the mount on '%s' cannot be mapped: only bind mounts are",
                       destination);
    if (options->remount && (mapped || options->copy_up))
        return err_set(err, ERR_INVALID, "the mount on '%s' is there: it can be neither mapped nor copied to",
                       destination);
    if (options->copy_up && strcmp(oci_text(mount, "type"), "tmpfs") != 0)
        return err_set(err, ERR_INVALID, "the option 'tmpcopyup' of the mount on '%s' is for a tmpfs",
                       destination);
    return 0;
}

/* SELinux labels what has no labels of its own; these have (mount(8), "context="). */
static void add_label(const struct oci_mounts_input *input, const char *type, struct options *options)
{
    static const char *const LABELLED[] = {"proc", "sysfs", "mqueue", "cgroup", "cgroup2"};
    const char *label = oci_text(json_object_get(input->config, "linux"), "mountLabel");
    for (size_t i = 0; i < COUNT(LABELLED); i++) {
        if (strcmp(LABELLED[i], type) == 0)
            return;
    }
    if (input->selinux && label[0] != '\0')
        buf_printf(&options->data, "%scontext=\"%s\"", options->data.size > 0 ? "," : "", label);
}

static bool is_dev(const char *destination)
{
    destination += destination[0] == '/';
    return strcmp(destination, "dev") == 0 || strcmp(destination, "dev/") == 0;
}

/* A new file system. Devices are still to be made in /dev, and files to be copied into a tmpfs: these become
 * read-only afterwards. */
static void add_file_system(struct buf *plan, const json_t *mount, const struct options *options)
{
    const char *destination = oci_text(mount, "destination"), *type = oci_text(mount, "type");
    const char *source = oci_text(mount, "source");
    struct plan_step step = {.op = options->copy_up ? PLAN_OP_COPY_UP : PLAN_OP_MOUNT,
                             .flags = options->flags,
                             .attributes = after_mount(options),
                             .path = destination,
                             .a = type,
                             .b = options->data.data,
                             .c = source[0] == '\0' ? type : source};
    if (is_dev(destination) || options->copy_up)
        step.flags &= ~(uint64_t)MS_RDONLY;
    if (options->copy_up && !is_dev(destination))
        step.attributes.set = options->attributes.set & MOUNT_ATTR_RDONLY;
    plan_add_step(plan, &step);
}

/* mount(2): with "bind" this mount alone, else its file system. */
static void add_remount(struct buf *plan, const json_t *mount, const struct options *options)
{
    plan_add_step(
        plan, &(struct plan_step){.op = options->bind ? PLAN_OP_ATTRIBUTES : PLAN_OP_MOUNT,
                                  .flags = options->bind ? 0 : options->flags | MS_REMOUNT,
                                  .attributes = options->bind ? options->attributes : after_mount(options),
                                  .path = oci_text(mount, "destination"),
                                  .a = options->bind ? "" : oci_text(mount, "type"),
                                  .b = options->bind ? "" : options->data.data,
                                  .c = options->bind ? "" : oci_text(mount, "source")});
}

static int add_absolute_mount(const struct oci_mounts_input *input, struct buf *plan, const json_t *mount,
                              struct err *err)
{
    const char *destination = oci_text(mount, "destination"), *type = oci_text(mount, "type");
    struct options options = {.data = BUF_INIT};
    int result = take_options(&options, mount, err);
    if (result == 0)
        result = check_options(&options, mount, err);
    if (result == 0 && options.remount) {
        add_remount(plan, mount, &options);
    } else if (result == 0 && options.bind) {
        result = add_bind(input, plan, mount, &options, err);
    } else if (result == 0 &&
               (strcmp(type, "cgroup") == 0 || (strcmp(type, "cgroup2") == 0 && input->n_cgroups > 0))) {
        result = add_cgroups(input, plan, destination, &options, err);
    } else if (result == 0 && type[0] == '\0') {
        result = err_set(err, ERR_INVALID, "the mount on '%s' has no type", destination);
    } else if (result == 0) {
        add_label(input, type, &options);
        add_file_system(plan, mount, &options);
    }
    buf_release(&options.data);
    return result;
}

/* A destination that is not absolute is old, and begins at the root (config.md, "Mounts"). */
static int add_mount(const struct oci_mounts_input *input, struct buf *plan, const json_t *mount,
                     struct err *err)
{
    const char *destination = oci_text(mount, "destination");
    if (destination[0] == '/')
        return add_absolute_mount(input, plan, mount, err);
    if (destination[0] == '\0')
        return err_set(err, ERR_INVALID, "the destination of a mount is empty");
    json_auto_t *absolute = json_copy((json_t *)(uintptr_t)mount);
    if (absolute == NULL ||
        json_object_set_new(absolute, "destination", json_sprintf("/%s", destination)) < 0)
        return err_nomem(err, "writing a plan");
    return add_absolute_mount(input, plan, absolute, err);
}

static void add_default_devices(struct buf *plan)
{
    for (size_t i = 0; i < COUNT(DEVICES); i++)
        plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_MKNOD,
                                                .mode = S_IFCHR | 0666,
                                                .dev = makedev(DEVICES[i].major, DEVICES[i].minor),
                                                .path = DEVICES[i].path});
    for (size_t i = 0; i < COUNT(LINKS); i++)
        plan_add_step(
            plan, &(struct plan_step){.op = PLAN_OP_SYMLINK, .path = LINKS[i].path, .a = LINKS[i].target});
}

static bool is_default_device(const char *path)
{
    for (size_t i = 0; i < COUNT(DEVICES); i++) {
        if (strcmp(DEVICES[i].path, path) == 0)
            return true;
    }
    return strcmp(path, "/dev/ptmx") == 0 || strcmp(path, "/dev/console") == 0;
}

static int add_device(struct buf *plan, const json_t *device, struct err *err)
{
    static const struct {
        char name;
        uint32_t mode;
    } TYPES[] = {{'c', S_IFCHR}, {'u', S_IFCHR}, {'b', S_IFBLK}, {'p', S_IFIFO}};
    const char *path = oci_text(device, "path"), *type = oci_text(device, "type");
    const json_t *mode = json_object_get(device, "fileMode");
    size_t at = 0;
    while (at < COUNT(TYPES) && (type[0] != TYPES[at].name || type[1] != '\0'))
        at++;
    if (path[0] != '/' || at == COUNT(TYPES))
        return err_set(err, ERR_INVALID,
                       "the device '%s' of the type '%s' must have an absolute path and be c, u, b or p",
                       path, type);
    if (TYPES[at].mode != S_IFIFO &&
        (json_object_get(device, "major") == NULL || json_object_get(device, "minor") == NULL))
        return err_set(err, ERR_INVALID, "the device '%s' has no major or minor number", path);
    if (is_default_device(path)) /* they are there already (config-linux.md, "Default Devices") */
        return 0;
    unsigned major = (unsigned)oci_number(device, "major"), minor = (unsigned)oci_number(device, "minor");
    plan_add_step(
        plan, &(struct plan_step){.op = PLAN_OP_MKNOD,
                                  .mode = TYPES[at].mode |
                                          (mode == NULL ? 0666 : (uint32_t)json_integer_value(mode) & 07777),
                                  .dev = TYPES[at].mode == S_IFIFO ? 0 : makedev(major, minor),
                                  .uid = (uint32_t)oci_number(device, "uid"),
                                  .gid = (uint32_t)oci_number(device, "gid"),
                                  .path = path});
    return 0;
}

/* A /dev that comes from the host has what it has. */
static bool dev_is_bound(const json_t *config)
{
    size_t i, j;
    json_t *mount, *option;
    json_array_foreach(json_object_get(config, "mounts"), i, mount)
    {
        if (!is_dev(oci_text(mount, "destination")))
            continue;
        if (strcmp(oci_text(mount, "type"), "bind") == 0)
            return true;
        json_array_foreach(json_object_get(mount, "options"), j, option)
        {
            const char *name = json_string_value(option);
            if (strcmp(name, "bind") == 0 || strcmp(name, "rbind") == 0)
                return true;
        }
    }
    return false;
}

/* Once the devices are made, /dev may become read-only. */
static void close_dev(struct buf *plan, const json_t *config)
{
    size_t i, j;
    json_t *mount, *option;
    json_array_foreach(json_object_get(config, "mounts"), i, mount)
    {
        json_array_foreach(json_object_get(mount, "options"), j, option)
        {
            if (is_dev(oci_text(mount, "destination")) && strcmp(json_string_value(option), "ro") == 0)
                plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_ATTRIBUTES,
                                                        .attributes = {.set = MOUNT_ATTR_RDONLY},
                                                        .path = "/dev"});
        }
    }
}

static int add_devices(struct buf *plan, const json_t *config, struct err *err)
{
    size_t i;
    json_t *device;
    if (dev_is_bound(config))
        return 0;
    add_default_devices(plan);
    json_array_foreach(json_object_get(json_object_get(config, "linux"), "devices"), i, device)
    {
        if (add_device(plan, device, err) < 0)
            return -1;
    }
    close_dev(plan, config);
    return 0;
}

static int add_paths(struct buf *plan, enum plan_op op, const json_t *list, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *path = json_string_value(item);
        if (path == NULL || path[0] != '/')
            return err_set(err, ERR_INVALID, "the path '%s' to hide or protect is not absolute",
                           path == NULL ? "" : path);
        plan_add_step(plan, &(struct plan_step){.op = op, .path = path});
    }
    return 0;
}

/* One lower layer, which is named beside the options for who has to map its ids. */
static int add_overlay(struct buf *plan, const char *options, struct err *err)
{
    const char *lower = strstr(options, "lowerdir=");
    auto_free char *path = lower == NULL ? strdup("") : strdup(lower + strlen("lowerdir="));
    if (path == NULL)
        return err_nomem(err, "writing a plan");
    path[strcspn(path, ",")] = '\0';
    plan_add_step(
        plan, &(struct plan_step){.op = PLAN_OP_OVERLAY_ROOT, .flags = MS_NODEV, .a = path, .b = options});
    return 0;
}

static int add_root(const struct oci_mounts_input *input, struct buf *plan, struct err *err)
{
    const char *overlay = oci_text(json_object_get(input->config, "annotations"), "io.wharf.overlay");
    auto_free char *path = NULL;
    if (input->bundle == NULL) {
        if (overlay[0] == '\0')
            return err_set(err, ERR_INVALID, "the annotation 'io.wharf.overlay' is missing");
        return add_overlay(plan, overlay, err);
    }
    if (absolute(input, oci_text(json_object_get(input->config, "root"), "path"), &path, err) < 0)
        return -1;
    plan_add_step(plan, &(struct plan_step){.op = PLAN_OP_BIND_ROOT, .a = path});
    return 0;
}

int oci_mounts(const struct oci_mounts_input *input, struct buf *plan, struct err *err)
{
    const json_t *section = json_object_get(input->config, "linux");
    size_t i;
    json_t *mount;
    if (add_root(input, plan, err) < 0)
        return -1;
    json_array_foreach(json_object_get(input->config, "mounts"), i, mount)
    {
        if (add_mount(input, plan, mount, err) < 0)
            return -1;
    }
    if (add_devices(plan, input->config, err) < 0 ||
        add_paths(plan, PLAN_OP_MASK, json_object_get(section, "maskedPaths"), err) < 0)
        return -1;
    return add_paths(plan, PLAN_OP_READ_ONLY, json_object_get(section, "readonlyPaths"), err);
}
