"""Define the optimizer as an engine: inputs in, a stream of steps out.

:class:`OptimizerEngine` yields a :class:`Step` after every iteration. Progress bars, snapshots,
previews and cancellation are consumers of that stream. The engine prints nothing and keeps no
global state.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Literal

from impasto.canvas.canvases import CANVASES
from impasto.encoders.encoder import Encoder, EncoderRequest
from impasto.encoders.encoder_registry import find_encoder, load_encoder
from impasto.engine.cache import EngineCache
from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware import Hardware, choose_autocast
from impasto.engine.pixels.colors import prepare_colors
from impasto.engine.plan import Pace, Plan, estimate_total_work
from impasto.engine.regions import Regions
from impasto.engine.sizes import Scale, choose_result_size, plan_scales
from impasto.engine.step import Step
from impasto.errors import RecipeError
from impasto.image.picture import Picture
from impasto.objective.evaluation import FeatureExtractor, list_taps
from impasto.objective.specs import choose_objective
from impasto.optimize.budget.fitting import Fitting, describe_largest
from impasto.optimize.budget.memory import Layout
from impasto.optimize.budget.probe import choose_probe_scale, probe_pace
from impasto.optimize.checkpoint import Keeper, check_same_run, load_state
from impasto.optimize.passes import plan_passes
from impasto.optimize.past_frames import PastFrames
from impasto.optimize.run import Run
from impasto.optimize.run_setup import Draft, RunSetup
from impasto.recipe.capabilities import Capabilities
from impasto.recipe.engine_registry import find_engine
from impasto.recipe.recipe import Recipe


class OptimizerEngine:
    """An engine that optimizes a picture; see :class:`impasto.engine.protocol.PictureEngine`."""

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
            cache: networks that other engines of the caller use. None: the network is loaded for
                this engine alone.
            draft: the network that paints the start of a recipe with ``start.base = "draft"``.
                None: such recipes are refused.

        Raises:
            InputError: the scratch folder does not exist, or the memory limit is below 1 MiB.
            RecipeError: the recipe is for another engine, or begins with a draft and there is none.
            WeightsError: the weights are missing or damaged.
        """
        entry = find_engine(recipe.engine.kind)
        if entry.fields is not None:  # the optimizer uses all fields of a recipe
            raise RecipeError(
                f'is for the engine "{entry.name}", not for the optimizer',
                what=f"recipe {recipe.name!r}",
            )
        if recipe.start.base == "draft" and draft is None:
            raise RecipeError(
                "begins with a network's draft, and no network is given",
                what=f"recipe {recipe.name!r}",
            )
        self.recipe = recipe
        self.hardware = hardware = hardware or Hardware.resolve()
        hardware.choose_scratch()  # fails before anything is loaded
        encoder = _load_encoder(recipe, hardware, cache or EngineCache())
        autocast = choose_autocast(recipe.precision, hardware.device)
        self.extractor = FeatureExtractor(recipe, encoder, autocast)
        self.draft = draft
        self._fitting = Fitting(recipe, hardware, self.precision, self.halo)

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""
        return self.recipe.capabilities

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The precision of the convolutions; ``auto`` in the recipe is resolved."""
        return "float32" if self.extractor.autocast is None else "bfloat16"

    def choose_size(self, photo: Picture) -> tuple[int, int]:
        """Return the (width, height) of the result for a photo.

        Raises:
            LimitError: the shorter side would be too short for the network.
        """
        shortest = find_encoder(self.recipe.encoder.network).shortest
        return choose_result_size(
            photo.width, photo.height, self.recipe.size, self.hardware.device, shortest
        )

    def run(
        self,
        inputs: Inputs,
        *,
        checkpoint: Path | None = None,
        resume: Path | None = None,
        every_s: float | None = None,
        plan: Plan | None = None,
        past: PastFrames | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo, yielding after every iteration; see :class:`PictureEngine`.

        With a checkpoint, the state is written when the run stops and at least every 30 s, or after
        every iteration if one takes longer. Resuming a run that had ended yields its last step
        again.

        Args:
            inputs: the photo, the paintings, and their regions.
            checkpoint: a file to keep the state in. None: the state is not kept.
            resume: a checkpoint of a run with the same recipe and inputs. None: start from the
                beginning.
            every_s: seconds between two writes of the state. None: as described above.
            plan: what :meth:`plan` returned for the same inputs. None: the run makes its own.
            past: earlier frames of a film. None: the photo is not a frame of a film.

        Raises:
            InputError: a checkpoint belongs to another run, a painting is transparent all over, or
                a focus does not suit the recipe.
            LimitError: the result would be too small for the network.
            ResourceError: the result is too large for the free memory.
        """
        size = self.choose_size(inputs.photo)
        pictures = inputs.pictures
        inputs = inputs.reduce_paintings(max(size), self.recipe.style.scale).hide_transparent()
        hashes = inputs.hashes + ([] if past is None else past.hashes)
        state = None
        if resume is not None:
            state = load_state(resume)
            check_same_run(state, self.recipe, hashes, resume)
        expected = None
        if plan is not None:
            expected = plan.seconds / estimate_total_work(plan.scales, plan.tile, self.halo)
        if plan is not None and state is None:
            layout = Layout(plan.tile, plan.state)
        else:
            tile = None if state is None else state.tile
            used = self._fitting.measure_used((*pictures, *inputs.paintings))
            cause = describe_largest(inputs.photo, inputs.paintings)
            layout = self._fitting.choose_layout(
                size, inputs.paintings, inputs.regions, used, tile, cause
            )
        scales = self._plan_scales(size, inputs.regions)
        passes = plan_passes(self.recipe, scales, inputs, layout.tile, past)
        storage = self._fitting.make_storage(layout)
        photo, paintings = prepare_colors(
            self.recipe.colors, inputs.photo, inputs.paintings, size, self.recipe.style.scale
        )
        setup = RunSetup(
            extractor=self.extractor,
            inputs=Inputs(photo, tuple(paintings), inputs.regions),
            original=inputs.photo,
            hashes=hashes,
            storage=storage,
            canvas_factory=CANVASES[self.recipe.canvas.kind].make,
            draft=self.draft,
            past=past,
        )
        keeper = Keeper(checkpoint, storage.settle, every_s)
        run = Run(setup, passes, tile=layout.tile, keeper=keeper, pace=Pace(expected))
        return run.steps(state)

    def run_together(self, inputs: Sequence[Inputs]) -> list[Step]:
        """Repaint photos one after the other and return the last step of each."""
        return [[*self.run(each)][-1] for each in inputs]

    def plan(self, inputs: Inputs) -> Plan:
        """Estimate what a run would take, by timing one iteration at a small scale.

        Raises:
            ImpastoError: as :meth:`run`, before its first step.
        """
        size = self.choose_size(inputs.photo)
        pictures = inputs.pictures
        inputs = inputs.reduce_paintings(max(size), self.recipe.style.scale).hide_transparent()
        paintings, regions = inputs.paintings, inputs.regions
        used = self._fitting.measure_used((*pictures, *paintings))
        cause = describe_largest(inputs.photo, paintings)
        layout = self._fitting.choose_layout(size, paintings, regions, used, cause=cause)
        needs = self._fitting.compute_needs(layout, size, paintings, regions)
        room = self._fitting.measure_room(used)
        reading = inputs.reading_peak if self.hardware.device.type == "cpu" else 0
        scales = self._plan_scales(size, regions)
        scale = choose_probe_scale(*size, self.hardware.device.type, layout.tile)
        pace = probe_pace(self.extractor, inputs, scale)
        return Plan(
            width=size[0],
            height=size[1],
            scales=scales,
            tile=layout.tile,
            state=layout.state,
            bytes_needed=max(needs.device + used, reading),
            bytes_free=None if room.device is None else room.device + used,
            bytes_to_read=reading,
            bytes_on_host=needs.host,
            bytes_on_disk=needs.disk,
            scratch=str(self._fitting.scratch) if needs.disk else None,
            seconds=pace * estimate_total_work(scales, layout.tile, self.halo),
            at_most=self.recipe.schedule.until != "iterations",
            device=str(self.hardware.device),
            precision=self.precision,
        )

    def _plan_scales(self, size: tuple[int, int], regions: Regions) -> tuple[Scale, ...]:
        """Plan the scales of a run; if the result is the photo, one iteration is enough."""
        schedule = self.recipe.schedule
        if regions.changes_nothing:
            schedule = schedule.model_copy(update={"total": 1})
        return plan_scales(schedule, *size, find_encoder(self.recipe.encoder.network).shortest)

    @property
    def focus_cell(self) -> int | None:
        """Cell size in pixels for :func:`impasto.optimize.focus.find_focus`. None: the recipe needs
        the whole picture.
        """
        can_split = choose_objective(self.recipe).can_split
        return self.extractor.encoder.cell if can_split else None

    @property
    def halo(self) -> int:
        """Width of a tile's halo in pixels, in whole cells."""
        return self.extractor.halo


def _load_encoder(recipe: Recipe, hardware: Hardware, cache: EngineCache) -> Encoder:
    choice = recipe.encoder
    request = EncoderRequest(
        taps=list_taps(recipe),
        pooling=choice.pooling,
        padding=choice.padding,
        weights=hardware.weights,
        device=hardware.device,
    )
    return cache.load((choice.network, request), lambda: load_encoder(choice.network, request))
