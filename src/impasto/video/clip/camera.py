"""Read the camera of this machine, a clip without an end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av

from impasto.errors import ClipError
from impasto.video.clip.container import ContainerClip
from impasto.video.clip.frames import Notice

CAMERAS = {
    "linux": ("v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "0"),
    "win32": ("vfwcap", "0"),
}
"""FFmpeg's input format and the name of the first camera, by platform."""


class Camera(ContainerClip):
    """The first camera of this machine."""

    def __init__(self, notice: Notice) -> None:
        """Start the camera.

        Raises:
            ClipError: there is no camera, or another program is using it.
        """
        super().__init__(Path("camera"), notice)
        self.sound = None

    def _open_container(self) -> Any:
        kind, name = CAMERAS.get(sys.platform, CAMERAS["linux"])
        try:
            return av.open(name, format=kind)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ClipError(f"cannot be opened ({reason})", where=f"camera {name}") from None
