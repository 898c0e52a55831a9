/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/sizes: measured on the thread pool, since containers may have written a great deal. */
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/output/attachment.h"
#include "runtime/output/layer_size.h"
#include "runtime/worker.h"

struct measured {
    char id[CONTAINER_ID_SIZE];
    int64_t image_bytes; /* -1: the image is not known any more */
    int64_t bytes;
};

struct sizes_work {
    uv_work_t work;
    struct output_work base;
    size_t n;
    struct measured containers[];
};

static void run_sizes(uv_work_t *work)
{
    struct sizes_work *sizes = work->data;
    for (size_t i = 0; i < sizes->n; i++) {
        struct measured *each = &sizes->containers[i];
        auto_fd int dir_fd = host_container_dir(sizes->base.output->host, each->id, NULL);
        each->bytes = dir_fd < 0 ? 0 : layer_size(dir_fd); /* without a directory it was never started here */
    }
}

static json_t *known(int64_t number)
{
    return number >= 0 ? json_integer(number) : json_null();
}

static json_t *describe(const struct sizes_work *sizes)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizes->n && list != NULL; i++) {
        const struct measured *each = &sizes->containers[i];
        json_t *object = json_pack("{s:s, s:o, s:o}", "id", each->id, "size_bytes", known(each->bytes),
                                   "image_bytes", known(each->image_bytes));
        if (json_array_append_new(list, object) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return json_pack("{s:o}", "containers", list);
}

static void done_sizes(uv_work_t *work, int status)
{
    struct sizes_work *sizes = work->data;
    (void)status; /* never cancelled */
    json_t *answer = sizes->base.request == NULL ? NULL : describe(sizes);
    if (answer != NULL)
        http_reply_json_take(sizes->base.request, 200, answer);
    else if (sizes->base.request != NULL)
        http_reply_problem(sizes->base.request, 500, "out-of-memory", NULL, "out of memory while measuring");
    output_work_end(&sizes->base);
    free(sizes);
}

static int64_t image_size(const struct node_state *state, const struct container *container)
{
    const struct image *image = node_state_image(state, container->image_digest);
    return image != NULL ? image->size_bytes : -1;
}

void handle_sizes(struct http_request *request, void *data)
{
    struct output *output = data;
    if (!output->ready) {
        http_reply_problem(request, 503, "not-ready", NULL, "the runtime is still reading its log");
        return;
    }
    const struct node_state *state = &worker_core(output->worker)->state;
    size_t n = HASH_COUNT(state->containers);
    struct sizes_work *sizes = calloc(1, sizeof(*sizes) + n * sizeof(sizes->containers[0]));
    if (sizes == NULL) {
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory while measuring");
        return;
    }
    sizes->work.data = sizes;
    for (const struct container *each = state->containers; each != NULL; each = each->hh.next) {
        struct measured *measured = &sizes->containers[sizes->n++];
        memcpy(measured->id, each->id, sizeof(measured->id));
        measured->image_bytes = image_size(state, each);
    }
    output_work_begin(&sizes->base, output, request);
    uv_queue_work(output->loop, &sizes->work, run_sizes, done_sizes); /* fails only without a callback */
}
