"""Where what was fetched is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """``$IMPASTO_CACHE``, else ``$XDG_CACHE_HOME/impasto``, else ``~/.cache/impasto``."""
    if os.environ.get("IMPASTO_CACHE"):
        return Path(os.environ["IMPASTO_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "impasto"
