/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-image - unpacks foreign archives for the runtime in a process of its own.
 *
 *     wharf-image import SOURCE STORE
 *
 * Prints one line of JSON: {"digest":"sha256:HEX","size":N}, or {"error":"..."} with exit status 1.
 */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runtime/image/import.h"

static int answer(json_t *document)
{
    char *text = document == NULL ? NULL : json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (text == NULL || printf("%s\n", text) < 0 || fflush(stdout) != 0)
        return 1;
    free(text);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4 || strcmp(argv[1], "import") != 0) {
        fprintf(stderr, "usage: wharf-image import SOURCE STORE\n");
        return 2;
    }
    /* An import nobody waits for any more is worthless. */
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    struct err err = ERR_INIT;
    struct imported imported = {.size_bytes = 0};
    if (image_import(argv[2], argv[3], &imported, &err) == 0)
        return answer(
            json_pack("{s:s, s:I}", "digest", imported.digest, "size", (json_int_t)imported.size_bytes));
    answer(json_pack("{s:s}", "error", err.message));
    return 1;
}
