/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/image/serve.h"

/* The process that packs. */
struct packer {
    pid_t pid;
    int error_fd; /* it writes a struct err when it fails */
};

static _Noreturn void become_packer(int data_fd, int error_fd)
{
    struct err err = ERR_INIT;
    if (serve_to(data_fd, &err) == 0)
        _exit(EXIT_SUCCESS);
    ssize_t written = write(error_fd, &err, sizeof(err)); /* less than a pipe takes at once */
    _exit(written == (ssize_t)sizeof(err) ? EXIT_FAILURE : EXIT_FAILURE + 1);
}

static int is_whole(void *data, struct err *err)
{
    const struct packer *packer = data;
    struct err why = ERR_INIT;
    int status = 0;
    ssize_t n = read(packer->error_fd, &why, sizeof(why));
    while (waitpid(packer->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
        return 0;
    if (n == (ssize_t)sizeof(why))
        return err_set(err, why.code, "%s", why.message);
    return err_set(err, ERR_INTERNAL,
                   "the process that packs the container's files ended without saying why");
}

int image_commit(const char *store, struct imported *ret, struct err *err)
{
    int data[2], errors[2];
    struct packer packer;
    if (pipe2(data, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    auto_fd int from_fd = data[0], to_fd = data[1];
    if (pipe2(errors, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    auto_fd int error_fd = errors[0], tell_fd = errors[1];
    packer.error_fd = error_fd;
    packer.pid = fork();
    if (packer.pid < 0)
        return err_sys(err, errno, "cannot start the process that packs");
    if (packer.pid == 0) {
        close(steal_fd(&from_fd)); /* or it would never see that nobody reads */
        become_packer(to_fd, tell_fd);
    }
    close(steal_fd(&to_fd));
    close(steal_fd(&tell_fd));
    return image_import_stream(steal_fd(&from_fd), "the container", is_whole, &packer, store, ret, err);
}
