/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "runtime/output/attachment.h"

#include <stdlib.h>
#include <string.h>

struct attachment *attachment_find(const struct output *output, const char *container_id)
{
    struct attachment *found = NULL;
    HASH_FIND_STR(output->attachments, container_id, found);
    return found;
}

struct attachment *attachment_get(struct output *output, const char *container_id)
{
    struct attachment *attachment = attachment_find(output, container_id);
    if (attachment != NULL)
        return attachment;
    attachment = calloc(1, sizeof(*attachment));
    if (attachment == NULL)
        return NULL;
    memcpy(attachment->container_id, container_id, sizeof(attachment->container_id));
    HASH_ADD_STR(output->attachments, container_id, attachment);
    if (attachment->hh.tbl == NULL) {
        free(attachment);
        return NULL;
    }
    attachment->output = output;
    uv_timer_init(output->loop, &attachment->expiry); /* cannot fail (libuv's documentation) */
    attachment->expiry.data = attachment;
    output->n_attachments++;
    return attachment;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct attachment *attachment = handle->data;
    struct output *output = attachment->output;
    free(attachment);
    output->n_attachments--;
    output_maybe_closed(output);
}

static void attachment_free(struct attachment *attachment)
{
    if (attachment->closing)
        return;
    attachment->closing = true;
    HASH_DEL(attachment->output->attachments, attachment);
    log_files_close(&attachment->files);
    free(attachment->result);
    free(attachment->end);
    attachment->end = NULL;
    attachment->result = NULL;
    uv_close((uv_handle_t *)&attachment->expiry, on_timer_closed);
}

/* Nobody came for a container that has ended, or a client waits for one that nobody created. */
static void on_expired(uv_timer_t *timer)
{
    struct attachment *attachment = timer->data;
    if (attachment->sessions == NULL)
        attachment_free(attachment);
    else if (attachment->end == NULL && !attachment->launched)
        attachment_end(attachment,
                       strdup("{\"outcome\":\"failed\",\"code\":\"unknown-container\",\"exit_code\":125,"
                              "\"message\":\"no such container appeared on this node\"}"));
}

void attachment_expire_later(struct attachment *attachment, uint64_t timeout_ms)
{
    if (!attachment->closing)
        uv_timer_start(&attachment->expiry, on_expired, timeout_ms, 0);
}

void attachment_keep_log(struct attachment *attachment)
{
    for (struct session *each = attachment->sessions; each != NULL; each = each->next)
        if (each->tail != NULL)
            log_tail_complete(each->tail);
    if (attachment->kept || !attachment->launched)
        return;
    int dir_fd = host_container_dir(attachment->output->host, attachment->container_id, NULL);
    if (dir_fd < 0)
        return;
    attachment->kept = log_files_open(&attachment->files, dir_fd, NULL) == 0;
    close(dir_fd);
}

void attachments_close(struct output *output)
{
    struct attachment *attachment, *next;
    HASH_ITER(hh, output->attachments, attachment, next)
    attachment_free(attachment);
}
