"""What one engine's runs need, what there is, and how the one is fitted into the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from impasto.engine.capacity import measure_free_disk, measure_free_memory, measure_taken_memory
from impasto.engine.regions import Regions
from impasto.engine.sizes import painting_size
from impasto.engine.storage import Storage
from impasto.errors import InputError
from impasto.image.picture import Picture, fit_within
from impasto.optimize.memory import (
    Demand,
    Layout,
    Needs,
    Room,
    choose_layout,
    column_numbers,
    images_of,
    kept_features,
    layouts,
)
from impasto.recipe.recipe import Recipe

LEAST = 2**20
"""Bytes that anybody would allow."""


class Fitting:
    """Of a recipe's runs on a device."""

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        precision: str,
        halo: int,
        max_memory: int | None,
        scratch: Path,
    ) -> None:
        """Note what the process holds now.

        Args:
            recipe: of the runs.
            device: they are on.
            precision: ``float32`` or ``bfloat16``, of the convolutions.
            halo: of a tile, in pixels.
            max_memory: bytes that the process may take; none: what is free.
            scratch: folder for what memory cannot hold.

        Raises:
            InputError: so little is allowed that something else than bytes must be meant.
        """
        if max_memory is not None and max_memory < LEAST:
            raise InputError(
                f"max_memory={max_memory}: is in bytes, and next to nothing; 2 GiB are 2 * 2**30"
            )
        self.scratch = scratch
        self._taken = measure_taken_memory(device)
        self._recipe = recipe
        self._device = device
        self._precision = precision
        self._halo = halo
        self._max_memory = max_memory

    def taken(self, pictures: Sequence[Picture]) -> int:
        """Bytes that a run of these pictures finds taken: what the process held at first and, if
        they were decoded since, the pictures. What an earlier run left to the allocator is free.
        """
        if self._device.type != "cpu":
            return self._taken
        since = max(0, measure_taken_memory(self._device) - self._taken)
        return self._taken + min(since, sum(picture.pixels.nbytes for picture in pictures))

    def room(self, taken: int) -> Room:
        """What a run may take beside :meth:`taken`: what is free or, if less, what was allowed."""
        allowed = None
        if self._max_memory is not None:
            allowed = self._max_memory - taken  # below 0 where the process is too large already
        known = [b for b in (measure_free_memory(self._device), allowed) if b is not None]
        return Room(
            device=min(known, default=None),
            host=0 if self._device.type == "cpu" else measure_free_memory(),
            disk=measure_free_disk(self.scratch),
        )

    def layout(
        self,
        size: tuple[int, int],
        paintings: Sequence[Picture],
        regions: Regions,
        taken: int,
        tile: int | None = None,
    ) -> Layout:
        """Of a run; in smaller tiles than asked for where those do not fit.

        Args:
            size: (width, height) of the result.
            paintings: in their own sizes.
            regions: of the photo.
            taken: of memory, in bytes; see :meth:`taken`.
            tile: of a run that goes on; none: the recipe's.

        Raises:
            ResourceError: nothing fits.
        """
        demand = self._demand(size, paintings, regions)
        if self._recipe.style.distance == "neighbors":
            ways = [Layout(0)]
        else:
            if tile is None:
                tile = 0 if self._recipe.tile == "auto" else self._recipe.tile
            solver, canvas = self._recipe.solver, self._recipe.canvas
            ways = [*layouts(tile, demand.longest, solver, canvas, beside=demand.beside)]

        def demand_at(longer: int) -> Demand:
            return self._demand(fit_within(*size, longer), paintings, regions)

        return choose_layout(demand, self.room(taken), ways, taken, demand_at)

    def needs(
        self, layout: Layout, size: tuple[int, int], paintings: Sequence[Picture], regions: Regions
    ) -> Needs:
        """Of a run that is laid out so; arguments as above."""
        return self._demand(size, paintings, regions).needs(layout)

    def storage(self, layout: Layout) -> Storage:
        """Of a run that is laid out so."""
        where = self._device if layout.state == "device" else torch.device("cpu")
        return Storage(where, self.scratch if layout.state == "disk" else None)

    def _demand(
        self, size: tuple[int, int], paintings: Sequence[Picture], regions: Regions
    ) -> Demand:
        ratio = self._recipe.style.scale
        masks = (*regions.masks, *regions.style_masks)
        return Demand(
            result=size,
            paintings=tuple(painting_size((p.width, p.height), size, ratio) for p in paintings),
            halo=self._halo,
            precision=self._precision,
            images=images_of(self._recipe.solver, self._recipe.canvas)
            + regions.image_count
            + (self._recipe.photorealism.weight > 0)
            + 2 * (self._recipe.temporal.weight > 0),
            features=kept_features(self._recipe.content),
            columns=column_numbers(self._recipe.style) * (1 + self._recipe.is_reduced),
            regions=regions.count,
            matting=self._recipe.photorealism.weight > 0,
            colors=self._recipe.colors,
            masked=sum(mask.values.size for mask in masks if mask is not None),
            beside=self._device.type != "cpu",
        )
