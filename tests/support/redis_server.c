/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/redis_server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"

static void give_up(const char *what)
{
    perror(what);
    abort();
}

static void run_server(const struct redis_server *server)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a crashed test leaves no server behind */
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--save", "",
           "--appendonly", "no", "--dir", server->dir, "--logfile", "redis.log", (char *)NULL);
    _exit(127);
}

/* Waits for the server by connecting: it says when it is ready by answering. */
void redis_server_restart(struct redis_server *server)
{
    unlink(server->socket);
    server->pid = fork();
    if (server->pid < 0)
        give_up("fork");
    if (server->pid == 0)
        run_server(server);
    for (int attempt = 0; attempt < 2000; attempt++) {
        redisContext *redis = redisConnectUnix(server->socket);
        redisReply *reply = redis != NULL && redis->err == 0 ? redisCommand(redis, "PING") : NULL;
        bool ready = reply != NULL && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        redisFree(redis);
        if (ready)
            return;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
            give_up("redis-server ended at once");
        usleep(5000); /* the pause between two attempts, not a guess at how long the start takes */
    }
    give_up("redis-server does not answer");
}

void redis_server_start(struct redis_server *server)
{
    snprintf(server->dir, sizeof(server->dir), "/tmp/wharf-redis-XXXXXX");
    if (mkdtemp(server->dir) == NULL)
        give_up("mkdtemp");
    snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->dir);
    snprintf(server->url, sizeof(server->url), "unix:%s", server->socket);
    redis_server_restart(server);
}

void redis_server_kill(struct redis_server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void redis_server_stop(struct redis_server *server)
{
    redis_server_kill(server);
    fs_remove_tree(AT_FDCWD, server->dir, NULL);
}

redisContext *redis_server_connect(const struct redis_server *server)
{
    redisContext *redis = redisConnectUnix(server->socket);
    if (redis == NULL || redis->err != 0)
        give_up("cannot connect to the test's redis-server");
    return redis;
}

static void reply_text(const redisReply *reply, struct buf *ret)
{
    switch (reply->type) {
    case REDIS_REPLY_NIL:
        buf_add_string(ret, "(nil)");
        break;
    case REDIS_REPLY_INTEGER:
        buf_printf(ret, "%lld", reply->integer);
        break;
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++) {
            buf_add_string(ret, i > 0 ? " " : "");
            reply_text(reply->element[i], ret);
        }
        break;
    default:
        buf_add(ret, reply->str, (size_t)reply->len);
        break;
    }
}

char *redis_server_ask(redisContext *redis, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    redisReply *reply = redisvCommand(redis, fmt, args);
    va_end(args);
    if (reply == NULL)
        give_up("no reply from the test's redis-server");
    struct buf text = BUF_INIT;
    reply_text(reply, &text);
    freeReplyObject(reply);
    return buf_take(&text, NULL);
}
