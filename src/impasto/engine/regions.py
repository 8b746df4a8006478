"""Where each painting is the style, how strongly, and what of the photo is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.engine.storage import Storage
from impasto.engine.tensors import mask_to_tensor
from impasto.errors import InputError
from impasto.image.masks import Mask, read_mask, select_visible_part
from impasto.image.picture import Picture
from impasto.image.rows import split_rows
from impasto.recipe.recipe import Recipe

ROUNDING = 1e-6
"""What a sum of parts may lack that is meant to be 1."""


@dataclass(frozen=True)
class Regions:
    """The parts of a photo.

    Attributes:
        masks: of the photo: the i-th is where the i-th painting is the style. Where they sum to
            more than 1 they are divided by their sum.
        style_masks: of the paintings: which part of each is looked at; none: all of it.
        strengths: of each painting, in [0, 1].
        weights: of the paintings that are blended where there are no masks.
    """

    masks: tuple[Mask, ...] = ()
    style_masks: tuple[Mask | None, ...] = ()
    strengths: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = (1.0,)

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        paintings: int,
        masks: Iterable[Mask] = (),
        style_masks: Iterable[Mask | None] = (),
    ) -> Regions:
        """As the recipe and the user want them.

        Raises:
            InputError: numbers of things that do not belong together.
        """
        masks, style_masks = tuple(masks), tuple(style_masks)
        recipe.check_counts(paintings, len(masks), len(style_masks))
        weights = recipe.style.weights or (1.0,) * paintings
        return cls(masks, style_masks, recipe.list_strengths(paintings), weights)

    def hide_transparent(self, paintings: Sequence[Picture]) -> Regions:
        """The same, but that nothing transparent of the paintings is looked at.

        Raises:
            InputError: none of a painting can be seen.
        """
        parts = self.style_masks or (None,) * len(paintings)
        shown = tuple(map(select_visible_part, paintings, parts))
        return replace(self, style_masks=shown) if any(shown) else self

    @property
    def hashes(self) -> list[str]:
        """What tells these regions from others."""
        parts: list[tuple[str, Mask | None]] = [("mask", mask) for mask in self.masks]
        parts += [("style mask", mask) for mask in self.style_masks if any(self.style_masks)]
        return [f"{kind} {'' if mask is None else mask.compute_sha256()}" for kind, mask in parts]

    @property
    def has_rest(self) -> bool:
        """Whether the last painting is for what no mask shows."""
        return 0 < len(self.masks) < len(self.strengths)

    @property
    def count(self) -> int:
        """How many have statistics of their own; 0: there are no masks."""
        return len(self.masks) + self.has_rest

    @property
    def image_count(self) -> int:
        """How many pictures of the result's size they take: masks at all layers' sizes, and where
        the photo is kept, it, its share, and what is judged.
        """
        return math.ceil(self.count * 4 / 9 + (7 / 3 if self.keeps_some else 0))

    @property
    def changes_nothing(self) -> bool:
        """Whether the photo is all that is wanted."""
        return not any(self.strengths)

    @property
    def keeps_some(self) -> bool:
        """Whether the photo is kept somewhere."""
        rest_is_kept = bool(self.masks) and not self.has_rest
        return self.changes_nothing or rest_is_kept or (bool(self.masks) and 0 in self.strengths)

    def make_masks(self, width: int, height: int, storage: Storage) -> list[Tensor]:
        """[H, W] in [0, 1] of each painting, at a size, together at most 1; none: no masks.

        Raises:
            InputError: a painting for the rest, of which there is none.
        """
        parts = [storage.empty(height, width) for _ in range(self.count)]
        for rows in split_rows(height, width) if parts else ():
            for part, weights in zip(parts, self._weights(width, height, rows), strict=True):
                part[rows] = weights
            storage.settle()
        if self.has_rest and not bool(parts[-1].any()):
            raise InputError("the masks cover everything: nothing is left for the last painting")
        return parts

    def make_kept_mask(self, width: int, height: int, storage: Storage) -> Tensor | None:
        """[H, W] in [0, 1], how much of the photo stays at a size; none: nothing does."""
        if not self.keeps_some:
            return None
        if not self.masks:
            return torch.ones(()).expand(height, width)
        return self._lacking([float(s > 0) for s in self.strengths], width, height, storage)

    def make_weakness_map(self, width: int, height: int, storage: Storage) -> Tensor | None:
        """[H, W], 1 less the strength at every pixel; none: full strength everywhere."""
        if min(self.strengths) == 1 and (self.has_rest or not self.masks):
            return None
        if not self.masks:
            total = sum(w * s for w, s in zip(self.weights, self.strengths, strict=True))
            return torch.tensor(1 - total / sum(self.weights)).expand(height, width)
        return self._lacking(self.strengths, width, height, storage)

    def make_style_masks(
        self, sizes: Sequence[tuple[int, int]], storage: Storage
    ) -> list[Tensor | None]:
        """The painting-side masks [h, w] at the paintings' (width, height)."""
        return [
            None if mask is None else mask_to_tensor(mask, *size, storage)
            for mask, size in zip(self.style_masks, sizes, strict=False)
        ]

    def _lacking(
        self, levels: Sequence[float], width: int, height: int, storage: Storage
    ) -> Tensor | None:
        """[H, W], what is missing to 1 if each part counts by its level; none: nothing is."""
        missing = storage.empty(height, width)
        some = False
        for rows in split_rows(height, width):
            parts = self._weights(width, height, rows)
            sums = torch.stack([x * p for x, p in zip(levels, parts, strict=True)]).sum(0)
            missing[rows] = torch.where(sums > 1 - ROUNDING, 0, 1 - sums)
            some = some or bool(missing[rows].any())
            storage.settle()
        return missing if some else None

    def _weights(self, width: int, height: int, rows: slice) -> list[Tensor]:
        """Of each painting's part, in some rows."""
        found = [torch.from_numpy(m.resize_rows(width, height, rows)) for m in self.masks]
        total = torch.stack(found).sum(0)
        found = [each / total.clamp(min=1) for each in found]
        if self.has_rest:
            found.append((1 - total).clamp(min=0))
        return found


def read_regions(
    recipe: Recipe, paintings: int, masks: Iterable[Any], style_masks: Iterable[Any]
) -> Regions:
    """The regions of a run.

    Args:
        recipe: of it.
        paintings: how many there are.
        masks, style_masks: any kind of image each; of the latter, none for all of a painting.

    Raises:
        ImageError, LimitError: a mask cannot be read.
        InputError: numbers that do not belong together, or a mask that is black all over.
    """
    parts = (None if each is None else read_mask(each) for each in style_masks)
    return Regions.of(recipe, paintings, map(read_mask, masks), parts)


def blend_images(image: Tensor, other: Tensor, share: Tensor, storage: Storage) -> Tensor:
    """One picture [1, 3, H, W] with a share [H, W] of another; where that is 0 or 1, either."""
    result = storage.like(image)
    for rows in storage.split_rows(image):
        here = image[..., rows, :]
        result[..., rows, :] = torch.lerp(
            here, other[..., rows, :].to(here), share[rows].to(here).expand_as(here)
        )
    return result


def restore_photo(picture: Picture, photo: Picture, kept: Tensor) -> Picture:
    """A picture with the photo, at any size, put back where all of it is kept, as [H, W] tells."""
    pixels = np.empty_like(picture.pixels)
    for rows in split_rows(picture.height, picture.width):
        whole = (kept[rows, :, None] == 1).cpu().numpy()
        other = photo.resize_rows(picture.width, picture.height, rows)
        pixels[rows] = np.where(whole, other, picture.pixels[rows])
    return replace(picture, pixels=pixels)
