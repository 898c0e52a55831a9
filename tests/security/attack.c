/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attack - what a hostile container does, one attack a name. Static, so that it runs in any root.
 *
 *     attack NAME [ARGUMENT...]
 *
 * Exit status 0: the attack succeeded; 1: it was held off, and standard output says by what; 2: it could not
 * be tried, which makes a test fail either way.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SUCCEEDED 0
#define HELD_OFF 1
#define CANNOT_TRY 2
#define TRY_S 20 /* attacks that need a lucky moment wait for one so long */

static int held_off(const char *what)
{
    printf("held off: %s: %s\n", what, strerror(errno));
    return HELD_OFF;
}

static int cannot_try(const char *what)
{
    fprintf(stderr, "cannot try: %s: %s\n", what, strerror(errno));
    return CANNOT_TRY;
}

static time_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* --- the host's files --- */

static const char UP[] = "../../../../../../../../../../../../..";

/* Climbs from every descriptor that was inherited to the host's file PATH. */
static int attack_descriptors(char **args)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s%s", UP, args[0]);
    for (int fd = 3; fd < 256; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 && openat(fd, path, O_RDONLY) >= 0)
            return SUCCEEDED;
    }
    return held_off("no descriptor leads to the host");
}

/* Climbs from the working directory to the host's file PATH. */
static int attack_workdir(char **args)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s%s", UP, args[0]);
    return open(path, O_RDONLY) >= 0 ? SUCCEEDED : held_off("the working directory is the container's");
}

/* Swaps the directory PATH and the link LINK for ever. */
static int attack_swap(char **args)
{
    for (;;) {
        if (syscall(SYS_renameat2, AT_FDCWD, args[0], AT_FDCWD, args[1], 2 /* RENAME_EXCHANGE */) < 0)
            return cannot_try("swapping");
    }
}

static int attack_write(char **args)
{
    int fd = open(args[0], O_WRONLY);
    return fd >= 0 ? SUCCEEDED : held_off(args[0]);
}

static int attack_cgroups(char **args)
{
    static const char *const files[] = {"release_agent", "cgroup.procs", "devices.allow"};
    char path[512];
    DIR *dir = opendir("/sys/fs/cgroup");
    (void)args;
    if (dir == NULL)
        return cannot_try("/sys/fs/cgroup");
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
            snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/%s", entry->d_name, files[i]);
            if (open(path, O_WRONLY) >= 0)
                return SUCCEEDED;
        }
    }
    return held_off("cgroups cannot be written");
}

/* --- processes of the host's that come in --- */

static int open_of(int pid, const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    return open(path, flags);
}

/* The newest process, by its number in our pid namespace (proc(5), /proc/loadavg). It may have ended. */
static int newest(void)
{
    char text[128] = "";
    int fd = open("/proc/loadavg", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    close(fd);
    const char *last = n > 0 ? strrchr(text, ' ') : NULL;
    return last != NULL ? atoi(last) : 0;
}

/* The program that set a newcomer up, by its own /proc/PID/exe, is written to once it has ended. */
static int attack_program(char **args)
{
    char mark = 0x7f; /* what an ELF file begins with: nothing is changed */
    char path[64];
    time_t end = now_s() + TRY_S;
    (void)args;
    printf("ready\n");
    fflush(stdout);
    while (now_s() < end) {
        int pid = newest();
        int fd = pid > 1 ? open_of(pid, "exe", O_RDONLY) : -1;
        if (fd < 0 || read(fd, path, 1) != 1) {
            close(fd);
            continue;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        char target[128] = "";
        if (readlink(path, target, sizeof(target) - 1) < 0 || strstr(target, "wharf") == NULL) {
            close(fd);
            continue; /* it runs its command already */
        }
        while (kill(pid, 0) == 0)
            sched_yield();
        int out = open(path, O_WRONLY);
        if (out >= 0 && write(out, &mark, 1) == 1)
            return SUCCEEDED;
        return held_off("the program cannot be written to");
    }
    errno = ETIMEDOUT;
    return held_off("no program was caught");
}

/* By the right that ptrace(2) asks for: /proc/PID/mem is refused to who may not trace. */
static bool looks_in(int pid)
{
    int mem_fd = open_of(pid, "mem", O_RDWR), root_fd = open_of(pid, "root", O_PATH | O_DIRECTORY);
    close(mem_fd);
    close(root_fd);
    return mem_fd >= 0 || root_fd >= 0;
}

static bool is_set_up(int pid)
{
    char name[32] = "";
    int fd = open_of(pid, "comm", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
    close(fd);
    return n > 0 && (strcmp(name, "wharf-init\n") == 0 || strcmp(name, "wharf-shim\n") == 0);
}

/* A newcomer's descriptors, root and memory, before it executes its command, which looking afterwards whether
 * it has tells. COUNT of them are met. */
static int attack_newcomer(char **args)
{
    int met = 0, wanted = atoi(args[0]);
    time_t end = now_s() + TRY_S;
    printf("ready\n");
    fflush(stdout);
    while (met < wanted && now_s() < end) {
        int pid = newest();
        if (pid < 2 || !is_set_up(pid))
            continue;
        do {
            if (looks_in(pid) && is_set_up(pid))
                return SUCCEEDED;
        } while (is_set_up(pid));
        met++;
    }
    if (met < wanted)
        return cannot_try("too few processes came in");
    errno = EACCES;
    return held_off("who comes in cannot be looked into");
}

/* --- what is inherited --- */

static int attack_key(char **args)
{
    (void)args;
    long key = syscall(SYS_keyctl, KEYCTL_SEARCH, -3 /* the session keyring */, "user", "wharf-secret", 0);
    return key >= 0 ? SUCCEEDED : held_off("the caller's key");
}

/* Runs a command with a key in the session keyring. */
static int with_key(char **args)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
        syscall(SYS_add_key, "user", "wharf-secret", "x", 1, -3) < 0)
        return cannot_try("a key");
    execvp(args[0], args);
    return cannot_try(args[0]);
}

static int attack_group(char **args)
{
    gid_t groups[64];
    int n = getgroups(64, groups);
    (void)args;
    for (int i = 0; i < n; i++) {
        if (groups[i] == 4242)
            return SUCCEEDED;
    }
    errno = EPERM;
    return held_off("the caller's group");
}

static int with_group(char **args)
{
    gid_t group = 4242;
    if (setgroups(1, &group) < 0)
        return cannot_try("a group");
    execvp(args[0], args);
    return cannot_try(args[0]);
}

/* The terminal that the caller sits at: to type into it, or to have it as one's own. */
static int attack_terminal(char **args)
{
    (void)args;
    if (!isatty(0))
        return cannot_try("no terminal");
    return ioctl(0, TIOCSTI, "x") == 0 || open("/dev/tty", O_RDWR) >= 0 ? SUCCEEDED
                                                                        : held_off("the terminal");
}

/* --- the kernel --- */

static int attack_device(char **args)
{
    (void)args;
    unlink("/dev/device");
    if (mknod("/dev/device", S_IFCHR | 0600, makedev(1, 11)) < 0) /* the kernel's messages */
        return held_off("mknod");
    return open("/dev/device", O_RDONLY | O_NONBLOCK) >= 0 ? SUCCEEDED : held_off("the device");
}

static int attack_namespace(char **args)
{
    (void)args;
    return unshare(CLONE_NEWUSER) == 0 ? SUCCEEDED : held_off("a user namespace");
}

static int attack_forks(char **args)
{
    int wanted = atoi(args[0]), n = 0;
    while (n < wanted) {
        pid_t pid = fork();
        if (pid < 0)
            break;
        if (pid == 0) {
            pause();
            _exit(0);
        }
        n++;
    }
    return n == wanted ? SUCCEEDED : held_off("fork");
}

static int attack_memory(char **args)
{
    size_t size = strtoul(args[0], NULL, 10);
    pid_t pid = fork();
    if (pid == 0) {
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            _exit(1);
        memset(memory, 1, size);
        _exit(0);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return cannot_try("fork");
    errno = ENOMEM;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? SUCCEEDED : held_off("memory");
}

static const struct {
    const char *name;
    int (*run)(char **args);
    int n_args;
} attacks[] = {
    {"descriptors", attack_descriptors, 1},
    {"workdir", attack_workdir, 1},
    {"swap", attack_swap, 2},
    {"write", attack_write, 1},
    {"cgroups", attack_cgroups, 0},
    {"program", attack_program, 0},
    {"newcomer", attack_newcomer, 1},
    {"key", attack_key, 0},
    {"with-key", with_key, 1},
    {"group", attack_group, 0},
    {"with-group", with_group, 1},
    {"terminal", attack_terminal, 0},
    {"device", attack_device, 0},
    {"namespace", attack_namespace, 0},
    {"forks", attack_forks, 1},
    {"memory", attack_memory, 1},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        if (strcmp(attacks[i].name, argv[1]) == 0 && argc - 2 >= attacks[i].n_args)
            return attacks[i].run(argv + 2);
    }
    errno = EINVAL;
    return cannot_try(argc > 1 ? argv[1] : "nothing");
}
