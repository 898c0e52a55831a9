/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/terminal.h"

#define CONNECT_MS 10000
#define READ_SIZE (STREAMS_PAYLOAD_MAX - DETACH_KEYS_MAX)

int input_connect(struct input *input, const struct client *client, const char *kind, const char *id,
                  struct err *err)
{
    struct http_call call = HTTP_CALL_INIT;
    auto_free char *path = NULL;
    char target[256];
    snprintf(target, sizeof(target), "/v1/%s/%s/input", kind, id);
    const struct http_request request = {.method = "GET", .target = target, .upgrade = "wharf-streams"};
    int rc = api_connect(client, API_RUNTIME, &call, &path, err);
    if (rc == 0)
        rc = http_send(&call, &request, err);
    if (rc == 0)
        rc = http_receive_descriptor(&call, CONNECT_MS, &input->fd, err);
    if (rc == 0 && input->fd < 0)
        rc = api_problem(&call, err);
    http_release(&call);
    return rc;
}

static void disconnect(struct input *input)
{
    close(input->fd);
    input->fd = -1;
    input->size = 0;
    input->reads = false;
}

void input_prepare(const struct input *input, struct pollfd *ret)
{
    bool reads = input->fd >= 0 && input->reads && input->size == 0;
    short events = input->size > 0 ? POLLIN | POLLOUT : POLLIN;
    ret[0] = (struct pollfd){.fd = input->fd, .events = events};
    ret[1] = (struct pollfd){.fd = reads ? STDIN_FILENO : -1, .events = POLLIN};
}

static void send_packet(struct input *input)
{
    ssize_t n = send(input->fd, input->packet, input->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0)
        input->size = 0;
    else if (errno != EAGAIN && errno != EINTR)
        disconnect(input); /* the container has ended, which the output's stream tells */
}

static void begin_packet(struct input *input, enum streams_packet kind, size_t size)
{
    memset(input->packet, 0, STREAMS_HEADER_SIZE);
    input->packet[0] = (char)kind;
    input->size = STREAMS_HEADER_SIZE + size;
    send_packet(input);
}

static void read_typed(struct input *input)
{
    char typed[READ_SIZE];
    ssize_t n = read(STDIN_FILENO, typed, sizeof(typed));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) { /* a terminal that is gone reads as an error */
        input->reads = false;
        if (input->ends)
            begin_packet(input, STREAMS_INPUT_END, 0);
        return;
    }
    size_t size = detach_keys_filter(&input->keys, typed, (size_t)n, input->packet + STREAMS_HEADER_SIZE,
                                     &input->detached);
    if (size > 0)
        begin_packet(input, STREAMS_INPUT, size);
}

/* The shim says its version first. One that is newer may mean something else by what we would send. */
static void hear_shim(struct input *input)
{
    unsigned char packet[64];
    ssize_t n = recv(input->fd, packet, sizeof(packet), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        disconnect(input);
    } else if (n > STREAMS_HEADER_SIZE && packet[0] == STREAMS_HELLO &&
               packet[STREAMS_HEADER_SIZE] > STREAMS_VERSION) {
        say_warning("the container's shim is newer than this client: its input is not connected");
        disconnect(input);
    }
}

void input_react(struct input *input, const struct pollfd *found)
{
    if (input->fd >= 0 && (found[0].revents & ~POLLOUT) != 0)
        hear_shim(input);
    if (input->fd >= 0 && input->size > 0 && (found[0].revents & POLLOUT) != 0)
        send_packet(input);
    if (input->fd >= 0 && input->size == 0 && found[1].revents != 0)
        read_typed(input);
}

void input_resize(struct input *input)
{
    struct streams_size size;
    char packet[STREAMS_HEADER_SIZE + sizeof(size)] = {STREAMS_RESIZE};
    if (input->fd < 0 || !terminal_size(&size.rows, &size.columns))
        return;
    memcpy(packet + STREAMS_HEADER_SIZE, &size, sizeof(size));
    /* With the shim's buffer full there is typing to be done first: the next change of size says it again. */
    send(input->fd, packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void input_release(struct input *input)
{
    if (input->fd >= 0)
        disconnect(input);
}
