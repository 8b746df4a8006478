"""Fit the runs of an engine into the memory of a machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from impasto.encoders.encoder_registry import find_encoder
from impasto.engine.machine.capacity import (
    measure_free_disk,
    measure_free_memory,
    measure_taken_memory,
)
from impasto.engine.machine.hardware import Hardware
from impasto.engine.machine.storage import Storage
from impasto.engine.regions import Regions
from impasto.engine.sizes import fit_painting
from impasto.errors import InputError
from impasto.image.picture import Picture, fit_within
from impasto.objective.specs import choose_objective
from impasto.optimize.budget.memory import (
    Demand,
    Layout,
    Needs,
    Room,
    choose_layout,
    count_features,
    count_images,
    list_layouts,
)
from impasto.recipe.recipe import Recipe

LARGE_PICTURE = 100 * 2**20
"""Bytes from which a picture is named as a cause where there is too little memory."""
LEAST = 2**20
"""Least memory limit in bytes. A smaller number is probably in another unit."""


def describe_largest(photo: Picture, paintings: Sequence[Picture]) -> str:
    """Write what the largest picture takes, for a message. Empty: it takes little."""
    names = ["the photo", *(f"painting {n}" for n in range(1, len(paintings) + 1))]
    if len(paintings) == 1:
        names[1] = "the painting"
    picture, name = max(
        zip((photo, *paintings), names, strict=True), key=lambda pair: pair[0].nbytes
    )
    if picture.nbytes < LARGE_PICTURE:
        return ""
    pixels = picture.width * picture.height
    return f" ({name} of {pixels / 1e6:.0f} megapixels takes {picture.nbytes / 2**30:.2f} of them)"


class Fitting:
    """Lays out the runs of one recipe on one device."""

    def __init__(self, recipe: Recipe, hardware: Hardware, precision: str, halo: int) -> None:
        """Measure what the process uses before the first run.

        Args:
            recipe: the recipe of the runs.
            hardware: the hardware of the runs.
            precision: precision of the convolutions, ``float32`` or ``bfloat16``.
            halo: width of a tile's halo in pixels.

        Raises:
            InputError: the scratch folder does not exist, or ``max_memory`` is below 1 MiB.
        """
        limit = hardware.max_memory
        if limit is not None and limit < LEAST:
            raise InputError(
                f"`max_memory` {limit} is less than 1 MiB",
                expected="bytes, such as 2 * 2**30",
                field="max_memory",
                limit=LEAST,
            )
        self.scratch = hardware.choose_scratch()
        self._used_at_first = measure_taken_memory(hardware.device)
        self._recipe = recipe
        self._objective = choose_objective(recipe)
        self._device = hardware.device
        self._precision = precision
        self._halo = halo
        self._max_memory = limit

    def measure_used(self, pictures: Sequence[Picture]) -> int:
        """Measure the bytes that are in use before a run of some pictures.

        These are the bytes that the process used at first and, if they were decoded since, the
        pictures. Memory that an earlier run left to the allocator counts as free.
        """
        if self._device.type != "cpu":
            return self._used_at_first
        since = max(0, measure_taken_memory(self._device) - self._used_at_first)
        sizes = {id(picture): picture.nbytes for picture in pictures}  # some may be the same
        return self._used_at_first + min(since, sum(sizes.values()))

    def measure_room(self, used: int) -> Room:
        """Measure what a run may use in addition to the bytes of :meth:`measure_used`."""
        allowed = None
        if self._max_memory is not None:
            allowed = self._max_memory - used  # below 0 if the process is too large already
        limits = [b for b in (measure_free_memory(self._device), allowed) if b is not None]
        return Room(
            device=min(limits, default=None),
            host=0 if self._device.type == "cpu" else measure_free_memory(),
            disk=measure_free_disk(self.scratch),
        )

    def choose_layout(
        self,
        size: tuple[int, int],
        paintings: Sequence[Picture],
        regions: Regions,
        used: int,
        tile: int | None = None,
        cause: str = "",
    ) -> Layout:
        """Choose the layout of a run; its tiles may be smaller than the recipe's.

        Args:
            size: (width, height) of the result.
            paintings: the paintings at their own sizes.
            regions: the regions of the photo.
            used: bytes of memory in use; see :meth:`measure_used`.
            tile: side of the tiles of a run that is resumed. None: the tiles of the recipe.
            cause: what the pictures take, for the message; see :func:`describe_largest`.

        Raises:
            ResourceError: nothing fits.
        """
        demand = self._make_demand(size, paintings, regions)
        candidates = [Layout(0)]
        if self._objective.can_split:
            if tile is None:
                tile = 0 if self._recipe.tile == "auto" else self._recipe.tile
            solver, canvas = self._recipe.solver, self._recipe.canvas
            has_own = demand.has_own_memory
            candidates = [
                *list_layouts(tile, demand.longest, solver, canvas, has_own_memory=has_own)
            ]

        def demand_at(longer: int) -> Demand:
            return self._make_demand(fit_within(*size, longer), paintings, regions)

        return choose_layout(demand, self.measure_room(used), candidates, used, demand_at, cause)

    def compute_needs(
        self, layout: Layout, size: tuple[int, int], paintings: Sequence[Picture], regions: Regions
    ) -> Needs:
        """Compute what a run with a layout needs; arguments as for :meth:`choose_layout`."""
        return self._make_demand(size, paintings, regions).compute_needs(layout)

    def make_storage(self, layout: Layout) -> Storage:
        """Make the storage of a run with a layout."""
        where = self._device if layout.state == "device" else torch.device("cpu")
        return Storage(where, self.scratch if layout.state == "disk" else None)

    def _make_demand(
        self, size: tuple[int, int], paintings: Sequence[Picture], regions: Regions
    ) -> Demand:
        ratio = self._recipe.style.scale
        masks = (*regions.masks, *regions.style_masks)
        return Demand(
            result=size,
            paintings=tuple(fit_painting((p.width, p.height), size, ratio) for p in paintings),
            halo=self._halo,
            precision=self._precision,
            images=count_images(self._recipe.solver, self._recipe.canvas)
            + regions.image_count
            + (self._recipe.photorealism.weight > 0)
            + 2 * (self._recipe.temporal.weight > 0),
            features=count_features(self._recipe.content),
            columns=self._objective.count_columns(self._recipe.style)
            * (1 + self._recipe.is_reduced),
            regions=regions.count,
            matting=self._recipe.photorealism.weight > 0,
            colors=self._recipe.colors,
            mask_pixels=sum(mask.values.size for mask in masks if mask is not None),
            has_own_memory=self._device.type != "cpu",
            encoder=find_encoder(self._recipe.encoder.network).memory,
        )
