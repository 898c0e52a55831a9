/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct machine *machine_new(int number, uint64_t seed)
{
    struct machine *machine = sim_alloc(sizeof(*machine));
    machine->number = number;
    machine->boot = 1;
    machine->up = true;
    machine->next_pid = 100;
    machine->rng = rng_make(seed, RNG_MACHINE, (uint64_t)number);
    return machine;
}

void machine_free(struct machine *machine)
{
    shims_free(machine);
    while (machine->dirs != NULL)
        machine_remove_dir(machine, machine->dirs);
    while (machine->cgroups != NULL)
        machine_remove_cgroup(machine, machine->cgroups->id);
    while (machine->images != NULL)
        machine_remove_image(machine, machine->images->digest);
    while (machine->truths != NULL) {
        struct truth *truth = machine->truths;
        machine->truths = truth->next;
        free(truth);
    }
    task_cancel(&machine->start);
    free(machine->snapshot);
    free(machine->writer_file);
    free(machine);
}

/* --- files --- */

void file_unlink(struct sim_file *file)
{
    *file = (struct sim_file){.present = false};
}

bool file_is_whole(const struct sim_file *file)
{
    return file->present && !file->torn;
}

struct sim_dir *machine_dir(const struct machine *machine, const char *id, bool trash)
{
    for (struct sim_dir *dir = machine->dirs; dir != NULL; dir = dir->next)
        if (dir->trash == trash && strcmp(dir->id, id) == 0)
            return dir;
    return NULL;
}

struct sim_dir *machine_make_dir(struct machine *machine, const char *id)
{
    struct sim_dir *dir = sim_alloc(sizeof(*dir));
    snprintf(dir->id, sizeof(dir->id), "%s", id);
    dir->next = machine->dirs;
    machine->dirs = dir;
    return dir;
}

void machine_remove_dir(struct machine *machine, struct sim_dir *dir)
{
    struct sim_dir **at = &machine->dirs;
    while (*at != dir)
        at = &(*at)->next;
    *at = dir->next;
    for (struct shim *shim = machine->shims; shim != NULL; shim = shim->next)
        if (shim->dir == dir)
            shim->dir = NULL;
    free(dir);
}

/* Of each file that was not synced the power cut leaves the old version, the new one, or a torn one. */
static void cut_file(struct machine *machine, struct sim_file *now, struct sim_file *disk)
{
    if (memcmp(now, disk, sizeof(*now)) != 0) {
        uint64_t draw = rng_below(&machine->rng, 3);
        if (draw == 0)
            *now = *disk;
        else if (draw == 1 && now->present)
            now->torn = true;
    }
    *disk = *now;
}

/* Whose exec it was, or that it was executed, nobody can tell any more. */
static void forget_exec(struct machine *machine, const struct sim_dir *dir)
{
    bool known = file_is_whole(&dir->now[FILE_LAUNCH]) &&
                 (file_is_whole(&dir->now[FILE_SHIM]) || file_is_whole(&dir->now[FILE_EXIT]));
    for (struct truth *truth = machine->truths; truth != NULL; truth = truth->next)
        if (truth->exec_of[0] != '\0' && strcmp(truth->id, dir->id) == 0)
            truth->forgotten = truth->forgotten || !known;
}

/* A record that was being written when the power went is legitimately gone; one whose shim had ended in good
 * order was promised to be durable, and stays so in the books. */
static void cut_power(struct machine *machine)
{
    if (machine->writer_file_size > 0 && rng_chance(&machine->rng, 30))
        machine->writer_file_size = rng_below(&machine->rng, machine->writer_file_size);
    for (struct sim_dir *dir = machine->dirs; dir != NULL; dir = dir->next) {
        for (size_t i = 0; i < DIR_FILES; i++)
            cut_file(machine, &dir->now[i], &dir->disk[i]);
        forget_exec(machine, dir);
        for (struct shim *shim = machine->shims; shim != NULL; shim = shim->next)
            if (shim->dir == dir && shim->alive && shim->truth != NULL && shim->truth->recorded &&
                !file_is_whole(&dir->now[FILE_EXIT])) {
                shim->truth->recorded = false;
                shim->truth->lost_by = "host-restart";
            }
    }
}

void machine_down(struct machine *machine, bool power_cut)
{
    sim_note("machine %d %s", machine->number, power_cut ? "loses its power" : "goes down");
    machine->up = false;
    for (struct process *process = sim->processes; process != NULL; process = process->next)
        if (process->machine == machine)
            process_kill(process);
    if (power_cut)
        cut_power(machine);
    for (struct shim *shim = machine->shims; shim != NULL; shim = shim->next) {
        if (shim->truth == NULL || shim->truth->recorded)
            continue;
        shim->truth->ended = true;
        shim->truth->lost_by = "host-restart";
    }
    shims_free(machine);
    while (machine->cgroups != NULL) {
        struct cgroup *cgroup = machine->cgroups;
        machine->cgroups = cgroup->next;
        free(cgroup);
    }
}

void machine_up(struct machine *machine)
{
    machine->boot++;
    machine->next_pid = 100;
    machine->up = true;
    sim_note("machine %d is up, boot %d", machine->number, machine->boot);
}

/* --- cgroups --- */

bool machine_has_cgroup(const struct machine *machine, const char *id)
{
    for (const struct cgroup *cgroup = machine->cgroups; cgroup != NULL; cgroup = cgroup->next)
        if (strcmp(cgroup->id, id) == 0)
            return true;
    return false;
}

void machine_make_cgroup(struct machine *machine, const char *id)
{
    if (machine_has_cgroup(machine, id))
        return;
    struct cgroup *cgroup = sim_alloc(sizeof(*cgroup));
    snprintf(cgroup->id, sizeof(cgroup->id), "%s", id);
    cgroup->next = machine->cgroups;
    machine->cgroups = cgroup;
}

void machine_remove_cgroup(struct machine *machine, const char *id)
{
    for (struct cgroup **at = &machine->cgroups; *at != NULL; at = &(*at)->next) {
        struct cgroup *cgroup = *at;
        if (strcmp(cgroup->id, id) != 0)
            continue;
        struct shim *shim = shim_of(machine, id);
        if (shim != NULL && shim->go)
            shim_kill_container(shim, false);
        execs_kill(machine, id);
        *at = cgroup->next;
        free(cgroup);
        return;
    }
}

/* --- images --- */

bool machine_has_image(const struct machine *machine, const char *digest)
{
    for (const struct stored_image *image = machine->images; image != NULL; image = image->next)
        if (strcmp(image->digest, digest) == 0)
            return true;
    return false;
}

void machine_add_image(struct machine *machine, const char *digest)
{
    if (machine_has_image(machine, digest))
        return;
    struct stored_image *image = sim_alloc(sizeof(*image));
    snprintf(image->digest, sizeof(image->digest), "%s", digest);
    image->next = machine->images;
    machine->images = image;
}

void machine_remove_image(struct machine *machine, const char *digest)
{
    for (struct stored_image **at = &machine->images; *at != NULL; at = &(*at)->next) {
        struct stored_image *image = *at;
        if (strcmp(image->digest, digest) != 0)
            continue;
        *at = image->next;
        free(image);
        return;
    }
}
