/* SPDX-License-Identifier: Apache-2.0 */
/* A foreign config.json: it is refused with a sentence, or becomes a plan that the first process accepts. */
#include <stdint.h>
#include <stdlib.h>

#include "runtime/oci/resources.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/plan.h"
#include "runtime/sandbox/oci_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const struct err *err)
{
    if (err->code == ERR_NONE || err->message[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct plan plan;
    json_error_t why;
    json_auto_t *config = oci_json_parse((const char *)data, size, &why);
    struct oci_cgroup_dir dirs[] = {{"cpu", "cpu,cpuacct", "/c/cpu"}, {"memory", "memory", "/c/memory"}};
    struct oci_plan_input input = {.config = config, .bundle = "/b", .cgroups = dirs, .n_cgroups = 2};
    auto_buf struct buf bytes = BUF_INIT;
    if (config == NULL)
        return 0;
    if (oci_plan(&input, &bytes, NULL, &err) < 0) {
        check_refusal(&err);
        return 0;
    }
    if (plan_decode(&plan, bytes.data, bytes.size) != NULL)
        abort();
    plan_release(&plan);
    for (int v2 = 0; v2 < 2; v2++) {
        const json_t *resources = json_object_get(json_object_get(config, "linux"), "resources");
        json_auto_t *values = oci_resources(resources, v2 == 1, &err);
        if (values == NULL)
            check_refusal(&err);
    }
    return 0;
}
