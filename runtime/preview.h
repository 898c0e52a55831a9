/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preview.h - what the next start of a node's runtime would record and start, and what `wharf replay` would
 * start: the same fold and the same recovery as a start's, over a look at the log and at the host that
 * changes neither. It works beside a running runtime too, which has had its recovery; then only the rest is
 * told.
 *
 * JSON lines, one object each, "kind" first:
 *   {"kind":"node","node":N,"events":E,"state_dir":"new"|"known","runtime":"up"|"down","host":"same"|"restarted"|"lost"}
 *   {"kind":"event","type":T,"container":ID,"name":N,"data":{...}}     an event that the start would record
 *   {"kind":"remove","container":ID,"name":N}                          what the start would remove
 *   {"kind":"start","by":"policy"|"replay","container":ID,"name":N,"version":V,"why":W,"image":REF,
 *    "digest":D,"image_here":B}                                        what would be started, by whom, and
 * why
 *   {"kind":"image","image":REF,"digest":D,"containers":[N...]}        contents that must be imported first
 */
#ifndef WHARF_RUNTIME_PREVIEW_H
#define WHARF_RUNTIME_PREVIEW_H

#include <stdio.h>

#include "base/config.h"
#include "base/err.h"

/* Runs a loop of its own until all is written. `runtime_is_up`: the node's runtime serves. */
int preview_run(const struct config *config, bool runtime_is_up, FILE *out, struct err *err);

#endif
