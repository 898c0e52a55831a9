/* SPDX-License-Identifier: Apache-2.0 */
/* A system call filter from a client: it is refused with a sentence, or becomes a filter. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/sandbox/oci_check.h"
#include "runtime/sandbox/oci_seccomp.h"
#include "runtime/sandbox/seccomp_profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const struct err *err)
{
    if (err->code == ERR_NONE || err->message[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct seccomp_situation situation = {
        .capabilities = 0xa80425fb, .kernel = "6.1.0", .machine = SECCOMP_MACHINE, .scmp_arch = SECCOMP_ARCH};
    struct err err = ERR_INIT;
    uint32_t flags;
    bool notifies;
    auto_free char *text = strndup((const char *)data, size);
    auto_buf struct buf program = BUF_INIT;
    json_t *section = seccomp_profile(text, &situation, &err);
    if (section == NULL) {
        check_refusal(&err);
        return 0;
    }
    json_auto_t *config = json_pack("{s:s, s:{s:s}, s:{s:o}}", "ociVersion", "1.2.0", "root", "path", "/",
                                    "linux", "seccomp", section);
    if (oci_check(config, &err) < 0 || oci_seccomp(section, &program, &flags, &notifies, &err) < 0)
        check_refusal(&err);
    return 0;
}
