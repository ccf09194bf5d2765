"""Runs a program on a kernel that has no Landlock, as far as it can tell: a filter answers its first system call with ENOSYS."""
import ctypes
import os
import struct
import sys

LOAD_NUMBER, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO, ENOSYS, LANDLOCK_CREATE_RULESET = 0x7FFF0000, 0x00050000, 38, 444
steps = [(LOAD_NUMBER, 0, 0, 0), (JUMP_EQUAL, 0, 1, LANDLOCK_CREATE_RULESET), (RETURN, 0, 0, ERRNO | ENOSYS), (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, program, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
    sys.exit(f"the filter cannot be set: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
