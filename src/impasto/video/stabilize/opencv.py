"""Whether there is what flow is estimated with."""

from __future__ import annotations

from importlib.util import find_spec

from impasto.errors import InputError


def check_opencv() -> None:
    """See that OpenCV is there, which films need.

    Raises:
        InputError: it is not.
    """
    if find_spec("cv2") is None:
        raise InputError("films need an extra package: pip install 'impasto[video]'")
