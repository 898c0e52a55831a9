/* SPDX-License-Identifier: Apache-2.0 */
/* What a former runtime left, as host_linux_observe.c sees it; and the image store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "tests/sim/host_parts.h"

struct observations {
    struct host_observation *items;
    size_t n;
};

static struct host_observation *add(struct observations *all, const char *id)
{
    all->items = realloc(all->items, (all->n + 1) * sizeof(*all->items));
    if (all->items == NULL)
        abort();
    struct host_observation *item = &all->items[all->n++];
    *item = (struct host_observation){.found = HOST_INTERRUPTED, .command_offset = -1, .paused = -1};
    snprintf(item->container_id, sizeof(item->container_id), "%s", id);
    snprintf(item->what, sizeof(item->what), "leftovers");
    return item;
}

static void remember_exit(struct entry *entry, const struct host_observation *item,
                          const struct sim_file *record)
{
    entry->record = *record;
    entry->exit = item->exit;
    entry->state = ENTRY_EXITED;
    host_cleanup_begin(entry);
}

static void classify(struct host *host, struct host_observation *item, const struct sim_dir *dir)
{
    const struct sim_file *launch = &dir->now[FILE_LAUNCH], *exit = &dir->now[FILE_EXIT];
    struct entry *entry = entry_get(host, dir->id);
    if (file_is_whole(&dir->now[FILE_SHIM]) && record_is_alive(host, &dir->now[FILE_SHIM]))
        shim_hurry(shim_find(host->machine, dir->now[FILE_SHIM].shim_pid));
    struct sim_file record = dir->now[FILE_SHIM];
    if (file_is_whole(launch)) {
        item->incarnation = launch->incarnation;
        item->command_offset = launch->command_offset;
    }
    if (file_is_whole(launch) && launch->exec_of[0] != '\0') {
        memcpy(entry->exec_of, launch->exec_of, sizeof(entry->exec_of));
        memcpy(item->exec_id, dir->id, sizeof(item->exec_id));
        memcpy(item->container_id, launch->exec_of, sizeof(item->container_id));
    }
    if (!file_is_whole(&record) && !file_is_whole(exit))
        return;
    if (!file_is_whole(&record))
        record = (struct sim_file){.present = true, .incarnation = exit->incarnation};
    item->incarnation = record.incarnation;
    item->pid = record.pid;
    item->shim_pid = record.shim_pid;
    item->started_at_ns = record.started_at_ns;
    if (file_is_whole(exit) && exit->incarnation == record.incarnation) {
        item->found = HOST_EXITED;
        exit_from_record(&item->exit, entry, exit);
        remember_exit(entry, item, &record);
        return;
    }
    if (record_is_alive(host, &record)) {
        entry->record = record;
        item->found = HOST_RUNNING;
        host_commit_undo(host, item->container_id);
        const struct shim *shim = shim_find(host->machine, record.shim_pid);
        item->paused = shim != NULL && shim->frozen ? 1 : 0;
        entry_watch(entry, shim_find(host->machine, record.shim_pid));
        return;
    }
    bool this_boot = record.boot == host->machine->boot;
    item->found = this_boot ? HOST_LOST : HOST_HOST_RESTARTED;
    exit_unseen(&item->exit, entry, record.incarnation, this_boot ? "shim-lost" : "host-restart");
    remember_exit(entry, item, &record);
}

int host_observe(struct host *host, struct host_observation **ret, size_t *ret_n, struct err *err)
{
    struct observations all = {.items = NULL};
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    for (struct sim_dir *dir = host->machine->dirs; dir != NULL; dir = dir->next)
        if (!dir->trash)
            classify(host, add(&all, dir->id), dir);
    for (struct cgroup *cgroup = host->machine->cgroups; cgroup != NULL; cgroup = cgroup->next) {
        bool found = false;
        for (size_t i = 0; i < all.n; i++)
            found = found ||
                    (all.items[i].exec_id[0] == '\0' && strcmp(all.items[i].container_id, cgroup->id) == 0);
        if (!found)
            add(&all, cgroup->id);
    }
    for (size_t i = 0; i < all.n; i++)
        if (all.items[i].found == HOST_INTERRUPTED && all.items[i].exec_id[0] == '\0' &&
            machine_has_cgroup(host->machine, all.items[i].container_id))
            host_cleanup_begin(entry_get(host, all.items[i].container_id));
    for (size_t i = 0; i < all.n; i++)
        sim_note("observed %.12s/%lld%s%.12s: %d", all.items[i].container_id,
                 (long long)all.items[i].incarnation, all.items[i].exec_id[0] != '\0' ? " exec " : "",
                 all.items[i].exec_id, (int)all.items[i].found);
    *ret = all.items;
    *ret_n = all.n;
    return 0;
}

/* --- whose state directory it is, and the snapshot --- */

int host_identify(struct host *host, const char *node, enum host_identity *ret, struct err *err)
{
    const struct machine *machine = host->machine;
    (void)node;
    (void)err;
    *ret = machine->claimed                                     ? HOST_CLAIMED
           : machine->dirs == NULL && machine->snapshot == NULL ? HOST_NEW
                                                                : HOST_UNCLAIMED;
    return 0;
}

int host_claim(struct host *host, const char *node, struct err *err)
{
    (void)node;
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    host->machine->claimed = true;
    return 0;
}

struct snapshot_op {
    struct host_op op;
    char *bytes;
    size_t size;
    host_done_cb cb;
    void *data;
};

static bool step_snapshot(struct host_op *op)
{
    struct snapshot_op *snapshot = (struct snapshot_op *)op;
    struct machine *machine = op->host->machine;
    if (op->stage++ == 0)
        return false;
    free(machine->snapshot);
    machine->snapshot = snapshot->bytes;
    machine->snapshot_size = snapshot->size;
    snapshot->bytes = NULL;
    return true;
}

static void done_snapshot(struct host_op *op)
{
    struct snapshot_op *snapshot = (struct snapshot_op *)op;
    struct host *host = op->host;
    host->n_busy++;
    op_finish(op);
    snapshot->cb(NULL, snapshot->data);
    free(snapshot->bytes);
    free(snapshot);
    host_unbusy(host);
}

int host_snapshot_write(struct host *host, const void *bytes, size_t size, host_done_cb cb, void *data,
                        struct err *err)
{
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct snapshot_op *snapshot = sim_alloc(sizeof(*snapshot));
    snapshot->bytes = sim_alloc(size + 1);
    memcpy(snapshot->bytes, bytes, size);
    snapshot->size = size;
    snapshot->cb = cb;
    snapshot->data = data;
    snapshot->op.step = step_snapshot;
    snapshot->op.done = snapshot->op.fail = done_snapshot;
    op_begin(host, NULL, &snapshot->op);
    return 0;
}

int host_snapshot_read(struct host *host, struct buf *ret, struct err *err)
{
    if (host->machine->snapshot == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no snapshot");
    buf_add(ret, host->machine->snapshot, host->machine->snapshot_size);
    return 0;
}

int host_snapshot_put_aside(struct host *host, struct err *err)
{
    (void)err;
    free(host->machine->snapshot);
    host->machine->snapshot = NULL;
    return 0;
}

/* --- images --- */

struct image_op {
    struct host_op op;
    host_imported_cb imported;
    host_done_cb removed;
    void *data;
    char digest[DIGEST_SIZE];
    bool bad; /* the source cannot be read */
};

/* Unpacked beside the store, then renamed into it. */
static bool step_import(struct host_op *op)
{
    struct image_op *image = (struct image_op *)op;
    if (op->stage++ == 0)
        return false;
    if (!image->bad)
        machine_add_image(op->host->machine, image->digest);
    return true;
}

static void done_import(struct host_op *op)
{
    struct image_op *image = (struct image_op *)op;
    struct host_imported imported = {.size_bytes = 1000};
    struct err err = ERR_INIT;
    struct host *host = op->host;
    bool failed = image->bad || host->process->dead;
    memcpy(imported.digest, image->digest, sizeof(imported.digest));
    err_set(&err, ERR_INVALID, "the source cannot be read");
    host->n_busy++;
    op_finish(op);
    image->imported(failed ? NULL : &imported, failed ? &err : NULL, image->data);
    free(image);
    host_unbusy(host);
}

static struct image_op *image_op_new(struct host *host, void *data, bool (*step)(struct host_op *op),
                                     void (*done)(struct host_op *op))
{
    struct image_op *image = sim_alloc(sizeof(*image));
    image->data = data;
    image->op.host = host;
    image->op.step = step;
    image->op.done = image->op.fail = done;
    return image;
}

/* Equal sources have equal contents. */
int host_image_import(struct host *host, const char *source, host_imported_cb cb, void *data, struct err *err)
{
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct image_op *image = image_op_new(host, data, step_import, done_import);
    image->imported = cb;
    image->bad = strstr(source, "bad") != NULL;
    memcpy(image->digest, "sha256:", 7);
    sha256_hex(image->digest + 7, source, strlen(source));
    op_begin(host, NULL, &image->op);
    return 0;
}

static bool step_image_remove(struct host_op *op)
{
    machine_remove_image(op->host->machine, ((struct image_op *)op)->digest);
    return true;
}

static void done_image_remove(struct host_op *op)
{
    struct image_op *image = (struct image_op *)op;
    struct host *host = op->host;
    host->n_busy++;
    op_finish(op);
    image->removed(NULL, image->data);
    free(image);
    host_unbusy(host);
}

int host_image_remove(struct host *host, const char *digest, host_done_cb cb, void *data, struct err *err)
{
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct image_op *image = image_op_new(host, data, step_image_remove, done_image_remove);
    image->removed = cb;
    snprintf(image->digest, sizeof(image->digest), "%s", digest);
    op_begin(host, NULL, &image->op);
    return 0;
}

int host_images(const struct host *host, struct strings *ret, struct err *err)
{
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    for (const struct stored_image *image = host->machine->images; image != NULL; image = image->next)
        if (strings_add(ret, image->digest) < 0)
            return err_nomem(err, "listing the images");
    return 0;
}

/* No item makes a volume: removing one finds nothing, and there are none to list. */
static bool step_volume_remove(struct host_op *op)
{
    (void)op;
    return true;
}

int host_volume_remove(struct host *host, const char *name, host_done_cb cb, void *data, struct err *err)
{
    (void)name;
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct image_op *volume = image_op_new(host, data, step_volume_remove, done_image_remove);
    volume->removed = cb;
    op_begin(host, NULL, &volume->op);
    return 0;
}

int host_volumes(const struct host *host, struct strings *ret, struct err *err)
{
    (void)host;
    (void)ret;
    (void)err;
    return 0;
}

bool host_image_exists(const struct host *host, const char *digest)
{
    return machine_has_image(host->machine, digest);
}
