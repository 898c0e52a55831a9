/* SPDX-License-Identifier: Apache-2.0 */
#include "writer/placement_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/seal.h"

#define FORMAT "wharf.placement"
#define PARTITIONS_MAX 1000000

/* --- into text --- */

static void add_line_take(struct buf *buf, json_t *document)
{
    auto_free char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (text == NULL)
        buf->failed = true;
    else
        buf_printf(buf, "%s\n", text);
}

int placement_encode(const struct placement *placement, const struct placement_mark *marks, size_t n_marks,
                     struct buf *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    add_line_take(&text, json_pack("{s:s, s:i, s:I, s:I, s:I}", "format", FORMAT, "version",
                                   PLACEMENT_FILE_VERSION, "partitions", (json_int_t)n_marks, "nodes",
                                   (json_int_t)HASH_COUNT(placement->nodes), "containers",
                                   (json_int_t)HASH_COUNT(placement->containers)));
    for (size_t i = 0; i < n_marks; i++)
        add_line_take(&text, json_pack("[I, I, s]", (json_int_t)marks[i].next_offset,
                                       (json_int_t)marks[i].outcomes_from, marks[i].newest));
    for (const struct placement_node *node = placement->nodes; node != NULL; node = node->hh.next)
        add_line_take(&text, json_pack("[s, I, I, I]", node->name, (json_int_t)node->partition,
                                       (json_int_t)node->epoch, (json_int_t)node->nodeseq));
    for (const struct placement_container *each = placement->containers; each != NULL; each = each->hh.next)
        add_line_take(&text, json_pack("[s, s, s]", each->id, each->name, each->node->name));
    seal_add(&text);
    if (text.failed)
        return err_nomem(err, "writing the placement");
    *ret = text;
    text = (struct buf)BUF_INIT;
    return 0;
}

/* --- and back --- */

struct lines {
    const char *at;
    const char *end;
};

static json_t *next_line(struct lines *lines)
{
    const char *newline =
        lines->at < lines->end ? memchr(lines->at, '\n', (size_t)(lines->end - lines->at)) : NULL;
    if (newline == NULL)
        return NULL;
    json_t *document = json_loadb(lines->at, (size_t)(newline - lines->at), JSON_REJECT_DUPLICATES, NULL);
    lines->at = newline + 1;
    return document;
}

static bool take_mark(struct lines *lines, struct placement_mark *ret)
{
    json_auto_t *line = next_line(lines);
    json_int_t next_offset = -1, outcomes_from = -1;
    const char *newest = NULL;
    if (json_unpack(line, "[I, I, s!]", &next_offset, &outcomes_from, &newest) < 0 || next_offset < 0 ||
        outcomes_from < 0 || outcomes_from > next_offset)
        return false;
    if (next_offset == 0 ? newest[0] != '\0' : !container_id_is_valid(newest))
        return false;
    *ret = (struct placement_mark){.next_offset = next_offset, .outcomes_from = outcomes_from};
    strcpy(ret->newest, newest);
    return true;
}

static bool take_node(struct lines *lines, struct placement *placement, struct err *err)
{
    json_auto_t *line = next_line(lines);
    json_int_t partition = -1, epoch = -1, nodeseq = -1;
    const char *name = NULL;
    if (json_unpack(line, "[s, I, I, I!]", &name, &partition, &epoch, &nodeseq) < 0 || partition < 0 ||
        partition > PARTITIONS_MAX || epoch < 0 || nodeseq < 0)
        return false;
    struct placement_node *node = placement_add_node(placement, name, (uint32_t)partition, err);
    if (node == NULL)
        return false;
    node->epoch = epoch;
    node->nodeseq = nodeseq;
    return true;
}

static bool take_container(struct lines *lines, struct placement *placement, struct err *err)
{
    json_auto_t *line = next_line(lines);
    const char *id = NULL, *name = NULL, *node = NULL;
    return json_unpack(line, "[s, s, s!]", &id, &name, &node) == 0 && container_id_is_valid(id) &&
           placement_add_container(placement, id, name, node, err) == 0;
}

struct counts {
    json_int_t partitions, nodes, containers;
};

static bool take_header(struct lines *lines, struct counts *ret)
{
    json_auto_t *line = next_line(lines);
    const char *format = NULL;
    json_int_t version = 0;
    return json_unpack(line, "{s:s, s:I, s:I, s:I, s:I!}", "format", &format, "version", &version,
                       "partitions", &ret->partitions, "nodes", &ret->nodes, "containers",
                       &ret->containers) == 0 &&
           strcmp(format, FORMAT) == 0 && version == PLACEMENT_FILE_VERSION && ret->partitions >= 0 &&
           ret->partitions <= PARTITIONS_MAX;
}

/* Whether everything is there, and once: the counts are of what was added. */
static bool take_all(struct lines *lines, const struct counts *counts, struct placement *placement,
                     struct placement_mark *marks, struct err *err)
{
    bool ok = true;
    for (json_int_t i = 0; ok && i < counts->partitions; i++)
        ok = take_mark(lines, &marks[i]);
    for (json_int_t i = 0; ok && i < counts->nodes; i++)
        ok = take_node(lines, placement, err);
    for (json_int_t i = 0; ok && i < counts->containers; i++)
        ok = take_container(lines, placement, err);
    return ok && lines->at == lines->end && HASH_COUNT(placement->nodes) == counts->nodes &&
           HASH_COUNT(placement->containers) == counts->containers;
}

int placement_decode(struct placement *ret, struct placement_mark **ret_marks, size_t *ret_n_marks,
                     const char *text, size_t size, struct err *err)
{
    struct counts counts = {0};
    ssize_t sealed = seal_check(text, size, err);
    if (sealed < 0)
        return -1;
    struct lines lines = {.at = text, .end = text + sealed};
    if (!take_header(&lines, &counts))
        return err_set(err, ERR_CORRUPT, "is of another version, or none at all");
    auto_free struct placement_mark *marks = calloc((size_t)counts.partitions + 1, sizeof(*marks));
    struct placement placement = PLACEMENT_INIT;
    struct err why = ERR_INIT;
    if (marks == NULL)
        return err_nomem(err, "reading the placement");
    if (!take_all(&lines, &counts, &placement, marks, &why)) {
        placement_release(&placement);
        return why.code == ERR_NOMEM ? err_nomem(err, "reading the placement")
                                     : err_set(err, ERR_CORRUPT, "has members that cannot be");
    }
    *ret = placement;
    *ret_marks = steal_ptr(marks);
    *ret_n_marks = (size_t)counts.partitions;
    return 0;
}
