/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role.h - what every long-running role (writer, runtime, projector, query) does around its work: readiness,
 * orderly end, and giving up privileges.
 *
 * Main thread, before and after the loop.
 */
#ifndef WHARF_BASE_ROLE_H
#define WHARF_BASE_ROLE_H

#include <uv.h>

#include "base/err.h"

/* Tells whoever started us (systemd or `wharf up`) that we serve: sends "READY=1" to $NOTIFY_SOCKET as
 * sd_notify(3) says. Without that variable it does nothing. After role_drop_privileges the socket must be
 * writable for that user, so whoever binds it opens its mode. */
void role_notify_ready(void);

/* Becomes `user` with its primary and supplementary groups and no capabilities, if we are root. A user that
 * does not exist, or that cannot reach one of `paths` (directories, NULL-terminated list; checked with its
 * own credentials), leaves us root but without capabilities beyond CAP_DAC_OVERRIDE and CAP_FOWNER, and one
 * warning says which and what to do. Call it before any thread is started: capabilities are a thread's own.
 */
int role_drop_privileges(const char *user, const char *const *paths, struct err *err);

/* The numeric group that the sockets and the embedded log belong to: that of `user`, or (gid_t)-1 if there is
 * none. */
gid_t role_group(const char *user);

/* Makes the directory of an embedded log ("sqlite:DIR") if it is missing, and gives it and the files in it to
 * the group of `user`, so that roles which run as root and roles which do not share it, whoever comes first.
 * To be called by every role before role_drop_privileges and log_open. Other logs, unknown users, and
 * processes that are not root change nothing. */
int role_share_log(const char *log_url, const char *user, struct err *err);

/* The directory of an embedded log's URL, or NULL for another kind of log; points into the URL. */
const char *role_log_dir(const char *log_url);

/* Calls on_stop once when SIGTERM or SIGINT comes; ignores SIGPIPE. */
struct role_signals {
    uv_signal_t term;
    uv_signal_t interrupt;
    void (*on_stop)(void *data);
    void *data;
};
int role_signals_start(struct role_signals *signals, uv_loop_t *loop, void (*on_stop)(void *data), void *data,
                       struct err *err);
/* Closes the two handles. */
void role_signals_stop(struct role_signals *signals);

#endif
