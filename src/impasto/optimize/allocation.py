"""How the process treats the memory it frees."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Of glibc's ``mallopt``."""


MMAP_MAX_DEFAULT, TRIM_DEFAULT = 65_536, 128 * 1024
"""Glibc's own."""


def keep_freed_memory(*, keep: bool) -> None:
    """Keep large freed blocks for the next evaluation, which asks for blocks of the same sizes; or
    do as usual.

    glibc gives them back to the system, which then fills every page with zeros before it hands it
    out again: an eighth of a run's CPU time (`benchmarks/RESULTS.md`). Elsewhere this does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    mallopt(MMAP_MAX, 0 if keep else MMAP_MAX_DEFAULT)
    mallopt(TRIM_THRESHOLD, -1 if keep else TRIM_DEFAULT)
