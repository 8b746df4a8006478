"""Convert colors that a file describes by numbers, and not by an ICC profile, to sRGB.

Films, PNG (cICP), AVIF and HEIC name primaries and a transfer function by the code points of
ITU-T H.273; PNG (gAMA, cHRM) states a gamma and chromaticities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impasto.image.color.spaces import Floats, linear_to_srgb, srgb_to_linear

SDR_WHITE = 203.0
"""Luminance in cd/m2 of HDR reference white (ITU-R BT.2408), which becomes white in sRGB."""
HLG_PEAK = 1000.0
"""Luminance in cd/m2 of the brightest HLG signal on its nominal display."""
KNEE = 0.75
"""Light, relative to SDR white, up to which tone mapping changes nothing."""

Chromaticities = tuple[tuple[float, float], ...]
"""x and y of red, green, blue and white."""
_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
SRGB_PRIMARIES: Chromaticities = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
BT2020_PRIMARIES: Chromaticities = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65)
_SMPTE170M = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
PRIMARIES: dict[int, Chromaticities] = {
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _SMPTE170M,
    7: _SMPTE170M,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: BT2020_PRIMARIES,
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""By code point. All others, with 1 and "unspecified", are those of sRGB."""
LINEAR, PQ, HLG = 8, 16, 18
_POWERS = {4: 2.2, 5: 2.8, 17: 2.6}
"""Transfer functions that are a power. Those of BT.709, BT.601 and BT.2020 are shown as sRGB is,
as the films of this package are."""
HDR_NAMES = {PQ: "PQ", HLG: "HLG"}
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class CodedColor:
    """A description of colors by primaries and a transfer function.

    Attributes:
        primaries: chromaticities of the primaries and of white.
        transfer: code point of the transfer function.
        power: exponent from values to light, which replaces the transfer function. None: it does
            not.
    """

    primaries: Chromaticities = SRGB_PRIMARIES
    transfer: int = 13
    power: float | None = None

    @classmethod
    def from_code_points(cls, primaries: int, transfer: int) -> CodedColor:
        """Return the description of two code points of H.273."""
        default = BT2020_PRIMARIES if transfer in HDR_NAMES and primaries == 2 else SRGB_PRIMARIES
        return cls(PRIMARIES.get(primaries, default), transfer, _POWERS.get(transfer))

    @property
    def is_hdr(self) -> bool:
        """Whether values describe light far brighter than white."""
        return self.transfer in HDR_NAMES

    @property
    def is_srgb(self) -> bool:
        """Whether values are sRGB as they are."""
        is_plain = self.power is None and self.transfer not in (LINEAR, *HDR_NAMES)
        return is_plain and self.primaries == SRGB_PRIMARIES

    def to_light(self, values: Floats) -> Floats:
        """Convert values [..., 3] in [0, 1] to linear light with sRGB's primaries, 1 is SDR white.

        The light of HLG is that of a display of :data:`HLG_PEAK`, whose gamma of 1.2 is applied to
        each channel.
        """
        if self.power is not None:
            light = np.maximum(values, 0) ** np.float32(self.power)
        elif self.transfer == PQ:
            light = _decode_pq(values) / np.float32(SDR_WHITE)
        elif self.transfer == HLG:
            light = _decode_hlg(values) ** np.float32(1.2) * np.float32(HLG_PEAK / SDR_WHITE)
        elif self.transfer == LINEAR:
            light = values
        else:
            light = srgb_to_linear(values)
        if self.primaries != SRGB_PRIMARIES:
            light = light @ compute_matrix(self.primaries).T.astype(np.float32)
        return np.asarray(light, np.float32)


@dataclass(frozen=True)
class CodedConversion:
    """Converts values of a :class:`CodedColor` to sRGB.

    Attributes:
        color: the description.
        peak: brightest light, relative to SDR white; HDR is compressed from it.
    """

    color: CodedColor
    peak: float = 1.0

    def convert(self, values: Floats) -> Floats:
        """Convert values [..., 1 or 3] in [0, 1] to sRGB [..., 3]."""
        values = np.broadcast_to(values, (*values.shape[:-1], 3))
        light = self.color.to_light(values)
        if self.color.is_hdr:
            light = compress_highlights(light, self.peak)
        return linear_to_srgb(light.clip(0, 1)).clip(0, 1)


def compress_highlights(light: Floats, peak: float) -> Floats:
    """Compress light from [0, peak] into [0, 1], keeping its hue.

    Light whose largest channel is below :data:`KNEE` is unchanged; above, the curve of Reinhard et
    al., "Photographic tone reproduction for digital images" (2002), equation 4, follows with the
    same slope, and the peak becomes white. Where nothing is above SDR white, nothing changes.

    Args:
        light: [..., 3] linear, 1 is SDR white.
        peak: the brightest channel, or that of the nominal display.
    """
    if peak <= 1:
        return light
    brightest = light.max(-1, keepdims=True)
    above = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
    top = (peak - KNEE) / (1 - KNEE)
    curve = KNEE + (1 - KNEE) * above * (1 + above / top**2) / (1 + above)
    factor = np.where(above > 0, curve / np.maximum(brightest, KNEE), 1)
    return np.asarray(light * factor, np.float32)


def compute_matrix(primaries: Chromaticities) -> NDArray[np.float64]:
    """Compute the matrix from linear light of some primaries to that of sRGB.

    White becomes white, by Bradford's adaptation.
    """
    source, target = _compute_xyz_matrix(primaries), _compute_xyz_matrix(SRGB_PRIMARIES)
    cones = [_BRADFORD @ each.sum(1) for each in (source, target)]
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(cones[1] / cones[0]) @ _BRADFORD
    matrix: NDArray[np.float64] = np.linalg.inv(target) @ adapt @ source
    return matrix


def _compute_xyz_matrix(primaries: Chromaticities) -> NDArray[np.float64]:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries], np.float64).T
    scale = np.linalg.solve(columns[:, :3], columns[:, 3])
    return columns[:, :3] * scale


def _decode_pq(values: Floats) -> Floats:
    """Convert PQ values to luminance in cd/m2 (SMPTE ST 2084)."""
    power = np.maximum(values, 0).astype(np.float64) ** (32 / 2523)
    below = 2413 / 128 - 2392 / 128 * power
    light = 10_000 * (np.maximum(power - 3424 / 4096, 0) / below) ** (16_384 / 2610)
    return light.astype(np.float32)


def _decode_hlg(values: Floats) -> Floats:
    """Convert HLG values to the light of the scene in [0, 1] (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    high = (np.exp((np.maximum(values, 0.5) - c) / a) + b) / 12
    return np.where(values <= 0.5, np.square(np.maximum(values, 0)) / 3, high).astype(np.float32)
