/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/containers/{id}/changes: read on the thread pool, since a container may have written a great deal.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/output/attachment.h"
#include "runtime/output/changes.h"

struct changes_work {
    uv_work_t work;
    struct output_work base;
    int dir_fd;
    char image_digest[80];
    json_t *list;
    struct err err;
};

static void run_changes(uv_work_t *work)
{
    struct changes_work *changes = work->data;
    changes->list = changes_list(changes->dir_fd, changes->image_digest, &changes->err);
}

static void done_changes(uv_work_t *work, int status)
{
    struct changes_work *changes = work->data;
    (void)status; /* never cancelled */
    close(changes->dir_fd);
    if (changes->base.request == NULL)
        json_decref(changes->list);
    else if (changes->list != NULL)
        http_reply_json_take(changes->base.request, 200, json_pack("{s:o}", "changes", changes->list));
    else
        http_reply_problem(changes->base.request, changes->err.code == ERR_NOT_FOUND ? 404 : 500,
                           "no-changes", NULL, "%s", changes->err.message);
    output_work_end(&changes->base);
    free(changes);
}

void handle_changes(struct http_request *request, void *data)
{
    struct output *output = data;
    const char *id = http_request_param(request, "id");
    if (!output_check_id(request, id))
        return;
    const struct container *container = output_container(output, id);
    if (container == NULL) {
        output_reply_unknown(output, request, "container", id);
        return;
    }
    int dir_fd = host_container_dir(output->host, id, NULL);
    if (dir_fd < 0) { /* never started here */
        http_reply_json_take(request, 200, json_pack("{s:[]}", "changes"));
        return;
    }
    struct changes_work *changes = calloc(1, sizeof(*changes));
    if (changes == NULL) {
        close(dir_fd);
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory while listing changes");
        return;
    }
    *changes = (struct changes_work){.dir_fd = dir_fd};
    changes->work.data = changes;
    snprintf(changes->image_digest, sizeof(changes->image_digest), "%s", container->image_digest);
    output_work_begin(&changes->base, output, request);
    uv_queue_work(output->loop, &changes->work, run_changes,
                  done_changes); /* fails only without a callback */
}
