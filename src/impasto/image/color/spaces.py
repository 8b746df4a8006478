"""Color: profiles and print inks to sRGB, and sRGB to OKLab."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from impasto.errors import ImageError

Floats = NDArray[np.float32]


def convert_to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """An 8-bit image in sRGB, and a notice if its colors had to be guessed.

    Args:
        image: mode L, RGB or CMYK.
        profile: its ICC profile; none: sRGB, gray or uncalibrated CMYK.

    Returns:
        An RGB image, and the notice or none.
    """
    if profile:
        try:
            return _through_profile(image, profile), None
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return _without_profile(image), "its color profile is broken and was ignored"
    return _without_profile(image), None


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if image.mode == "RGB" and _changes_nothing(source):
        return image
    return _converted(image, source)


def _changes_nothing(source: ImageCms.ImageCmsProfile) -> bool:
    """Whether grays, primaries and their mixtures stay within a level: names prove nothing."""
    ramp = np.arange(256, dtype=np.uint8)[None, :, None]
    on = np.array([[n & 1, n & 2, n & 4] for n in range(1, 8)], dtype=bool)[:, None]
    probe = np.where(on, ramp, np.uint8(0))
    seen = np.asarray(_converted(Image.fromarray(probe), source))
    return bool((np.abs(seen.astype(np.int16) - probe) <= 1).all())


def _converted(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:
        raise ImageError("the color profile gave no picture")
    return converted


def _without_profile(image: Image.Image) -> Image.Image:
    if image.mode != "CMYK":
        return image.convert("RGB")
    inks = np.asarray(image, dtype=np.float32) / 255
    light = (1 - inks[..., :3]) * (1 - inks[..., 3:])
    return Image.fromarray(np.rint(light * 255).astype(np.uint8))


def srgb_to_linear(encoded: Floats) -> Floats:
    """Linear light of sRGB-encoded values in [0, 1] (IEC 61966-2-1)."""
    low = encoded / 12.92
    high = ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, low, high).astype(np.float32)


def linear_to_srgb(light: Floats) -> Floats:
    """sRGB encoding of linear light in [0, 1], the inverse of :func:`srgb_to_linear`."""
    low = light * 12.92
    high = 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, low, high).astype(np.float32)


LINEAR_TO_CONE = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
CONE_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""Of cube roots of cone responses."""


def srgb_to_oklab(encoded: Floats) -> Floats:
    """OKLab (L in [0, 1], a and b about [-0.4, 0.4]) of sRGB pixels [..., 3] in [0, 1].

    Ottosson, "A perceptual color space for image processing" (2020).
    """
    cone = np.cbrt(srgb_to_linear(encoded).astype(np.float64) @ LINEAR_TO_CONE.T)
    lab: NDArray[np.float64] = cone @ CONE_TO_OKLAB.T
    return lab.astype(np.float32)


def oklab_to_srgb(lab: Floats) -> Floats:
    """sRGB pixels [..., 3] in [0, 1] of OKLab ones, clipped where there is no such color."""
    cone = lab.astype(np.float64) @ np.linalg.inv(CONE_TO_OKLAB).T
    light = cone**3 @ np.linalg.inv(LINEAR_TO_CONE).T
    return linear_to_srgb(light.clip(0, 1).astype(np.float32)).clip(0, 1)
