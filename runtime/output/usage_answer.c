/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/output/usage_answer.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "runtime/usage.h"

static const struct {
    const char *name;
    size_t offset;
} members[] = {
#define MEMBER(name)                                                                                         \
    {                                                                                                        \
#name, offsetof(struct usage, name)                                                                  \
    }
    MEMBER(time_ns),        MEMBER(memory_bytes),   MEMBER(memory_limit_bytes),
    MEMBER(cpu_ns),         MEMBER(pids),           MEMBER(pids_limit),
    MEMBER(io_read_bytes),  MEMBER(io_write_bytes), MEMBER(net_received_bytes),
    MEMBER(net_sent_bytes),
#undef MEMBER
};

/* What is not known is null. */
static json_t *known(int64_t number)
{
    return number >= 0 ? json_integer(number) : json_null();
}

static json_t *describe(const struct container *container, const struct usage *usage)
{
    json_t *object = json_pack("{s:s, s:s}", "id", container->id, "name", container->name);
    for (size_t i = 0; object != NULL && i < sizeof(members) / sizeof(members[0]); i++) {
        int64_t number = *(const int64_t *)(const void *)((const char *)usage + members[i].offset);
        if (json_object_set_new(object, members[i].name, known(number)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *usage_answer(const struct host *host, const struct node_state *state)
{
    json_t *list = json_array();
    for (const struct container *each = state->containers; each != NULL && list != NULL;
         each = each->hh.next) {
        struct usage usage;
        if (!container_state_is_running(each->state) ||
            usage_read(host, each->id, each->pid, &usage, NULL) < 0)
            continue; /* it has ended, and the news is on its way */
        if (json_array_append_new(list, describe(each, &usage)) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return json_pack("{s:o}", "containers", list);
}

static json_t *describe_process(const struct usage_process *process)
{
    char started[TIMESTAMP_SIZE];
    const char state[] = {process->state, '\0'};
    timestamp_format(started, process->started_at_ns);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "pid", (json_int_t)process->pid, "ppid",
                     (json_int_t)process->parent_pid, "uid", (json_int_t)process->uid, "cpu_ns",
                     (json_int_t)process->cpu_ns, "resident_bytes", (json_int_t)process->resident_bytes,
                     "started_at", started, "state", state, "command", process->command);
}

/* A command that is not UTF-8 cannot be in a document: its odd bytes are shown as '?'. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
}

json_t *processes_answer(const struct host *host, const char *container_id, struct err *err)
{
    struct usage_process *processes = NULL;
    size_t n = 0;
    if (usage_processes(host, container_id, &processes, &n, err) < 0)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < n && list != NULL; i++) {
        make_printable(processes[i].command);
        if (json_array_append_new(list, describe_process(&processes[i])) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    usage_processes_free(processes, n);
    json_t *answer = json_pack("{s:o}", "processes", list);
    if (answer == NULL)
        err_nomem(err, "listing processes");
    return answer;
}
