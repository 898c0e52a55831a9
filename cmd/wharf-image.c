/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wharf-image - everything about archives, in processes of their own.
 *
 *     wharf-image import SOURCE STORE      the runtime's: an image of an archive or a directory
 *     wharf-image commit STORE             the runtime's: an image of a container
 *     wharf-image serve                    the runtime's: one copy into or out of a container
 *     wharf-image pack --|-L SOURCE        the client's: a copy's archive to standard output
 *     wharf-image unpack --|-a TARGET      the client's: one from standard input; -a keeps owners
 *
 * `import` and `commit` print one line of JSON: {"digest":"sha256:HEX","size":N}, or {"error":"..."} with
 * exit status 1. `pack` and `unpack` work with the rights of whoever calls them, and say on standard error
 * why they failed: with exit status 1, or 3 where nobody read what `pack` wrote.
 */
#include <jansson.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runtime/image/commit.h"
#include "runtime/image/import.h"
#include "runtime/image/pack.h"
#include "runtime/image/serve.h"
#include "runtime/image/unpack.h"

static int answer(json_t *document)
{
    char *text = document == NULL ? NULL : json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (text == NULL || printf("%s\n", text) < 0 || fflush(stdout) != 0)
        return 1;
    free(text);
    return 0;
}

static int answer_image(int result, const struct imported *imported, const struct err *err)
{
    if (result == 0)
        return answer(
            json_pack("{s:s, s:I}", "digest", imported->digest, "size", (json_int_t)imported->size_bytes));
    answer(json_pack("{s:s}", "error", err->message));
    return 1;
}

/* SOURCE may be NULL, for the container that the runtime has handed over. */
static int import(const char *source, const char *store)
{
    /* An import nobody waits for any more is worthless. */
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    struct err err = ERR_INIT;
    struct imported imported = {.size_bytes = 0};
    int result =
        source != NULL ? image_import(source, store, &imported, &err) : image_commit(store, &imported, &err);
    return answer_image(result, &imported, &err);
}

/* Names are UTF-8 for libarchive then; others go as they are. */
static void begin_copy(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
}

static int end_copy(int result, const struct err *err)
{
    if (result < 0)
        fprintf(stderr, "%s\n", err->message);
    if (result == 0)
        return 0;
    return err->code == ERR_UNAVAILABLE ? 3 : 1;
}

static int pack_copy(const char *path, bool follow)
{
    struct err err = ERR_INIT;
    struct pack_source source;
    int64_t bytes = 0;
    begin_copy();
    int result = pack_find(path, follow, &source, &err);
    if (result == 0) {
        result = pack(&source, STDOUT_FILENO, &bytes, &err);
        pack_source_close(&source);
    }
    return end_copy(result, &err);
}

static int unpack_copy(const char *path, bool keep_owner)
{
    struct err err = ERR_INIT;
    struct unpack_place place;
    struct unpack_options options = {.keep_owner = keep_owner};
    int64_t bytes = 0;
    begin_copy();
    int result = unpack_find(path, &place, &err);
    if (result == 0)
        result = unpack(&place, &options, STDIN_FILENO, &bytes, &err);
    unpack_place_close(&place);
    return end_copy(result, &err);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (argc == 4 && strcmp(verb, "import") == 0)
        return import(argv[2], argv[3]);
    if (argc == 3 && strcmp(verb, "commit") == 0)
        return import(NULL, argv[2]);
    if (argc == 2 && strcmp(verb, "serve") == 0)
        return serve();
    if (argc == 4 && strcmp(verb, "pack") == 0)
        return pack_copy(argv[3], strcmp(argv[2], "-L") == 0);
    if (argc == 4 && strcmp(verb, "unpack") == 0)
        return unpack_copy(argv[3], strcmp(argv[2], "-a") == 0);
    fprintf(stderr, "usage: wharf-image import SOURCE STORE | commit STORE | serve | pack --|-L SOURCE | "
                    "unpack --|-a TARGET\n");
    return 2;
}
