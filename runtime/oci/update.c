/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update: the cgroups first, all or nothing, and then the saved configuration, which says what was asked for
 * last. Cut off between the two, the same update again makes both agree.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/oci/cgroups.h"
#include "runtime/oci/limits.h"
#include "runtime/oci/oci.h"
#include "runtime/oci/report.h"
#include "runtime/oci/resources.h"
#include "runtime/oci/state.h"
#include "runtime/sandbox/oci_json.h"

#define RESOURCES_LIMIT (1u << 20)
#define REPORTED_LIMITS 4096

static int read_standard_input(struct buf *ret, struct err *err)
{
    char chunk[4096];
    ssize_t n;
    while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno != EINTR)
            return err_sys(err, errno, "cannot read the resources from the standard input");
        if (n > 0)
            buf_add(ret, chunk, (size_t)n);
        if (ret->size > RESOURCES_LIMIT)
            return err_set(err, ERR_TOO_LARGE, "the resources have more than %u bytes", RESOURCES_LIMIT);
    }
    return ret->failed ? err_nomem(err, "reading the resources") : 0;
}

static int read_given(const char *path, json_t **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *file = NULL;
    size_t size = 0;
    json_error_t error;
    if (path == NULL) {
        *ret = json_object();
        return *ret == NULL ? err_nomem(err, "reading the resources") : 0;
    }
    bool input = strcmp(path, "-") == 0;
    if (input ? read_standard_input(&text, err) < 0
              : fs_read_file(AT_FDCWD, path, RESOURCES_LIMIT, &file, &size, err) < 0)
        return -1;
    *ret = input ? json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error)
                 : json_loadb(file, size, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(*ret))
        return 0;
    return err_set(err, ERR_INVALID, "'%s' is no JSON object with resources: line %d: %s",
                   input ? "standard input" : path, *ret == NULL ? error.line : 1,
                   *ret == NULL ? error.text : "something else");
}

static bool is_device_rule(const json_t *value)
{
    return strcmp(json_string_value(json_array_get(value, 0)), "devices") == 0;
}

/* What oci_resources gives a new container on top of what the config says is there already. */
static void drop_device_rules(json_t *values)
{
    for (size_t i = json_array_size(values); i > 0; i--) {
        if (is_device_rule(json_array_get(values, i - 1)))
            json_array_remove(values, i - 1);
    }
}

static const json_t *memory_of(const json_t *resources, const char *member)
{
    return json_object_get(json_object_get(resources, "memory"), member);
}

/* `checkBeforeUpdate` (config-linux.md, "Memory"): v1 refuses by itself a limit below what is in use, and v2
 * would kill for it. */
static int check_usage(const struct oci_cgroups *cgroups, const json_t *before, const json_t *changed,
                       struct err *err)
{
    const json_t *check = memory_of(changed, "checkBeforeUpdate");
    json_int_t limit = json_integer_value(memory_of(changed, "limit"));
    auto_free char *text = NULL;
    if (check == NULL)
        check = memory_of(before, "checkBeforeUpdate");
    if (!cgroups->v2 || !json_is_true(check) || limit <= 0)
        return 0;
    if (fs_read_file(cgroups->items[0].fd, "memory.current", 64, &text, NULL, err) < 0)
        return -1;
    long long used = strtoll(text, NULL, 10);
    if (used <= limit)
        return 0;
    return err_set(err, ERR_CONFLICT, "'linux.resources.memory.limit': %lld bytes are in use, more than %lld",
                   used, (long long)limit);
}

static int change_cgroups(const struct oci_container *container, const json_t *config, const json_t *changed,
                          struct err *err)
{
    struct oci_cgroups cgroups;
    const char *path = oci_text(json_object_get(config, "linux"), "cgroupsPath");
    if (oci_cgroups_plan(&cgroups, path, container->id, err) < 0)
        return -1;
    json_auto_t *values = oci_resources(changed, cgroups.v2, err);
    if (values == NULL)
        return -1;
    drop_device_rules(values);
    const json_t *before = json_object_get(json_object_get(config, "linux"), "resources");
    int result = oci_cgroups_make(&cgroups, err);
    if (result == 0)
        result = check_usage(&cgroups, before, changed, err);
    if (result == 0)
        result = oci_cgroups_update(&cgroups, values, err);
    oci_cgroups_close(&cgroups);
    return result;
}

/* Member by member: what is not given stays. */
static int save(const struct oci_container *container, json_t *config, const json_t *changed, struct err *err)
{
    json_t *section = json_object_get(config, "linux");
    json_t *resources = json_object_get(section, "resources");
    if (resources == NULL && json_object_set_new(section, "resources", json_object()) == 0)
        resources = json_object_get(section, "resources");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)changed, name, value)
    {
        json_t *old = json_object_get(resources, name);
        if ((json_is_object(old) && json_is_object(value) ? json_object_update(old, value)
                                                          : json_object_set(resources, name, value)) < 0)
            return err_nomem(err, "saving the configuration");
    }
    auto_free char *text = json_dumps(config, JSON_COMPACT);
    if (text == NULL)
        return err_nomem(err, "saving the configuration");
    return fs_write_file(container->dir_fd, "config.json", 0600, text, strlen(text), false, err);
}

/* The writer takes no report of any size. */
static void report_limits(struct oci_report *report, const json_t *changed)
{
    auto_free char *text = json_dumps(changed, JSON_COMPACT | JSON_SORT_KEYS);
    if (text != NULL && strlen(text) <= REPORTED_LIMITS)
        oci_report_set(report, "limits", json_string(text));
}

static int update(const struct oci_options *options, const char *id, struct oci_report *report,
                  struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    json_auto_t *given = NULL;
    if (read_given(options->resources, &given, err) < 0 || oci_limits(&options->limits, given, err) < 0 ||
        oci_container_open(&container, options->root, id, true, err) < 0)
        return -1;
    enum oci_status status = oci_container_status(&container);
    if (status == OCI_STOPPED || status == OCI_CREATING)
        return err_set(err, ERR_CONFLICT, "cannot update the container '%s': it is not running but %s", id,
                       oci_status_name(status));
    json_auto_t *config = oci_container_config(&container, err);
    if (config == NULL)
        return -1;
    const json_t *before = json_object_get(json_object_get(config, "linux"), "resources");
    json_auto_t *changed = oci_limits_changed(given, before, err);
    if (changed == NULL || change_cgroups(&container, config, changed, err) < 0)
        return -1;
    report_limits(report, changed);
    return save(&container, config, changed, err);
}

int oci_update(const struct oci_options *options, const char *id, struct err *err)
{
    struct oci_report report;
    oci_report_begin(&report, options, "update", id);
    return oci_report_end(&report, "updated", update(options, id, &report, err), err);
}
