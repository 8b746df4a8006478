"""Hold the regions of a photo: where each painting is the style, how strong, and what is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import mask_to_tensor
from impasto.errors import InputError
from impasto.image.masks import Mask, read_mask, select_visible_part
from impasto.image.picture import Picture
from impasto.image.rows import split_rows
from impasto.recipe.recipe import Recipe

ROUNDING = 1e-6
"""Largest rounding error of a sum of shares that should be 1."""


@dataclass(frozen=True)
class Regions:
    """The regions of a photo.

    Attributes:
        masks: the i-th one says where in the photo the i-th painting is the style. Where masks sum
            to more than 1, they are divided by their sum. Empty: all of the photo is one region.
        style_masks: which part of each painting counts. None: all of it. Empty: all of each.
        strengths: strength of each painting, in [0, 1].
        weights: weight of each painting in the blend of all, where there are no masks.
    """

    masks: tuple[Mask, ...] = ()
    style_masks: tuple[Mask | None, ...] = ()
    strengths: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = (1.0,)

    @classmethod
    def combine(
        cls,
        recipe: Recipe,
        paintings: int,
        masks: Iterable[Mask] = (),
        style_masks: Iterable[Mask | None] = (),
    ) -> Regions:
        """Combine a recipe's strengths and weights with masks.

        Args:
            recipe: the recipe of the run.
            paintings: number of paintings.
            masks: masks of the photo.
            style_masks: masks of the paintings.

        Raises:
            InputError: the numbers of paintings, masks, strengths or weights do not match.
        """
        masks, style_masks = tuple(masks), tuple(style_masks)
        recipe.check_counts(paintings, len(masks), len(style_masks))
        weights = recipe.style.weights or (1.0,) * paintings
        return cls(masks, style_masks, recipe.list_strengths(paintings), weights)

    def hide_transparent(self, paintings: Sequence[Picture]) -> Regions:
        """Return the regions with style masks that leave out what is transparent.

        Raises:
            InputError: a painting is transparent all over.
        """
        parts = self.style_masks or (None,) * len(paintings)
        visible = tuple(map(select_visible_part, paintings, parts))
        return replace(self, style_masks=visible) if any(visible) else self

    @property
    def hashes(self) -> list[str]:
        """What identifies these regions in a checkpoint."""
        parts: list[tuple[str, Mask | None]] = [("mask", mask) for mask in self.masks]
        parts += [("style mask", mask) for mask in self.style_masks if any(self.style_masks)]
        return [f"{kind} {'' if mask is None else mask.compute_sha256()}" for kind, mask in parts]

    @property
    def has_rest(self) -> bool:
        """Whether the last painting is for the rest of the photo, which no mask covers."""
        return 0 < len(self.masks) < len(self.strengths)

    @property
    def count(self) -> int:
        """Number of regions that have statistics of their own. 0: there are no masks."""
        return len(self.masks) + self.has_rest

    @property
    def image_count(self) -> int:
        """Memory of the regions, as a number of pictures of the result's size.

        It covers the masks at the sizes of all layers and, where the photo is kept, the photo, its
        share, and the picture with the photo in it.
        """
        return math.ceil(self.count * 4 / 9 + (7 / 3 if self.keeps_some else 0))

    @property
    def changes_nothing(self) -> bool:
        """Whether the result is the photo, because all strengths are 0."""
        return not any(self.strengths)

    @property
    def keeps_some(self) -> bool:
        """Whether the photo is kept in some place."""
        rest_is_kept = bool(self.masks) and not self.has_rest
        return self.changes_nothing or rest_is_kept or (bool(self.masks) and 0 in self.strengths)

    def make_masks(self, width: int, height: int, storage: Storage) -> list[Tensor]:
        """Return the mask [H, W] of each region at a size.

        Args:
            width: width in pixels.
            height: height in pixels.
            storage: holds the masks.

        Returns:
            Values in [0, 1] that sum to at most 1 at every pixel. Empty: there are no masks.

        Raises:
            InputError: the last painting is for the rest of the photo, and there is no rest.
        """
        parts = [storage.empty(height, width) for _ in range(self.count)]
        for rows in split_rows(height, width) if parts else ():
            for part, weights in zip(parts, self._weigh(width, height, rows), strict=True):
                part[rows] = weights
            storage.settle()
        if self.has_rest and not bool(parts[-1].any()):
            raise InputError(
                "cover the whole photo; nothing is left for the last painting", what="the masks"
            )
        return parts

    def make_kept_mask(self, width: int, height: int, storage: Storage) -> Tensor | None:
        """Return how much of the photo is kept at a size, [H, W] in [0, 1]. None: none of it."""
        if not self.keeps_some:
            return None
        if not self.masks:
            return torch.ones(()).expand(height, width)
        return self._measure_shortfall(
            [float(s > 0) for s in self.strengths], width, height, storage
        )

    def make_weakness_map(self, width: int, height: int, storage: Storage) -> Tensor | None:
        """Return 1 minus the strength at a size, [H, W]. None: the strength is 1 everywhere."""
        if min(self.strengths) == 1 and (self.has_rest or not self.masks):
            return None
        if not self.masks:
            total = sum(w * s for w, s in zip(self.weights, self.strengths, strict=True))
            return torch.tensor(1 - total / sum(self.weights)).expand(height, width)
        return self._measure_shortfall(self.strengths, width, height, storage)

    def make_style_masks(
        self, sizes: Sequence[tuple[int, int]], storage: Storage
    ) -> list[Tensor | None]:
        """Return the masks [h, w] of the paintings at their sizes, (width, height) each."""
        return [
            None if mask is None else mask_to_tensor(mask, *size, storage)
            for mask, size in zip(self.style_masks, sizes, strict=False)
        ]

    def _measure_shortfall(
        self, levels: Sequence[float], width: int, height: int, storage: Storage
    ) -> Tensor | None:
        """Return 1 minus the masks weighted by levels, [H, W]. None: it is 0 everywhere."""
        missing = storage.empty(height, width)
        some = False
        for rows in split_rows(height, width):
            parts = self._weigh(width, height, rows)
            sums = torch.stack([x * p for x, p in zip(levels, parts, strict=True)]).sum(0)
            missing[rows] = torch.where(sums > 1 - ROUNDING, 0, 1 - sums)
            some = some or bool(missing[rows].any())
            storage.settle()
        return missing if some else None

    def _weigh(self, width: int, height: int, rows: slice) -> list[Tensor]:
        """Return the masks of all regions in some rows, which sum to at most 1."""
        masks = [torch.from_numpy(m.resize_rows(width, height, rows)) for m in self.masks]
        total = torch.stack(masks).sum(0)
        masks = [mask / total.clamp(min=1) for mask in masks]
        if self.has_rest:
            masks.append((1 - total).clamp(min=0))
        return masks


def read_regions(
    recipe: Recipe, paintings: int, masks: Iterable[Any], style_masks: Iterable[Any]
) -> Regions:
    """Read the regions of a run.

    Args:
        recipe: the recipe of the run.
        paintings: number of paintings.
        masks: masks of the photo, any kind of image each.
        style_masks: masks of the paintings, any kind of image each. None: all of a painting counts.

    Raises:
        ImageError, LimitError: a mask cannot be read.
        InputError: numbers do not match, or a mask is black all over.
    """
    parts = (None if each is None else read_mask(each) for each in style_masks)
    return Regions.combine(recipe, paintings, map(read_mask, masks), parts)


def blend_images(image: Tensor, other: Tensor, share: Tensor, storage: Storage) -> Tensor:
    """Blend pictures [1, 3, H, W]: where the share [H, W] is 1, the result is the other one."""
    result = storage.like(image)
    for rows in storage.split_rows(image):
        here = image[..., rows, :]
        result[..., rows, :] = torch.lerp(
            here, other[..., rows, :].to(here), share[rows].to(here).expand_as(here)
        )
    return result


def restore_photo(picture: Picture, photo: Picture, weight: Tensor) -> Picture:
    """Put the photo back into a picture where all of it is kept.

    Args:
        picture: any size.
        photo: any size.
        weight: [H, W] of the picture's size, in [0, 1].
    """
    pixels = np.empty((picture.height, picture.width, 3), np.float32)
    for rows in split_rows(picture.height, picture.width):
        whole = (weight[rows, :, None] == 1).cpu().numpy()
        other = photo.resize_rows(picture.width, picture.height, rows)
        pixels[rows] = np.where(whole, other, picture.read_rows(rows))
    return picture.with_pixels(pixels)
