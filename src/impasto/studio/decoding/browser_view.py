"""What a browser is shown of a picture."""

from __future__ import annotations

from pathlib import Path

from impasto.image.files.encode import write_picture
from impasto.image.picture import Picture, fit_within

VIEW_SIDE = 2048
"""Longer side, in pixels."""


def show(picture: Picture, target: Path, kind: str | None = None) -> None:
    """A picture upright, in sRGB, without a word about where it was taken.

    Args:
        picture: any.
        target: the file.
        kind: Pillow's name of a format; none: JPEG, or PNG for what is transparent somewhere.
    """
    longer = max(picture.width, picture.height)
    shown = picture.resize(*fit_within(picture.width, picture.height, min(longer, VIEW_SIDE)))
    kind = kind or ("JPEG" if picture.alpha is None else "PNG")
    with target.open("wb") as file:
        write_picture(shown, file, format=kind, keep_metadata=False, quality=90)
