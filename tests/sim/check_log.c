/* SPDX-License-Identifier: Apache-2.0 */
/* What the log says, against itself and against what clients were told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "tests/sim/check.h"
#include "tests/sim/client.h"

/* --- the chain --- */

static void check_chain(const struct facts *facts)
{
    char expected[SHA256_HEX_SIZE];
    memset(expected, '0', SHA256_HEX_SIZE - 1);
    expected[SHA256_HEX_SIZE - 1] = '\0';
    int64_t nodeseq = 0;
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->items[i];
        const char *prevhash = json_string_value(json_object_get(fact->document, "prevhash"));
        if (!fact->counts)
            continue;
        if (fact->nodeseq != ++nodeseq)
            sim_fail("event %lld has nodeseq %lld, not %lld", (long long)fact->stored->offset,
                     (long long)fact->nodeseq, (long long)nodeseq);
        if (prevhash == NULL || strcmp(prevhash, expected) != 0)
            sim_fail("the chain is broken at event %lld", (long long)fact->stored->offset);
        sha256_hex(expected, fact->stored->value, fact->stored->size);
        nodeseq = fact->nodeseq;
    }
}

/* --- lives --- */

struct life {
    const char *state;
    int64_t version;
    int64_t incarnation; /* that has exited */
};

static void check_life(const struct facts *facts, const char *id)
{
    struct life life = {.state = "absent"};
    for (size_t i = 0; i < facts->n && !sim_failed(); i++) {
        const struct fact *fact = &facts->items[i];
        if (!fact->counts || strcmp(fact->subject, id) != 0 || strncmp(fact->type, "node.", 5) == 0)
            continue;
        bool exists = strcmp(life.state, "absent") != 0;
        if (exists && fact->streamversion != life.version + 1)
            sim_fail("event %lld of %.12s has version %lld after %lld", (long long)fact->stored->offset, id,
                     (long long)fact->streamversion, (long long)life.version);
        life.version = fact->streamversion;
        if (strncmp(fact->type, "container.", 10) != 0)
            continue;
        const char *next = legal_move(life.state, fact->type + 10);
        if (next == NULL) {
            sim_fail("event %lld: %s of %.12s cannot come in state %s", (long long)fact->stored->offset,
                     fact->type, id, life.state);
            return;
        }
        life.state = next;
        int64_t incarnation = fact_number(fact, "incarnation");
        if (fact_is(fact, "container.exited") && incarnation == life.incarnation)
            sim_fail("the exit of %.12s/%lld is recorded twice", id, (long long)incarnation);
        if (fact_is(fact, "container.exited"))
            life.incarnation = incarnation;
    }
}

static void check_lives(const struct facts *facts)
{
    for (size_t i = 0; i < facts->n && !sim_failed(); i++)
        if (facts->items[i].counts && fact_is(&facts->items[i], "container.created"))
            check_life(facts, facts->items[i].subject);
}

/* --- outcomes --- */

static const char *id_of(const struct stored *command, json_t **ret_document)
{
    *ret_document = json_loadb(command->value, command->size, 0, NULL);
    return json_string_value(json_object_get(*ret_document, "id"));
}

/* The outcome of a command may be at any of the offsets where it is stored. */
static void check_command(const struct facts *facts, const struct stored *command)
{
    json_auto_t *document = NULL;
    const char *id = id_of(command, &document);
    int n = 0, n_parked = 0;
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->items[i];
        if (!fact->counts)
            continue;
        n += id != NULL && fact->outcome != NULL && strcmp(fact->cause, id) == 0;
        n_parked += fact_is(fact, "node.record_parked") && fact_number(fact, "offset") == command->offset;
        if (fact->outcome != NULL && fact->commandoffset == command->offset &&
            (id == NULL || strcmp(fact->cause, id) != 0))
            sim_fail("event %lld settles offset %lld, which is another command",
                     (long long)fact->stored->offset, (long long)command->offset);
    }
    if (id != NULL && n != 1)
        sim_fail("the command at %lld has %d outcomes", (long long)command->offset, n);
    if (n_parked != (id == NULL ? 1 : 0))
        sim_fail("the record at %lld of wharf.commands was parked %d times", (long long)command->offset,
                 n_parked);
}

static bool has_letter(int64_t offset, uint32_t partition)
{
    const struct store_partition *letters = &sim->store->topics[LOG_DEADLETTERS][0];
    char key[64];
    snprintf(key, sizeof(key), "wharf.commands/%u/%lld", partition, (long long)offset);
    for (size_t i = 0; i < letters->n; i++)
        if (letters->records[i].key != NULL && strcmp(letters->records[i].key, key) == 0)
            return true;
    return false;
}

static void check_commands(const struct facts *facts)
{
    const struct store_partition *commands = &sim->store->topics[LOG_COMMANDS][facts->partition];
    for (size_t i = 0; i < commands->n && !sim_failed(); i++) {
        json_auto_t *document = NULL;
        check_command(facts, &commands->records[i]);
        if (id_of(&commands->records[i], &document) == NULL &&
            !has_letter(commands->records[i].offset, facts->partition))
            sim_fail("the record at %lld is not among the dead letters",
                     (long long)commands->records[i].offset);
    }
}

/* A kill overtakes a stop, and its own outcome waits for the signal's; and what comes to nothing since the
 * container is being stopped does not wait for its end. */
static bool may_overtake(const struct fact *fact)
{
    const char *command = fact_text(fact, "command"), *code = fact_text(fact, "code");
    return fact_is(fact, "container.signaled") ||
           (command != NULL && strcmp(command, "container.kill") == 0) ||
           (fact_is(fact, "command.refused") && code != NULL && strcmp(code, "stopping") == 0);
}

/* Other commands about one container end in the order they were given in. */
static void check_order(const struct facts *facts)
{
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *later = &facts->items[i];
        if (!later->counts || later->outcome == NULL || strlen(later->subject) != 64 || may_overtake(later))
            continue;
        for (size_t j = 0; j < i && !sim_failed(); j++) {
            const struct fact *earlier = &facts->items[j];
            if (!earlier->counts || earlier->outcome == NULL ||
                strcmp(earlier->subject, later->subject) != 0 ||
                earlier->commandoffset <= later->commandoffset || may_overtake(earlier))
                continue;
            sim_fail("the command at %lld about %.12s ended before the one at %lld",
                     (long long)earlier->commandoffset, later->subject, (long long)later->commandoffset);
        }
    }
}

/* The ids that the container was given, if it was; false otherwise. */
static bool ids_of(const struct fact *created, int64_t *ret_base, int64_t *ret_size)
{
    const json_t *spec = json_object_get(created->data, "spec");
    *ret_base = json_integer_value(json_object_get(spec, "id_base"));
    *ret_size = json_integer_value(json_object_get(spec, "id_size"));
    return *ret_size > 0;
}

static bool is_removed_before(const struct facts *facts, const struct fact *created, size_t end)
{
    for (size_t i = (size_t)(created - facts->items); i < end; i++)
        if (facts->items[i].counts && fact_is(&facts->items[i], "container.removed") &&
            strcmp(facts->items[i].subject, created->subject) == 0)
            return true;
    return false;
}

/* From its creation to its removal nobody else has a container's ids. */
static void check_ids(const struct facts *facts)
{
    int64_t base, size, other_base, other_size;
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *created = &facts->items[i];
        if (!created->counts || !fact_is(created, "container.created") || !ids_of(created, &base, &size))
            continue;
        for (size_t j = 0; j < i && !sim_failed(); j++) {
            const struct fact *other = &facts->items[j];
            if (other->counts && fact_is(other, "container.created") &&
                ids_of(other, &other_base, &other_size) && base < other_base + other_size &&
                other_base < base + size && !is_removed_before(facts, other, i))
                sim_fail("%.12s has ids of %.12s's", created->subject, other->subject);
        }
    }
}

/* --- clients --- */

static const struct stored *find_command(const struct store_partition *commands, const char *id)
{
    for (size_t i = 0; i < commands->n; i++) {
        json_auto_t *document = NULL;
        const char *found = id_of(&commands->records[i], &document);
        if (found != NULL && strcmp(found, id) == 0)
            return &commands->records[i];
    }
    return NULL;
}

static bool was_written(const struct facts *facts, const struct client *client)
{
    for (size_t i = 0; i < facts->n; i++)
        if (facts->items[i].counts && facts->items[i].outcome != NULL &&
            strcmp(facts->items[i].cause, client->id) == 0 &&
            strcmp(facts->items[i].outcome, client->outcome) == 0)
            return true;
    return false;
}

static void check_clients(const struct facts *facts)
{
    const struct store_partition *commands = &sim->store->topics[LOG_COMMANDS][facts->partition];
    for (const struct client *client = sim->clients->first; client != NULL; client = client->next) {
        if (client->id[0] == '\0')
            continue;
        if (find_command(commands, client->id) == NULL)
            sim_fail("item %d was accepted, but its command is not on the log", client->item->number);
        if (client->outcome[0] != '\0' && !was_written(facts, client))
            sim_fail("item %d was told '%s', which the log does not say", client->item->number,
                     client->outcome);
    }
}

void check_log(void)
{
    struct facts facts;
    facts_read(&facts);
    void (*const checks[])(const struct facts *) = {check_chain, check_lives, check_commands,
                                                    check_order, check_ids,   check_clients};
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && !sim_failed(); i++)
        checks[i](&facts);
    facts_release(&facts);
}
