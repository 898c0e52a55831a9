/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/follow.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/descriptor.h"
#include "runtime/oci/launch.h"
#include "runtime/oci/oci.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/oci_seccomp.h"
#include "runtime/shim/shim.h"

static const json_t *seccomp_of(const json_t *config)
{
    return json_object_get(json_object_get(config, "linux"), "seccomp");
}

int oci_follow_begin(struct oci_follow *ret, const json_t *config, struct err *err)
{
    const char *path = oci_text(seccomp_of(config), "listenerPath");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ret->config = config;
    if (path[0] == '\0' || !oci_seccomp_notifies(seccomp_of(config)))
        return 0;
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, ERR_INVALID, "'linux.seccomp.listenerPath' is too long for a socket: '%s'", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    ret->listener_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ret->listener_fd < 0 || connect(ret->listener_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_sys(err, errno, "cannot connect to 'linux.seccomp.listenerPath' '%s'", path);
    return 0;
}

void oci_follow_end(struct oci_follow *follow)
{
    if (follow->listener_fd >= 0)
        close(follow->listener_fd);
    if (follow->passed_fd >= 0)
        close(follow->passed_fd);
    if (follow->memory != NULL)
        munmap((void *)(uintptr_t)follow->memory, sizeof(*follow->memory));
    *follow = (struct oci_follow)OCI_FOLLOW_INIT;
}

static ssize_t receive(struct oci_follow *follow, int fd, struct init_message *ret)
{
    if (follow->passed_fd >= 0)
        close(follow->passed_fd);
    ssize_t n;
    do {
        n = descriptor_receive(fd, ret, sizeof(*ret), &follow->passed_fd);
    } while (n < 0 && errno == EINTR);
    return n;
}

static int explain(const struct init_message *message, struct err *err)
{
    struct plan_failure failure = message->failure;
    failure.subject[sizeof(failure.subject) - 1] = '\0';
    return oci_launch_explain(&failure, err);
}

static int map_memory(struct oci_follow *follow, struct err *err)
{
    void *memory = mmap(NULL, sizeof(*follow->memory), PROT_READ, MAP_SHARED, follow->passed_fd, 0);
    if (memory == MAP_FAILED)
        return err_sys(err, errno, "cannot follow the start of the process");
    follow->memory = memory;
    return 0;
}

static int send_to_listener(const struct oci_follow *follow, pid_t pid, json_t *state, struct err *err)
{
    json_auto_t *message = json_pack(
        "{s:s, s:[s], s:I, s:s, s:O}", "ociVersion", OCI_VERSION, "fds", "seccompFd", "pid", (json_int_t)pid,
        "metadata", oci_text(seccomp_of(follow->config), "listenerMetadata"), "state", state);
    auto_free char *text = message == NULL ? NULL : json_dumps(message, JSON_COMPACT);
    if (text == NULL)
        return err_nomem(err, "starting a process");
    if (descriptor_send(follow->listener_fd, text, strlen(text), follow->passed_fd, 0) < 0)
        return err_sys(err, errno, "cannot send to 'linux.seccomp.listenerPath'");
    return 0;
}

/* End of file: the command is executed, unless the memory says otherwise. */
int oci_follow(struct oci_follow *follow, int fd, pid_t pid, json_t *state, struct err *err)
{
    struct init_message message;
    ssize_t n;
    while ((n = receive(follow, fd, &message)) == (ssize_t)sizeof(message)) {
        if (message.event == INIT_FAILED)
            return explain(&message, err);
        if (message.event == INIT_FILTERED && follow->passed_fd >= 0 && follow->memory == NULL) {
            if (map_memory(follow, err) < 0)
                return -1;
        } else if (message.event == INIT_LISTENER && follow->passed_fd >= 0 && follow->listener_fd >= 0) {
            if (send_to_listener(follow, pid, state, err) < 0)
                return -1;
        } else {
            return err_set(err, ERR_PROTOCOL, "the container's process sent %u", message.event);
        }
    }
    if (n != 0)
        return err_set(err, ERR_PROTOCOL, "the container's process ended before its command ran");
    if (follow->memory != NULL && __atomic_load_n(&follow->memory->event, __ATOMIC_ACQUIRE) == INIT_FAILED)
        return explain(follow->memory, err);
    return 0;
}
