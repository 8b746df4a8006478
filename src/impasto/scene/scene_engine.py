"""Paint the colors of a scene: the optimizer's run over the views of cameras around it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from impasto.canvas.canvases import CANVASES
from impasto.engine.cache import EngineCache
from impasto.engine.inputs import Inputs
from impasto.engine.machine.capacity import measure_taken_memory
from impasto.engine.machine.hardware import Hardware
from impasto.engine.machine.storage import Storage
from impasto.engine.plan import Pace, Plan
from impasto.engine.regions import Regions
from impasto.engine.sizes import Scale
from impasto.engine.step import Step
from impasto.errors import InputError, ResourceError
from impasto.image.color.chroma import copy_chroma
from impasto.image.color.transfer import ColorStatistics, match_colors, remove_color
from impasto.image.picture import Picture
from impasto.network.network_draft import NetworkDraft
from impasto.network.painter.code_painter import CodePainter
from impasto.objective.specs import choose_objective
from impasto.optimize.budget.probe import choose_probe_scale, probe_pace
from impasto.optimize.checkpoint import Keeper, RunState, check_same_run, load_state
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.optimize.passes import Pass, PhotoMask
from impasto.optimize.run import Run
from impasto.recipe.recipe import Recipe
from impasto.scene.cameras import SceneCamera, measure_content, place_around
from impasto.scene.hidden import fill_hidden
from impasto.scene.least_squares import fit_colors
from impasto.scene.rasterize import rasterize
from impasto.scene.scene_choice import SceneChoice, plan_sizes
from impasto.scene.scene_setup import SceneSetup, Studies
from impasto.scene.splat_canvas import SplatView
from impasto.scene.splats import Array, Splats

MARGIN, CELL, LEAST = 8, 8, 32
"""Pixels around what a view shows, of which its sides are multiples, and the least side."""
DRAFT_WORK = 16
"""Evaluations of all views at full size that the draft and the measures take, about."""
VIEW_BYTES = 7_000
"""Memory that an evaluation takes for each pixel of a view (measured)."""
KEPT_BYTES = 600
"""Memory of a view's targets and pictures for each of its pixels."""
PAIR_BYTES = 8
"""Memory of a Gaussian at a pixel: an index and a weight."""
SPLAT_BYTES = 400
"""Memory of a Gaussian: its file, its geometry, and what the solver keeps of its color."""
FIXED_BYTES = 450 << 20
"""Memory of the networks and of what is computed between the evaluations (measured)."""


class SceneEngine:
    """Paints splats in the style of paintings."""

    def __init__(
        self,
        recipe: Recipe,
        choice: SceneChoice,
        hardware: Hardware | None = None,
        cache: EngineCache | None = None,
    ) -> None:
        """Load the networks.

        Args:
            recipe: the losses and the solver; see
                :func:`impasto.scene.scene_choice.make_scene_recipe`.
            choice: how the scene is looked at.
            hardware: what to paint on. None: the best device of this machine.
            cache: networks that other engines of the caller use. None: nothing is shared.

        Raises:
            WeightsError: weights are missing or damaged.
        """
        self.recipe = recipe
        self.choice = choice
        self.hardware = hardware = hardware or Hardware.resolve()
        cache = cache or EngineCache()
        self._optimizer = OptimizerEngine(recipe, hardware, cache)
        self._painter = CodePainter.load(None, recipe.precision, hardware, cache)
        self._views: tuple[str, dict[int, list[SplatView]]] | None = None

    def place_cameras(self, splats: Splats) -> list[SceneCamera]:
        """Place the cameras around a scene."""
        content = measure_content(splats, self.choice.up)
        return place_around(content, self.choice.views, self.choice.view_size)

    def plan(self, splats: Splats, paintings: Sequence[Picture]) -> Plan:
        """Estimate what a run would take, by rasterizing one view and timing one evaluation.

        Raises:
            ResourceError: there is too little memory.
        """
        sizes, size = plan_sizes(self.choice), self.choice.view_size
        camera = self.place_cameras(splats)[0]
        began = time.monotonic()
        view = make_view(splats, camera)
        seconds = time.monotonic() - began
        area = view.alpha.size / size**2
        sides = {side for side, _ in sizes}
        shares = sum((side / size) ** 2 for side in sides)
        count = self.choice.views
        pairs = count * view.matrix.nnz * shares
        needed = FIXED_BYTES + SPLAT_BYTES * len(splats) + int(PAIR_BYTES * pairs)
        pixels = area * size**2
        needed += int(KEPT_BYTES * pixels * count + VIEW_BYTES * pixels)
        room = self.hardware.measure_room()
        used = measure_taken_memory(self.hardware.device)
        free = None if room is None else room + used
        if free is not None and needed > free:
            raise ResourceError(
                f"the views need about {needed / 2**30:.2f} GiB of memory, but "
                f"{free / 2**30:.2f} are available: choose fewer `views` or smaller ones",
                limit=free,
                field="views",
            )
        photo = Picture(view.render(splats.colors.clip(0, 1), np.ones(3, np.float32)).clip(0, 1))
        inputs = Inputs(photo, tuple(paintings), self._combine_regions(paintings))
        inputs = inputs.reduce_paintings(size, self.recipe.style.scale)
        pace = probe_pace(
            self._optimizer.extractor,
            inputs,
            choose_probe_scale(photo.width, photo.height, self.hardware.device.type),
        )
        step = min(self.choice.views_per_step, count)
        work = sum(step * area * side**2 * iterations for side, iterations in sizes)
        work += DRAFT_WORK * pixels
        return Plan(
            width=size,
            height=size,
            scales=tuple(Scale(side, side, iterations) for side, iterations in sizes),
            tile=0,
            state="device",
            bytes_needed=needed,
            bytes_free=free,
            bytes_on_host=0,
            bytes_on_disk=0,
            scratch=None,
            seconds=pace * work + seconds * count * shares / count_threads(),
            at_most=False,
            device=str(self.hardware.device),
            precision=self._optimizer.precision,
        )

    def run(
        self,
        splats: Splats,
        paintings: Sequence[Picture],
        *,
        checkpoint: Path | None = None,
        resume: Path | None = None,
        every_s: float | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a scene, yielding after every iteration.

        The picture of a step is the table of colors: one row with a pixel for each Gaussian;
        :meth:`finish` makes colors of it.

        Args:
            splats: the scene.
            paintings: the paintings, at least one.
            checkpoint, resume, every_s: see :meth:`impasto.engine.protocol.PictureEngine.run`.

        Raises:
            InputError: the checkpoint belongs to another run, or a painting is transparent all
                over.
        """
        recipe, choice = self.recipe, self.choice
        colors = splats.colors.clip(0, 1)
        original = Inputs(Picture(colors[None]), tuple(paintings))
        hashes = [splats.hash_geometry(), choice.to_json(), *original.hashes]
        state = None if resume is None else _load_state(resume, recipe, hashes)
        views = self._make_views(splats)
        inputs = self._prepare_colors(original, views[choice.view_size])
        background = average_colors(inputs.paintings)
        start = own = inputs.photo.pixels[0]
        if state is None and not inputs.regions.changes_nothing:
            start = self._draft(views[choice.view_size], own, inputs, background)
        storage = Storage(self.hardware.device)
        setup = SceneSetup(
            extractor=self._optimizer.extractor,
            inputs=inputs,
            original=original.photo,
            hashes=hashes,
            storage=storage,
            canvas_factory=CANVASES["pixels"].make,
            studies=Studies(
                views=views,
                background=background,
                colors=own,
                start=start,
                mask=None,
                per_step=choice.views_per_step,
                seed=recipe.seed,
            ),
        )
        passes = tuple(
            Pass(Scale(side, side, count), choose_objective(recipe), PhotoMask(Regions()), side)
            for side, count in plan_sizes(choice)
        )
        keeper = Keeper(checkpoint, storage.settle, every_s)
        return Run(setup, passes, tile=0, keeper=keeper, pace=Pace(None)).steps(state)

    def finish(self, splats: Splats, step: Step) -> Array:
        """Return the colors [N, 3] in [0, 1] after a step.

        Gaussians that no view shows get the colors of their neighbors.
        """
        picture = step.picture()
        if self.choice.colors in ("content", "luminance"):
            picture = copy_chroma(picture, Picture(splats.colors.clip(0, 1)[None]))
        if self.recipe.strength == 0:
            return splats.colors.clip(0, 1)
        views = self._make_views(splats)[self.choice.view_size]
        shows = np.zeros(len(splats), np.float32)
        for view in views:
            shows += np.asarray(view.matrix.sum(0)).ravel()
        return fill_hidden(splats.positions, picture.pixels[0], shows).clip(0, 1)

    def _make_views(self, splats: Splats) -> dict[int, list[SplatView]]:
        """Rasterize a scene for all passes, once for each geometry."""
        key = splats.hash_geometry()
        if self._views is None or self._views[0] != key:
            cameras = self.place_cameras(splats)
            sides = sorted({side for side, _ in plan_sizes(self.choice)})
            every = [camera.resize(side, side) for side in sides for camera in cameras]
            views = make_views(splats, every)
            count = len(cameras)
            self._views = (
                key,
                {side: views[i * count : (i + 1) * count] for i, side in enumerate(sides)},
            )
        return self._views[1]

    def _combine_regions(self, paintings: Sequence[Picture]) -> Regions:
        return Regions.combine(self.recipe, len(paintings))

    def _prepare_colors(self, original: Inputs, views: Sequence[SplatView]) -> Inputs:
        """Return the inputs in the colors that the networks see."""
        recipe, colors = self.recipe, self.choice.colors
        inputs = Inputs(
            original.photo, original.paintings, self._combine_regions(original.paintings)
        )
        inputs = inputs.reduce_paintings(self.choice.view_size, recipe.style.scale)
        inputs = inputs.hide_transparent()
        if colors not in ("match", "luminance"):
            return inputs
        own, black = original.photo.pixels[0], np.zeros(3, np.float32)
        whole, _ = arrange_pictures([view.render(own, black).clip(0, 1) for view in views], black)
        alpha, _ = arrange_pictures([view.alpha[..., None] for view in views], black[:1])
        target = ColorStatistics.measure(
            Picture(
                (whole / np.maximum(alpha, 1e-3)).astype(np.float32),
                np.ascontiguousarray(alpha[..., 0]),
            )
        )
        if colors == "match":
            styles = [match_colors(each, target) for each in inputs.paintings]
            return inputs.with_pictures(inputs.photo, styles)
        styles = [remove_color(each, target) for each in inputs.paintings]
        return inputs.with_pictures(remove_color(inputs.photo), styles)

    def _draft(
        self, views: Sequence[SplatView], colors: Array, inputs: Inputs, background: Array
    ) -> Array:
        """Paint all views with the one-pass network, and find the colors closest to the results.

        The views are painted as one picture, whose statistics they share.
        """
        pictures = [view.render(colors, background).clip(0, 1) for view in views]
        whole, cells = arrange_pictures(pictures, background)
        ratio = self.choice.view_size / math.sqrt(whole.shape[0] * whole.shape[1])
        scale = min(8.0, max(0.1, self.recipe.style.scale * ratio))
        draft = NetworkDraft(self.recipe.with_changes({"style.scale": scale}), self._painter)
        image = torch.from_numpy(np.ascontiguousarray(whole.transpose(2, 0, 1)))[None]
        painting = draft(image, inputs.with_pictures(Picture(whole), inputs.paintings))
        result = painting[0].permute(1, 2, 0).numpy()
        fitting = fit_colors(views, [result[cell] for cell in cells], colors, background)
        clipped: Array = fitting.clip(0, 1)
        return clipped


def _load_state(path: Path, recipe: Recipe, hashes: list[str]) -> RunState:
    """Read the checkpoint of a run over a scene.

    Raises:
        InputError: it belongs to another run.
    """
    state = load_state(path)
    if state.inputs != hashes:
        raise InputError(
            "the checkpoint belongs to another scene, painting or set of views", where=path
        )
    check_same_run(state, recipe, hashes, path)
    return state


def average_colors(paintings: Sequence[Picture]) -> Array:
    """Return the mean color [3] of paintings, which is what is behind a scene."""
    means = np.stack([each.pixels.mean((0, 1)) for each in paintings])
    background: Array = means.mean(0).astype(np.float32)
    return background


def arrange_pictures(
    pictures: Sequence[Array], background: Array
) -> tuple[Array, list[tuple[slice, slice]]]:
    """Lay out pictures [H, W, C] of any sizes in rows, over a background [C].

    Returns:
        The whole picture, and the place of each in it.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    height, width = (max(each.shape[axis] for each in pictures) for axis in (0, 1))
    shape = (-(-len(pictures) // columns) * height, columns * width, len(background))
    whole = np.empty(shape, np.float32)
    whole[:] = background
    cells = []
    for index, picture in enumerate(pictures):
        top, left = index // columns * height, index % columns * width
        cell = slice(top, top + picture.shape[0]), slice(left, left + picture.shape[1])
        whole[cell] = picture
        cells.append(cell)
    return whole, cells


def make_view(splats: Splats, camera: SceneCamera) -> SplatView:
    """Rasterize a scene for a camera, and cut off what shows nothing of it."""
    view = SplatView.make(rasterize(splats, camera), camera.width)
    return view.crop(MARGIN, CELL, LEAST)


def make_views(splats: Splats, cameras: Sequence[SceneCamera]) -> list[SplatView]:
    """Rasterize a scene for some cameras, as many at a time as there are cores."""
    with ThreadPoolExecutor(count_threads()) as pool:
        return list(pool.map(lambda camera: make_view(splats, camera), cameras))


def count_threads() -> int:
    """Count the cameras that are rasterized at a time."""
    return max(1, min(4, os.cpu_count() or 1))
