"""Define an engine whose run is one step: a network paints the picture in one pass."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from impasto.engine.inputs import Inputs
from impasto.engine.machine.capacity import measure_taken_memory
from impasto.engine.machine.hardware import Hardware
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels import tensors
from impasto.engine.pixels.colors import prepare_colors
from impasto.engine.plan import Plan
from impasto.engine.regions import blend_images
from impasto.engine.sizes import Scale, choose_result_size
from impasto.engine.step import Step
from impasto.errors import ResourceError
from impasto.image.picture import Picture
from impasto.network.painter import runtime
from impasto.network.painter.grade import REACH
from impasto.network.painting_network import PaintingNetwork, PaintRequest, choose_network_colors
from impasto.recipe.capabilities import Capabilities
from impasto.recipe.recipe import Recipe

PICTURE_BYTES = 60
"""For each pixel of the result: the photo, tensors, and the finished picture in its forms."""
MASK_BYTES = 12
"""For each pixel and mask besides: the mask, its share, and what they are computed from."""
STRIP_BYTES = 30
"""For each pixel of a strip that gets its detail, beyond what the finished picture will take there
(measured)."""


class OnePassEngine:
    """An engine that paints with a network; see :class:`impasto.engine.protocol.ShotEngine`."""

    def __init__(self, recipe: Recipe, hardware: Hardware, network: PaintingNetwork) -> None:
        """Take a loaded network.

        Args:
            recipe: the recipe, whose ``engine`` is a network.
            hardware: the device of the network, and the limit of memory.
            network: the loaded network.
        """
        self.recipe = recipe
        self.hardware = hardware
        self.network = network

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""
        return self.recipe.capabilities

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The precision of the convolutions."""
        return self.network.precision

    def choose_size(self, photo: Picture) -> tuple[int, int]:
        """Return the (width, height) of the result for a photo.

        Raises:
            LimitError: the shorter side would be too short for the network.
        """
        return choose_result_size(photo.width, photo.height, self.recipe.size, self.hardware.device)

    def run(
        self,
        inputs: Inputs,
        *,
        checkpoint: Path | None = None,
        resume: Path | None = None,
        every_s: float | None = None,  # noqa: ARG002
        plan: Plan | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo and yield the one step; see :class:`PictureEngine`.

        Raises:
            InputError: the network cannot paint these inputs, or a checkpoint is given.
            LimitError: the result would be too small for the network.
            ResourceError: the result is too large for the memory there is.
        """
        self.capabilities.check_checkpoint(checkpoint, resume)
        size = self.choose_size(inputs.photo)
        inputs = self._check(inputs)
        if plan is None:
            self._check_room(size, masks=len(inputs.regions.masks))
        return self._steps(inputs, size)

    def plan(self, inputs: Inputs) -> Plan:
        """Estimate what a run would take.

        Raises:
            ImpastoError: as :meth:`run`, before its step.
        """
        width, height = self.choose_size(inputs.photo)
        masks = len(self._check(inputs).regions.masks)
        self._check_room((width, height), masks=masks)
        reading = inputs.reading_peak if self.hardware.device.type == "cpu" else 0
        used, free = measure_taken_memory(self.hardware.device), self.hardware.measure_room()
        return Plan(
            width=width,
            height=height,
            scales=(Scale(width, height, 1),),
            at_most=False,
            tile=0,
            state="device",
            bytes_needed=max(used + _estimate_bytes((width, height), masks), reading),
            bytes_to_read=reading,
            bytes_free=None if free is None else free + used,
            bytes_on_host=0,
            bytes_on_disk=0,
            scratch=None,
            seconds=self.network.estimate_seconds(width * height, len(inputs.paintings)),
            device=str(self.hardware.device),
            precision=self.precision,
        )

    def begin_shot(
        self, inputs: Inputs, size: tuple[int, int], *, freeze_statistics: bool = False
    ) -> Callable[[Tensor], Tensor]:
        """Return the function that paints the frames of a shot; see :class:`ShotEngine`.

        Raises:
            InputError: the network cannot paint these inputs.
            ResourceError: there is too little memory for a frame.
        """
        self._check_room(size)
        inputs = self._check(inputs)
        if inputs.regions.changes_nothing:
            return lambda photo: photo
        request = PaintRequest(inputs, self.recipe)
        return self.network.begin_shot(size, request, freeze_statistics=freeze_statistics)

    def run_together(self, inputs: Sequence[Inputs]) -> list[Step]:
        """Repaint photos whose results have one size, in one pass for all of them.

        Returns:
            The steps that :meth:`run` would yield, equal but for rounding.

        Raises:
            InputError, LimitError, ResourceError: as :meth:`run`, for all of them together.
        """
        began = time.monotonic()
        (size,) = {self.choose_size(each.photo) for each in inputs}
        prepared = [self._check(each) for each in inputs]
        self._check_room(size, len(prepared))
        results = self._paint(prepared, size)
        share = (time.monotonic() - began) / len(prepared)
        return [
            self._make_step(each.photo, output, kept_mask, share)
            for each, (output, kept_mask) in zip(prepared, results, strict=True)
        ]

    def _check(self, inputs: Inputs) -> Inputs:
        """Check the inputs, reduce huge paintings, and hide what is transparent where the network
        can look at a part.
        """
        inputs.check(self.capabilities)
        longer = max(self.choose_size(inputs.photo))
        inputs = inputs.reduce_paintings(longer, self.recipe.style.scale)
        return inputs.hide_transparent() if self.capabilities.style_masks else inputs

    def _steps(self, inputs: Inputs, size: tuple[int, int]) -> Generator[Step, None, None]:
        began = time.monotonic()
        ((output, kept_mask),) = self._paint([inputs], size)
        yield self._make_step(inputs.photo, output, kept_mask, time.monotonic() - began)

    def _paint(
        self, inputs: Sequence[Inputs], size: tuple[int, int]
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Return for each photo [1, 3, H, W] in [0, 1], and how much of the photo is kept."""
        storage, recipe, regions = Storage(torch.device("cpu")), self.recipe, inputs[0].regions
        colors, scale = choose_network_colors(recipe), recipe.style.scale
        prepared = [
            each.with_pictures(*prepare_colors(colors, each.photo, each.paintings, size, scale))
            for each in inputs
        ]
        images = torch.cat(
            [tensors.picture_to_tensor(each.photo, *size, storage) for each in prepared]
        )
        kept_mask = regions.make_kept_mask(*size, storage)
        if regions.changes_nothing:
            output = images
        else:
            requests = [PaintRequest(each, recipe) for each in prepared]
            output = self.network.paint(images, requests)
            if kept_mask is not None:
                output = blend_images(output, images, kept_mask, storage)
        return [(each[None], kept_mask) for each in output.unbind()]

    def _make_step(
        self, photo: Picture, output: Tensor, kept_mask: Tensor | None, seconds: float
    ) -> Step:
        return Step.make_only(
            output,
            photo,
            colors=self.recipe.colors,
            kept_mask=kept_mask,
            elapsed_s=seconds,
        )

    def _check_room(self, size: tuple[int, int], photos: int = 1, masks: int = 0) -> None:
        """Raise ResourceError if there is too little memory."""
        free, needed = self.hardware.measure_room(), _estimate_bytes(size, masks, photos)
        if free is not None and needed > free:
            limit = self.hardware.max_memory
            allowed = "" if limit is None else f" of the {limit / 2**30:.2f} that are allowed"
            raise ResourceError(
                f"{size[0]}x{size[1]} px need {needed / 2**30:.2f} GiB of memory, but "
                f"{max(0, free) / 2**30:.2f}{allowed} are free: choose a smaller `size`",
                limit=free,
                field="size",
            )


def _estimate_bytes(size: tuple[int, int], masks: int, photos: int = 1) -> int:
    """Return the bytes for photos that are painted together, once their codes are measured."""
    pixels = photos * math.prod(size)
    needed = (PICTURE_BYTES + MASK_BYTES * masks) * pixels
    strokes = runtime.BYTES_PER_PIXEL * min(pixels, photos * runtime.WORK**2)
    needed += max(runtime.CODE_BYTES, strokes)
    if runtime.compute_work_scale(size) < 1:
        needed += photos * STRIP_BYTES * size[0] * min(size[1], runtime.STRIP + 2 * REACH)
    return needed
