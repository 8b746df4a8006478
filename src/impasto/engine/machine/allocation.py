"""Decide what happens to memory that the process frees."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of glibc's ``mallopt``."""
MMAP_MAX_DEFAULT, TRIM_DEFAULT = 65_536, 128 * 1024
"""Glibc's defaults."""


def keep_freed_memory() -> None:
    """Keep large freed blocks for the next evaluation, which asks for blocks of the same sizes.

    Otherwise glibc returns them to the system, which fills every page with zeros before it hands it
    out again: an eighth of a run's CPU time. Without glibc this does nothing.
    """
    _set(0, -1)


def give_freed_memory_back() -> None:
    """Undo :func:`keep_freed_memory` where memory has become short.

    Do not call it without need: setting any of these parameters, even to its present value, ends
    glibc's own adjustment of it to the program.
    """
    _set(MMAP_MAX_DEFAULT, TRIM_DEFAULT)


def _set(maps: int, trim: int) -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    mallopt(MMAP_MAX, maps)
    mallopt(TRIM_THRESHOLD, trim)
