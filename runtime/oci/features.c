/* SPDX-License-Identifier: Apache-2.0 */
/*
 * features: what this build knows, whatever the machine has (features.md), from the tables that the engine
 * itself goes by.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/capability.h"
#include "runtime/oci/oci.h"
#include "runtime/sandbox/oci_mounts.h"
#include "runtime/sandbox/oci_namespaces.h"
#include "runtime/sandbox/oci_seccomp.h"

/* A new sorted array, or NULL; jansson hands NULL on, and the whole document becomes NULL. */
static json_t *names(const char *(*name)(size_t index))
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && name(i) != NULL; i++) {
        size_t at = 0;
        while (at < json_array_size(array) &&
               strcmp(json_string_value(json_array_get(array, at)), name(i)) < 0)
            at++;
        if (json_array_insert_new(array, at, json_string(name(i))) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *mount_options(void)
{
    json_t *array = names(oci_mount_option);
    for (size_t i = 0; array != NULL && oci_mount_option(i) != NULL; i++) {
        const char *name = oci_mount_option(i);
        if (oci_mount_option_has_recursive_form(name) &&
            json_array_append_new(array, json_sprintf("r%s", name)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static const char *capability_at(size_t index)
{
    return capability_name((int)index);
}

static json_t *linux_features(void)
{
    return json_pack(
        "{s:o, s:o, s:{s:b, s:b, s:b, s:b, s:b}, s:{s:b, s:o, s:o, s:[sssssssssssssssssss], s:o, s:o},"
        " s:{s:b}, s:{s:b}, s:{s:b}, s:{s:{s:b}}}",
        "namespaces", names(oci_namespace_name), "capabilities", names(capability_at), "cgroup", "v1", 1,
        "v2", 1, "systemd", 0, "systemdUser", 0, "rdma", 1, "seccomp", "enabled", 1, "actions",
        names(oci_seccomp_action), "operators", names(oci_seccomp_operator), "archs", "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",
        "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",
        "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64", "SCMP_ARCH_S390",
        "SCMP_ARCH_S390X", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "knownFlags",
        names(oci_seccomp_flag), "supportedFlags", names(oci_seccomp_flag), "apparmor", "enabled", 1,
        "selinux", "enabled", 1, "intelRdt", "enabled", 0, "mountExtensions", "idmap", "enabled", 1);
}

int oci_features(FILE *out, struct err *err)
{
    json_auto_t *document =
        json_pack("{s:s, s:s, s:[ssssss], s:o, s:o}", "ociVersionMin", "1.0.0", "ociVersionMax", OCI_VERSION,
                  "hooks", "prestart", "createRuntime", "createContainer", "startContainer", "poststart",
                  "poststop", "mountOptions", mount_options(), "linux", linux_features());
    if (document == NULL)
        return err_nomem(err, "listing features");
    if (json_dumpf(document, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF)
        return err_sys(err, errno, "cannot write the answer");
    return 0;
}
