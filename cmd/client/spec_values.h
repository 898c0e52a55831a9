/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec_values.h - option values of `wharf run` and `wharf create` from docker's notation to that of a
 * container spec (events/spec.def).
 *
 * Each converter gives a new reference in *ret, or an error that quotes the value and says what would do.
 * Only spec_security reads a file.
 */
#ifndef WHARF_CMD_CLIENT_SPEC_VALUES_H
#define WHARF_CMD_CLIENT_SPEC_VALUES_H

#include <jansson.h>

#include "base/err.h"
#include "cmd/client/options.h"

typedef int (*spec_convert)(const char *text, json_t **ret, struct err *err);

/* "net_admin", "CAP_NET_ADMIN", "all". */
int spec_capability(const char *text, json_t **ret, struct err *err);
/* "nofile=1024:2048", "nofile=1024": "nofile=1024:2048". */
int spec_ulimit(const char *text, json_t **ret, struct err *err);
/* "/dev/a", "/dev/a:/dev/b", "/dev/a:rw", "/dev/a:/dev/b:rw". */
int spec_device(const char *text, json_t **ret, struct err *err);
/* "name:192.0.2.7", "name:::1". */
int spec_add_host(const char *text, json_t **ret, struct err *err);
/* As it is. */
int spec_text(const char *text, json_t **ret, struct err *err);

/* A member of the spec with the converted values; none if the list is empty. */
int spec_set_list(json_t *spec, const char *member, const struct option_list *list, spec_convert convert,
                  struct err *err);

/* KEY=VALUE each, into the member `sysctls`. */
int spec_set_sysctls(json_t *spec, const struct option_list *list, struct err *err);

/* --security-opt: seccomp=FILE, seccomp=unconfined, no-new-privileges[=BOOL]. */
int spec_set_security(json_t *spec, const struct option_list *list, struct err *err);

#endif
