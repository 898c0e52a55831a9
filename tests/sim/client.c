/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/client.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "tests/sim/machine.h"

#define NODE "n1"
#define NAMES 5
/* Checked so often that most runs see several checks, some of which take too long. */
#define HEALTH                                                                                               \
    ",\"health_command\":[\"h\"],\"health_interval_ms\":150,\"health_timeout_ms\":200,\"health_retries\":2"
#define PATIENCE_MS 9000
#define ATTEMPTS_MAX 200

static const char *const signals[] = {"SIGKILL", "SIGTERM", "SIGUSR1", "SIGHUP"};
static const char *const policies[] = {"no", "no", "no", "on-failure", "always", "unless-stopped"};

/* A name of few, or the id of a container that another item asks for: its key decides it. */
static void pick_container(const struct item *item, char *ret, size_t size)
{
    char key[32], uuid[UUID_TEXT_SIZE], id[CONTAINER_ID_SIZE];
    if (item->a % 4 != 0 || item->number == 0) {
        snprintf(ret, size, "c%d", (int)(item->a / 4 % NAMES));
        return;
    }
    snprintf(key, sizeof(key), "item-%d", (int)(item->a / 4 % (uint64_t)item->number));
    uuid_from_key(uuid, "uid=1000", key);
    container_id_from_command(id, uuid);
    snprintf(ret, size, "%s", id);
}

/* The id that the item's container gets. */
static void container_of(const struct item *item, char ret[CONTAINER_ID_SIZE])
{
    char key[32], uuid[UUID_TEXT_SIZE];
    snprintf(key, sizeof(key), "item-%d", item->number);
    uuid_from_key(uuid, "uid=1000", key);
    container_id_from_command(ret, uuid);
}

/* Mostly the container that was asked for last, or one that runs: few that are picked blindly do. */
static void pick_for_exec(const struct item *item, char *ret, size_t size)
{
    size_t n = 0, picked = item->c / 4;
    pick_container(item, ret, size);
    for (const struct client *client = sim->clients->first; client != NULL; client = client->next)
        if (client->item->kind == ITEM_RUN && item->c % 4 > 1) {
            container_of(client->item, ret);
            return;
        }
    for (const struct shim *shim = sim->machines[0]->shims; shim != NULL; shim = shim->next)
        n += shim->exec_of[0] == '\0';
    for (const struct shim *shim = sim->machines[0]->shims; shim != NULL; shim = shim->next)
        if (shim->exec_of[0] == '\0' && item->c % 4 == 1 && picked-- % n == 0) {
            snprintf(ret, size, "%s", shim->id);
            return;
        }
}

static void write_spec(const struct item *item, char *ret, size_t size)
{
    char name[32] = "", labels[64] = "";
    const char *policy = policies[item->b % 6];
    if (item->a % 3 != 0)
        snprintf(name, sizeof(name), "\"name\":\"c%d\",", (int)(item->a / 4 % NAMES));
    if (item->c % 3 == 0)
        snprintf(labels, sizeof(labels), "\"labels\":{\"k\":\"v%d\"},", (int)(item->c / 3 % 2));
    snprintf(ret, size,
             "{%s%s\"image\":\"%s\",\"command\":[\"x\"],\"restart\":\"%s\",\"restart_max\":%d,"
             "\"stop_timeout_s\":%d,\"auto_remove\":%s%s%s}",
             name, labels, item->c % 13 == 0 ? "other" : "busybox", policy, (int)(item->b / 6 % 4),
             (int)(item->b / 24 % 4), policy[0] == 'n' && item->c % 2 == 0 ? "true" : "false",
             item->c / 6 % 3 == 0 ? ",\"userns\":\"auto\"" : "", item->c / 18 % 3 == 0 ? HEALTH : "");
}

static const char *write_adjustment(const struct item *item, const char *container, char *ret, size_t size)
{
    if (item->kind == ITEM_PAUSE)
        return "container.pause";
    if (item->kind == ITEM_UNPAUSE)
        return "container.unpause";
    if (item->kind == ITEM_RENAME) {
        snprintf(ret, size, "{\"container\":\"%s\",\"name\":\"c%d\"}", container, (int)(item->b % NAMES));
        return "container.rename";
    }
    snprintf(ret, size, "{\"container\":\"%s\",\"memory\":%d}", container, (int)(item->b % 3 + 1) << 23);
    return "container.update";
}

static const char *write_image(const struct item *item, const char *container, char *ret, size_t size)
{
    if (item->kind == ITEM_COMMIT) {
        snprintf(ret, size, "{\"container\":\"%s\",\"reference\":\"%s\",\"no_pause\":%s}", container,
                 item->b % 3 == 0 ? "other" : "made", item->c % 3 == 0 ? "true" : "false");
        return "container.commit";
    }
    if (item->kind == ITEM_IMPORT) {
        snprintf(ret, size, "{\"source\":\"/%s%d\",\"reference\":\"%s\"}",
                 item->number > 0 && item->b % 5 == 0 ? "bad" : "src", (int)(item->b / 5 % 2),
                 item->number > 0 && item->c % 3 == 0 ? "other" : "busybox");
        return "image.import";
    }
    snprintf(ret, size, "{\"image\":\"%s\",\"force\":%s}", item->b % 2 == 0 ? "other" : "busybox",
             item->c % 2 == 0 ? "true" : "false");
    return "image.remove";
}

static void write_body(const struct item *item, char *ret, size_t size)
{
    char data[400], container[80];
    const char *type = "container.run";
    pick_container(item, container, sizeof(container));
    snprintf(data, sizeof(data), "{\"container\":\"%s\"}", container);
    switch (item->kind) {
    case ITEM_RUN:
    case ITEM_CREATE:
        type = item->kind == ITEM_RUN ? "container.run" : "container.create";
        write_spec(item, data, sizeof(data));
        break;
    case ITEM_START:
        type = "container.start";
        break;
    case ITEM_STOP:
        type = "container.stop";
        break;
    case ITEM_KILL:
        type = "container.kill";
        snprintf(data, sizeof(data), "{\"container\":\"%s\",\"signal\":\"%s\"}", container,
                 signals[item->b % 4]);
        break;
    case ITEM_RESTART:
        type = "container.restart";
        break;
    case ITEM_REMOVE:
        type = "container.remove";
        snprintf(data, sizeof(data), "{\"container\":\"%s\",\"force\":%s}", container,
                 item->b % 2 == 0 ? "true" : "false");
        break;
    case ITEM_EXEC:
        type = "container.exec";
        pick_for_exec(item, container, sizeof(container));
        snprintf(data, sizeof(data), "{\"container\":\"%s\",\"command\":[\"y\"]}", container);
        break;
    case ITEM_PAUSE:
    case ITEM_UNPAUSE:
    case ITEM_RENAME:
    case ITEM_UPDATE:
        type = write_adjustment(item, container, data, sizeof(data));
        break;
    case ITEM_COMMIT:
    case ITEM_IMPORT:
    case ITEM_IMAGE_REMOVE:
        type = write_image(item, container, data, sizeof(data));
        break;
    case ITEM_GARBAGE:
    case ITEM_DUPLICATE:
    case ITEM_CRASH_RUNTIME:
    case ITEM_CRASH_WRITER:
    case ITEM_CRASH_PROJECTOR:
    case ITEM_STOP_RUNTIME:
    case ITEM_LOG_AWAY:
    case ITEM_LOG_CUT:
    case ITEM_REDIS_AWAY:
    case ITEM_KILL_SHIM:
    case ITEM_KILL_CONTAINER:
    case ITEM_REBOOT:
    case ITEM_CLOCK:
    case ITEM_RIVAL:
    case ITEM_KINDS:
        break;
    }
    snprintf(ret, size, "{\"type\":\"%s\",\"node\":\"" NODE "\",\"data\":%s}", type, data);
}

struct clients *clients_new(void)
{
    return sim_alloc(sizeof(struct clients));
}

void clients_free(struct clients *clients)
{
    while (clients->first != NULL) {
        struct client *client = clients->first;
        clients->first = client->next;
        task_cancel(&client->task);
        free(client);
    }
    free(clients);
}

bool clients_are_done(const struct clients *clients)
{
    for (const struct client *client = clients->first; client != NULL; client = client->next)
        if (!client->done)
            return false;
    return true;
}

static void attempt(void *data);

static void ask_again(struct client *client)
{
    if (client->attempts >= ATTEMPTS_MAX) {
        sim_fail("the command of item %d is not taken in %d attempts", client->item->number,
                 client->attempts);
        return;
    }
    task_schedule(&client->task, NULL, rng_between(&client->rng, 1, 1500) * MS_NS, attempt, client);
}

static void on_patience_over(void *data)
{
    struct client *client = data;
    struct http_request *request = client->request;
    client->request = NULL;
    http_cancel(request);
    ask_again(client);
}

static void attempt(void *data)
{
    struct client *client = data;
    client->attempts++;
    client->request = http_post(client);
    if (client->request == NULL)
        ask_again(client);
    else
        task_schedule(&client->task, NULL, PATIENCE_MS * MS_NS, on_patience_over, client);
}

void client_lost(struct client *client)
{
    client->request = NULL;
    ask_again(client);
}

/* What one answer says must be what every other says. */
static void remember(struct client *client, const json_t *answer)
{
    const char *id = json_string_value(json_object_get(answer, "id"));
    const char *container = json_string_value(json_object_get(answer, "container"));
    const char *exec = json_string_value(json_object_get(answer, "exec"));
    const char *outcome = json_string_value(json_object_get(answer, "outcome"));
    char expected[CONTAINER_ID_SIZE] = "";
    if (id != NULL && client->item->kind == ITEM_EXEC)
        container_id_from_command(expected, id);
    int64_t offset = json_integer_value(json_object_get(answer, "offset"));
    if (id == NULL)
        sim_fail("item %d: the writer's answer has no id", client->item->number);
    else if (client->id[0] != '\0' && (strcmp(client->id, id) != 0 ||
                                       strcmp(client->container, container != NULL ? container : "") != 0))
        sim_fail("item %d: a repeated key names another command or container", client->item->number);
    else if (strcmp(expected, exec != NULL ? exec : "") != 0)
        sim_fail("item %d: the writer names the exec '%.12s', which is '%.12s'", client->item->number,
                 exec != NULL ? exec : "", expected);
    else if (outcome != NULL && client->outcome[0] != '\0' && strcmp(client->outcome, outcome) != 0)
        sim_fail("item %d: a repeated key has another outcome", client->item->number);
    if (sim_failed())
        return;
    snprintf(client->id, sizeof(client->id), "%s", id);
    snprintf(client->container, sizeof(client->container), "%s", container != NULL ? container : "");
    client->offset = offset;
    if (outcome != NULL)
        snprintf(client->outcome, sizeof(client->outcome), "%s", outcome);
}

void client_answered(struct client *client, unsigned status, const char *body)
{
    client->request = NULL;
    task_cancel(&client->task);
    sim_note("item %d is answered %u: %.100s", client->item->number, status, body);
    if (status == 503) {
        ask_again(client);
        return;
    }
    if (status != 200 && status != 202) {
        client->done = client->refused = true;
        if (status != 404)
            sim_fail("item %d: the writer answers %u: %s", client->item->number, status, body);
        return;
    }
    json_auto_t *answer = json_loads(body, 0, NULL);
    remember(client, answer);
    if (client->repeats_left-- > 0)
        ask_again(client);
    else
        client->done = true;
}

static void begin_one(const struct item *item, int copy)
{
    struct client *client = sim_alloc(sizeof(*client));
    client->item = item;
    client->rng = rng_make(sim->plan->seed, RNG_CLIENT, (uint64_t)(item->number + copy * PLAN_ITEMS_MAX));
    client->offset = -1;
    snprintf(client->key, sizeof(client->key), "item-%d%.*s", item->number, copy, "abc");
    write_body(item, client->body, sizeof(client->body));
    client->wait_s = rng_chance(&client->rng, 50) ? (unsigned)rng_between(&client->rng, 1, 20) : 0;
    client->repeats_left = rng_chance(&client->rng, 15) ? 1 : 0;
    client->next = sim->clients->first;
    sim->clients->first = client;
    sim_note("item %d: %s", item->number, client->body);
    task_schedule(&client->task, NULL, 0, attempt, client);
}

void client_begin(const struct item *item)
{
    int copies = item->kind == ITEM_EXEC ? (int)(item->b % 4) : 0;
    for (int copy = 0; copy <= copies; copy++)
        begin_one(item, copy);
}
