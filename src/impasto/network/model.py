"""The network: a photo and a style code in, the picture out, in one pass.

After MicroAST (Wang et al., arXiv:2211.15313) and Dumoulin et al. (arXiv:1610.07629): a content
path of few channels at a half, a quarter and an eighth of the resolution, whose decoder normalizes
its features and gives them the gains and offsets that a style asks for. Before it and after it the
picture is given the painting's grade, see :mod:`impasto.network.grade`: the network says where
strokes go, and nothing at first; how strong they are at each size is known in closed form.

All normalization is by statistics of the whole picture, or of each region of one. Those of a whole
can be measured of another picture and given back: then a part is painted as in the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.network.grade import GRADE_NUMBERS, grade, graded, padded
from impasto.network.style_code import NUMBERS, CodeBook

HALF, QUARTER, EIGHTH = 24, 48, 96
"""Channels at each resolution."""
NORMALIZED = (*(EIGHTH,) * 6, QUARTER, QUARTER, QUARTER, QUARTER, HALF, HALF)
"""Channels of the normalized layers, in the order of the data."""
HIDDEN = 256
SHAPIRO = tuple(weight / 64 for weight in (1, -6, 15, 44, 15, -6, 1))
"""Weights of the filter of :func:`smoothed`."""
EPSILON = 1e-5
STATISTICS = 2 * (GRADE_NUMBERS + sum(NORMALIZED))
"""Numbers of a picture's statistics: the photo's grade, mean and inverse deviation of what is
normalized, and the grade of what was painted, before it is given the style's."""


@dataclass(frozen=True)
class Style:
    """What the decoder needs of K styles for N pictures.

    Attributes:
        gains, offsets: [N, K, sum(NORMALIZED)].
        grades: [N, K, 60].
        masks: [N or 1, K, H, W] in [0, 1], adding up to 1 everywhere; none if K is 1.
    """

    gains: Tensor
    offsets: Tensor
    grades: Tensor
    masks: Tensor | None = None


class Convolution(nn.Conv2d):
    """3 x 3, reflecting at the border."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, padding_mode="reflect")


class Residual(nn.Module):
    """Two convolutions around which the data also passes by."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Convolution(channels, channels)
        self.second = Convolution(channels, channels)
        with torch.no_grad():
            self.second.weight *= 0.3

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))  # type: ignore[no-any-return]


class Painter(nn.Module):
    """The arbitrary-style network, with the code book of its styles."""

    def __init__(self) -> None:
        super().__init__()
        self.book = CodeBook()
        self.autocast: torch.dtype | None = None
        """Of the convolutions; none: float32, which colors are in any case."""
        self.reader = nn.Sequential(
            nn.Linear(NUMBERS - GRADE_NUMBERS, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, 2 * sum(NORMALIZED)),
        )
        self.at_half = Convolution(24, HALF)
        self.at_quarter = nn.Sequential(Convolution(HALF, QUARTER, 2), nn.ReLU(), Residual(QUARTER))
        self.at_eighth = nn.Sequential(
            Convolution(QUARTER, EIGHTH, 2), nn.ReLU(), Residual(EIGHTH), Residual(EIGHTH)
        )
        self.strokes = nn.ModuleList(Convolution(EIGHTH, EIGHTH) for _ in range(6))
        self.to_quarter = Convolution(EIGHTH, QUARTER)
        self.fine_strokes = nn.ModuleList(Convolution(QUARTER, QUARTER) for _ in range(2))
        self.to_half = Convolution(QUARTER, HALF)
        self.gates = nn.Parameter(torch.full((2,), 0.5))
        self.to_pixels = Convolution(HALF, 12)
        self._begin_as_identity()

    @property
    def normalization(self) -> nn.Parameter:
        """[2 * sum(NORMALIZED)]: gains and offsets, whatever the code."""
        last = self.reader[-1]
        assert isinstance(last, nn.Linear)
        return last.bias

    def _begin_as_identity(self) -> None:
        last = self.reader[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight *= 0.1
            last.bias.zero_()
            self.to_pixels.weight.zero_()
            assert self.to_pixels.bias is not None
            self.to_pixels.bias.zero_()

    def style(self, codes: Tensor, masks: Tensor | None = None) -> Style:
        """What codes ask for.

        Args:
            codes: [N, K, NUMBERS], K styles for each of N pictures.
            masks: [N, K, H, W], where each of them is; needed if K is above 1.
        """
        number, styles = codes.shape[:2]
        flat = codes.flatten(0, 1)
        read = self.reader(self.book.reading(flat)).view(number, styles, -1)
        gains, offsets = read.chunk(2, 2)
        return Style(1 + gains, offsets, codes[..., -GRADE_NUMBERS:], masks)

    def forward(self, photo: Tensor, style: Style, statistics: Tensor | None = None) -> Tensor:
        """The picture, not clamped: [N, 3, H, W] of a photo [N, 3, H, W] in [0, 1], H, W >= 16.

        Args:
            photo: the photo.
            style: of :meth:`style`.
            statistics: [N, STATISTICS] of :meth:`statistics`; none: this photo's own.
        """
        height, width = photo.shape[2:]
        painted = self.painted(photo, style, statistics)
        own = None if statistics is None else statistics[:, -GRADE_NUMBERS:]
        masks = None if style.masks is None else padded(style.masks)
        return graded(painted, own, style.grades, masks)[:, :, :height, :width]

    def statistics(self, photo: Tensor, style: Style) -> Tensor:
        """What everything is normalized by: [N, STATISTICS]; the style is one, without masks."""
        normalizer = _Normalizer(style, None)
        painted = self._painted(padded(photo), normalizer)
        return torch.cat([grade(photo), *normalizer.found, grade(painted)], 1)

    def painted(self, photo: Tensor, style: Style, statistics: Tensor | None = None) -> Tensor:
        """The picture before it is given its style's grade, padded as :func:`padded` does;
        arguments as of :meth:`forward`."""
        return self._painted(padded(photo), _Normalizer(_with_padded_masks(style), statistics))

    def _painted(self, photo: Tensor, normalized: _Normalizer) -> Tensor:
        style = normalized.style
        own = None if normalized.given is None else normalized.given[:, :GRADE_NUMBERS]
        toned = graded(photo, own, style.grades, style.masks)
        if self.autocast is None:
            return toned + self._strokes(photo, toned, normalized)
        with torch.autocast(photo.device.type, self.autocast):
            return toned + self._strokes(photo, toned, normalized).float()

    def _strokes(self, photo: Tensor, toned: Tensor, normalized: _Normalizer) -> Tensor:
        x = F.pixel_unshuffle(torch.cat([photo, toned], 1) - 0.5, 2)
        x = x.contiguous(memory_format=torch.channels_last)  # in which convolutions are quickest
        half = F.relu(self.at_half(x))
        quarter = self.at_quarter(half)
        x = self.at_eighth(quarter)
        for first, second in zip(self.strokes[::2], self.strokes[1::2], strict=True):
            x = x + normalized(second(F.relu(normalized(first(x)))))
        x = F.relu(normalized(self.to_quarter(_enlarged(x))))
        x = x + self.gates[0] * normalized(quarter)
        first, second = self.fine_strokes
        x = x + normalized(second(F.relu(normalized(first(x)))))
        x = F.relu(normalized(self.to_half(_enlarged(x))))
        x = x + self.gates[1] * normalized(half)
        return smoothed(F.pixel_shuffle(self.to_pixels(x), 2).float())


class _Normalizer:
    """Called on one layer after the other, in the order of the data: features are normalized, by
    their own statistics or by those given, and get their style's gains and offsets."""

    def __init__(self, style: Style, given: Tensor | None) -> None:
        self.style, self.given = style, given
        self.found: list[Tensor] = []
        self._channel = 0

    def __call__(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        begin, self._channel = self._channel, self._channel + channels
        here = slice(begin, self._channel)
        gains, offsets = self.style.gains[:, :, here], self.style.offsets[:, :, here]
        where = self._where(x)
        if self.given is None and where is None:
            x, found = standardized(x.float())
            self.found.append(found)
        else:
            if where is not None and self.given is None:
                mean, inverse = _of_regions(x.float(), where)
            else:
                assert self.given is not None
                at = GRADE_NUMBERS + 2 * begin
                mean, inverse = self.given[:, None, at : at + 2 * channels].chunk(2, 2)
            gains = gains * inverse
            offsets = offsets - gains * mean
        if where is None:
            return torch.addcmul(offsets[:, 0, :, None, None], gains[:, 0, :, None, None], x)
        maps = (each.transpose(1, 2) @ where for each in (gains, offsets))
        gain, offset = (each.view_as(x) for each in maps)
        return torch.addcmul(offset, gain, x)

    def _where(self, x: Tensor) -> Tensor | None:
        """[N or 1, K, P]: where each style is, of the places of features; none: there is one."""
        if self.style.masks is None:
            return None
        return F.adaptive_avg_pool2d(self.style.masks, (x.shape[2], x.shape[3])).flatten(2)


def _of_regions(x: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Means and inverse deviations [N, K, C] of features [N, C, H, W] in each of some regions."""
    shares, places = where / where.sum(2, keepdim=True).clamp(min=EPSILON), x.flatten(2)
    mean = shares @ places.transpose(1, 2)
    square = shares @ places.square().transpose(1, 2)
    return mean, ((square - mean.square()).clamp(min=0) + EPSILON).rsqrt()


def standardized(x: Tensor) -> tuple[Tensor, Tensor]:
    """[N, C, H, W] with mean 0 and variance 1 in each channel of each picture, and what they were:
    means and inverse deviations, [N, 2 C]."""
    each = [
        torch.native_batch_norm(one, None, None, None, None, True, 0.0, EPSILON)
        for one in x.split(1)  # type: ignore[no-untyped-call]
    ]
    made, means, inverses = zip(*each, strict=True)
    both = torch.cat([torch.stack(means), torch.stack(inverses)], 1)
    return (torch.cat(made) if len(made) > 1 else made[0]), both


def smoothed(x: Tensor) -> Tensor:
    """[N, C, H, W] without patterns of a period of 2 px: the stripes and chessboards that a network
    which fills squares of 2 x 2 px draws for detail. By the filter of Shapiro 1970, third order,
    whose response is 1 - sin^6: of a period of 4 px it still leaves seven eighths."""
    for padding, dimension in (((0, 0, 3, 3), 2), ((3, 3, 0, 0), 3)):
        wide, size = F.pad(x, padding, mode="reflect"), x.shape[dimension]
        x = wide.narrow(dimension, 0, size) * SHAPIRO[0]
        for first, weight in enumerate(SHAPIRO[1:], 1):
            x = x.add_(wide.narrow(dimension, first, size), alpha=weight)
    return x


def _with_padded_masks(style: Style) -> Style:
    return style if style.masks is None else replace(style, masks=padded(style.masks))


def _enlarged(x: Tensor) -> Tensor:
    """Twice the size: the values, and between each two their mean, so that all steps are alike.
    Of values repeated, or spread about their places, every second step is larger, and strokes
    show the grid."""
    size = 2 * x.shape[2] - 1, 2 * x.shape[3] - 1
    between = F.interpolate(x, size, mode="bilinear", align_corners=True)
    return F.pad(between, (0, 1, 0, 1), mode="replicate")
