"""Read how often an animated picture repeats."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from impasto.image.files.sniff import HEAD, sniff_format

NEVER = -1
_COUNTS_ALL = ("WEBP", "PNG")
"""Formats that count the first time as well; GIF counts the repetitions."""


def read_loops(path: Path) -> int | None:
    """Read how often an animated picture is repeated after the first time.

    Returns:
        The number; 0: without end, -1: never. None: the file is no animated GIF, WebP or PNG.
    """
    try:
        with path.open("rb") as file:
            kind = sniff_format(file.read(HEAD), str(path))
        if kind not in ("GIF", *_COUNTS_ALL):
            return None
        with Image.open(path, formats=[kind]) as image:
            if not getattr(image, "is_animated", False):
                return None
            loops = image.info.get("loop")
    except Exception:  # Pillow's plugins raise many types for damaged files
        return None
    if loops is None:
        return NEVER
    if kind in _COUNTS_ALL and loops > 0:
        return NEVER if loops == 1 else int(loops) - 1
    return int(loops)
