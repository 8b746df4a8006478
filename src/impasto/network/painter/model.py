"""Define the one-pass network, which paints a photo in the style of a code.

The network follows MicroAST (Wang et al., arXiv:2211.15313) and conditional instance normalization
(Dumoulin et al., arXiv:1610.07629). An encoder with few channels works at a half, a quarter and an
eighth of the resolution. Its decoder normalizes features and applies gains and offsets that are
computed from the style code:

    modulated = gain * (x - mean) / sqrt(variance + EPSILON) + offset

Before and after the network, the picture gets the grade of the painting in closed form (see
:mod:`impasto.network.painter.grade`). The network therefore only decides where strokes go; the
grade decides how strong they are at each scale. An untrained network adds no strokes.

Features are normalized by the statistics of the whole picture, or of each region. The statistics of
a whole picture can be measured beforehand, so that its parts are painted as within the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.network.painter.grade import GRADE_NUMBERS, apply_grade, measure_grade, pad_to_cells
from impasto.network.painter.normalizer import LayerNormalizer
from impasto.network.painter.style_code import NUMBERS, CodeBook

HALF, QUARTER, EIGHTH = 24, 48, 96
"""Channels at each resolution."""
NORMALIZED = (*(EIGHTH,) * 6, QUARTER, QUARTER, QUARTER, QUARTER, HALF, HALF)
"""Channels of the normalized layers, from the input on."""
HIDDEN = 256
"""Units in the hidden layers of the reader."""
SHAPIRO = tuple(weight / 64 for weight in (1, -6, 15, 44, 15, -6, 1))
"""Weights of the filter of :func:`smooth`."""
STATISTICS = 2 * (GRADE_NUMBERS + sum(NORMALIZED))
"""Length of a picture's statistics: the grade of the photo, the mean and inverse deviation of each
normalized channel, and the grade of the painted picture before the style's grade is applied."""


@dataclass(frozen=True)
class StyleModulation:
    """The parameters that K styles set in the decoder, for N pictures.

    Attributes:
        gains, offsets: [N, K, sum(NORMALIZED)] of the normalized channels.
        grades: [N, K, GRADE_NUMBERS] of the styles.
        masks: [N or 1, K, H, W] in [0, 1], with sum 1 at every pixel. None: K is 1.
    """

    gains: Tensor
    offsets: Tensor
    grades: Tensor
    masks: Tensor | None = None


class ReflectedConvolution(nn.Conv2d):
    """A 3 x 3 convolution with reflection padding."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, padding_mode="reflect")


class ResidualBlock(nn.Module):
    """Two convolutions with a skip connection (He et al., arXiv:1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ReflectedConvolution(channels, channels)
        self.second = ReflectedConvolution(channels, channels)
        with torch.no_grad():
            self.second.weight *= 0.3

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))  # type: ignore[no-any-return]


class Painter(nn.Module):
    """The one-pass network for arbitrary styles, with the code book of its style codes.

    Names of attributes are keys of network files and must stay.
    """

    def __init__(self) -> None:
        super().__init__()
        self.book = CodeBook()
        self.autocast: torch.dtype | None = None
        """Type of the convolutions. None: float32. Colors are float32 in any case."""
        self.reader = nn.Sequential(
            nn.Linear(NUMBERS - GRADE_NUMBERS, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, 2 * sum(NORMALIZED)),
        )
        self.at_half = ReflectedConvolution(24, HALF)
        self.at_quarter = nn.Sequential(
            ReflectedConvolution(HALF, QUARTER, 2), nn.ReLU(), ResidualBlock(QUARTER)
        )
        self.at_eighth = nn.Sequential(
            ReflectedConvolution(QUARTER, EIGHTH, 2),
            nn.ReLU(),
            ResidualBlock(EIGHTH),
            ResidualBlock(EIGHTH),
        )
        self.strokes = nn.ModuleList(ReflectedConvolution(EIGHTH, EIGHTH) for _ in range(6))
        self.to_quarter = ReflectedConvolution(EIGHTH, QUARTER)
        self.fine_strokes = nn.ModuleList(ReflectedConvolution(QUARTER, QUARTER) for _ in range(2))
        self.to_half = ReflectedConvolution(QUARTER, HALF)
        self.gates = nn.Parameter(torch.full((2,), 0.5))
        self.to_pixels = ReflectedConvolution(HALF, 12)
        self._initialize_as_identity()

    @property
    def normalization(self) -> nn.Parameter:
        """Biases [2 * sum(NORMALIZED)] of gains and offsets, which do not depend on the code."""
        last = self.reader[-1]
        assert isinstance(last, nn.Linear)
        return last.bias

    def _initialize_as_identity(self) -> None:
        last = self.reader[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight *= 0.1
            last.bias.zero_()
            self.to_pixels.weight.zero_()
            assert self.to_pixels.bias is not None
            self.to_pixels.bias.zero_()

    def modulate(self, codes: Tensor, masks: Tensor | None = None) -> StyleModulation:
        """Compute the modulation of style codes.

        Args:
            codes: [N, K, NUMBERS], K styles for each of N pictures.
            masks: [N or 1, K, H, W], region of each style; required if K is above 1.
        """
        number, styles = codes.shape[:2]
        flat = codes.flatten(0, 1)
        read = self.reader(self.book.standardize(flat)).view(number, styles, -1)
        gains, offsets = read.chunk(2, 2)
        return StyleModulation(1 + gains, offsets, codes[..., -GRADE_NUMBERS:], masks)

    def forward(
        self, photo: Tensor, style: StyleModulation, statistics: Tensor | None = None
    ) -> Tensor:
        """Paint photos.

        Args:
            photo: [N, 3, H, W] in [0, 1], H and W at least 16.
            style: result of :meth:`modulate`.
            statistics: [N, STATISTICS] from :meth:`measure_statistics`. None: those of this photo.

        Returns:
            [N, 3, H, W], not clamped.
        """
        height, width = photo.shape[2:]
        output = self.paint_ungraded(photo, style, statistics)
        own = None if statistics is None else statistics[:, -GRADE_NUMBERS:]
        masks = None if style.masks is None else pad_to_cells(style.masks)
        return apply_grade(output, own, style.grades, masks)[:, :, :height, :width]

    def measure_statistics(self, photo: Tensor, style: StyleModulation) -> Tensor:
        """Measure the statistics [N, STATISTICS] that normalization uses, for one style."""
        normalize = LayerNormalizer(style, None, GRADE_NUMBERS)
        output = self._paint(pad_to_cells(photo), style, normalize)
        return torch.cat([measure_grade(photo), *normalize.statistics, measure_grade(output)], 1)

    def paint_ungraded(
        self, photo: Tensor, style: StyleModulation, statistics: Tensor | None = None
    ) -> Tensor:
        """Paint photos without the final grade, padded by :func:`pad_to_cells`.

        The arguments are those of :meth:`forward`.
        """
        padded = _pad_masks(style)
        normalize = LayerNormalizer(padded, statistics, GRADE_NUMBERS)
        return self._paint(pad_to_cells(photo), padded, normalize)

    def _paint(self, photo: Tensor, style: StyleModulation, normalize: LayerNormalizer) -> Tensor:
        own = None if normalize.override is None else normalize.override[:, :GRADE_NUMBERS]
        toned = apply_grade(photo, own, style.grades, style.masks)
        if self.autocast is None:
            return toned + self._draw_strokes(photo, toned, normalize)
        with torch.autocast(photo.device.type, self.autocast):
            return toned + self._draw_strokes(photo, toned, normalize).float()

    def _draw_strokes(self, photo: Tensor, toned: Tensor, normalize: LayerNormalizer) -> Tensor:
        x = F.pixel_unshuffle(torch.cat([photo, toned], 1) - 0.5, 2)
        x = x.contiguous(memory_format=torch.channels_last)  # the fastest layout for convolutions
        half = F.relu(self.at_half(x))
        quarter = self.at_quarter(half)
        x = self.at_eighth(quarter)
        for first, second in zip(self.strokes[::2], self.strokes[1::2], strict=True):
            x = x + normalize(second(F.relu(normalize(first(x)))))
        x = F.relu(normalize(self.to_quarter(double_size(x))))
        x = x + self.gates[0] * normalize(quarter)
        first, second = self.fine_strokes
        x = x + normalize(second(F.relu(normalize(first(x)))))
        x = F.relu(normalize(self.to_half(double_size(x))))
        x = x + self.gates[1] * normalize(half)
        return smooth(F.pixel_shuffle(self.to_pixels(x), 2).float())


def smooth(x: Tensor) -> Tensor:
    """Remove patterns with a period of 2 px from [N, C, H, W].

    A network that fills squares of 2 x 2 px draws stripes and checkerboards as detail. The filter
    (Shapiro, "Smoothing, filtering, and boundary effects", 1970, third order) has the response
    1 - sin^6 and keeps seven eighths of a period of 4 px.
    """
    for padding, dimension in (((0, 0, 3, 3), 2), ((3, 3, 0, 0), 3)):
        extended, size = F.pad(x, padding, mode="reflect"), x.shape[dimension]
        x = extended.narrow(dimension, 0, size) * SHAPIRO[0]
        for first, weight in enumerate(SHAPIRO[1:], 1):
            x = x.add_(extended.narrow(dimension, first, size), alpha=weight)
    return x


def _pad_masks(style: StyleModulation) -> StyleModulation:
    return style if style.masks is None else replace(style, masks=pad_to_cells(style.masks))


def double_size(x: Tensor) -> Tensor:
    """Double the size by inserting the mean between each two values.

    All steps between neighbors then have the same size. With repeated values, every second step
    would be larger, and strokes would show the grid.
    """
    size = 2 * x.shape[2] - 1, 2 * x.shape[3] - 1
    between = F.interpolate(x, size, mode="bilinear", align_corners=True)
    return F.pad(between, (0, 1, 0, 1), mode="replicate")
