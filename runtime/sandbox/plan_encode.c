/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/plan_encode.h"

#include <string.h>

static void pad(struct buf *plan)
{
    static const char zeros[PLAN_ALIGN];
    size_t over = plan->size % PLAN_ALIGN;
    if (over != 0)
        buf_add(plan, zeros, PLAN_ALIGN - over);
}

void plan_begin(struct buf *plan)
{
    const struct plan_header header = {0};
    buf_add(plan, &header, sizeof(header));
}

void plan_add(struct buf *plan, enum plan_entry_type type, const void *payload, size_t size)
{
    if (size > PLAN_MAX_BYTES) {
        plan->failed = true;
        return;
    }
    struct plan_entry head = {.type = (uint32_t)type, .size = (uint32_t)size};
    buf_add(plan, &head, sizeof(head));
    buf_add(plan, payload, size);
    pad(plan);
}

void plan_add_string(struct buf *plan, enum plan_entry_type type, const char *text)
{
    plan_add(plan, type, text, strlen(text) + 1);
}

void plan_add_step(struct buf *plan, const struct plan_step *step)
{
    const char *const text[] = {step->path, step->a, step->b, step->c};
    struct plan_step_header head = {(uint32_t)step->op, step->mode, step->flags,     step->dev,
                                    step->uid,          step->gid,  step->attributes};
    size_t size = sizeof(head);
    for (size_t i = 0; i < 4; i++)
        size += (text[i] == NULL ? 0 : strlen(text[i])) + 1;
    struct plan_entry entry = {.type = PLAN_STEP, .size = (uint32_t)size};
    buf_add(plan, &entry, sizeof(entry));
    buf_add(plan, &head, sizeof(head));
    for (size_t i = 0; i < 4; i++)
        buf_add(plan, text[i] == NULL ? "" : text[i], (text[i] == NULL ? 0 : strlen(text[i])) + 1);
    pad(plan);
}

void plan_add_record(struct buf *plan, enum plan_entry_type type, const void *head, size_t head_size,
                     const struct buf *strings)
{
    struct plan_entry entry = {.type = (uint32_t)type, .size = (uint32_t)(head_size + strings->size)};
    plan->failed |= strings->failed || strings->size > PLAN_MAX_BYTES;
    buf_add(plan, &entry, sizeof(entry));
    buf_add(plan, head, head_size);
    buf_add(plan, strings->data, strings->size);
    pad(plan);
}

int plan_finish(struct buf *plan, struct plan_header header, struct err *err)
{
    if (plan->failed)
        return err_nomem(err, "writing the shim's plan");
    if (plan->size > PLAN_MAX_BYTES)
        return err_set(err, ERR_TOO_LARGE, "command and environment take more than %u bytes", PLAN_MAX_BYTES);
    header.magic = PLAN_MAGIC;
    header.version = PLAN_VERSION;
    header.size = (uint32_t)plan->size;
    memcpy(plan->data, &header, sizeof(header));
    return 0;
}
