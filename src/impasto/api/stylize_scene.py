"""Repaint a scene with one call: a model and paintings in, :class:`SceneResult` out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.engine.machine.hardware import measure_peak_memory_mb
from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.engine.step import Step
from impasto.errors import InputError
from impasto.image.files.atomic import is_among, write_atomically
from impasto.image.files.decode import read_paintings
from impasto.image.picture import Picture, to_levels
from impasto.recipe.recipe import Recipe
from impasto.scene.cameras import SceneCamera, measure_content, place_on_circle
from impasto.scene.rasterize import rasterize
from impasto.scene.scene_choice import SceneChoice, make_scene_recipe
from impasto.scene.scene_engine import SceneEngine, average_colors
from impasto.scene.scene_files.read_scene import read_scene
from impasto.scene.scene_files.splat_file import SplatFile, ViewDependence
from impasto.scene.splat_canvas import SplatView
from impasto.scene.splats import Array

if TYPE_CHECKING:
    from PIL import Image

ELEVATION = 0.26
"""Of the cameras of sheets and turntables, in radians."""
SHEET_VIEWS, SHEET_SIZE = 4, 320


@dataclass(frozen=True)
class SceneResult:
    """A finished scene, and facts about its run.

    Attributes:
        file: the scene's own file.
        colors: [N, 3] sRGB in [0, 1], the color of each Gaussian.
        background: [3], the mean color of the paintings.
        recipe: the recipe of the objective and the solver.
        choice: how the scene was looked at.
        losses: by name, means over all views.
        iterations: number of evaluations of the objective.
        seconds: wall time in seconds, without loading.
        device: ``cpu``, ``cuda``, ...
        peak_memory_mb: peak memory in MiB.
        originals: the files that the scene was made from, which saving never replaces.
    """

    file: SplatFile
    colors: Array
    background: Array
    recipe: Recipe
    choice: SceneChoice
    losses: dict[str, float]
    iterations: int
    seconds: float
    device: str
    peak_memory_mb: float
    originals: tuple[Path, ...] = ()

    def encode(self) -> bytes:
        """Return the bytes of the result: those of the scene's file, with other colors."""
        return self.file.recolor(self.colors, self.choice.view_dependent)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the scene in its own format.

        Args:
            path: the file.
            overwrite: whether an existing file may be replaced. The inputs never are.

        Raises:
            InputError: the file exists or is an original.
            ResourceError: the disk is full, or the folder is not writable.
        """
        path = Path(path)
        if is_among(path, self.originals):
            raise InputError("is an input, and inputs are never replaced", where=path)
        write_atomically(path, self.encode(), overwrite=overwrite)

    def place_cameras(self, count: int, size: int) -> list[SceneCamera]:
        """Place cameras on a circle around the scene, for looking at it."""
        content = measure_content(self.file.splats, self.choice.up)
        return place_on_circle(content, count, size, ELEVATION)

    def show(self, camera: SceneCamera) -> tuple[Array, Array]:
        """Render the scene before and after, [H, W, 3] uint8 each."""
        view = SplatView.make(rasterize(self.file.splats, camera), camera.width)
        before, after = (
            to_levels(view.render(colors, self.background).clip(0, 1), 8)
            for colors in (self.file.splats.colors.clip(0, 1), self.colors)
        )
        return before, after

    def draw_sheet(self) -> Image.Image:
        """Draw a contact sheet: views of the scene above, the same views of the result below."""
        from PIL import Image

        from impasto.record.contact_sheet import ContactSheet

        sheet = ContactSheet((SHEET_SIZE, SHEET_SIZE), SHEET_VIEWS, 2 * SHEET_VIEWS)
        for index, camera in enumerate(self.place_cameras(SHEET_VIEWS, SHEET_SIZE)):
            for row, levels in enumerate(self.show(camera)):
                label = f"{('before', 'after')[row]}, {360 * index // SHEET_VIEWS} degrees"
                sheet.place(row * SHEET_VIEWS + index, label, Image.fromarray(levels))
        return sheet.image


def stylize_scene(
    model: Any,
    painting: Any,
    *,
    quality: str = "standard",
    views: int = 16,
    view_size: int = 256,
    strength: float | Sequence[float] | None = None,
    style_scale: float | None = None,
    style_weights: Sequence[float] | None = None,
    colors: str = "style",
    view_dependent: ViewDependence = "scale",
    up: Sequence[float] = (0.0, -1.0, 0.0),
    seed: int | None = None,
    changes: Mapping[str, Any] | None = None,
    device: str = "auto",
    weights: str | Path | None = None,
    max_memory: int | None = None,
    scratch: str | Path | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> SceneResult:
    """Repaint Gaussian splats in the style of a painting, the same from every side.

    It has many parameters because this is the public call: users give single things by name.

    Args:
        model: path of a .ply or .splat file.
        painting: any kind of image that :func:`impasto.stylize` takes, or a list to blend.
        quality: ``draft``, ``standard`` or ``best``.
        views: number of cameras around the scene.
        view_size: sides of their pictures in pixels; the painting is compared at this size.
        strength: from 0, the scene unchanged, to 1, the full style.
        style_scale: above 1 for larger strokes, below 1 for finer ones.
        style_weights: weight of each painting in the blend.
        colors: ``style``, ``content``, ``luminance`` or ``match``, as for :func:`impasto.stylize`.
        view_dependent: what happens to the part of a color that depends on the direction of view:
            ``keep``, ``scale`` it with the color, or ``drop``.
        up: the direction that is up in the scene.
        seed: seed of the order in which the views are looked at.
        changes: changes of fields of the recipe, as for :func:`impasto.stylize`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        weights: a VGG weights file. None: the file in the cache, otherwise that of the wheel.
        max_memory: bytes that the process may take. None: all that is free.
        scratch: folder for temporary files. None: ``TMPDIR``, otherwise the system's folder.
        on_step: called after every iteration.

    Raises:
        ImpastoError: see :mod:`impasto.errors`; the message is one line.
    """
    hardware = HardwareChoice(device, weights, max_memory, scratch)
    choice = SceneChoice(
        quality=quality,
        views=views,
        view_size=view_size,
        view_dependent=view_dependent,
        colors=colors,
        up=(float(up[0]), float(up[1]), float(up[2])) if len(up) == 3 else (0.0, 0.0, 0.0),
    )
    recipe = make_scene_recipe(
        strength=strength,
        style_scale=style_scale,
        style_weights=style_weights,
        seed=seed,
        changes=changes,
    )
    sources = [*painting] if isinstance(painting, list | tuple) else [painting]
    file, paintings = read_scene(model), read_paintings(sources)
    engine = SceneEngine(recipe, choice, hardware.resolve())
    began = time.monotonic()
    for step in engine.run(file.splats, paintings):  # at least one
        if on_step is not None:
            on_step(step)
    return make_scene_result(
        engine, step, file, paintings, [model, *sources], time.monotonic() - began
    )


def make_scene_result(
    engine: SceneEngine,
    step: Step,
    file: SplatFile,
    paintings: Sequence[Picture],
    sources: Sequence[Any],
    seconds: float,
) -> SceneResult:
    """Make the result of a run that ended with a step.

    Args:
        engine: the engine of the run.
        step: the last step of the run.
        file: the scene.
        paintings: the paintings.
        sources: sources of the scene and the paintings: paths, or any other kind of image.
        seconds: duration of the run.
    """
    device = engine.hardware.device
    return SceneResult(
        file=file,
        colors=engine.finish(file.splats, step),
        background=average_colors(paintings),
        recipe=engine.recipe,
        choice=engine.choice,
        losses=step.losses,
        iterations=step.iteration,
        seconds=seconds,
        device=str(device),
        peak_memory_mb=measure_peak_memory_mb(device),
        originals=tuple(Path(s).absolute() for s in sources if isinstance(s, str | Path)),
    )
