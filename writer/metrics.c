/* SPDX-License-Identifier: Apache-2.0 */
#include "writer/writer_internal.h"

static const char *const result_names[WRITER_RESULTS] = {
    [RESULT_ACCEPTED] = "accepted",
    [RESULT_REPEATED] = "repeated",
    [RESULT_REFUSED] = "refused",
    [RESULT_UNAVAILABLE] = "unavailable",
};

static void add_header(struct buf *ret, const char *name, const char *kind, const char *help)
{
    buf_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void add_commands(const struct writer *writer, struct buf *ret)
{
    add_header(ret, "wharf_writer_commands_total", "counter",
               "Commands by type and what became of the request.");
    for (int type = 0; type <= COMMAND_TYPES; type++)
        for (int result = 0; result < WRITER_RESULTS; result++)
            buf_printf(ret, "wharf_writer_commands_total{type=\"%s\",result=\"%s\"} %llu\n",
                       type < COMMAND_TYPES ? command_types[type].api_name : "unknown", result_names[result],
                       (unsigned long long)writer->metrics.commands[type][result]);
}

void metrics_format(const struct writer *writer, struct buf *ret)
{
    const struct writer_metrics *metrics = &writer->metrics;
    add_commands(writer, ret);
    add_header(ret, "wharf_writer_append_seconds", "summary",
               "Time from a command's append to its acknowledgement.");
    buf_printf(ret, "wharf_writer_append_seconds_sum %.9f\nwharf_writer_append_seconds_count %llu\n",
               (double)metrics->append_ns / 1e9, (unsigned long long)metrics->appends);
    add_header(ret, "wharf_writer_waiting", "gauge", "Requests that wait for their append or an outcome.");
    buf_printf(ret, "wharf_writer_waiting %zu\n", writer->n_waiting);
    add_header(ret, "wharf_writer_log_away", "gauge", "1 while the log cannot be reached or written.");
    buf_printf(ret, "wharf_writer_log_away %d\n", writer->away != 0 ? 1 : 0);
    add_header(ret, "wharf_writer_records_skipped_total", "counter",
               "Records read that were damaged or unknown.");
    buf_printf(ret, "wharf_writer_records_skipped_total %llu\n",
               (unsigned long long)metrics->records_skipped);
    add_header(ret, "wharf_writer_events_fenced_total", "counter",
               "Events passed over, since their runtime had been taken over.");
    buf_printf(ret, "wharf_writer_events_fenced_total %llu\n", (unsigned long long)metrics->events_fenced);
    add_header(ret, "wharf_writer_nodes", "gauge", "Nodes that have joined.");
    buf_printf(ret, "wharf_writer_nodes %u\n", HASH_COUNT(writer->placement.nodes));
    add_header(ret, "wharf_writer_recent_commands", "gauge", "Commands whose outcome is kept or awaited.");
    buf_printf(ret, "wharf_writer_recent_commands %u\n", HASH_COUNT(writer->pending.commands));
}
