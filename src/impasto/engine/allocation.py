"""How the process treats the memory it frees."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Of glibc's ``mallopt``."""
MMAP_MAX_DEFAULT, TRIM_DEFAULT = 65_536, 128 * 1024
"""Glibc's own."""


def keep_freed_memory() -> None:
    """Keep large freed blocks for the next evaluation, which asks for blocks of the same sizes.

    glibc gives them back to the system, which then fills every page with zeros before it hands it
    out again: an eighth of a run's CPU time (`benchmarks/RESULTS.md`). Elsewhere this does nothing.
    """
    _set(0, -1)


def give_freed_memory_back() -> None:
    """Undo it, where memory has become short. Not to be called without need: setting any of these
    numbers, be it to what it is, ends glibc's own adjustment of them to the program.
    """
    _set(MMAP_MAX_DEFAULT, TRIM_DEFAULT)


def _set(maps: int, trim: int) -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    mallopt(MMAP_MAX, maps)
    mallopt(TRIM_THRESHOLD, trim)
