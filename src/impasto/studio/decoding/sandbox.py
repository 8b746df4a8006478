"""The rights that the decoder process gives up for good: sockets and other programs.

This is a filter of system calls for Linux (seccomp, in the language of the classic packet filter),
which needs no privileges and no package. On other systems and processors nothing is given up.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_ARCHITECTURE_AT, _NUMBER_AT = 4, 0
_NO_NEW_PRIVILEGES = 38
_SET_FILTER, _ALL_THREADS = 1, 1
_X32 = 0x40000000
"""Programs of the x32 kind add it to the numbers of system calls, and would escape the filter."""
_CALLS = {
    # The architecture, the number of seccomp, and the refused calls: socket, connect, bind,
    # execve, ptrace, io_uring_setup, execveat.
    "x86_64": (0xC000003E, 317, (41, 42, 49, 59, 101, 425, 322)),
    "aarch64": (0xC00000B7, 277, (198, 203, 200, 221, 117, 425, 281)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def give_up_rights() -> bool:
    """Make the system refuse these calls to all threads of this process.

    Returns:
        Whether the filter is in force.
    """
    calls = _CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return False
    architecture, seccomp, numbers = calls
    code = _compile_filter(architecture, numbers)
    program = _Program(len(code) // 8, code)
    library = ctypes.CDLL(None, use_errno=True)
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if library.prctl(_NO_NEW_PRIVILEGES, one, zero, zero, zero) != 0:
        return False
    set_filter, all_threads = ctypes.c_ulong(_SET_FILTER), ctypes.c_ulong(_ALL_THREADS)
    failure = library.syscall(seccomp, set_filter, all_threads, ctypes.byref(program))
    return bool(failure == 0)


def _compile_filter(architecture: int, numbers: tuple[int, ...]) -> bytes:
    """Return the instructions: code, steps if true, steps if false, value."""
    count = len(numbers)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 0, count + 3, architecture),  # any other: refuse everything
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, count + 1, 0, _X32),
        *((_EQUAL, count - place, 0, number) for place, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
