/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now); /* cannot fail: the id is valid and the pointer ours (clock_gettime(2)) */
    return (int64_t)now.tv_sec * 1000000000LL + now.tv_nsec;
}

int64_t clock_realtime_ns(void)
{
    return read_clock_ns(CLOCK_REALTIME);
}

int64_t clock_monotonic_ns(void)
{
    return read_clock_ns(CLOCK_MONOTONIC);
}

int64_t clock_boottime_ns(void)
{
    return read_clock_ns(CLOCK_BOOTTIME);
}

int random_bytes(void *ret, size_t size, struct err *err)
{
    char *at = ret;
    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "cannot read random numbers");
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

int uuid_v7_now(char ret[UUID_TEXT_SIZE], struct err *err)
{
    uint8_t random[UUID_RANDOM_BYTES];
    if (random_bytes(random, sizeof(random), err) < 0)
        return -1;
    uuid_v7(ret, clock_realtime_ns(), random);
    return 0;
}
