/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/image/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All of these are below 32. */
#define BIT(capability) (1u << (capability))
#define READS BIT(CAP_DAC_READ_SEARCH)
#define WRITES                                                                                               \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_MKNOD) |           \
     BIT(CAP_SETFCAP))

int confine_capabilities(enum confine_rights rights)
{
    uint32_t mask = rights == CONFINE_READS ? READS : WRITES;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = mask, .permitted = mask}};
    return (int)syscall(SYS_capset, &head, data);
}

static const int refused[] = {
    SCMP_SYS(execve),        SCMP_SYS(execveat),
    SCMP_SYS(ptrace),        SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),         SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),    SCMP_SYS(chroot),
    SCMP_SYS(setns),         SCMP_SYS(unshare),
    SCMP_SYS(open_tree),     SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),        SCMP_SYS(fsmount),
    SCMP_SYS(mount_setattr), SCMP_SYS(open_by_handle_at),
    SCMP_SYS(socket),        SCMP_SYS(bpf),
    SCMP_SYS(keyctl),        SCMP_SYS(add_key),
    SCMP_SYS(request_key),   SCMP_SYS(io_uring_setup),
};

/* Calls that could make memory executable, by the argument with the protection. */
static const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(pkey_mprotect)};

static int add_rules(scmp_filter_ctx filter)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    for (size_t i = 0; result == 0 && i < sizeof(mapping) / sizeof(mapping[0]); i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), mapping[i], 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    return result;
}

int confine_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int result = add_rules(filter);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    errno = -result;
    return result == 0 ? 0 : -1;
}
