/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/device_filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

const char *const DEVICES_ALWAYS_ALLOWED[] = {
    "c *:* m",   "b *:* m",   "c 1:3 rwm", "c 1:5 rwm",   "c 1:7 rwm", "c 1:8 rwm",
    "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm", NULL,
};

#define ANY UINT32_MAX
#define ALL_ACCESS (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)

struct parsed {
    uint32_t type; /* BPF_DEVCG_DEV_*; ANY: both */
    uint32_t major, minor;
    uint32_t access; /* BPF_DEVCG_ACC_* */
};

static bool parse_number(const char **at, uint32_t *ret)
{
    char *end;
    if (**at == '*') {
        *ret = ANY;
        ++*at;
        return true;
    }
    unsigned long long number = strtoull(*at, &end, 10);
    if (end == *at || **at == '-' || number >= ANY)
        return false;
    *ret = (uint32_t)number;
    *at = end;
    return true;
}

/* "TYPE MAJOR:MINOR ACCESS"; for all devices "a" is enough, and the rest counts for nothing, as on v1. */
static bool parse(const char *text, struct parsed *ret)
{
    if (text[0] == 'a' && (text[1] == '\0' || text[1] == ' ')) {
        *ret = (struct parsed){ANY, ANY, ANY, ALL_ACCESS};
        return true;
    }
    const char *at = text + 2;
    if ((text[0] != 'b' && text[0] != 'c') || text[1] != ' ' || !parse_number(&at, &ret->major) ||
        *at++ != ':' || !parse_number(&at, &ret->minor) || *at++ != ' ')
        return false;
    ret->type = text[0] == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
    ret->access = 0;
    for (; *at != '\0'; at++) {
        if (strchr("rwm", *at) == NULL)
            return false;
        ret->access |= *at == 'r'   ? BPF_DEVCG_ACC_READ
                       : *at == 'w' ? BPF_DEVCG_ACC_WRITE
                                    : BPF_DEVCG_ACC_MKNOD;
    }
    return ret->access != 0;
}

static struct bpf_insn instruction(int code, int to, int from, size_t offset, uint32_t number)
{
    return (struct bpf_insn){.code = (uint8_t)code,
                             .dst_reg = (uint8_t)(to & 15),
                             .src_reg = (uint8_t)(from & 15),
                             .off = (int16_t)offset,
                             .imm = (int32_t)number};
}

/* The program's registers: what is asked for, from struct bpf_cgroup_dev_ctx. */
enum { ACCESS = BPF_REG_2, TYPE = BPF_REG_3, MAJOR = BPF_REG_4, MINOR = BPF_REG_5, SCRATCH = BPF_REG_1 };

static void add_load(struct buf *program)
{
    const size_t type = offsetof(struct bpf_cgroup_dev_ctx, access_type);
    const struct bpf_insn load[] = {
        instruction(BPF_LDX | BPF_MEM | BPF_W, TYPE, BPF_REG_1, type, 0),
        instruction(BPF_ALU64 | BPF_MOV | BPF_X, ACCESS, TYPE, 0, 0),
        instruction(BPF_ALU64 | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff),
        instruction(BPF_ALU64 | BPF_RSH | BPF_K, ACCESS, 0, 0, 16),
        instruction(BPF_LDX | BPF_MEM | BPF_W, MAJOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major),
                    0),
        instruction(BPF_LDX | BPF_MEM | BPF_W, MINOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor),
                    0),
    };
    buf_add(program, load, sizeof(load));
}

static void add_return(struct buf *program, bool allow)
{
    const struct bpf_insn end[] = {
        instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow),
        instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    buf_add(program, end, sizeof(end));
}

/* From the last rule to the first: a denial decides if it covers anything that is still asked for; what is
 * allowed is asked for no more, and nothing left is the answer yes. */
static void add_rule(struct buf *program, bool allow, const struct parsed *rule)
{
    const struct {
        int reg;
        uint32_t value;
    } MATCH[] = {{TYPE, rule->type}, {MAJOR, rule->major}, {MINOR, rule->minor}};
    struct bpf_insn body[5];
    size_t n = 0, conditions = 0;
    if (allow) {
        body[n++] = instruction(BPF_ALU64 | BPF_AND | BPF_K, ACCESS, 0, 0, ~rule->access);
        body[n++] = instruction(BPF_JMP | BPF_JNE | BPF_K, ACCESS, 0, 2, 0);
    } else {
        body[n++] = instruction(BPF_ALU64 | BPF_MOV | BPF_X, SCRATCH, ACCESS, 0, 0);
        body[n++] = instruction(BPF_ALU64 | BPF_AND | BPF_K, SCRATCH, 0, 0, rule->access);
        body[n++] = instruction(BPF_JMP | BPF_JEQ | BPF_K, SCRATCH, 0, 2, 0);
    }
    body[n++] = instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
    body[n++] = instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    for (size_t i = 0; i < 3; i++)
        conditions += MATCH[i].value != ANY;
    for (size_t i = 0; i < 3; i++) {
        if (MATCH[i].value == ANY)
            continue;
        conditions--;
        const struct bpf_insn skip =
            instruction(BPF_JMP32 | BPF_JNE | BPF_K, MATCH[i].reg, 0, conditions + n, MATCH[i].value);
        buf_add(program, &skip, sizeof(skip));
    }
    buf_add(program, body, n * sizeof(body[0]));
}

int device_filter_build(const struct device_rule *rules, size_t n, struct buf *ret, struct err *err)
{
    bool decided = false;
    add_load(ret);
    for (size_t i = n; i > 0 && !decided; i--) {
        struct parsed rule;
        if (!parse(rules[i - 1].text, &rule))
            return err_set(err, ERR_INVALID, "'%s' is no rule for devices", rules[i - 1].text);
        /* The kernel refuses programs with instructions that nothing leads to: what is before it is left out.
         */
        decided = rule.type == ANY;
        if (decided)
            add_return(ret, rules[i - 1].allow);
        else
            add_rule(ret, rules[i - 1].allow, &rule);
    }
    if (!decided)
        add_return(ret, false);
    return ret->failed ? err_nomem(err, "building the filter of devices") : 0;
}

int device_filter_attach(int cgroup_fd, const struct buf *program, struct err *err)
{
    static const char LICENSE[] = "Apache-2.0";
    union bpf_attr load = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insns = (uint64_t)(uintptr_t)program->data,
        .insn_cnt = (uint32_t)(program->size / sizeof(struct bpf_insn)),
        .license = (uint64_t)(uintptr_t)LICENSE,
    };
    auto_fd int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
    if (fd < 0)
        return err_sys(err, errno, "cannot load the filter of devices into the kernel");
    union bpf_attr attach = {
        .target_fd = (uint32_t)cgroup_fd,
        .attach_bpf_fd = (uint32_t)fd,
        .attach_type = BPF_CGROUP_DEVICE,
        .attach_flags = BPF_F_ALLOW_MULTI,
    };
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0)
        return err_sys(err, errno, "cannot attach the filter of devices to the cgroup");
    return 0;
}
