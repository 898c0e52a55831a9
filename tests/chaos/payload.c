/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the containers of the chaos run execute: payload LINES EXIT_CODE [TERM_CODE]
 *
 * Prints "line 1" ... "line LINES" to standard output and "note 1" ... to standard error, one write(2) each.
 * Without TERM_CODE it then ends with EXIT_CODE. With it, it prints "ready", waits for SIGTERM, prints "bye"
 * and ends with TERM_CODE.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print(int fd, const char *text)
{
    size_t size = strlen(text);
    if (write(fd, text, size) != (ssize_t)size)
        _exit(99);
}

int main(int argc, char **argv)
{
    char text[32];
    sigset_t wanted;
    int signal;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    if (argc > 3)
        sigprocmask(SIG_BLOCK, &wanted, NULL);
    for (int i = 1; argc > 2 && i <= atoi(argv[1]); i++) {
        snprintf(text, sizeof(text), "line %d\n", i);
        print(STDOUT_FILENO, text);
        snprintf(text, sizeof(text), "note %d\n", i);
        print(STDERR_FILENO, text);
    }
    if (argc <= 3)
        return argc > 2 ? atoi(argv[2]) : 98;
    print(STDOUT_FILENO, "ready\n");
    if (sigwait(&wanted, &signal) != 0)
        return 97;
    print(STDOUT_FILENO, "bye\n");
    return atoi(argv[3]);
}
