"""The style code: a painting's own VGG-19 statistics, as one vector. Nothing of it is learned.

It says which statistics the result shall have. All of its numbers are moments, so that blending
codes blends the paintings as :func:`impasto.objective.statistics.moments.blend` does, and the
code of a photo
is the style that changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from impasto.encoders.layers import BLOCK_CHANNELS
from impasto.network.color_map import moments_of_places, shares_of_places
from impasto.network.grade import GRADE_NUMBERS, grade, possible_grade

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
CHANNELS = BLOCK_CHANNELS[: len(LAYERS)]
AXES = 24
"""Directions a layer, of the largest variance in paintings, whose second moments are in the code:
what goes with what, a stroke or a hatching, where mean and deviation of each channel tell
color and contrast."""
PAIRS = AXES * (AXES + 1) // 2
NUMBERS = 2 * sum(CHANNELS) + len(CHANNELS) * PAIRS + GRADE_NUMBERS
"""Of a code."""
LIMIT = 5.0
"""Standard deviations from the mean painting that a number is believed."""
FLOOR = 1e-3
"""Least variance, of a layer whose mean square is 1."""
SLICE = 4096
"""Places whose features are read at once: 1 MB of the first layer's stays in a core's cache."""


@dataclass(frozen=True)
class PictureMoments:
    """Statistics of a batch of pictures; features in units of their layer's root mean square.

    Attributes:
        means: one [N, C] a layer.
        seconds: one [N, C, C] a layer.
        grade: [N, 60], see :func:`impasto.network.grade.grade`.
    """

    means: list[Tensor]
    seconds: list[Tensor]
    grade: Tensor

    def blended(self, other: PictureMoments, share: Tensor) -> PictureMoments:
        """``1 - share`` of these and ``share`` [N] of the other's."""

        def mixed(a: Tensor, b: Tensor) -> Tensor:
            return torch.lerp(a, b, share.view(-1, *(1,) * (a.dim() - 1)))

        return PictureMoments(
            list(map(mixed, self.means, other.means)),
            list(map(mixed, self.seconds, other.seconds)),
            mixed(self.grade, other.grade),
        )


class CodeBook(nn.Module):
    """How moments become a code, and a code what the network reads: fixed numbers, fitted once.

    Buffers: ``units`` [4], the layers' root mean squares; ``axes_*`` [C, 24]; ``center`` and
    ``width`` [NUMBERS - 60], mean and deviation over paintings of what is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.units: Tensor
        self.center: Tensor
        self.width: Tensor
        self.register_buffer("units", torch.ones(len(LAYERS)))
        for layer, channels in zip(LAYERS, CHANNELS, strict=True):
            self.register_buffer(f"axes_{layer}", torch.eye(channels)[:, :AXES].clone())
        self.register_buffer("center", torch.zeros(NUMBERS - GRADE_NUMBERS))
        self.register_buffer("width", torch.ones(NUMBERS - GRADE_NUMBERS))

    def moments(
        self, image: Tensor, features: dict[str, Tensor], mask: Tensor | None = None
    ) -> PictureMoments:
        """Of pictures and their features.

        Args:
            image: [N, 3, H, W] in [0, 1].
            features: at :data:`LAYERS`, as the encoder gives them.
            mask: [N, 1, H, W] >= 0, how much each place counts; none: all alike.
        """
        means, seconds = [], []
        for unit, layer in zip(self.units, LAYERS, strict=True):
            mean, second = moments_of_places(features[layer], mask)
            means.append(mean / unit)
            seconds.append(second / unit.square())
        return PictureMoments(means, seconds, grade(image, mask))

    def code(self, moments: PictureMoments) -> Tensor:
        """[N, NUMBERS] float32: means, mean squares, second moments along the axes, grade."""
        squares = [second.diagonal(dim1=1, dim2=2) for second in moments.seconds]
        rows, columns = _pairs(moments.grade.device)
        along = []
        for layer, second in zip(LAYERS, moments.seconds, strict=True):
            axes = getattr(self, f"axes_{layer}")
            along.append((axes.T @ second @ axes)[:, rows, columns])
        return torch.cat([*moments.means, *squares, *along, moments.grade], 1)

    def measured(
        self, image: Tensor, features: dict[str, Tensor], mask: Tensor | None = None
    ) -> Tensor:
        """:meth:`code` of :meth:`moments`, in half the time: of second moments only those that are
        in it. Features may be in half precision; sums are in float32. Export cannot trace it."""
        means, squares, along = [], [], []
        rows, columns = _pairs(image.device)
        for unit, layer in zip(self.units, LAYERS, strict=True):
            axes = getattr(self, f"axes_{layer}")
            mean, square, second = _moments_along(features[layer], axes, mask)
            means.append(mean / unit)
            squares.append(square / unit.square())
            along.append(second[:, rows, columns] / unit.square())
        return torch.cat([*means, *squares, *along, grade(image, mask)], 1)

    def reading(self, code: Tensor) -> Tensor:
        """What the network sees of a code: means, log deviations, correlations along the axes,
        each relative to paintings at large. [N, NUMBERS - 60] of [N, NUMBERS]."""
        return ((self.unscaled(code) - self.center) / self.width).clamp(-LIMIT, LIMIT)

    def unscaled(self, code: Tensor) -> Tensor:
        """As :meth:`reading`, before it is made relative."""
        total = sum(CHANNELS)
        means, squares = code[:, :total], code[:, total : 2 * total]
        deviations = (squares - means.square()).clamp(min=0).add(FLOOR).log() / 2
        rows, columns = _pairs(code.device)
        parts = [means, deviations]
        at, first = 2 * total, 0
        for layer, channels in zip(LAYERS, CHANNELS, strict=True):
            center = means[:, first : first + channels] @ getattr(self, f"axes_{layer}")
            covariance = code[:, at : at + PAIRS] - center[:, rows] * center[:, columns]
            spread = covariance[:, rows == columns].clamp(min=0).add(FLOOR)
            scale = (spread[:, rows] * spread[:, columns]).sqrt()
            parts.append(torch.where(rows == columns, scale.log() / 2, covariance / scale))
            at, first = at + PAIRS, first + channels
        return torch.cat(parts, 1)

    @torch.no_grad()
    def fit(self, moments: PictureMoments) -> None:
        """Take units, axes, center and width from the moments of some paintings, measured before
        any of them was set."""
        for position, layer in enumerate(LAYERS):
            second = moments.seconds[position]
            square = second.diagonal(dim1=1, dim2=2).mean()
            mean = moments.means[position]
            covariance = (second - mean[:, :, None] * mean[:, None]).mean(0)
            values = torch.linalg.eigh(covariance.double())
            self.units[position] = square.sqrt()
            getattr(self, f"axes_{layer}").copy_(values.eigenvectors[:, -AXES:])
        scaled = PictureMoments(
            [m / u for m, u in zip(moments.means, self.units, strict=True)],
            [s / u**2 for s, u in zip(moments.seconds, self.units, strict=True)],
            moments.grade,
        )
        numbers = self.unscaled(self.code(scaled))
        self.center.copy_(numbers.mean(0))
        self.width.copy_(numbers.std(0, correction=0).clamp(min=0.02))


def possible(codes: Tensor) -> Tensor:
    """Codes [K, NUMBERS] as they are, but for grades that no picture has."""
    rest, grades = codes[:, :-GRADE_NUMBERS], codes[:, -GRADE_NUMBERS:]
    return torch.cat([rest, possible_grade(grades)], 1)


def _moments_along(
    features: Tensor, axes: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Means [N, C], mean squares [N, C] and second moments along axes [C, K], [N, K, K]."""
    places, shares = features.flatten(2), shares_of_places(features, mask)
    mean = square = second = torch.zeros(1, device=features.device)
    for start in range(0, places.shape[2], SLICE):
        values = places[..., start : start + SLICE].float()
        share = shares[..., start : start + SLICE]
        weighted = values * share
        mean = mean + weighted.sum(2)
        square = square + (weighted * values).sum(2)
        second = second + (axes.T @ weighted) @ (axes.T @ values).transpose(1, 2)
    return mean, square, second


def _pairs(device: torch.device) -> tuple[Tensor, Tensor]:
    rows, columns = torch.triu_indices(AXES, AXES, device=device)
    return rows, columns
