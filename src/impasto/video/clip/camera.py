"""The machine's camera, as a clip without an end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av

from impasto.errors import ClipError
from impasto.video.clip.clip import Notice
from impasto.video.clip.container import Container

CAMERAS = {
    "linux": ("v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "0"),
    "win32": ("vfwcap", "0"),
}


class Camera(Container):
    """The machine's first camera."""

    def __init__(self, notice: Notice) -> None:
        """Begin to take pictures.

        Raises:
            ClipError: there is none, or somebody else uses it.
        """
        super().__init__(Path("camera"), notice)
        self.sound = None

    def _open(self) -> Any:
        kind, name = CAMERAS.get(sys.platform, CAMERAS["linux"])
        try:
            return av.open(name, format=kind)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ClipError(f"camera: {name} cannot be opened ({reason})") from None
