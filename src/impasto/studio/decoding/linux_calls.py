"""Call the Linux kernel where Python cannot. On other systems, the calls report failure."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_NO_NEW_PRIVILEGES = 1, 4, 38
_CAPABILITY_VERSION = 0x20080522


def call_prctl(option: int, value: int) -> bool:
    """Change a property of this process, and tell whether that worked."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    arguments = (ctypes.c_ulong(value), zero, zero, zero)
    return bool(library.prctl(ctypes.c_int(option), *arguments) == 0)


def set_not_dumpable() -> bool:
    """Keep other processes of this user from reading or changing this process's memory.

    It no longer writes core files, and its files in ``/proc`` belong to root.
    """
    return call_prctl(_SET_DUMPABLE, 0)


def set_no_new_privileges() -> bool:
    """Give up all rights that a program with special permissions would have."""
    return call_prctl(_SET_NO_NEW_PRIVILEGES, 1)


def set_death_signal(number: int) -> bool:
    """Have a signal sent to this process when the thread that made it ends."""
    return call_prctl(_SET_DEATH_SIGNAL, number)


def drop_capabilities() -> bool:
    """Give up what root may do beyond its own files."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    return bool(library.capset(ctypes.byref(header), ctypes.byref(sets)) == 0)


def hide_argument(secret: str) -> bool:
    """Overwrite a secret in the arguments of this process, which every user can list.

    Returns:
        Whether it was among them.
    """
    if sys.platform != "linux":
        return False
    try:
        fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
    except (OSError, ValueError):
        return False
    start, end = int(fields[45]), int(fields[46])  # `arg_start` and `arg_end`
    if not 0 < start < end:
        return False
    arguments, pattern = ctypes.string_at(start, end - start), secret.encode()
    place, is_there = arguments.find(pattern), False
    while place >= 0:
        ctypes.memset(start + place, ord("x"), len(pattern))
        is_there = True
        place = arguments.find(pattern, place + len(pattern))
    return is_there
