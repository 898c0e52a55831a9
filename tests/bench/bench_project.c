/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projected events per second into Redis, beside what the same Redis takes in raw pipelined HSETs from the same client
 * library, in the same run.
 *
 *     bench_project [EVENTS]      (default 200000; wharf-projector is taken from $BUILD)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "events/message.h"
#include "projector/project.h"
#include "tests/support/event_writer.h"
#include "tests/support/log_driver.h"
#include "tests/support/redis_server.h"
