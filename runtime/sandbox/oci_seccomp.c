/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/oci_seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/sandbox/oci_json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *name;
    uint32_t action;
} ACTIONS[] = {
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
};

static const struct {
    const char *name;
    enum scmp_compare op;
} OPERATORS[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

static const struct {
    const char *name;
    uint32_t flag;
} FLAGS[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", 0}, /* one thread: nothing to synchronise */
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

const char *oci_seccomp_action(size_t index)
{
    return index < COUNT(ACTIONS) ? ACTIONS[index].name : NULL;
}

const char *oci_seccomp_operator(size_t index)
{
    return index < COUNT(OPERATORS) ? OPERATORS[index].name : NULL;
}

const char *oci_seccomp_flag(size_t index)
{
    return index < COUNT(FLAGS) ? FLAGS[index].name : NULL;
}

static void release_filter(const scmp_filter_ctx *filter)
{
    if (*filter != NULL)
        seccomp_release(*filter);
}

/* An errno, where the action takes one, is EPERM unless the config says otherwise (config-linux.md). */
static int read_action(const char *name, const json_t *errno_ret, uint32_t *ret, struct err *err)
{
    size_t at = 0;
    while (at < COUNT(ACTIONS) && strcmp(ACTIONS[at].name, name) != 0)
        at++;
    if (at == COUNT(ACTIONS))
        return err_set(err, ERR_INVALID, "the action '%s' of a system call filter is not supported", name);
    json_int_t value = errno_ret == NULL ? EPERM : json_integer_value(errno_ret);
    bool takes_errno = ACTIONS[at].action == SCMP_ACT_ERRNO(0) || ACTIONS[at].action == SCMP_ACT_TRACE(0);
    if (errno_ret != NULL && !takes_errno)
        return err_set(err, ERR_INVALID, "the action '%s' of a system call filter takes no errno", name);
    if (value < 0 || value > 4095)
        return err_set(err, ERR_INVALID, "the errno %lld of a system call filter is out of range",
                       (long long)value);
    *ret = ACTIONS[at].action | (takes_errno ? (uint32_t)value : 0u);
    return 0;
}

static int read_comparison(const json_t *arg, struct scmp_arg_cmp *ret, struct err *err)
{
    const char *op = oci_text(arg, "op");
    int64_t index = oci_number(arg, "index");
    size_t at = 0;
    while (at < COUNT(OPERATORS) && strcmp(OPERATORS[at].name, op) != 0)
        at++;
    if (at == COUNT(OPERATORS) || index < 0 || index > 5)
        return err_set(err, ERR_INVALID, "a system call filter compares argument %lld by '%s'",
                       (long long)index, op);
    /* For a masked comparison `value` is the mask, and `valueTwo` what is compared with, as in libseccomp. */
    *ret = (struct scmp_arg_cmp){.arg = (unsigned)index,
                                 .op = OPERATORS[at].op,
                                 .datum_a = (scmp_datum_t)oci_number(arg, "value"),
                                 .datum_b = (scmp_datum_t)oci_number(arg, "valueTwo")};
    return 0;
}

/* Several comparisons of one argument cannot be one rule of libseccomp; runc and crun make a rule of each
 * then, any of which suffices, and profiles are written for that. */
static bool compares_twice(const struct scmp_arg_cmp *comparisons, unsigned n)
{
    unsigned seen = 0;
    for (unsigned i = 0; i < n; i++) {
        if ((seen >> comparisons[i].arg & 1) != 0)
            return true;
        seen |= 1u << comparisons[i].arg;
    }
    return false;
}

static int add_rule(scmp_filter_ctx filter, uint32_t action, const char *name,
                    const struct scmp_arg_cmp *comparisons, unsigned n, struct err *err)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr == __NR_SCMP_ERROR) /* newer than libseccomp, or of another machine */
        return 0;
    bool apart = compares_twice(comparisons, n);
    for (unsigned i = 0; i < (apart ? n : 1); i++) {
        int result = seccomp_rule_add_array(filter, action, nr, apart ? 1 : n, comparisons + i);
        if (result < 0 && result != -EEXIST)
            return err_sys(err, -result, "cannot filter the system call '%s'", name);
    }
    return 0;
}

static int add_syscalls(scmp_filter_ctx filter, uint32_t default_action, const json_t *entry, struct err *err)
{
    struct scmp_arg_cmp comparisons[6] = {0};
    const json_t *args = json_object_get(entry, "args");
    uint32_t action;
    size_t i;
    json_t *item;
    if (read_action(oci_text(entry, "action"), json_object_get(entry, "errnoRet"), &action, err) < 0)
        return -1;
    if (json_array_size(args) > COUNT(comparisons))
        return err_set(err, ERR_INVALID, "a system call filter compares more than six arguments");
    json_array_foreach(args, i, item)
    {
        if (read_comparison(item, &comparisons[i], err) < 0)
            return -1;
    }
    if (action == default_action) /* libseccomp refuses what changes nothing */
        return 0;
    json_array_foreach(json_object_get(entry, "names"), i, item)
    {
        if (add_rule(filter, action, json_string_value(item), comparisons, (unsigned)json_array_size(args),
                     err) < 0)
            return -1;
    }
    return 0;
}

static int add_architectures(scmp_filter_ctx filter, const json_t *list, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        char lower[32];
        size_t size = 0;
        if (strncmp(name, "SCMP_ARCH_", 10) == 0) {
            for (const char *at = name + 10; *at != '\0' && size + 1 < sizeof(lower); at++)
                lower[size++] = (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
        }
        lower[size] = '\0';
        uint32_t arch = seccomp_arch_resolve_name(lower);
        if (arch == 0)
            return err_set(err, ERR_INVALID, "the architecture '%s' of a system call filter is not known",
                           name);
        int result = seccomp_arch_add(filter, arch);
        if (result < 0 && result != -EEXIST)
            return err_sys(err, -result, "cannot filter system calls of '%s'", name);
    }
    return 0;
}

static int read_flags(const json_t *list, uint32_t *ret, struct err *err)
{
    size_t i, at;
    json_t *item;
    *ret = 0;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        for (at = 0; at < COUNT(FLAGS) && strcmp(FLAGS[at].name, name) != 0; at++)
            ;
        if (at == COUNT(FLAGS))
            return err_set(err, ERR_INVALID, "the flag '%s' of a system call filter is not supported", name);
        *ret |= FLAGS[at].flag;
    }
    return 0;
}

bool oci_seccomp_notifies(const json_t *section)
{
    size_t i;
    json_t *entry;
    bool notifies = strcmp(oci_text(section, "defaultAction"), "SCMP_ACT_NOTIFY") == 0;
    json_array_foreach(json_object_get(section, "syscalls"), i, entry)
    {
        notifies |= strcmp(oci_text(entry, "action"), "SCMP_ACT_NOTIFY") == 0;
    }
    return notifies;
}

/* The kernel takes the flag of the notifications only with a listener (seccomp(2)). */
static int check_listener(const json_t *section, uint32_t flags, bool *ret, struct err *err)
{
    *ret = oci_seccomp_notifies(section);
    const char *path = oci_text(section, "listenerPath");
    if (*ret && path[0] != '/')
        return err_set(err, ERR_INVALID,
                       "SCMP_ACT_NOTIFY needs an absolute 'linux.seccomp.listenerPath', not '%s'", path);
    if (!*ret && (flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) != 0)
        return err_set(err, ERR_INVALID,
                       "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is for filters with SCMP_ACT_NOTIFY");
    return 0;
}

static int export_program(scmp_filter_ctx filter, struct buf *ret, struct err *err)
{
    auto_fd int fd = memfd_create("filter", MFD_CLOEXEC);
    struct stat st;
    int result = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
    if (result < 0 || fstat(fd, &st) < 0)
        return err_sys(err, result < 0 ? -result : errno, "cannot build the system call filter");
    void *to = buf_reserve(ret, (size_t)st.st_size);
    if (to == NULL)
        return err_nomem(err, "building the system call filter");
    if (pread(fd, to, (size_t)st.st_size, 0) != st.st_size)
        return err_sys(err, errno, "cannot read the system call filter");
    ret->size += (size_t)st.st_size;
    return 0;
}

int oci_seccomp(const json_t *section, struct buf *ret, uint32_t *ret_flags, bool *ret_notifies,
                struct err *err)
{
    uint32_t action;
    size_t i;
    json_t *entry;
    if (read_action(oci_text(section, "defaultAction"), json_object_get(section, "defaultErrnoRet"), &action,
                    err) < 0 ||
        read_flags(json_object_get(section, "flags"), ret_flags, err) < 0 ||
        check_listener(section, *ret_flags, ret_notifies, err) < 0)
        return -1;
    __attribute__((cleanup(release_filter))) scmp_filter_ctx filter = seccomp_init(action);
    if (filter == NULL)
        return err_nomem(err, "building the system call filter");
    /* Whether there are to be new privileges is for the config to say, not for libseccomp. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (add_architectures(filter, json_object_get(section, "architectures"), err) < 0)
        return -1;
    json_array_foreach(json_object_get(section, "syscalls"), i, entry)
    {
        if (add_syscalls(filter, action, entry, err) < 0)
            return -1;
    }
    return export_program(filter, ret, err);
}
