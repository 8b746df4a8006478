"""Name the files in a job's folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PHOTO, CLIP, START, RESULT = "photo", "clip", "start.png", "result.png"
FRAMES, SHEET_FRAMES, SHEET = "frames", "sheet.frames", "sheet.png"
"""Of a clip: the folders of finished frames, and the contact sheet of its preview."""
PREVIEW, THUMBNAIL, CHECKPOINT = "preview.jpg", "thumbnail.jpg", "checkpoint"


def name_style(place: int) -> str:
    """Return the name of a painting's file, by its place from 0."""
    return f"style-{place}"


def name_mask(place: int) -> str:
    """Return the name of the file of a mask of the photo."""
    return f"mask-{place}"


def name_style_mask(place: int) -> str:
    """Return the name of the file of a painting's mask."""
    return f"style-mask-{place}"


def name_view(name: str) -> str:
    """Return the name of the picture that browsers show for an uploaded file."""
    return f"{name}.view"


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, and copy it only where the disk cannot share it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
