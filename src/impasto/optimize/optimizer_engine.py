"""The optimizer as an engine: inputs in, a stream of steps out.

:class:`OptimizerEngine` yields a :class:`Step` after every iteration. Progress bars, snapshots,
previews and cancellation are consumers of that stream; the engine prints nothing and keeps no
global state.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.encoders.weights import load_encoder
from impasto.engine import tensors as canvas
from impasto.engine.cache import EngineCache
from impasto.engine.hardware import Hardware, choose_autocast
from impasto.engine.inputs import Inputs
from impasto.engine.plan import Pace, Plan, total_work
from impasto.engine.regions import Regions
from impasto.engine.registry import find_engine
from impasto.engine.sizes import Scale, painting_size, plan_scales, result_size
from impasto.engine.step import Step
from impasto.engine.storage import Storage
from impasto.errors import RecipeError
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


class Draft(Protocol):
    """A network that paints what the optimizer begins with."""

    def __call__(
        self, image: Tensor, photo: Picture, paintings: Sequence[Picture], regions: Regions
    ) -> Tensor:
        """Repaint the photo.

        Args:
            image: [1, 3, H, W] in [0, 1], the photo at the size of the first scale.
            photo: the photo, in the colors that the network is to see, at any size.
            paintings: the paintings, likewise.
            regions: where each painting is the style, and how strong.

        Returns:
            [1, 3, H, W] in [0, 1].
        """


class OptimizerEngine:
    """An engine that optimizes a picture; see :class:`impasto.engine.protocol.PictureEngine`."""

    capabilities = find_engine("optimizer").capabilities

    def __init__(
        self,
        recipe: Recipe,
        hardware: Hardware | None = None,
        cache: EngineCache | None = None,
        draft: Draft | None = None,
    ) -> None:
        """Load the network.

        Args:
            recipe: what to do.
            hardware: what to do it on. None: the best device of this machine, all of its memory.
            cache: networks that other engines of the caller use. None: the network is loaded anew.
            draft: paints what a recipe with ``start.base = "draft"`` begins with. None: there is
                no such network.

        Raises:
            InputError: the scratch folder does not exist, or the memory limit is next to nothing.
            RecipeError: the recipe is for a network, or begins with a draft and there is none.
            WeightsError: the weights are missing or damaged.
        """
        recipe.check_optimizer()
        if recipe.start.base == "draft" and draft is None:
            raise RecipeError(
                f"recipe {recipe.name!r} begins with a network's draft, and no network is given"
            )
        self.draft = draft
        self.recipe = recipe
        self.hardware = hardware = hardware or Hardware.resolve()
        scratch = hardware.choose_scratch()
        self._autocast = choose_autocast(recipe.precision, hardware.device)
        self._known = TargetCache()
        self._encoder = _load_encoder(recipe, hardware, cache or EngineCache())
        self._fitting = Fitting(
            recipe, hardware.device, self.precision, self.halo, hardware.max_memory, scratch
        )

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The precision of the convolutions: what ``auto`` in the recipe came to."""
        return "float32" if self._autocast is None else "bfloat16"

    def size_for(self, photo: Picture) -> tuple[int, int]:
        """Return the (width, height) of the result for a photo.

        Raises:
            LimitError: the shorter side would be too short for the network.
        """
        return result_size(photo.width, photo.height, self.recipe.size, self.hardware.device)

    def run(
        self,
        inputs: Inputs,
        *,
        checkpoint: Path | None = None,
        resume: Path | None = None,
        every_s: float | None = None,
        plan: Plan | None = None,
        before: Before | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo, yielding after every iteration; see :class:`PictureEngine`.

        With a checkpoint the state is written when the run stops, and before that every 30 s, or
        after every iteration if one takes longer. A run that had come to its end when its
        checkpoint was written yields its last step again.

        Args:
            inputs: the photo, the paintings, and their regions.
            checkpoint: a file to keep the state in.
            resume: a checkpoint of a run with the same recipe and inputs to resume.
            every_s: seconds between two writes of the state, in place of the above.
            plan: of :meth:`plan` for the same inputs.
            before: what the frames before have come to. None: the photo is no frame of a film.

        Raises:
            InputError: a checkpoint of another run, a painting that is transparent all over, or a
                focus that is not for this recipe.
            LimitError: the result would be too small for the network.
            ResourceError: the result is too large for the memory there is.
        """
        size = self.size_for(inputs.photo)
        inputs = inputs.hide_transparent()
        hashes = inputs.hashes + ([] if before is None else before.hashes)
        state = None
        if resume is not None:
            state = load_state(resume)
            check_same_run(state, self.recipe, hashes, resume)
        expected = None
        if plan is not None:
            expected = plan.seconds / total_work(plan.scales, plan.tile, self.halo)
        if plan is not None and state is None:
            layout = Layout(plan.tile, plan.state)
        else:
            tile = None if state is None else state.tile
            taken = self._fitting.taken(inputs.pictures)
            layout = self._fitting.layout(size, inputs.paintings, inputs.regions, taken, tile)
        scales = self._scales(size, inputs.regions)
        if before is not None and before.focus is not None:
            before.check(self.recipe, scales)
            scales = (replace(scales[-1], iterations=before.there), *scales)
        storage = self._fitting.storage(layout)
        keeper = Keeper(checkpoint, storage.settle, every_s)
        run = Run(
            self,
            inputs.photo,
            inputs.paintings,
            inputs.regions,
            scales,
            layout,
            storage,
            keeper,
            (essence(self.recipe), hashes),
            Pace(expected),
            before,
        )
        return run.steps(state)

    def run_together(self, inputs: Sequence[Inputs]) -> list[Step]:
        """Repaint photos one after the other and return the last step of each."""
        return [[*self.run(each)][-1] for each in inputs]

    def plan(self, inputs: Inputs) -> Plan:
        """Estimate what a run would take, by timing one iteration at a small scale.

        Raises:
            ImpastoError: whatever ``run`` would raise before it starts.
        """
        size = self.size_for(inputs.photo)
        inputs = inputs.hide_transparent()
        photo, paintings, regions = inputs.photo, inputs.paintings, inputs.regions
        taken = self._fitting.taken(inputs.pictures)
        layout = self._fitting.layout(size, paintings, regions, taken)
        needs = self._fitting.needs(layout, size, paintings, regions)
        room = self._fitting.room(taken)
        scales = self._scales(size, regions)
        pace = probed_pace(
            self.recipe,
            self._encoder,
            photo,
            paintings,
            probe_scale(*size, self.hardware.device.type, layout.tile),
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
            device=str(self.hardware.device),
            precision=self.precision,
        )

    def _scales(self, size: tuple[int, int], regions: Regions) -> tuple[Scale, ...]:
        """Plan the scales of a run: one iteration if the photo comes back in any case."""
        schedule = self.recipe.schedule
        if regions.changes_nothing:
            schedule = schedule.model_copy(update={"total": 1})
        return plan_scales(schedule, *size)

    @property
    def cell(self) -> int:
        """Side of a cell of the network's deepest layer, in pixels."""
        return self._encoder.cell

    @property
    def halo(self) -> int:
        """Width of a tile's halo in pixels, in whole cells."""
        cell = self._encoder.cell
        return -(-self._encoder.halo // cell) * cell

    def objective(
        self,
        photo: Picture,
        paintings: Sequence[Picture],
        scale: Scale,
        tile: int = 0,
        storage: Storage | None = None,
        regions: Regions | None = None,
        begun: Tensor | None = None,
        past: Past | None = None,
    ) -> AnyObjective:
        """Make the objective of a run at one of its scales, with its targets measured.

        Eight parameters: the first three are what every caller gives, the rest are a run's own.

        Args:
            photo: the photo, in the colors that the network sees.
            paintings: the paintings, likewise.
            scale: whose size counts.
            tile: side in pixels; 0, or no less than the longest side of all pictures: no tiles.
            storage: of what is as large as the pictures. None: the memory of the device.
            regions: of the photo. None: all of it is one.
            begun: [1, 3, H, W], the picture that the scale begins with. None: the photo.
            past: of the scale's size. None: the photo is no frame of a film.
        """
        storage = storage or Storage(self.hardware.device)
        image = canvas.picture_to_tensor(photo, scale.width, scale.height, storage)
        return objective_of(
            self.recipe,
            self._encoder,
            image,
            self.paintings(paintings, scale, storage),
            scale,
            tile=tile,
            storage=storage,
            regions=regions or Regions(),
            autocast=self._autocast,
            known=self._known,
            begun=begun,
            past=past,
        )

    def paintings(self, styles: Sequence[Picture], scale: Scale, storage: Storage) -> list[Tensor]:
        """Return the paintings, [1, 3, h, w] each, at their sizes beside a scale of the result."""
        result = (scale.width, scale.height)
        ratio = self.recipe.style.scale
        sizes = [painting_size((p.width, p.height), result, ratio) for p in styles]
        return [
            canvas.picture_to_tensor(picture, *size, storage)
            for picture, size in zip(styles, sizes, strict=True)
        ]


def _load_encoder(recipe: Recipe, hardware: Hardware, cache: EngineCache) -> Encoder:
    choice, layers = recipe.encoder, taps(recipe)

    def load() -> Encoder:
        return load_encoder(
            choice.network,
            layers,
            pooling=choice.pooling,
            padding=choice.padding,
            weights=hardware.weights,
            device=hardware.device,
        )

    chosen = (choice.network, layers, choice.pooling, choice.padding)
    return cache.load(("encoder", *chosen, hardware.weights, hardware.device), load)
