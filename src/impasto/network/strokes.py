"""Define the stroke network, the next one-pass network for arbitrary styles.

It is not shipped: :mod:`impasto.network.painter.model` defines the network of ``draft``. Like
that one it normalizes features and applies gains and offsets that are computed from the style code
(Dumoulin et al., arXiv:1610.07629; Huang and Belongie, arXiv:1703.06868). It differs in three ways:

- Residual blocks work at a sixteenth, an eighth and a quarter of the resolution, where strokes are.
- Noise that depends on the position is added to their features, as in StyleGAN (Karras et al.,
  arXiv:1812.04948), so that flat areas get different strokes in different places.
- Colors are mapped by one affine map before the network and one after it. The maps act on single
  pixels and cannot draw rings around edges, as maps of octaves can
  (:mod:`impasto.network.painter.grade`).
  Nothing after the network sharpens what it has drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.network.painter.color_map import (
    COLOR_NUMBERS,
    compute_color_map,
    measure_color_moments,
)
from impasto.network.painter.grade import CELL, GRADE_NUMBERS, map_level, pad_to_cells
from impasto.network.painter.model import (
    ReflectedConvolution,
    ResidualBlock,
    double_size,
    smooth,
)
from impasto.network.painter.normalizer import LayerNormalizer, lay_out
from impasto.network.painter.style_code import NUMBERS, CodeBook, PictureMoments

HALF, QUARTER, EIGHTH, SIXTEENTH = 32, 64, 128, 192
"""Channels at each resolution."""
BLOCKS = {16: 3, 8: 4, 4: 2}
"""Number of stroke blocks by the pixels per place of their features."""
NORMALIZED = (
    *(SIXTEENTH,) * (2 * BLOCKS[16]),
    *(EIGHTH,) * (2 + 2 * BLOCKS[8]),
    *(QUARTER,) * (2 + 2 * BLOCKS[4]),
    *(HALF,) * 2,
)
"""Channels of the normalized layers, from the input on."""
READING_NUMBERS = NUMBERS - GRADE_NUMBERS
"""Length of the part of a code that describes features, which the network reads."""
STROKE_CODE_NUMBERS = READING_NUMBERS + COLOR_NUMBERS
"""Length of a code: statistics of features, then color moments."""
STROKE_STATISTICS = 2 * (COLOR_NUMBERS + sum(NORMALIZED))
"""Length of a picture's statistics: the color moments of the photo, the mean and inverse deviation
of each normalized channel, and the color moments of the painted picture before its last map."""
HIDDEN = 160
"""Units in the hidden layers of the reader."""
NOISE_SIDE = 1536
"""Period of the noise in pixels."""


class StrokeBook(CodeBook):
    """A code book whose codes have the color moments of the picture, not of its octaves."""

    def measure_moments(
        self, image: Tensor, features: dict[str, Tensor], mask: Tensor | None = None
    ) -> PictureMoments:
        """Measure moments like :class:`CodeBook`; ``grade`` has the color moments [N, 12] only."""
        moments = super().measure_moments(image, features, mask)
        return replace(moments, grade=measure_color_moments(image, mask))

    def measure_code(
        self, image: Tensor, features: dict[str, Tensor], mask: Tensor | None = None
    ) -> Tensor:
        """Measure codes [N, STROKE_CODE_NUMBERS] directly, see :class:`CodeBook`."""
        code = super().measure_code(image, features, mask)
        return torch.cat([code[:, :READING_NUMBERS], measure_color_moments(image, mask)], 1)


@dataclass(frozen=True)
class StrokeStyle:
    """The parameters that K styles set in the stroke network, for N pictures.

    Attributes:
        gains, offsets: [N, K, sum(NORMALIZED)] of the normalized channels.
        colors: [N, K, 12], color moments of the palettes.
        amounts: [N, K] in [0, 1], factor of the strokes; 0 adds none.
        masks: [N or 1, K, H, W] in [0, 1], with sum 1 at every pixel. None: K is 1.
    """

    gains: Tensor
    offsets: Tensor
    colors: Tensor
    amounts: Tensor
    masks: Tensor | None = None


class StrokeBlock(nn.Module):
    """A residual block with two modulated convolutions and noise after the first one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ReflectedConvolution(channels, channels)
        self.second = ReflectedConvolution(channels, channels)
        self.noise_gain = nn.Parameter(0.3 * torch.randn(channels))

    def forward(self, x: Tensor, noise: Tensor | None, normalize: LayerNormalizer) -> Tensor:
        inner = self.first(x)
        if noise is not None:
            inner = inner + (self.noise_gain[:, None, None] * noise).to(inner.dtype)
        return x + normalize(self.second(F.relu(normalize(inner))))


class StrokePainter(nn.Module):
    """The stroke network, with the code book of its style codes.

    Names of attributes are keys of network files and must stay.
    """

    def __init__(self) -> None:
        super().__init__()
        self.book = StrokeBook()
        self.autocast: torch.dtype | None = None
        """Type of the convolutions. None: float32. Colors are float32 in any case."""
        self.reader = nn.Sequential(
            nn.Linear(READING_NUMBERS, HIDDEN),
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
            ReflectedConvolution(QUARTER, EIGHTH, 2), nn.ReLU(), ResidualBlock(EIGHTH)
        )
        self.at_sixteenth = nn.Sequential(ReflectedConvolution(EIGHTH, SIXTEENTH, 2), nn.ReLU())
        self.large_strokes = _stack_blocks(SIXTEENTH, BLOCKS[16])
        self.to_eighth = ReflectedConvolution(SIXTEENTH, EIGHTH)
        self.strokes = _stack_blocks(EIGHTH, BLOCKS[8])
        self.to_quarter = ReflectedConvolution(EIGHTH, QUARTER)
        self.small_strokes = _stack_blocks(QUARTER, BLOCKS[4])
        self.to_half = ReflectedConvolution(QUARTER, HALF)
        self.gates = nn.Parameter(torch.full((3,), 0.5))
        self.to_pixels = ReflectedConvolution(HALF, 13)
        self._initialize_without_strokes()

    def _initialize_without_strokes(self) -> None:
        last = self.reader[-1]
        assert isinstance(last, nn.Linear)
        assert self.to_pixels.bias is not None
        with torch.no_grad():
            for layer in self.reader:  # large enough that codes differ from the first step on
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            last.weight.normal_(0, 0.2 / HIDDEN**0.5)
            last.bias.zero_()
            self.to_pixels.weight.zero_()
            self.to_pixels.bias.zero_()

    def modulate(
        self, codes: Tensor, amounts: Tensor | None = None, masks: Tensor | None = None
    ) -> StrokeStyle:
        """Compute the modulation of style codes.

        Args:
            codes: [N, K, STROKE_CODE_NUMBERS], K styles for each of N pictures.
            amounts: [N, K] in [0, 1], factor of the strokes. None: 1.
            masks: [N or 1, K, H, W], region of each style; required if K is above 1.
        """
        number, styles = codes.shape[:2]
        read = self.reader(self.book.standardize(codes.flatten(0, 1))).view(number, styles, -1)
        gains, offsets = read.chunk(2, 2)
        if amounts is None:
            amounts = codes.new_ones(number, styles)
        colors = codes[..., READING_NUMBERS:]
        return StrokeStyle(1 + gains, offsets, colors, amounts.to(codes), masks)

    def forward(
        self,
        photo: Tensor,
        style: StrokeStyle,
        statistics: Tensor | None = None,
        origins: Sequence[tuple[int, int]] | Literal["photo"] | None = "photo",
    ) -> Tensor:
        """Paint photos.

        Args:
            photo: [N, 3, H, W] in [0, 1], H and W at least 16.
            style: result of :meth:`modulate`.
            statistics: [N, STROKE_STATISTICS] from :meth:`measure_statistics`. None: those of this
                photo.
            origins: top and left in pixels, multiples of 16, at which each picture, or all of
                them, start in the noise. "photo": by :func:`hash_noise_origins`. None: no noise,
                as for the frames of a film.

        Returns:
            [N, 3, H, W], not clamped.
        """
        if origins == "photo":
            origins = hash_noise_origins(photo)
        output, _ = self.paint_and_tone(photo, style, statistics, origins)
        return output

    def paint_and_tone(
        self,
        photo: Tensor,
        style: StrokeStyle,
        statistics: Tensor | None = None,
        origins: Sequence[tuple[int, int]] | None = None,
        loudness: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Paint photos, and also return the toned photos without strokes.

        Args:
            photo, style, statistics: see :meth:`forward`.
            origins: see :meth:`forward`; positions only.
            loudness: [N], factor of the noise. None: 1.

        Returns:
            Both [N, 3, H, W], not clamped.
        """
        height, width = photo.shape[2:]
        if style.masks is not None:
            style = replace(style, masks=pad_to_two_cells(style.masks))
        normalize = _make_normalizer(style, statistics)
        noise = None if origins is None else StrokeNoise(origins, style, loudness)
        output, toned = self._paint(pad_to_two_cells(photo), style, normalize, noise)
        own = None if statistics is None else statistics[:, -COLOR_NUMBERS:]
        output = transfer_colors(output, own, style)
        return output[:, :, :height, :width], toned[:, :, :height, :width]

    def measure_statistics(self, photo: Tensor, style: StrokeStyle) -> Tensor:
        """Measure the statistics [N, STROKE_STATISTICS] that normalization uses, for one style."""
        normalize = _make_normalizer(style, None)
        output, _ = self._paint(pad_to_two_cells(photo), style, normalize, None)
        colors = measure_color_moments(photo), measure_color_moments(output)
        return torch.cat([colors[0], *normalize.statistics, colors[1]], 1)

    def _paint(
        self,
        photo: Tensor,
        style: StrokeStyle,
        normalize: LayerNormalizer,
        noise: StrokeNoise | None,
    ) -> tuple[Tensor, Tensor]:
        override = normalize.override
        own = None if override is None else override[:, :COLOR_NUMBERS]
        toned = transfer_colors(photo, own, style)
        amount = lay_out(style.amounts[..., None], style.masks)
        with torch.autocast(photo.device.type, self.autocast, enabled=self.autocast is not None):
            planes = self._draw_strokes(torch.cat([photo, toned], 1), noise, normalize).float()
        strokes = smooth(F.pixel_shuffle(planes[:, :12], 2))
        cover = F.interpolate(planes[:, 12:].clamp(0, 1), scale_factor=2, mode="bilinear")
        detail = toned - blur_roughly(toned)
        return toned + amount * (strokes - cover * detail), toned

    def _draw_strokes(
        self, pictures: Tensor, noise: StrokeNoise | None, normalize: LayerNormalizer
    ) -> Tensor:
        """Compute [N, 13, H / 2, W / 2]: RGB of 2 x 2 px, and how far they cover fine detail."""
        x = F.pixel_unshuffle(pictures - 0.5, 2).contiguous(memory_format=torch.channels_last)
        half = F.relu(self.at_half(x))
        quarter = self.at_quarter(half)
        eighth = self.at_eighth(quarter)
        x = self.at_sixteenth(eighth)
        x = _run_blocks(self.large_strokes, x, noise, 16, normalize)
        x = F.relu(normalize(self.to_eighth(double_size(x))))
        x = x + self.gates[0] * normalize(eighth)
        x = _run_blocks(self.strokes, x, noise, 8, normalize)
        x = F.relu(normalize(self.to_quarter(double_size(x))))
        x = x + self.gates[1] * normalize(quarter)
        x = _run_blocks(self.small_strokes, x, noise, 4, normalize)
        x = F.relu(normalize(self.to_half(double_size(x))))
        x = x + self.gates[2] * normalize(half)
        return self.to_pixels(x)  # type: ignore[no-any-return]


def _make_normalizer(style: StrokeStyle, override: Tensor | None) -> LayerNormalizer:
    return LayerNormalizer(style, override, COLOR_NUMBERS, keeps_type=True)


def _stack_blocks(channels: int, number: int) -> nn.ModuleList:
    return nn.ModuleList(StrokeBlock(channels) for _ in range(number))


def _run_blocks(
    blocks: nn.ModuleList,
    x: Tensor,
    noise: StrokeNoise | None,
    cell: int,
    normalize: LayerNormalizer,
) -> Tensor:
    size = x.shape[2], x.shape[3]
    for index, block in enumerate(blocks):
        x = block(x, None if noise is None else noise.cut(cell, index, size), normalize)
    return x


def transfer_colors(image: Tensor, own: Tensor | None, style: StrokeStyle) -> Tensor:
    """Give pictures the mean and covariance of their styles' colors by one affine map per style.

    Args:
        image: [N, 3, H, W].
        own: [N, 12], color moments of the pictures. None: measured, in each region.
        style: target colors and regions.
    """
    number, styles = style.colors.shape[:2]
    if own is not None:
        source = own[:, None].expand(number, styles, COLOR_NUMBERS)
    elif style.masks is None:
        source = measure_color_moments(image)[:, None]
    else:
        masks = style.masks.expand(number, -1, -1, -1)
        each = [measure_color_moments(image, masks[:, k, None]) for k in range(styles)]
        source = torch.stack(each, 1)
    matrices, shifts = compute_color_map(source.flatten(0, 1), style.colors.flatten(0, 1))
    matrices, shifts = matrices.view(number, styles, 3, 3), shifts.view(number, styles, 3, 1)
    return map_level(image, matrices, shifts, style.masks)


class StrokeNoise:
    """Noise that depends on the position, scaled by the amount of each style."""

    def __init__(
        self, origins: Sequence[tuple[int, int]], style: StrokeStyle, loudness: Tensor | None
    ) -> None:
        """Choose where pictures start in the noise.

        Args:
            origins: top and left in pixels, one pair for each picture or for all of them.
            style: amounts and regions.
            loudness: [N], factor of the noise. None: 1.
        """
        amounts = style.amounts if loudness is None else style.amounts * loudness[:, None]
        self._origins, self._amounts, self._masks = origins, amounts[..., None], style.masks

    def cut(self, cell: int, index: int, size: tuple[int, int]) -> Tensor:
        """Cut out the noise [N or 1, 1, h, w] of a block.

        Args:
            cell: pixels per place.
            index: index of the block at this resolution.
            size: h and w.
        """
        tile = draw_noise(cell)[index].to(self._amounts)
        parts = []
        for top, left in self._origins:
            rows = torch.arange(top // cell, top // cell + size[0], device=tile.device)
            columns = torch.arange(left // cell, left // cell + size[1], device=tile.device)
            parts.append(tile[rows % tile.shape[0]][:, columns % tile.shape[1]])
        return torch.stack(parts)[:, None] * lay_out(self._amounts, self._masks, size)


@cache
def draw_noise(cell: int) -> Tensor:
    """Draw one period of the noise of all blocks at a resolution: [blocks, side, side]."""
    side = NOISE_SIDE // cell
    return torch.randn(BLOCKS[cell], side, side, generator=torch.Generator().manual_seed(cell))


def hash_noise_origins(photos: Tensor) -> list[tuple[int, int]]:
    """Choose where in the noise each photo starts, by a hash of its 8-bit pixels.

    The same photo always gets the same strokes, but strokes in flat areas are not in the same
    places of all photos. Frames of a film would flicker: paint them without noise. A part of a
    photo needs the origin of the whole plus its own position.

    Args:
        photos: [N, 3, H, W] in [0, 1].

    Returns:
        Top and left of each photo in pixels, multiples of 16 below :data:`NOISE_SIDE`.
    """
    levels = (photos.detach() * 255).round().clamp(0, 255).byte().cpu()
    places = NOISE_SIDE // CELL
    origins = []
    for each in levels:
        digest = hashlib.sha256(each.contiguous().numpy().tobytes()).digest()
        top, left = (int.from_bytes(digest[k : k + 4], "big") % places for k in (0, 4))
        origins.append((CELL * top, CELL * left))
    return origins


def blur_roughly(x: Tensor) -> Tensor:
    """Blur [N, C, H, W] by about four pixels: reduce it to a quarter, and enlarge it again."""
    return F.interpolate(F.avg_pool2d(x, 4), scale_factor=4, mode="bilinear")


def pad_to_two_cells(image: Tensor) -> Tensor:
    """Pad [N, C, H, W] like :func:`pad_to_cells`, but to two cells at least.

    Features at a sixteenth need two places for the reflection padding of convolutions.
    """
    bottom, right = (CELL - 1 if side == CELL else 0 for side in image.shape[2:])
    if bottom or right:
        image = F.pad(image, (0, right, 0, bottom), mode="reflect")
    return pad_to_cells(image)
