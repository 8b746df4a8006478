"""Describe a style by a code: the VGG-19 statistics of a painting as one vector.

The code states the statistics that the result should have. All of its numbers are moments, so that
a blend of codes describes a blend of paintings, and the code of the photo itself is the style that
changes nothing. Nothing in it is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from impasto.encoders.layers import BLOCK_CHANNELS
from impasto.network.painter.color_map import measure_place_moments, normalize_mask
from impasto.network.painter.grade import GRADE_NUMBERS, measure_grade, project_grade

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
CHANNELS = BLOCK_CHANNELS[: len(LAYERS)]
AXES = 24
"""Principal components per layer whose second moments are in the code. They describe which channels
are active together, as in a stroke, where mean and deviation describe color and contrast."""
PAIRS = AXES * (AXES + 1) // 2
NUMBERS = 2 * sum(CHANNELS) + len(CHANNELS) * PAIRS + GRADE_NUMBERS
"""Length of a code."""
LIMIT = 5.0
"""Clamp for standardized numbers, in standard deviations over paintings."""
FLOOR = 1e-3
"""Added to the variances of a layer with mean square 1."""
SLICE = 4096
"""Places that are processed at once; 1 MB of the first layer, which fits into a core's cache."""


@dataclass(frozen=True)
class PictureMoments:
    """Statistics of N pictures; features are in units of their layer's root mean square.

    Attributes:
        means: [N, C] for each layer.
        seconds: [N, C, C] for each layer, mean outer products.
        grade: [N, GRADE_NUMBERS], see :func:`impasto.network.painter.grade.measure_grade`.
    """

    means: list[Tensor]
    seconds: list[Tensor]
    grade: Tensor

    def blend(self, other: PictureMoments, share: Tensor) -> PictureMoments:
        """Blend with other moments, of which ``share`` [N] is taken."""

        def mix(a: Tensor, b: Tensor) -> Tensor:
            return torch.lerp(a, b, share.view(-1, *(1,) * (a.dim() - 1)))

        return PictureMoments(
            list(map(mix, self.means, other.means)),
            list(map(mix, self.seconds, other.seconds)),
            mix(self.grade, other.grade),
        )


class CodeBook(nn.Module):
    """Converts moments to codes, and codes to the input of the network, with fixed numbers.

    Buffers, which :meth:`fit` sets once from paintings: ``units`` [4], root mean squares of the
    layers; ``axes_*`` [C, 24], principal components; ``center`` and ``width`` [NUMBERS -
    GRADE_NUMBERS], means and deviations of the numbers that :meth:`describe` returns.
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

    def measure_moments(
        self, image: Tensor, features: dict[str, Tensor], mask: Tensor | None = None
    ) -> PictureMoments:
        """Measure the moments of pictures.

        Args:
            image: [N, 3, H, W] in [0, 1].
            features: their features at :data:`LAYERS`, from the encoder.
            mask: [N, 1, H, W] >= 0, weight of each pixel. None: equal weights.
        """
        means, seconds = [], []
        for unit, layer in zip(self.units, LAYERS, strict=True):
            mean, second = measure_place_moments(features[layer], mask)
            means.append(mean / unit)
            seconds.append(second / unit.square())
        return PictureMoments(means, seconds, measure_grade(image, mask))

    def encode(self, moments: PictureMoments) -> Tensor:
        """Convert moments to codes [N, NUMBERS]: means, mean squares, moments along axes, grade."""
        squares = [second.diagonal(dim1=1, dim2=2) for second in moments.seconds]
        rows, columns = _list_pairs(moments.grade.device)
        along = []
        for layer, second in zip(LAYERS, moments.seconds, strict=True):
            axes = getattr(self, f"axes_{layer}")
            along.append((axes.T @ second @ axes)[:, rows, columns])
        return torch.cat([*moments.means, *squares, *along, moments.grade], 1)

    def measure_code(
        self, image: Tensor, features: dict[str, Tensor], mask: Tensor | None = None
    ) -> Tensor:
        """Measure codes directly, in half the time of :meth:`measure_moments` and :meth:`encode`.

        Only the second moments that are part of a code are computed. Features may have half
        precision; sums are float32. ONNX export cannot trace this method.

        Args:
            image, features, mask: see :meth:`measure_moments`.

        Returns:
            [N, NUMBERS] float32.
        """
        means, squares, along = [], [], []
        rows, columns = _list_pairs(image.device)
        for unit, layer in zip(self.units, LAYERS, strict=True):
            axes = getattr(self, f"axes_{layer}")
            mean, square, second = _measure_along_axes(features[layer], axes, mask)
            means.append(mean / unit)
            squares.append(square / unit.square())
            along.append(second[:, rows, columns] / unit.square())
        return torch.cat([*means, *squares, *along, measure_grade(image, mask)], 1)

    def standardize(self, code: Tensor) -> Tensor:
        """Convert codes [N, NUMBERS] to the network's input [N, NUMBERS - GRADE_NUMBERS].

        The numbers of :meth:`describe` are standardized over paintings and clamped.
        """
        return ((self.describe(code) - self.center) / self.width).clamp(-LIMIT, LIMIT)

    def describe(self, code: Tensor) -> Tensor:
        """Convert codes to means, log deviations, and correlations along the axes."""
        total = sum(CHANNELS)
        means, squares = code[:, :total], code[:, total : 2 * total]
        deviations = (squares - means.square()).clamp(min=0).add(FLOOR).log() / 2
        rows, columns = _list_pairs(code.device)
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
        """Fit units, axes, center and width to the moments of some paintings.

        Args:
            moments: moments that an unfitted code book has measured.
        """
        for position, layer in enumerate(LAYERS):
            second = moments.seconds[position]
            square = second.diagonal(dim1=1, dim2=2).mean()
            mean = moments.means[position]
            covariance = (second - mean[:, :, None] * mean[:, None]).mean(0)
            eigen = torch.linalg.eigh(covariance.double())
            self.units[position] = square.sqrt()
            getattr(self, f"axes_{layer}").copy_(eigen.eigenvectors[:, -AXES:])
        scaled = PictureMoments(
            [m / u for m, u in zip(moments.means, self.units, strict=True)],
            [s / u**2 for s, u in zip(moments.seconds, self.units, strict=True)],
            moments.grade,
        )
        numbers = self.describe(self.encode(scaled))
        self.center.copy_(numbers.mean(0))
        self.width.copy_(numbers.std(0, correction=0).clamp(min=0.02))


def project_codes(codes: Tensor) -> Tensor:
    """Replace grades that no picture can have in codes [K, NUMBERS], see :func:`project_grade`."""
    rest, grades = codes[:, :-GRADE_NUMBERS], codes[:, -GRADE_NUMBERS:]
    return torch.cat([rest, project_grade(grades)], 1)


def _measure_along_axes(
    features: Tensor, axes: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Measure means [N, C], mean squares [N, C], and second moments [N, K, K] along axes [C, K]."""
    places, shares = features.flatten(2), normalize_mask(features, mask)
    mean = square = second = torch.zeros(1, device=features.device)
    for start in range(0, places.shape[2], SLICE):
        values = places[..., start : start + SLICE].float()
        share = shares[..., start : start + SLICE]
        weighted = values * share
        mean = mean + weighted.sum(2)
        square = square + (weighted * values).sum(2)
        second = second + (axes.T @ weighted) @ (axes.T @ values).transpose(1, 2)
    return mean, square, second


def _list_pairs(device: torch.device) -> tuple[Tensor, Tensor]:
    """List the rows and columns of the upper triangle of [AXES, AXES]."""
    rows, columns = torch.triu_indices(AXES, AXES, device=device)
    return rows, columns
