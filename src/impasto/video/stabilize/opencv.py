"""Check for OpenCV without importing it, so that a missing package becomes a readable error."""

from __future__ import annotations

from importlib.util import find_spec

from impasto.errors import InputError


def check_opencv() -> None:
    """Check that OpenCV is installed; optical flow needs it.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("cv2") is None:
        raise InputError("require an extra package: pip install 'impasto[video]'", what="films")
