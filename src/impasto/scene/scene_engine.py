"""Paint the colors of a scene: the optimizer's run over the views of cameras around it."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from impasto.engine.cache import EngineCache
from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware import Hardware
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.colors import prepare_colors
from impasto.engine.plan import Pace
from impasto.engine.regions import Regions
from impasto.engine.sizes import Scale
from impasto.engine.step import Step
from impasto.image.picture import Picture
from impasto.network.network_draft import NetworkDraft
from impasto.network.painter.code_painter import CodePainter
from impasto.objective.specs import choose_objective
from impasto.optimize.checkpoint import Keeper, RunState, describe_recipe, load_state
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.optimize.passes import Pass, PhotoMask
from impasto.optimize.run import Run, RunSetup
from impasto.recipe.recipe import Recipe
from impasto.scene.cameras import Camera, measure_content, place_around
from impasto.scene.least_squares import fit_colors
from impasto.scene.rasterize import rasterize
from impasto.scene.scene_choice import SceneChoice, plan_sizes
from impasto.scene.scene_materials import SceneMaterials, Studies
from impasto.scene.splat_canvas import SplatView
from impasto.scene.splats import Array, Splats

MARGIN, CELL, LEAST = 8, 8, 32
"""Pixels around what a view shows, of which its sides are multiples, and the least side."""


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

    def place_cameras(self, splats: Splats) -> list[Camera]:
        """Place the cameras around a scene."""
        content = measure_content(splats, self.choice.up)
        return place_around(content, self.choice.views, self.choice.view_size)

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

        The picture of a step is the table of colors: one row with a pixel for each Gaussian.
        """
        recipe, choice, tools = self.recipe, self.choice, self._optimizer.tools
        cameras = self.place_cameras(splats)
        views = {
            side: make_views(splats, [c.resize(side, side) for c in cameras])
            for side in sorted({side for side, _ in plan_sizes(choice)})
        }
        colors = splats.colors.clip(0, 1)
        photo = Picture(colors[None])
        storage = Storage(self.hardware.device)
        size = choice.view_size, choice.view_size
        regions = Regions.combine(recipe, len(paintings))
        inputs = Inputs(photo, tuple(paintings), regions).hide_transparent()
        prepared, styles = prepare_colors(
            recipe.colors, photo, paintings, size, recipe.style.scale
        )
        inputs = inputs.with_pictures(prepared, styles)
        background = np.mean([each.pixels.mean((0, 1)) for each in styles], 0, np.float32)
        hashes = [splats.hash_geometry(), *Inputs(photo, tuple(paintings)).hashes]
        state = None if resume is None else load_state(resume)
        start = prepared.pixels[0]
        if state is None:
            start = self._draft(views[choice.view_size], start, inputs, background)
        studies = Studies(
            views=views,
            background=background,
            colors=prepared.pixels[0],
            start=start,
            mask=None,
            per_step=choice.views_per_step,
            seed=recipe.seed,
        )
        materials = SceneMaterials(
            tools=tools,
            inputs=inputs,
            storage=storage,
            canvas_factory=lambda _, scale, __: studies.make_canvas(scale.width),
            studies=studies,
        )
        passes = tuple(
            Pass(Scale(side, side, count), choose_objective(recipe), PhotoMask(Regions()), side)
            for side, count in plan_sizes(choice)
        )
        setup = RunSetup(
            photo=photo,
            materials=materials,
            passes=passes,
            tile=0,
            keeper=Keeper(checkpoint, storage.settle, every_s),
            description=f"{describe_recipe(recipe)} {choice.to_json()}",
            hashes=hashes,
            pace=Pace(None),
        )
        return Run(setup).steps(state)

    def _draft(
        self, views: Sequence[SplatView], colors: Array, inputs: Inputs, background: Array
    ) -> Array:
        """Paint all views with the one-pass network, and find the colors closest to the results.

        The views are painted as one picture, whose statistics they share.
        """
        pictures = [view.render(colors, background).clip(0, 1) for view in views]
        mosaic, cells = lay_out(pictures, background)
        ratio = self.choice.view_size / np.sqrt(mosaic.shape[0] * mosaic.shape[1])
        scale = max(0.1, self.recipe.style.scale * ratio)
        recipe = self.recipe.with_changes({"style.scale": float(scale)})
        draft = NetworkDraft(recipe, self._painter)
        image = torch.from_numpy(np.ascontiguousarray(mosaic.transpose(2, 0, 1)))[None]
        painting = draft(image, inputs.with_pictures(Picture(mosaic), inputs.paintings))
        result = painting[0].permute(1, 2, 0).numpy()
        fitting = fit_colors(views, [result[cell] for cell in cells], colors, background)
        clipped: Array = fitting.clip(0, 1)
        return clipped


def lay_out(
    pictures: Sequence[Array], background: Array
) -> tuple[Array, list[tuple[slice, slice]]]:
    """Lay out pictures [H, W, 3] of any sizes in rows, over a background [3].

    Returns:
        The whole picture, and the place of each in it.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    height, width = (max(each.shape[axis] for each in pictures) for axis in (0, 1))
    whole = np.empty((-(-len(pictures) // columns) * height, columns * width, 3), np.float32)
    whole[:] = background
    cells = []
    for index, picture in enumerate(pictures):
        top, left = index // columns * height, index % columns * width
        cell = slice(top, top + picture.shape[0]), slice(left, left + picture.shape[1])
        whole[cell] = picture
        cells.append(cell)
    return whole, cells


def make_views(splats: Splats, cameras: Sequence[Camera]) -> list[SplatView]:
    """Rasterize a scene for some cameras, as many at a time as there are cores."""

    def make(camera: Camera) -> SplatView:
        view = SplatView.make(rasterize(splats, camera), camera.width)
        return view.crop(MARGIN, CELL, LEAST)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(make, cameras))
