#!/usr/bin/python3
"""What a hostile program tries from inside. Reads a JSON object with the places to attack from the file that is its argument; writes one JSON
line an attack: its name, whether it succeeded, and what it got or what stopped it. Each attack runs in a process of its own."""
import ctypes
import fcntl
import json
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import time

with open(sys.argv[1], encoding="utf8") as file:
    at = json.load(file)
work = at["workspace"]
outside = at["outside"]
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"


class Refused(Exception):
    """Stopped by something that is no errno."""


def call(x86, arm, *arguments):
    """A system call by its number on either architecture."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(x86 if X86 else arm), *words)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return f"answered {result}"


def own(name, content="mine"):
    path = os.path.join(work, name)
    with open(path, "w", encoding="utf8") as made:
        made.write(content)
    return path


def read(path):
    with open(path, "rb") as opened:
        return f"read {len(opened.read(64))} bytes"


def write(path):
    with open(path, "w", encoding="utf8") as opened:
        opened.write("attacked")
    return f"wrote {path}"


def through_link(target, action):
    link = os.path.join(work, f"link-{os.getpid()}")
    os.symlink(target, link)
    return action(link)


def hard_link_in():
    link = os.path.join(work, f"hard-{os.getpid()}")
    os.link(f"{outside}/secret", link)
    return read(link)


def hard_link_out():
    os.link(own("mine-1"), f"{outside}/linked-{os.getpid()}")
    return "linked out"


def move_out():
    os.rename(own("mine-2"), f"{outside}/moved-{os.getpid()}")
    return "moved out"


def swap_folder():
    """A folder of ours becomes a link to the outside between two steps."""
    folder = os.path.join(work, f"swap-{os.getpid()}")
    os.mkdir(folder)
    held = os.open(folder, os.O_RDONLY)
    os.rename(folder, folder + "-old")
    os.symlink(outside, folder)
    try:
        os.open("../secret", os.O_RDONLY, dir_fd=held)
        raise Refused("the workspace has no such file")
    except OSError:
        return read(f"{folder}/secret")


def send_signal(pid):
    os.kill(pid, signal.SIGCONT)
    return f"signalled {pid}"


def descriptors():
    listing = os.open("/proc/self/fd", os.O_RDONLY)
    extra = [fd for fd in os.listdir(listing) if int(fd) > 2 and int(fd) != listing and fd not in started_with]
    if not extra:
        raise Refused("0, 1 and 2 only")
    return ", ".join(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}" for fd in extra)


def ask_runner():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(at["runner_socket"])
        connection.sendall(struct.pack("<IB", 1, 12))  # PROBE
        answer = connection.recv(4096)
    if len(answer) < 5 or answer[4] != 71:  # PROBED
        raise Refused(f"frame {answer[4] if len(answer) > 4 else 'none'}")
    return "hl-runner answers"


def ask_daemon():
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "system/config/get", "params": {}})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(at["daemon_socket"])
        connection.sendall(request.encode() + b"\n")
        answer = json.loads(connection.makefile().readline())
    if "error" in answer:
        raise Refused(answer["error"]["message"])
    return "the daemon answers without a token"


def setuid_program():
    """Waits for a password as whoever its set-user-id bit makes it; seen from outside."""
    with subprocess.Popen(["/usr/bin/su", "-c", "true"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asked:
        until = time.monotonic() + 1
        while asked.poll() is None and time.monotonic() < until:
            with open(f"/proc/{asked.pid}/status", encoding="ascii") as status:
                users = next(line.split()[1:] for line in status if line.startswith("Uid:"))
            if users[1] == "0":
                asked.kill()
                return "it is root"
        asked.kill()
    raise Refused("it stays who we are")


def become_root():
    os.setuid(0)
    return f"uid {os.getuid()}"


def capabilities():
    with open("/proc/self/status", encoding="ascii") as status:
        # What could be held (CapBnd) gives nobody anything after no_new_privs, and an ordinary user cannot lower it.
        held = {line[:6]: int(line.split()[1], 16) for line in status if line.startswith(("CapInh", "CapPrm", "CapEff", "CapAmb"))}
    if not any(held.values()):
        raise Refused("no capability in any set")
    return ", ".join(f"{name} {bits:x}" for name, bits in held.items() if bits)


def far_child():
    """Two forks and a session away from the command."""
    ends = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                os.write(ends[1], read(f"{outside}/secret").encode())
            except OSError as error:
                os.write(ends[1], f"!{error.strerror}".encode())
        os._exit(0)
    os.close(ends[1])
    told = b""
    while piece := os.read(ends[0], 200):
        told += piece
    if told.startswith(b"!"):
        raise Refused(told[1:].decode())
    return told.decode()


def type_into_terminal():
    # Of a descriptor that is no terminal the kernel says ENOTTY; a filter is asked before that.
    try:
        fcntl.ioctl(0, 0x5412, b"x")  # TIOCSTI
    except OSError as error:
        if error.errno == 25:
            return "the kernel is asked"
        raise
    return "typed"


def connect(host, port):
    with socket.create_connection((host, port), timeout=1):
        return f"connected to {host}:{port}"


def ask_by_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(3)
        asking.sendto(b"ping", ("127.0.0.1", at["udp_port"]))
        return f"answered {asking.recv(16)!r}"


def abstract_socket():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + at["abstract"])
        return "connected"


def leave_group():
    with open("/sys/fs/cgroup/cgroup.procs", "w", encoding="ascii") as processes:
        processes.write(str(os.getpid()))
    return "left its control group"


def open_descriptors():
    """Their numbers are no secret to the same user; what they lead to is."""
    numbers = os.listdir(f"/proc/{daemon}/fd")
    return ", ".join(os.readlink(f"/proc/{daemon}/fd/{number}") for number in numbers)


def write_to_etc():
    told = write("/etc/hl-attack")
    os.unlink("/etc/hl-attack")
    return told


def mount():
    told = call(165, 40, b"none", work.encode(), b"tmpfs", 0, None)
    call(166, 39, work.encode(), 0)
    return told


def change_mode():
    os.chmod(f"{outside}/victim", 0o666)
    return "mode changed"


def many_descriptors():
    held = []
    try:
        while len(held) < 100_000:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        raise Refused(f"{error.strerror} after {len(held)}") from error
    return f"{len(held)} descriptors"


home, daemon, runner = at["home"], at["daemon_pid"], at["runner_pid"]
PAGE = ctypes.create_string_buffer(256)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def remote_memory():
    here, there = Vector(ctypes.addressof(PAGE), 64), Vector(at["daemon_address"], 64)
    return call(310, 270, daemon, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)


attacks = {
    "read /etc/shadow": lambda: read("/etc/shadow"),
    "read a stranger's file": lambda: read(f"{outside}/secret"),
    "list a stranger's folder": lambda: str(os.listdir(outside)),
    "list /root": lambda: str(os.listdir("/root")),
    "read the local token": lambda: read(f"{home}/data/auth/local_token"),
    "read the daemon's database": lambda: read(f"{home}/data/state/daemon.db"),
    "read the daemon's configuration": lambda: read(f"{home}/config/daemon.json"),
    "read the daemon's log": lambda: read(f"{home}/logs/daemon.log"),
    "read the daemon's environment": lambda: read(f"/proc/{daemon}/environ"),
    "open the daemon's memory": lambda: f"descriptor {os.open(f'/proc/{daemon}/mem', os.O_RDWR)}",
    "open the daemon's descriptors": open_descriptors,
    "reach files by the daemon's root": lambda: read(f"/proc/{daemon}/root{outside}/secret"),
    "read the daemon's memory by process_vm_readv": remote_memory,
    "trace the daemon": lambda: call(101, 117, 0x4206, daemon, 0, 0),  # PTRACE_SEIZE
    "signal the daemon": lambda: send_signal(daemon),
    "signal hl-runner": lambda: send_signal(runner),
    "write a stranger's file": lambda: write(f"{outside}/victim"),
    "make a file in a stranger's folder": lambda: write(f"{outside}/made-{os.getpid()}"),
    "remove a stranger's file": lambda: f"removed {os.unlink(f'{outside}/removable-{os.path.basename(work)}')}",
    "empty a stranger's file": lambda: f"emptied {os.truncate(f'{outside}/victim', 0)}",
    "write to the daemon's data": lambda: write(f"{home}/data/state/made-{os.getpid()}"),
    "write to /etc": write_to_etc,
    "read through a link": lambda: through_link(f"{outside}/secret", read),
    "write through a link": lambda: through_link(f"{outside}/victim", write),
    "read through a link that was swapped in": swap_folder,
    "read by a hard link": hard_link_in,
    "hard-link out": hard_link_out,
    "move out": move_out,
    "inherit a descriptor": descriptors,
    "ask hl-runner": ask_runner,
    "ask the daemon without a token": ask_daemon,
    "connect to an abstract socket": abstract_socket,
    "hold a capability": capabilities,
    "use a set-user-id program": setuid_program,
    "become root": become_root,
    "act two forks and a session away": far_child,
    "leave the control group": leave_group,
    "mount": mount,
    "chroot": lambda: f"in {os.chroot(work)}",
    "make a user namespace": lambda: call(272, 97, 0x10000000),
    "make a mount namespace by clone3": lambda: clone3(0x00020000 | 0x10000000),
    "enter a namespace": lambda: call(308, 268, os.open("/proc/self/ns/net", os.O_RDONLY), 0),
    "io_uring": lambda: call(425, 425, 4, ctypes.create_string_buffer(256)),
    "bpf": lambda: call(321, 280, 0, ctypes.byref((ctypes.c_uint32 * 32)(2, 4, 4, 1)), 128),
    "keyring": lambda: call(250, 219, 0, -3, 1),
    "userfaultfd": lambda: call(323, 282, 1),
    "performance counters of everybody": lambda: call(298, 241, ctypes.create_string_buffer(struct.pack("<IIQ", 1, 112, 0) + b"\0" * 96), -1, 0, -1, 0),
    "type into a terminal": type_into_terminal,
    "an address family of the kernel's back rooms": lambda: f"{socket.socket(38, socket.SOCK_SEQPACKET)}",  # AF_ALG
    "take all descriptors": many_descriptors,
    "connect to a port of this machine": lambda: connect("127.0.0.1", at["tcp_port"]),
    "ask a server of this machine by UDP": ask_by_udp,
    "reach the metadata address": lambda: connect("169.254.169.254", 80),
    "change the mode of a file outside that is its own": change_mode,
}


def clone3(flags):
    arguments = struct.pack("<QQQQQQQQ", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = libc.syscall(ctypes.c_long(435), ctypes.create_string_buffer(arguments), ctypes.c_long(64))
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(pid, 0)
    return "a child in namespaces of its own"


def attempt(name, attack):
    try:
        return {"attack": name, "succeeded": True, "detail": attack()}
    except (OSError, Refused) as error:
        return {"attack": name, "succeeded": False, "detail": str(getattr(error, "strerror", None) or error)}


started_with = set()  # What a test harness outside of hl-daemon may have left open: nothing.
for attack_name, attack_itself in attacks.items():
    if at["only"] and attack_name not in at["only"]:
        continue
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        print(json.dumps(attempt(attack_name, attack_itself)), flush=True)
        os._exit(0)
    until = time.monotonic() + 30
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
