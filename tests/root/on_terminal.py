# SPDX-License-Identifier: Apache-2.0
"""Runs a command on a terminal of its own, 30 rows by 100 columns, and follows a script on standard input:

    expect TEXT    until TEXT was shown
    send TEXT      typed, with \\r, \\n, \\x03 and the like as in Python
    resize R C     the terminal's new size

What was shown goes to standard output, and the exit code is the command's. The terminal has to be as it was then.
"""
import codecs, fcntl, os, pty, select, struct, sys, termios, time

script = [line.rstrip("\n") for line in sys.stdin]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.closerange(3, 256)
    os.execvp(sys.argv[1], sys.argv[1:])

shown = b""


def read_some(seconds):
    global shown
    if not select.select([master], [], [], seconds)[0]:
        return False
    shown += os.read(master, 65536)
    return True


def die(reason):
    os.kill(pid, 9)
    sys.stdout.buffer.write(shown)
    sys.exit(f"{reason}; shown was {shown!r}")


at = 0
for line in script:
    verb, _, rest = line.partition(" ")
    if verb == "expect":
        end = time.monotonic() + 10
        while rest.encode() not in shown[at:]:
            if time.monotonic() > end or not read_some(10):
                die(f"'{rest}' was not shown")
        at = shown.index(rest.encode(), at) + len(rest)
    elif verb == "send":
        os.write(master, codecs.decode(rest, "unicode_escape").encode("latin-1"))
    elif verb == "resize":
        rows, columns = map(int, rest.split())
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    else:
        die(f"'{line}' is no command")
end = time.monotonic() + 10
status = 0
while True:
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        break
    if time.monotonic() > end:
        die("it did not end")
    read_some(0.05)
while read_some(0):
    pass
sys.stdout.buffer.write(shown)
if termios.tcgetattr(slave) != before:
    sys.exit("the terminal is not as it was")
sys.exit(os.waitstatus_to_exitcode(status))
