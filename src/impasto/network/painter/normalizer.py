"""Normalize the features of layers, and give them the gains and offsets of styles.

Both one-pass networks (:mod:`impasto.network.painter.model`, :mod:`impasto.network.strokes`) do
this after most of their convolutions (Dumoulin et al., arXiv:1610.07629):

    modulated = gain * (x - mean) / sqrt(variance + EPSILON) + offset
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5


class LayerStyle(Protocol):
    """The gains and offsets of all normalized layers for K styles, and the styles' regions."""

    @property
    def gains(self) -> Tensor:
        """[N, K, C], C the channels of all normalized layers from the input on."""

    @property
    def offsets(self) -> Tensor:
        """[N, K, C]."""

    @property
    def masks(self) -> Tensor | None:
        """[N or 1, K, H, W] in [0, 1], with sum 1 at every pixel. None: K is 1."""


class LayerNormalizer:
    """Normalizes and modulates the features of one layer after another, from the input on.

    Attributes:
        override: the statistics to normalize by. None: each layer's own statistics.
        statistics: the layers' own statistics, where they were measured of whole pictures.
    """

    def __init__(
        self, style: LayerStyle, override: Tensor | None, begin: int, *, keeps_type: bool = False
    ) -> None:
        """Start at the first layer.

        Args:
            style: gains, offsets and regions.
            override: [N, begin + 2 C or more], a mean and an inverse deviation for each channel.
                None: each layer's own statistics.
            begin: how many other numbers come first in ``override``.
            keeps_type: whether features keep their type, while sums are in float32. Otherwise they
                get the type that their factors have.
        """
        self.override = override
        self.statistics: list[Tensor] = []
        self._style = style
        self._begin = begin
        self._keeps_type = keeps_type
        self._channel = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize and modulate the next layer's features [N, C, H, W]."""
        begin, channels = self._channel, x.shape[1]
        self._channel += channels
        here = slice(begin, self._channel)
        gains, offsets = self._style.gains[:, :, here], self._style.offsets[:, :, here]
        masks = self._style.masks
        regions = None if masks is None else F.adaptive_avg_pool2d(masks, (x.shape[2], x.shape[3]))
        if self.override is not None:
            at = self._begin + 2 * begin
            mean, inverse = self.override[:, None, at : at + 2 * channels].chunk(2, 2)
        elif regions is not None:
            mean, inverse = measure_regions(x.float(), regions.flatten(2))
        else:
            return self._modulate_whole(x, gains[:, 0], offsets[:, 0])
        gains = gains * inverse
        offset = lay_out(offsets - gains * mean, regions)
        if self._keeps_type:
            return torch.addcmul(offset, lay_out(gains, regions), x.float()).to(x.dtype)
        return torch.addcmul(offset, lay_out(gains, regions), x)

    def _modulate_whole(self, x: Tensor, gains: Tensor, offsets: Tensor) -> Tensor:
        """Modulate [N, C, H, W] by one style, and note the statistics of the pictures."""
        if self._keeps_type:
            x, statistics = standardize(x, gains, offsets)
        else:
            x, statistics = standardize(x.float())
            x = torch.addcmul(offsets[:, :, None, None], gains[:, :, None, None], x)
        self.statistics.append(statistics.float())
        return x


def measure_regions(x: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
    """Measure means and inverse deviations [N, K, C] of [N, C, H, W] in regions [N, K, H * W]."""
    shares, places = regions / regions.sum(2, keepdim=True).clamp(min=EPSILON), x.flatten(2)
    mean = shares @ places.transpose(1, 2)
    square = shares @ places.square().transpose(1, 2)
    return mean, ((square - mean.square()).clamp(min=0) + EPSILON).rsqrt()


def standardize(
    x: Tensor, gains: Tensor | None = None, offsets: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Normalize each channel of each picture to mean 0 and variance 1, or to other ones.

    Args:
        x: [N, C, H, W].
        gains: [N, C], standard deviations of the result. None: 1.
        offsets: [N, C], means of the result. None: 0.

    Returns:
        [N, C, H, W], and the means and inverse deviations [N, 2 C] that were used.
    """
    each = [
        torch.native_batch_norm(
            one,
            None if gains is None else gains[k],
            None if offsets is None else offsets[k],
            running_mean=None,
            running_var=None,
            training=True,
            momentum=0.0,
            eps=EPSILON,
        )
        for k, one in enumerate(x.split(1))  # type: ignore[no-untyped-call]
    ]
    normalized, means, inverses = zip(*each, strict=True)
    both = torch.cat([torch.stack(means), torch.stack(inverses)], 1)
    return (torch.cat(normalized) if len(normalized) > 1 else normalized[0]), both


def lay_out(values: Tensor, masks: Tensor | None, size: tuple[int, int] | None = None) -> Tensor:
    """Lay out the values of styles in their regions.

    Args:
        values: [N, K, C].
        masks: [N or 1, K, H, W] with sum 1. None: K is 1.
        size: height and width of the result. None: those of the masks.

    Returns:
        [N, C, h, w]; [N, C, 1, 1] without masks.
    """
    if masks is None:
        return values[:, 0, :, None, None]
    regions = masks if size is None else F.adaptive_avg_pool2d(masks, size)
    mixed = values.transpose(1, 2) @ regions.flatten(2)
    return mixed.view(*mixed.shape[:2], *regions.shape[2:])
