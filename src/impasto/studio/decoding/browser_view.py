"""Write the picture that a browser shows of a file that a client sent."""

from __future__ import annotations

from pathlib import Path

from impasto.image.files.encode import write_picture
from impasto.image.picture import Picture, fit_within

VIEW_SIDE = 2048
"""Longer side in pixels."""


def write_view(picture: Picture, target: Path, kind: str | None = None) -> None:
    """Write a picture upright, in sRGB, and without metadata such as its location.

    Args:
        picture: the picture.
        target: the file.
        kind: Pillow's name of a format. None: JPEG, or PNG for a picture with transparency.
    """
    longer = max(picture.width, picture.height)
    view = picture.resize(*fit_within(picture.width, picture.height, min(longer, VIEW_SIDE)))
    kind = kind or ("JPEG" if picture.alpha is None else "PNG")
    with target.open("wb") as file:
        write_picture(view, file, format=kind, keep_metadata=False, quality=90)
