/* SPDX-License-Identifier: Apache-2.0 */
/*
 * at_terminal - runs a command on a terminal of its own and plays a person who reads and types.
 *
 *     at_terminal [STEP...] -- COMMAND [ARG...]
 *
 *     see:TEXT     wait until TEXT has been shown, behind what was waited for before
 *     type:TEXT    type it; \r \n \e \\ and \xHH are understood
 *     size:RxC     change the terminal's size
 *     signal:N     send a signal to the command
 *     raw, cooked  wait until the terminal is so
 *     hangup       take the terminal away
 *
 * Everything shown goes to standard output. Ends with the command's exit code once it has ended by itself; 99
 * when a step did not come true in time, and 98 when the command left the terminal other than it found it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#define TIMEOUT_MS 20000

static struct {
    int master, slave;
    pid_t pid;
    char *shown;
    size_t size, seen;
} person;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static _Noreturn void give_up(const char *step)
{
    fprintf(stderr, "\nat_terminal: '%s' did not come true\n", step);
    kill(person.pid, SIGKILL);
    exit(99);
}

/* Reads what is shown for at most `wait_ms`; false at the end. */
static bool look(int wait_ms)
{
    char data[4096];
    struct pollfd wait = {.fd = person.master, .events = POLLIN};
    if (poll(&wait, 1, wait_ms) <= 0)
        return true;
    ssize_t n = read(person.master, data, sizeof(data));
    if (n <= 0)
        return false;
    person.shown = realloc(person.shown, person.size + (size_t)n + 1);
    if (person.shown == NULL)
        abort();
    memcpy(person.shown + person.size, data, (size_t)n);
    person.size += (size_t)n;
    person.shown[person.size] = '\0';
    return write(STDOUT_FILENO, data, (size_t)n) == n;
}

static void see(const char *text, const char *step)
{
    int64_t deadline_ms = now_ms() + TIMEOUT_MS;
    for (;;) {
        const char *at = person.size > person.seen ? memmem(person.shown + person.seen,
                                                            person.size - person.seen, text, strlen(text))
                                                   : NULL;
        if (at != NULL) {
            person.seen = (size_t)(at - person.shown) + strlen(text);
            return;
        }
        if (now_ms() > deadline_ms || !look(100))
            give_up(step);
    }
}

static char hex(const char *digits)
{
    char text[3] = {digits[0], digits[1], '\0'};
    return (char)strtol(text, NULL, 16);
}

static void type_keys(const char *text)
{
    for (; *text != '\0'; text++) {
        char key = *text;
        if (key == '\\' && text[1] != '\0') {
            key = *++text;
            if (key == 'x') {
                key = hex(text + 1);
                text += 2;
            } else {
                key = key == 'r' ? '\r' : key == 'n' ? '\n' : key == 'e' ? '\033' : key;
            }
        }
        if (write(person.master, &key, 1) != 1)
            abort();
    }
}

static void await_mode(bool raw, const char *step)
{
    int64_t deadline_ms = now_ms() + TIMEOUT_MS;
    struct termios now;
    while (tcgetattr(person.slave, &now) == 0 && ((now.c_lflag & ICANON) == 0) != raw) {
        if (now_ms() > deadline_ms)
            give_up(step);
        look(10);
    }
}

static void play(const char *step)
{
    struct winsize size = {0};
    if (strncmp(step, "see:", 4) == 0)
        see(step + 4, step);
    else if (strncmp(step, "type:", 5) == 0)
        type_keys(step + 5);
    else if (sscanf(step, "size:%hux%hu", &size.ws_row, &size.ws_col) == 2)
        ioctl(person.slave, TIOCSWINSZ, &size);
    else if (strncmp(step, "signal:", 7) == 0)
        kill(person.pid, atoi(step + 7));
    else if (strcmp(step, "raw") == 0 || strcmp(step, "cooked") == 0)
        await_mode(step[0] == 'r', step);
    else if (strcmp(step, "hangup") == 0)
        close(person.slave), close(person.master), person.master = person.slave = -1;
    else
        give_up(step);
}

static pid_t start(char **command)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    close(person.master);
    if (login_tty(person.slave) < 0)
        _exit(97);
    execvp(command[0], command);
    _exit(97);
}

static int await_end(void)
{
    int status, kept = person.master >= 0 ? fcntl(person.master, F_SETFL, O_NONBLOCK) : 0;
    int64_t deadline_ms = now_ms() + TIMEOUT_MS;
    while (waitpid(person.pid, &status, WNOHANG) == 0) {
        if (now_ms() > deadline_ms)
            give_up("the command's end");
        if (person.master >= 0)
            look(10);
        else
            poll(NULL, 0, 10);
    }
    while (person.master >= 0 && kept == 0) { /* what is on its way */
        size_t before = person.size;
        look(0);
        if (person.size == before)
            break;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    struct termios before, after;
    int first = 1;
    while (first < argc && strcmp(argv[first], "--") != 0)
        first++;
    if (first + 1 >= argc || openpty(&person.master, &person.slave, NULL, NULL, &size) < 0)
        return 97;
    tcgetattr(person.slave, &before);
    person.pid = start(argv + first + 1);
    for (int i = 1; i < first; i++)
        play(argv[i]);
    int code = await_end();
    if (person.slave >= 0 && (tcgetattr(person.slave, &after) < 0 || before.c_lflag != after.c_lflag ||
                              before.c_iflag != after.c_iflag || before.c_oflag != after.c_oflag))
        return 98;
    return code;
}
