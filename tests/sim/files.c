/* SPDX-License-Identifier: Apache-2.0 */
/* base/fs.h as far as the writer needs it: its one file, kept by the machine. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "tests/sim/machine.h"

int fs_read_file(int dir_fd, const char *path, size_t limit, char **ret, size_t *ret_size, struct err *err)
{
    const struct machine *machine = sim->current->machine;
    (void)dir_fd;
    (void)limit;
    if (machine->writer_file == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no '%s'", path);
    *ret = sim_alloc(machine->writer_file_size + 1);
    memcpy(*ret, machine->writer_file, machine->writer_file_size);
    *ret_size = machine->writer_file_size;
    return 0;
}

int fs_write_file(int dir_fd, const char *path, mode_t mode, const void *data, size_t size, bool durable,
                  struct err *err)
{
    struct process *process = sim->current;
    (void)dir_fd;
    (void)mode;
    (void)durable;
    if (!process_point(process))
        return err_set(err, ERR_UNAVAILABLE, "cannot write '%s': the process is dead", path);
    free(process->machine->writer_file);
    process->machine->writer_file = sim_alloc(size + 1);
    memcpy(process->machine->writer_file, data, size);
    process->machine->writer_file_size = size;
    return 0;
}
