/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a former runtime left, from the disk and the cgroups: every container directory and every cgroup below
 * our parents is one observation. Running shims are adopted on the spot.
 */
#include "runtime/host_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

struct observations {
    struct host *host;
    struct host_observation *items;
    size_t n;
    size_t capacity;
};

static struct host_observation *find(const struct observations *all, const char *id)
{
    for (size_t i = 0; i < all->n; i++) {
        if (all->items[i].exec_id[0] == '\0' && strcmp(all->items[i].container_id, id) == 0)
            return &all->items[i];
    }
    return NULL;
}

static struct host_observation *add(struct observations *all, const char *id)
{
    if (all->n == all->capacity) {
        size_t capacity = all->capacity == 0 ? 64 : all->capacity * 2;
        struct host_observation *items = realloc(all->items, capacity * sizeof(*items));
        if (items == NULL)
            return NULL;
        all->items = items;
        all->capacity = capacity;
    }
    struct host_observation *item = &all->items[all->n++];
    *item = (struct host_observation){.found = HOST_INTERRUPTED, .command_offset = -1, .paused = -1};
    snprintf(item->container_id, sizeof(item->container_id), "%s", id);
    return item;
}

struct intent {
    char exec_of[CONTAINER_ID_SIZE]; /* "" for a container's own */
    int64_t incarnation;
    int64_t command_offset;
    bool this_boot;
};

/* A missing or damaged intent is an incarnation 0 that no boot knows. */
static struct intent read_intent(const struct host *host, int dir_fd)
{
    struct intent intent = {.command_offset = -1};
    auto_free char *text = NULL;
    size_t size = 0;
    if (fs_read_file(dir_fd, "launch.json", 4096, &text, &size, NULL) < 0)
        return intent;
    json_auto_t *document = json_loadb(text, size, 0, NULL);
    const json_t *offset = json_object_get(document, "command_offset");
    const char *boot_id = json_string_value(json_object_get(document, "boot_id"));
    intent.incarnation = json_integer_value(json_object_get(document, "incarnation"));
    intent.command_offset = json_is_integer(offset) ? json_integer_value(offset) : -1;
    const char *exec_of = json_string_value(json_object_get(document, "exec_of"));
    if (exec_of != NULL && container_id_is_valid(exec_of))
        memcpy(intent.exec_of, exec_of, sizeof(intent.exec_of));
    intent.this_boot = boot_id != NULL && strcmp(boot_id, host->boot_id) == 0;
    return intent;
}

static bool is_paused(const struct host *host, const char *container_id)
{
    struct host_cgroup cgroup;
    host_cgroup_open(host, container_id, &cgroup);
    bool paused = cgroup_is_frozen(cgroup.layout, cgroup.name);
    host_cgroup_close(&cgroup);
    return paused;
}

static int adopt(struct host *host, struct host_observation *item, struct host_container *container,
                 const struct shim_record *record, int dir_fd, int shim_fd, struct err *err)
{
    item->found = HOST_RUNNING;
    snprintf(item->what, sizeof(item->what), "shim %lld and process %lld running",
             (long long)record->shim_pid, (long long)record->pid);
    if (host->look_only) {
        close(shim_fd);
        return 0;
    }
    container->record = *record;
    if (container->exec_of[0] == '\0') {
        host_commit_undo(host, item->container_id, dir_fd);
        item->paused = is_paused(host, item->container_id) ? 1 : 0;
    }
    return host_watch_begin(host, container, shim_fd, false, err);
}

static void remember_exit(struct host *host, const struct host_observation *item,
                          struct host_container *container, const struct shim_record *record)
{
    container->record = *record;
    container->exit = item->exit;
    container->state = HOST_CONTAINER_EXITED;
    if (!host->look_only)
        host_cleanup_begin(host, container);
}

/* Dead without a record: lost in this boot, or ended by the host's end. */
static void classify_unseen(struct host *host, struct host_observation *item,
                            struct host_container *container, const struct shim_record *record)
{
    bool this_boot = strcmp(record->boot_id, host->boot_id) == 0;
    item->found = this_boot ? HOST_LOST : HOST_HOST_RESTARTED;
    host_exit_unseen(&item->exit, container, record->incarnation, this_boot ? "shim-lost" : "host-restart");
    if (this_boot)
        snprintf(item->exit.observed, sizeof(item->exit.observed),
                 "shim %lld and process %lld are gone and left no exit record", (long long)record->shim_pid,
                 (long long)record->pid);
    else
        snprintf(item->exit.observed, sizeof(item->exit.observed), "started in boot %s, now boot %s",
                 record->boot_id, host->boot_id);
    snprintf(item->what, sizeof(item->what), "%s", item->exit.observed);
    remember_exit(host, item, container, record);
}

/* By the records of its shim, if it has any. */
static int classify_records(struct host *host, struct host_observation *item,
                            struct host_container *container, int dir_fd, struct err *err)
{
    struct shim_record record;
    struct exit_record exit;
    bool has_exit = host_read_exit_record(dir_fd, 0, &exit);
    if (!host_read_shim_record(dir_fd, &record) && !has_exit) {
        snprintf(item->what, sizeof(item->what),
                 item->incarnation > 0 ? "files of a start that was not completed" : "files");
        return 0;
    }
    if (!host_read_shim_record(dir_fd, &record))
        record = (struct shim_record){.incarnation = exit.incarnation,
                                      .shim_pid = exit.shim_pid,
                                      .pid = exit.pid,
                                      .started_at_ns = exit.started_at_ns};
    item->incarnation = record.incarnation;
    item->pid = record.pid;
    item->shim_pid = record.shim_pid;
    item->started_at_ns = record.started_at_ns;
    if (has_exit && exit.incarnation == record.incarnation) {
        item->found = HOST_EXITED;
        host_exit_from_record(&item->exit, container, &exit);
        snprintf(item->what, sizeof(item->what), "exit record of incarnation %lld",
                 (long long)exit.incarnation);
        remember_exit(host, item, container, &record);
        return 0;
    }
    int shim_fd = strcmp(record.boot_id, host->boot_id) == 0 ? host_open_shim(&record) : -1;
    if (shim_fd >= 0)
        return adopt(host, item, container, &record, dir_fd, shim_fd, err);
    /* It may have written its record and ended between the two looks. */
    if (host_read_exit_record(dir_fd, record.incarnation, &exit)) {
        item->found = HOST_EXITED;
        host_exit_from_record(&item->exit, container, &exit);
        remember_exit(host, item, container, &record);
        return 0;
    }
    /* Or found that the command cannot be executed, and taken everything back. */
    if (!host_read_shim_record(dir_fd, &record))
        snprintf(item->what, sizeof(item->what), "files of a start that was not completed");
    else
        classify_unseen(host, item, container, &record);
    return 0;
}

static int classify(struct host *host, struct host_observation *item, int dir_fd, struct err *err)
{
    int newer = host_newer_records(dir_fd);
    if (newer != 0)
        return err_set(
            err, ERR_INVALID,
            "container '%.12s' was started by a newer wharf (its record has version %d, this build "
            "knows up to %d): start the newer runtime",
            item->container_id, newer, RECORD_VERSION);
    struct intent intent = read_intent(host, dir_fd);
    struct host_container *container = host_container_get(host, item->container_id);
    if (container == NULL)
        return err_nomem(err, "observing a container");
    item->incarnation = intent.incarnation;
    item->command_offset = intent.command_offset;
    if (intent.exec_of[0] != '\0') {
        memcpy(container->exec_of, intent.exec_of, sizeof(container->exec_of));
        memcpy(item->exec_id, item->container_id, sizeof(item->exec_id));
        memcpy(item->container_id, intent.exec_of, sizeof(item->container_id));
    }
    return classify_records(host, item, container, dir_fd, err);
}

/* What was interrupted does not run on. */
static int clear_cgroup(struct observations *all, struct host_observation *item,
                        const struct host_cgroup *cgroup)
{
    char where[512];
    size_t used = strlen(item->what);
    if (cgroup_exists(cgroup->layout, cgroup->name, where, sizeof(where)))
        snprintf(item->what + used, sizeof(item->what) - used, "%scgroup %s", used > 0 ? ", " : "", where);
    struct host_container *container = host_container_get(all->host, item->container_id);
    if (container == NULL)
        return -1;
    if (container->queue == NULL)
        host_cleanup_begin(all->host, container);
    return 0;
}

/* The list of cgroups shows those below the host's own parent only. */
static int look_below_other_parents(struct observations *all, struct host_observation *item)
{
    struct host_cgroup cgroup;
    int result = 0;
    if (all->host->look_only || item->found != HOST_INTERRUPTED)
        return 0;
    host_cgroup_open(all->host, item->container_id, &cgroup);
    if (cgroup.layout == &cgroup.other && cgroup_exists(cgroup.layout, cgroup.name, NULL, 0))
        result = clear_cgroup(all, item, &cgroup);
    host_cgroup_close(&cgroup);
    return result;
}

static int observe_directories(struct observations *all, struct err *err)
{
    if (all->host->containers_fd < 0)
        return 0; /* only looking, and there is nothing */
    int fd = openat(all->host->containers_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return err_sys(err, errno, "cannot list the containers in '%s'", all->host->state_dir);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (!container_id_is_valid(entry->d_name))
            continue;
        struct host_observation *item = add(all, entry->d_name);
        if (item == NULL)
            return err_nomem(err, "observing containers");
        auto_fd int dir_fd = host_container_dir(all->host, entry->d_name, err);
        if (dir_fd < 0 || classify(all->host, item, dir_fd, err) < 0)
            return -1;
        if (look_below_other_parents(all, item) < 0)
            return err_nomem(err, "observing containers");
    }
    return 0;
}

static int see_cgroup(const char *name, void *data)
{
    struct observations *all = data;
    if (!container_id_is_valid(name))
        return 0;
    struct host_observation *item = find(all, name);
    if (item == NULL)
        item = add(all, name);
    if (item == NULL)
        return -1;
    struct host_cgroup cgroup = {.layout = &all->host->cgroups};
    snprintf(cgroup.name, sizeof(cgroup.name), "%s", name);
    if (item->found == HOST_INTERRUPTED && strstr(item->what, "cgroup") == NULL)
        return clear_cgroup(all, item, &cgroup);
    return 0;
}

int host_observe(struct host *host, struct host_observation **ret, size_t *ret_n, struct err *err)
{
    struct observations all = {.host = host};
    if (observe_directories(&all, err) < 0 ||
        (!host->look_only && cgroup_list(&host->cgroups, see_cgroup, &all, err) < 0)) {
        free(all.items);
        return -1;
    }
    *ret = all.items;
    *ret_n = all.n;
    return 0;
}
