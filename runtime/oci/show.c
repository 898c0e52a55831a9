/* SPDX-License-Identifier: Apache-2.0 */
/* state, list and ps: what is asked and changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/oci/cgroups.h"
#include "runtime/oci/oci.h"
#include "runtime/oci/state.h"
#include "runtime/sandbox/oci_json.h"

static int print(const json_t *document, FILE *out, struct err *err)
{
    if (document == NULL || json_dumpf(document, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF)
        return err_sys(err, errno, "cannot write the answer");
    return 0;
}

int oci_state(const struct oci_options *options, const char *id, FILE *out, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    if (oci_container_open(&container, options->root, id, false, err) < 0)
        return -1;
    json_auto_t *state = oci_container_state(&container, oci_container_status(&container));
    return print(state, out, err);
}

static int collect(const struct oci_options *options, json_t *all, struct err *err)
{
    auto_dir DIR *dir = opendir(options->root);
    const struct dirent *entry;
    if (dir == NULL)
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot list '%s'", options->root);
    while ((entry = readdir(dir)) != NULL) {
        auto_container struct oci_container container = OCI_CONTAINER_INIT;
        struct err why = ERR_INIT;
        if (oci_container_open(&container, options->root, entry->d_name, false, &why) < 0) {
            if (why.code == ERR_CORRUPT)
                options->warn(why.message);
            continue; /* deleted since, or none of ours */
        }
        if (json_array_append_new(all, oci_container_state(&container, oci_container_status(&container))) < 0)
            return err_nomem(err, "listing containers");
    }
    return 0;
}

int oci_list(const struct oci_options *options, FILE *out, struct err *err)
{
    size_t i;
    json_t *state;
    json_auto_t *all = json_array();
    bool json = options->format != NULL && strcmp(options->format, "json") == 0;
    if (options->format != NULL && !json && strcmp(options->format, "table") != 0)
        return err_set(err, ERR_INVALID, "--format is 'table' or 'json', not '%s'", options->format);
    if (all == NULL)
        return err_nomem(err, "listing containers");
    if (collect(options, all, err) < 0)
        return -1;
    if (json)
        return print(all, out, err);
    if (!options->quiet)
        fprintf(out, "%-32s %-8s %-9s %-40s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED");
    json_array_foreach(all, i, state)
    {
        if (options->quiet)
            fprintf(out, "%s\n", oci_text(state, "id"));
        else
            fprintf(out, "%-32s %-8lld %-9s %-40s %s\n", oci_text(state, "id"),
                    (long long)oci_number(state, "pid"), oci_text(state, "status"), oci_text(state, "bundle"),
                    oci_text(state, "created"));
    }
    return 0;
}

/* What is not for terminals to interpret. */
static void print_command(const char *text, size_t size, FILE *out)
{
    while (size > 0 && text[size - 1] == '\0')
        size--;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        fputc(c == '\0' ? ' ' : c < 0x20 || c == 0x7f ? '?' : c, out);
    }
    fputc('\n', out);
}

static long status_number(const char *status, const char *key)
{
    const char *at = strstr(status, key);
    return at == NULL ? 0 : strtol(at + strlen(key), NULL, 10);
}

/* A row; none if it has ended meanwhile. A process without arguments is named by its program. */
static void print_process(int pid, FILE *out)
{
    char path[48];
    auto_free char *status = NULL;
    auto_free char *command = NULL;
    size_t size = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (fs_read_file(AT_FDCWD, path, 65536, &status, NULL, NULL) < 0)
        return;
    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    fs_read_file(AT_FDCWD, path, 4u << 20, &command, &size, NULL);
    fprintf(out, "%-8ld %8d %8ld  ", status_number(status, "\nUid:"), pid, status_number(status, "\nPPid:"));
    if (size > 0)
        print_command(command, size, out);
    else
        print_command(status + strlen("Name:\t"), strcspn(status + strlen("Name:\t"), "\n"), out);
}

static void add_pid(pid_t pid, void *data)
{
    json_array_append_new(data, json_integer(pid));
}

int oci_ps(const struct oci_options *options, const char *id, FILE *out, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    json_auto_t *pids = json_array();
    size_t i;
    json_t *pid;
    bool json = options->format != NULL && strcmp(options->format, "json") == 0;
    if (options->format != NULL && !json && strcmp(options->format, "table") != 0)
        return err_set(err, ERR_INVALID, "--format is 'table' or 'json', not '%s'", options->format);
    if (pids == NULL)
        return err_nomem(err, "listing processes");
    if (oci_container_open(&container, options->root, id, false, err) < 0 ||
        oci_cgroups_each(container.document, add_pid, pids, err) < 0)
        return -1;
    if (json)
        return print(pids, out, err);
    fprintf(out, "%-8s %8s %8s  %s\n", "UID", "PID", "PPID", "CMD");
    json_array_foreach(pids, i, pid)
    {
        print_process((int)json_integer_value(pid), out);
    }
    return 0;
}
