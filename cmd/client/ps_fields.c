/* SPDX-License-Identifier: Apache-2.0 */
/* docker's fields of `ps --format`, and a few of our own. */
#include "cmd/client/ps_fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/client/api.h"
#include "cmd/client/listing.h"
#include "cmd/client/values.h"

static const json_t *spec_of(const json_t *row)
{
    return json_object_get(row, "spec");
}

static void add_id(struct buf *ret, const json_t *row, const char *argument, const struct template_look *look)
{
    (void)argument;
    buf_printf(ret, "%.*s", look->whole ? 64 : 12, json_text(row, "id", ""));
}

static void add_command(struct buf *ret, const json_t *row, const char *argument,
                        const struct template_look *look)
{
    (void)argument;
    auto_free char *command = listing_command(row, look->whole);
    buf_add_string(ret, command != NULL ? command : "");
}

static void add_created(struct buf *ret, const json_t *row, const char *argument,
                        const struct template_look *look)
{
    (void)argument;
    (void)look;
    template_add_time(ret, row, "created_at");
}

static void add_age(struct buf *ret, const json_t *row, const char *argument,
                    const struct template_look *look)
{
    (void)argument;
    char age[72];
    listing_age(age, sizeof(age), row, "created_at", look->now_ns);
    buf_add_string(ret, age);
}

static void add_status(struct buf *ret, const json_t *row, const char *argument,
                       const struct template_look *look)
{
    (void)argument;
    char status[160];
    listing_status(status, sizeof(status), row, look->now_ns);
    buf_add_string(ret, status);
}

static void add_labels(struct buf *ret, const json_t *row, const char *argument,
                       const struct template_look *look)
{
    (void)look;
    template_add_labels(ret, json_object_get(row, "labels"), argument);
}

/* Volumes by their names, and what is bound by its source. */
static void add_sources(struct buf *ret, const json_t *row, bool bound)
{
    size_t i, n = 0;
    const json_t *mount;
    json_array_foreach(json_object_get(spec_of(row), "mounts"), i, mount)
    {
        const char *source = json_text(mount, "source", "");
        if (source[0] == '\0' || (!bound && strcmp(json_text(mount, "type", ""), "volume") != 0))
            continue;
        buf_printf(ret, "%s%s", n++ > 0 ? "," : "", source);
    }
}

static void add_mounts(struct buf *ret, const json_t *row, const char *argument,
                       const struct template_look *look)
{
    (void)argument;
    (void)look;
    add_sources(ret, row, true);
}

static void add_volumes(struct buf *ret, const json_t *row, const char *argument,
                        const struct template_look *look)
{
    (void)argument;
    (void)look;
    add_sources(ret, row, false);
}

/* docker's words: "12B (virtual 1.98MB)". */
static void add_size(struct buf *ret, const json_t *row, const char *argument,
                     const struct template_look *look)
{
    (void)argument;
    (void)look;
    const json_t *written = json_object_get(row, "size_bytes"), *image = json_object_get(row, "image_bytes");
    char size[32], whole[32];
    if (!json_is_integer(written))
        return;
    value_format_size(size, json_integer_value(written));
    value_format_size(whole, json_integer_value(written) + json_integer_value(image));
    buf_printf(ret, json_is_integer(image) ? "%s (virtual %s)" : "%s", size, whole);
}

static void add_network(struct buf *ret, const json_t *row, const char *argument,
                        const struct template_look *look)
{
    (void)argument;
    (void)look;
    buf_add_string(ret, json_text(spec_of(row), "network", "none"));
}

#define FIELD(name_, title_, ...)                                                                            \
    {                                                                                                        \
        .name = name_, .title = title_, __VA_ARGS__                                                          \
    }

const struct template_field ps_fields[] = {
    FIELD("ID", "CONTAINER ID", .value = add_id),
    FIELD("Names", "NAMES", .member = "name"),
    FIELD("Image", "IMAGE", .member = "image"),
    FIELD("Command", "COMMAND", .value = add_command),
    FIELD("CreatedAt", "CREATED AT", .value = add_created),
    FIELD("RunningFor", "CREATED", .value = add_age),
    FIELD("Status", "STATUS", .value = add_status),
    FIELD("State", "STATE", .member = "state"),
    FIELD("Size", "SIZE", .value = add_size),
    FIELD("Ports", "PORTS", .member = "ports"), /* there are none yet */
    FIELD("Labels", "LABELS", .value = add_labels),
    FIELD("Label", "LABEL", .value = add_labels, .takes_argument = true),
    FIELD("Mounts", "MOUNTS", .value = add_mounts),
    FIELD("LocalVolumes", "LOCAL VOLUMES", .value = add_volumes),
    FIELD("Networks", "NETWORKS", .value = add_network),
    FIELD("Health", "HEALTH", .member = "health"),
    FIELD("Node", "NODE", .member = "node"),
    FIELD("Pid", "PID", .member = "pid"),
    FIELD("ExitCode", "EXIT CODE", .member = "exit_code"),
    {.name = NULL},
};
