"""A person at a terminal: runs a program in a PTY of its own and passes on what is typed and what is shown.

Standard input brings JSON lines: {"type": BASE64}, {"resize": [ROWS, COLUMNS]}, {"signal": NUMBER}, {"modes": ID}. Standard output gets
JSON lines: {"shown": BASE64}, {"modes": ID, "raw": BOOL, "echo": BOOL, "same": BOOL} and last {"exit": CODE} (negative: a signal).
"""
import base64
import fcntl
import json
import os
import select
import signal
import struct
import sys
import termios


def size(descriptor, rows, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main():
    rows, columns = int(sys.argv[1]), int(sys.argv[2])
    # The slave stays open here, so that its modes can be looked at after the program has ended.
    master, slave = os.openpty()
    size(slave, rows, columns)
    before = termios.tcgetattr(slave)
    ended_read, ended_write = os.pipe()
    os.set_blocking(ended_write, False)
    signal.set_wakeup_fd(ended_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        os.close(master)
        take(slave)
        os.execvp(sys.argv[3], sys.argv[3:])
    pending = b""
    while True:
        ready, _, _ = select.select([master, 0, ended_read], [], [])
        if master in ready:
            say({"shown": base64.b64encode(os.read(master, 65536)).decode()})
            continue
        if 0 in ready:
            chunk = os.read(0, 65536)
            if not chunk:
                os.kill(child, signal.SIGKILL)
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                obey(json.loads(line), master, slave, child, before)
        if ended_read in ready or not ready:
            pid, status = os.waitpid(child, os.WNOHANG)
            os.read(ended_read, 1024)
            if pid == child:
                while select.select([master], [], [], 0)[0]:
                    say({"shown": base64.b64encode(os.read(master, 65536)).decode()})
                modes("end", slave, before)
                say({"exit": os.waitstatus_to_exitcode(status)})
                return


def take(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for descriptor in (0, 1, 2):
        os.dup2(slave, descriptor)
    if slave > 2:
        os.close(slave)


def modes(name, slave, before):
    now = termios.tcgetattr(slave)
    say({"modes": name, "raw": not now[3] & termios.ICANON, "echo": bool(now[3] & termios.ECHO), "same": now == before})


def obey(order, master, slave, child, before):
    if "type" in order:
        data = base64.b64decode(order["type"])
        while data:
            data = data[os.write(master, data):]
    elif "resize" in order:
        size(slave, *order["resize"])
    elif "signal" in order:
        os.kill(child, order["signal"])
    elif "modes" in order:
        modes(order["modes"], slave, before)


main()
