"""Convert colors that a file describes by an ICC profile, or not at all, to sRGB."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageCms

from impasto.errors import ImageError
from impasto.image.color.coded import CodedColor
from impasto.image.color.spaces import Floats

_SPACES = {"GRAY": ("L", 1), "RGB": ("RGB", 3), "CMYK": ("CMYK", 4)}
"""Pillow's mode and the number of channels of a profile's color space."""
_HEADER_BYTES, _TAG_BYTES = 128, 12
_MOST_TAGS = 100
_WHAT = "its color profile"


class Conversion(Protocol):
    """Converts values of a picture to sRGB."""

    def convert(self, values: Floats) -> Floats:
        """Convert values [rows, W, 1, 3 or 4] in [0, 1] to sRGB [rows, W, 3]."""


@dataclass(frozen=True)
class PlainConversion:
    """Takes gray and RGB for sRGB, and inks for uncalibrated CMYK.

    Attributes:
        depth: bits per channel; the colors of inks with 8 bits are rounded to levels.
    """

    depth: int = 8

    def convert(self, values: Floats) -> Floats:
        """Convert values [rows, W, 1, 3 or 4] in [0, 1] to sRGB [rows, W, 3]."""
        if values.shape[-1] != 4:
            return np.broadcast_to(values, (*values.shape[:-1], 3))
        light = (1 - values[..., :3]) * (1 - values[..., 3:])
        if self.depth == 8:
            light = np.rint(light * 255) / np.float32(255)
        return np.asarray(light, np.float32)


@dataclass(frozen=True)
class ProfileConversion:
    """Converts values by an ICC profile, with LittleCMS and 8 bits per channel.

    Gray of more bits is interpolated between the 256 levels.

    Attributes:
        profile: the opened profile.
        space: its color space: GRAY, RGB or CMYK.
        is_exact: LittleCMS does not replace the curve of gray by one of 33 points, which is wrong
            by up to ten levels where it is dark and the profile linear. Pictures with 8 bits are
            converted as in 0.1, so that their recipes are recognized.
    """

    profile: ImageCms.ImageCmsProfile
    space: str
    is_exact: bool = False

    @classmethod
    def parse(cls, profile: bytes, channels: int, depth: int = 8) -> ProfileConversion:
        """Parse a profile.

        Args:
            profile: the ICC profile.
            channels: 1, 3 or 4 channels of the picture.
            depth: bits per channel of the picture.

        Raises:
            ImageError: the profile is damaged, or is for other channels.
        """
        try:
            opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = opened.profile.xcolor_space.strip()
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            raise ImageError("is damaged and was ignored", what=_WHAT) from None
        if space not in _SPACES:
            raise ImageError("is damaged and was ignored", what=_WHAT)
        if channels != _SPACES[space][1] and (channels, space) != (1, "RGB"):
            raise ImageError(f"is for {space} and was ignored", what=_WHAT)
        conversion = cls(opened, space, is_exact=depth > 8 and space == "GRAY")
        try:
            _ = conversion.transform
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            raise ImageError("is damaged and was ignored", what=_WHAT) from None
        return conversion

    @cached_property
    def transform(self) -> Any:
        """The transform to sRGB."""
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        if self.is_exact:
            flags |= ImageCms.Flags.NOOPTIMIZE
        return ImageCms.buildTransform(
            self.profile,
            ImageCms.createProfile("sRGB"),
            _SPACES[self.space][0],
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=flags,
        )

    @cached_property
    def is_srgb(self) -> bool:
        """Whether grays, primaries and mixtures change by at most a level; names prove nothing."""
        if self.space != "RGB":
            return False
        ramp = np.arange(256, dtype=np.uint8)[None, :, None]
        on = np.array([[n & 1, n & 2, n & 4] for n in range(1, 8)], dtype=bool)[:, None]
        probe = np.where(on, ramp, np.uint8(0))
        result = self._transform_levels(probe)
        return bool((np.abs(result.astype(np.int16) - probe) <= 1).all())

    @cached_property
    def _gray_curve(self) -> Floats:
        """sRGB values [256, 3] of the 256 levels of gray."""
        levels = np.arange(256, dtype=np.uint8)[None]
        curve: Floats = self._transform_levels(levels)[0].astype(np.float32) / np.float32(255)
        return curve

    def convert(self, values: Floats) -> Floats:
        """Convert values [rows, W, channels] in [0, 1] to sRGB [rows, W, 3]."""
        if self.space == "GRAY":
            places, curve, nodes = values[..., 0] * 255, self._gray_curve, np.arange(256)
            levels = np.rint(places)  # 8 bits are whole numbers but for rounding errors
            places = np.where(np.abs(places - levels) < 1e-3, levels, places)
            channels = [np.interp(places, nodes, curve[:, channel]) for channel in range(3)]
            return np.stack(channels, -1).astype(np.float32)
        if self.space == "RGB":
            values = np.broadcast_to(values, (*values.shape[:-1], 3))
            if self.is_srgb:
                return values
        inks = np.rint(values * 255).astype(np.uint8)
        result: Floats = self._transform_levels(inks).astype(np.float32) / np.float32(255)
        return result

    def _transform_levels(self, levels: Any) -> Any:
        mode = _SPACES[self.space][0]
        height, width = levels.shape[:2]
        image = Image.frombytes(mode, (width, height), np.ascontiguousarray(levels).tobytes())
        return np.asarray(ImageCms.applyTransform(image, self.transform))


def read_profile_code(profile: bytes) -> CodedColor | None:
    """Read the code points that an ICC profile of version 4.4 may state for HDR.

    Returns:
        The description. None: the profile has no code points, or they are not of HDR.
    """
    if len(profile) < _HEADER_BYTES + 4:
        return None
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    for place in range(min(count, _MOST_TAGS)):
        entry = profile[_HEADER_BYTES + 4 + place * _TAG_BYTES :][:_TAG_BYTES]
        if len(entry) == _TAG_BYTES and entry.startswith(b"cicp"):
            start = int.from_bytes(entry[4:8])
            tag = profile[start : start + 12]
            if len(tag) == 12 and tag.startswith(b"cicp"):
                color = CodedColor.from_code_points(tag[8], tag[9])
                return color if color.is_hdr else None
    return None
