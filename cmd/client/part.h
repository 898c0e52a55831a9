/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part.h - the single processes of the local stack: how each is called, started, asked, and quoted when it
 * fails.
 */
#ifndef WHARF_CMD_CLIENT_PART_H
#define WHARF_CMD_CLIENT_PART_H

#include "cmd/client/supervisor.h"

/* Fills supervisor->parts with the private Redis, if the configuration names none, and the four roles. */
int parts_make(struct supervisor *supervisor, const char *config_file, struct err *err);

void part_release(struct part *part);

/* Starts it in a session of its own; it gets SIGTERM when we die. */
int part_spawn(struct part *part, int output_fd, const char *notify_path, struct err *err);

/* Renames the part's cache, which it could perhaps not read, to `*.damaged`. False if there is none to set
 * aside. */
bool part_set_cache_aside(const struct part *part);

/* True when the private Redis answers PING. */
bool part_answers_ping(const char *run_dir);

/* Appends what the part last wrote into the file, if there is one, to the error. */
void part_add_last_words(const struct part *part, const char *output, struct err *err);

/* The group of the configured user, (gid_t)-1 if there is no such user. */
gid_t part_group(const char *user);

#endif
