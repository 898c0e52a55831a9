/* SPDX-License-Identifier: Apache-2.0 */
#include "events/log/log_impl.h"

int log_kafka_open(struct log **ret, uv_loop_t *loop, const char *address, const struct log_options *options,
                   struct err *err)
{
    (void)ret;
    (void)loop;
    (void)options;
    return err_set(err, ERR_UNAVAILABLE, "cannot open 'kafka://%s': this build has no Kafka", address);
}
