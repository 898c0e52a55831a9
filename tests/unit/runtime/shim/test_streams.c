/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's socket with real peers: one thread, the test polls as the shim does. */
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/shim/streams.h"

struct fixture {
    char dir[64];
    int dir_fd;
    int read_end;
    struct streams streams;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int ends[2];
    strcpy(f->dir, "/tmp/test-streams-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY);
    f->streams = (struct streams)STREAMS_INIT;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    f->read_end = ends[0];
    f->streams.input_fd = ends[1];
    assert_int_equal(streams_listen(&f->streams, f->dir_fd), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->streams.n_peers; i++)
        close(f->streams.peers[i]);
    streams_close_input(&f->streams);
    close(f->streams.listen_fd);
    close(f->read_end);
    unlinkat(f->dir_fd, STREAMS_SOCKET, 0);
    close(f->dir_fd);
    rmdir(f->dir);
    free(f);
    return 0;
}

/* Until nothing is left to do. */
static void turn(struct fixture *f)
{
    struct pollfd found[STREAMS_POLL_MAX];
    for (;;) {
        size_t n = streams_prepare(&f->streams, found);
        if (poll(found, n, 0) <= 0)
            return;
        streams_react(&f->streams, found);
    }
}

static int dial(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned char hello[16];
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" STREAMS_SOCKET, f->dir);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    turn(f);
    assert_int_equal(recv(fd, hello, sizeof(hello), 0), STREAMS_HEADER_SIZE + 1);
    assert_int_equal(hello[0], STREAMS_HELLO);
    assert_int_equal(hello[STREAMS_HEADER_SIZE], STREAMS_VERSION);
    return fd;
}

static ssize_t say(int fd, enum streams_packet kind, const void *payload, size_t size)
{
    char packet[STREAMS_HEADER_SIZE + STREAMS_PAYLOAD_MAX + 64] = {(char)kind};
    memcpy(packet + STREAMS_HEADER_SIZE, payload, size);
    return send(fd, packet, STREAMS_HEADER_SIZE + size, MSG_NOSIGNAL);
}

static void expect_input(struct fixture *f, const char *text)
{
    char data[256];
    turn(f);
    ssize_t n = read(f->read_end, data, sizeof(data));
    assert_int_equal(n, strlen(text));
    assert_memory_equal(data, text, strlen(text));
}

static void test_input_of_several(void **state)
{
    struct fixture *f = *state;
    int a = dial(f), b = dial(f);
    say(a, STREAMS_INPUT, "from a", 6);
    expect_input(f, "from a");
    say(b, STREAMS_INPUT, "from b", 6);
    expect_input(f, "from b");
    close(a);
    turn(f);
    assert_int_equal(f->streams.n_peers, 1);
    say(b, STREAMS_INPUT_END, "", 0);
    turn(f);
    char byte;
    assert_int_equal(read(f->read_end, &byte, 1), 0);
    say(b, STREAMS_INPUT, "late", 4); /* nobody reads: dropped, and the peer may stay */
    turn(f);
    assert_int_equal(f->streams.n_peers, 1);
    close(b);
}

/* What the process does not read waits in the sender's socket, and none of it is lost, its end neither. */
static void test_back_pressure(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f), other = dial(f);
    char block[STREAMS_PAYLOAD_MAX];
    size_t sent = 0, got = 0;
    memset(block, 'x', sizeof(block));
    while (say(fd, STREAMS_INPUT, block, sizeof(block)) > 0) {
        sent += sizeof(block);
        turn(f);
    }
    assert_true(sent < 4 * 1024 * 1024);
    close(other); /* noticed when there is room again */
    turn(f);
    ssize_t n;
    bool ended = false;
    while ((n = read(f->read_end, block, sizeof(block))) > 0 || got < sent) {
        got += n > 0 ? (size_t)n : 0;
        if (!ended)
            ended = say(fd, STREAMS_INPUT_END, "", 0) > 0;
        turn(f);
    }
    turn(f);
    assert_true(ended);
    assert_int_equal(got, sent);
    assert_int_equal(read(f->read_end, block, 1), 0);
    assert_int_equal(f->streams.n_peers, 1);
    close(fd);
}

static void test_nonsense_ends_the_peer(void **state)
{
    struct fixture *f = *state;
    static const char unknown[] = {99, 0, 0, 0};
    char large[STREAMS_HEADER_SIZE + STREAMS_PAYLOAD_MAX + 1] = {STREAMS_INPUT};
    const struct {
        const void *bytes;
        size_t size;
    } bad[] = {{unknown, sizeof(unknown)}, {"\2", 1}, {large, sizeof(large)}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = dial(f);
        assert_true(send(fd, bad[i].bytes, bad[i].size, 0) > 0);
        turn(f);
        assert_int_equal(f->streams.n_peers, 0);
        close(fd);
    }
    char byte;
    assert_int_equal(read(f->read_end, &byte, 1), -1);
}

static void test_more_than_fit_wait(void **state)
{
    struct fixture *f = *state;
    int fds[STREAMS_PEERS_MAX];
    for (size_t i = 0; i < STREAMS_PEERS_MAX; i++)
        fds[i] = dial(f);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" STREAMS_SOCKET, f->dir);
    int waits = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(waits, (const struct sockaddr *)&address, sizeof(address)), 0);
    turn(f);
    char packet[16];
    assert_int_equal(recv(waits, packet, sizeof(packet), 0), -1);
    for (size_t i = 0; i < STREAMS_PEERS_MAX; i++)
        close(fds[i]);
    turn(f);
    assert_true(recv(waits, packet, sizeof(packet), 0) > 0);
    close(waits);
}

static void test_terminal(void **state)
{
    struct fixture *f = *state;
    int master, slave;
    struct winsize size;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    fcntl(master, F_SETFL, O_NONBLOCK);
    close(f->streams.input_fd);
    f->streams.input_fd = master;
    f->streams.terminal = true;
    int fd = dial(f);
    say(fd, STREAMS_RESIZE, &(struct streams_size){33, 99}, sizeof(struct streams_size));
    say(fd, STREAMS_RESIZE, "x", 1); /* no size: no harm */
    say(fd, STREAMS_INPUT, "typed\r", 6);
    say(fd, STREAMS_INPUT_END, "", 0); /* a terminal has no end */
    turn(f);
    assert_int_equal(ioctl(slave, TIOCGWINSZ, &size), 0);
    assert_int_equal(size.ws_row, 33);
    assert_int_equal(size.ws_col, 99);
    char text[16];
    assert_int_equal(read(slave, text, sizeof(text)), 6);
    assert_memory_equal(text, "typed\n", 6);
    assert_int_equal(f->streams.input_fd, master);
    close(fd);
    close(slave);
    close(master);
    f->streams.input_fd = -1;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_input_of_several),   TEST(test_back_pressure), TEST(test_nonsense_ends_the_peer),
        TEST(test_more_than_fit_wait), TEST(test_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
