/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_server.h - a real redis-server for a test: private directory, Unix socket only, nothing written to
 * disk. Failures end the test program.
 */
#ifndef WHARF_TESTS_SUPPORT_REDIS_SERVER_H
#define WHARF_TESTS_SUPPORT_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

struct redis_server {
    char dir[64];
    char socket[96];
    char url[104];
    pid_t pid; /* 0 while not running */
};

/* Makes the directory and starts the server; returns when it answers. */
void redis_server_start(struct redis_server *server);
/* Starts it again in the same place, empty. */
void redis_server_restart(struct redis_server *server);
/* SIGKILL, and waits until it is gone. */
void redis_server_kill(struct redis_server *server);
/* Kills it and removes the directory. */
void redis_server_stop(struct redis_server *server);

/* A blocking connection; redisFree it. */
redisContext *redis_server_connect(const struct redis_server *server);
/* Runs a command and returns the reply as text: a string as it is, an integer in decimal, an array's elements
 * joined by spaces, nil as "(nil)". The caller frees. */
char *redis_server_ask(redisContext *redis, const char *fmt, ...);

#endif
