/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are a descriptor: 101, and then one byte with the descriptor beside it (unix(7), SCM_RIGHTS).
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/http_internal.h"

/* The connection has carried nothing but the headers, so that one byte always fits into its buffer. A client
 * that is gone by now needs no descriptor. */
static void send_descriptor(int to_fd, int fd)
{
    descriptor_send(to_fd, "", 1, fd, MSG_DONTWAIT);
}

static void on_upgraded(void *cls, struct MHD_Connection *mhd, void *request_context, const char *extra,
                        size_t extra_size, MHD_socket sock, struct MHD_UpgradeResponseHandle *handle)
{
    struct http_request *request = cls;
    struct http_server *server = request->conn->server;
    (void)mhd;
    (void)request_context;
    (void)extra;
    (void)extra_size;
    send_descriptor(sock, request->descriptor);
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    server->resumed = true; /* the end of the connection is found on libmicrohttpd's next run */
}

void http_reply_descriptor_take(struct http_request *request, const char *protocol, int fd)
{
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgraded, request);
    request->descriptor = fd;
    if (response != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_UPGRADE, protocol);
    http_request_answer_take(request, MHD_HTTP_SWITCHING_PROTOCOLS, response);
}
