"""Files that a run has read, and therefore never replaces."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def is_among(path: Path, others: Iterable[Path]) -> bool:
    """Whether a path is one of others, however it is spelled: links and ``..`` are followed."""
    return any(is_same_file(path, other) for other in others)


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths mean one file, there or not yet there."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)
