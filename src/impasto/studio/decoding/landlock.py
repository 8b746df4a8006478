"""Give up a Linux process's access to files, all but a few folders, with Landlock."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from impasto.studio.decoding.linux_calls import set_no_new_privileges

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same on all processors."""
_ASK_VERSION, _BENEATH_PATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_FILE = 1 << 5, 1 << 8
_TRUNCATE = 1 << 14
_RIGHTS_BY_VERSION = ((1, 13), (2, 14), (3, 15), (5, 16))
"""Versions of the interface, and how many rights to files they know."""
_NETWORK_SINCE, _NETWORK = 4, 0b11
"""TCP: to offer and to use services."""
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""Abstract sockets, and signals, of processes that are less restricted."""

READ = _READ_FILE | _READ_FOLDER
WRITE = READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_FILE | _TRUNCATE
"""Also to make and remove regular files; never links, pipes or devices."""


def find_version() -> int:
    """Return the version of the kernel's interface. 0: it has none, or it is switched off."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE_RULESET, None, 0, _ASK_VERSION))


def restrict_files(rules: Sequence[tuple[Path, int]]) -> str | None:
    """Give up all access to files for good, except for these folders.

    Only the calling thread is restricted, and those that it starts.

    Args:
        rules: folders and the rights to what is in them, :data:`READ` or :data:`WRITE`. Folders
            that do not exist are skipped.

    Returns:
        Why the restriction is not in force. None: it is.
    """
    version = find_version()
    if not version:
        return "the kernel has none" if sys.platform == "linux" else "only on Linux"
    count = max(rights for since, rights in _RIGHTS_BY_VERSION if since <= version)
    handled = (1 << count) - 1
    attributes = [handled]
    if version >= _NETWORK_SINCE:
        attributes.append(_NETWORK)
    if version >= _SCOPES_SINCE:
        attributes.append(_SCOPES)
    packed = struct.pack(f"={len(attributes)}Q", *attributes)
    ruleset = _call(_CREATE_RULESET, packed, len(packed), 0)
    if ruleset < 0:
        return os.strerror(ctypes.get_errno())
    try:
        for folder, rights in rules:
            try:
                handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                rule = struct.pack("=Qi", rights & handled, handle)
                if _call(_ADD_RULE, ruleset, _BENEATH_PATH, rule, 0) != 0:
                    return os.strerror(ctypes.get_errno())
            finally:
                os.close(handle)
        if not set_no_new_privileges() or _call(_RESTRICT_SELF, ruleset, 0) != 0:
            return os.strerror(ctypes.get_errno())
    finally:
        os.close(ruleset)
    return None


def _call(number: int, *values: int | bytes | None) -> int:
    arguments = [value if isinstance(value, bytes) else _to_word(value) for value in values]
    library = ctypes.CDLL(None, use_errno=True)
    return int(library.syscall(ctypes.c_long(number), *arguments))


def _to_word(value: int | None) -> ctypes.c_void_p | ctypes.c_long:
    return ctypes.c_void_p(None) if value is None else ctypes.c_long(value)
