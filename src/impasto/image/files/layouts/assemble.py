"""Assemble a :class:`Picture` from decoded samples: upright, in sRGB, with alpha apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageError
from impasto.image.color.coded import HDR_NAMES, SDR_WHITE, CodedColor, CodedConversion
from impasto.image.color.matrix_profile import MatrixConversion
from impasto.image.color.profiles import (
    Conversion,
    PlainConversion,
    ProfileConversion,
    read_profile_code,
)
from impasto.image.files.layouts.sample_sources import Band, SampleSource, merge_bands
from impasto.image.packed import LARGEST_IN_FLOATS, PackedPixels, PixelStore, unpack
from impasto.image.picture import Floats, Metadata, Picture
from impasto.image.rows import split_rows

Say = Callable[[str], None]


def choose_conversion(
    source: SampleSource,
    profile: bytes | None,
    code: CodedColor | None,
    depth: int,
    say: Say,
) -> Conversion:
    """Choose how the colors of a picture become sRGB, and report what is approximate.

    Args:
        source: the samples; those of HDR are read once to find the brightest.
        profile: ICC profile. None: there is none.
        code: description by code points or gamma, used where there is no profile. None: there is
            none.
        depth: bits per channel of the source.
        say: receives a line without the name of the picture.
    """
    if profile:
        code = read_profile_code(profile) or None
    if profile and code is None:
        try:
            conversion = ProfileConversion.parse(profile, source.channels, depth)
        except ImageError as error:
            say(str(error))
            return PlainConversion(depth)
        if depth > 8 and conversion.space == "RGB" and not conversion.is_srgb:
            exact = MatrixConversion.parse(profile)
            if exact is not None:
                return exact
        if depth > 8 and source.channels > 1 and not conversion.is_srgb:
            say(f"its color profile was applied with 8 of its {depth} bits")
        return conversion
    if code is None or code.is_srgb or source.channels > 3:
        return PlainConversion(depth)
    if not code.is_hdr:
        return CodedConversion(code)
    peak = max((float(_brighten(code, band).max()) for band in source.read_bands()), default=1)
    name = HDR_NAMES[code.transfer]
    line = f"is HDR ({name}): {SDR_WHITE:.0f} cd/m2 is shown as white"
    say(f"{line}, and brighter light is compressed" if peak > 1 else line)
    return CodedConversion(code, peak)


def _brighten(code: CodedColor, band: Band) -> Floats:
    values = np.broadcast_to(band.values, (*band.values.shape[:-1], 3))
    return code.to_light(values)


def assemble_picture(
    source: SampleSource,
    conversion: Conversion,
    orientation: int,
    metadata: Metadata,
    say: Say,
    *,
    ignores_empty_alpha: bool = False,
) -> Picture:
    """Assemble a picture, some rows at a time, so that it is never in memory twice.

    Args:
        source: the samples.
        conversion: converts colors to sRGB.
        orientation: EXIF's orientation; 2 to 8 are undone, all others ignored.
        metadata: metadata of the picture.
        say: receives a line without the name of the picture.
        ignores_empty_alpha: a picture whose alpha is 0 everywhere is opaque.
    """
    width, height = source.size
    upright = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    store = PixelStore(
        upright, choose_kind(width * height, metadata.depth), has_alpha=source.has_alpha
    )
    for band in merge_bands(source.read_bands(), width):
        store.write(
            band.rows,
            conversion.convert(band.values),
            band.alpha,
            lambda each: _turn_back(each, orientation),
        )
    pixels, alpha = store.pixels, store.alpha
    if alpha is not None and not alpha.any():
        if ignores_empty_alpha:
            say("its alpha is 0 everywhere and was ignored")
            alpha = None
        else:
            say("is fully transparent")
    elif alpha is not None and bool((alpha == store.unit).all()):
        alpha = None
    hidden = None if alpha is None else _find_hidden_color(store)
    if store.is_packed:
        return Picture(PackedPixels(pixels, alpha, hidden), alpha, metadata)
    if alpha is not None:
        for rows in split_rows(*upright):
            pixels[rows][alpha[rows] == 0] = hidden
    return Picture(pixels, alpha, metadata)


def choose_kind(pixels: int, depth: int) -> Any:
    """Choose the type in which the samples of a picture are kept while they allow it.

    Args:
        pixels: number of pixels; small pictures are kept as floats, which is faster.
        depth: bits per channel.
    """
    if pixels <= LARGEST_IN_FLOATS or depth > 16:
        return np.float32
    return np.uint8 if depth <= 8 else np.uint16


def _turn_back(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of an upright array in which rows lie as they are stored."""
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    if orientation in (5, 6, 7, 8):
        upright = upright.swapaxes(0, 1)
    return upright


def _find_hidden_color(store: PixelStore) -> Floats:
    """Find the color of fully transparent pixels: the mean visible one, so that nothing bleeds."""
    alpha = unpack(store.alpha) if store.is_packed else store.alpha
    weight = float(alpha.sum())
    mean = np.full(3, 0.5, np.float32)
    if weight:
        total = np.zeros((1, 3), np.float32)
        for _, rows, visible in store.read_bands():
            colors = (rows * visible[..., None]).reshape(-1, 3)
            # One after another, so that the sum does not depend on the bands.
            total = np.add.reduce(np.concatenate([total, colors]), axis=0, keepdims=True)
        mean = (total[0] / weight).astype(np.float32)
    return mean
