"""Adapt impasto's own network to the one-pass engine: style codes describe the paintings."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from impasto.engine.cache import EngineCache
from impasto.engine.machine.hardware import Hardware, choose_autocast
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels import tensors
from impasto.engine.regions import Regions
from impasto.engine.sizes import fit_painting
from impasto.image.masks import Mask
from impasto.image.picture import Picture
from impasto.network.network_files import network_file
from impasto.network.painter import runtime
from impasto.network.painter.grade import GRADE_NUMBERS, measure_grade
from impasto.network.painter.runtime import Runtime
from impasto.network.painter.style_code import NUMBERS
from impasto.network.painting_network import PaintRequest, make_style_shares

SCALES = (0.25, 2.0)
"""The stroke scales that a code can be measured for."""
PROBE = 192
"""Side in pixels of the picture that is timed for a plan."""
PROBES = 3
MEASUREMENTS = 128
"""Measurements that are remembered: one painting often serves many photos, and measuring it takes
longer than painting a small one."""
CodeCache = OrderedDict[tuple[str, int, int, int], Tensor]


class CodePainter:
    """A :class:`impasto.network.painting_network.PaintingNetwork` that paints by style codes."""

    def __init__(self, loaded: Runtime) -> None:
        """Wrap a loaded network."""
        self._runtime = loaded
        self._codes: CodeCache = OrderedDict()

    @classmethod
    def load(
        cls, file: str | None, precision: str, hardware: Hardware, cache: EngineCache
    ) -> CodePainter:
        """Load a network file, or share the painter that an engine of the caller uses already.

        Args:
            file: file of the network. None: impasto's own network.
            precision: a recipe's: ``auto``, ``float32`` or ``bfloat16``.
            hardware: the hardware to use.
            cache: networks that other engines of the caller use.

        Raises:
            WeightsError: the network's file, or VGG's, is missing or damaged.
        """
        path, device = network_file(file), hardware.device
        autocast = choose_autocast(precision, device)

        def load() -> CodePainter:
            return cls(Runtime.load(path, device, hardware.weights, autocast))

        return cache.load(("code painter", path, device, hardware.weights, autocast), load)

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The precision of the convolutions."""
        return "float32" if self._runtime.painter.autocast is None else "bfloat16"

    def paint(self, images: Tensor, requests: Sequence[PaintRequest]) -> Tensor:
        """Repaint photos of one size; see :class:`PaintingNetwork`."""
        size = images.shape[3], images.shape[2]
        codes = torch.stack([self._measure_codes(size, request) for request in requests])
        grain = torch.stack([_list_strengths(request.inputs.regions) for request in requests])
        regions = requests[0].inputs.regions
        masks = make_style_shares(regions, size) if regions.masks else None
        return self._runtime.paint(images, codes, masks, grain=grain)

    def begin_shot(
        self, size: tuple[int, int], request: PaintRequest, *, freeze_statistics: bool
    ) -> Callable[[Tensor], Tensor]:
        """Return a function that repaints frames by one set of codes; see :class:`PaintingNetwork`.

        Frames get no grain: it would stay where it is while they move.
        """
        codes = self._measure_codes(size, request)[None]
        first = tensors.picture_to_tensor(request.inputs.photo, *size, Storage(torch.device("cpu")))
        like = first if freeze_statistics else None
        return lambda photo: self._runtime.paint(photo, codes, like=like)

    def estimate_seconds(self, pixels: int, paintings: int) -> float:
        """Estimate how long a result takes, by painting a small picture.

        The best of several counts: the first one of a process waits for threads and kernels.
        """
        pace = min(self._time_probe() for _ in range(PROBES)) / PROBE**2
        at_work = min(pixels, runtime.WORK**2)
        detail = pixels - at_work + paintings * at_work
        codes = paintings * runtime.CODE_SIDE**2 * runtime.CODE_WORK
        return pace * (at_work + runtime.DETAIL_WORK * detail + codes)

    def _time_probe(self) -> float:
        began = time.monotonic()
        self._runtime.paint(torch.full((1, 3, PROBE, PROBE), 0.5), torch.zeros(1, 1, NUMBERS))
        return time.monotonic() - began

    def _measure_codes(self, size: tuple[int, int], request: PaintRequest) -> Tensor:
        """Return the codes [K, NUMBERS] of the styles in their regions."""
        inputs, scale = request.inputs, request.recipe.style.scale
        regions = inputs.regions
        parts = regions.style_masks or (None,) * len(inputs.paintings)
        codes = torch.stack(
            [
                measure_code(self._runtime, painting, size, scale, part, self._codes)
                for painting, part in zip(inputs.paintings, parts, strict=True)
            ]
        )
        strengths = torch.tensor(regions.strengths)
        if bool((strengths < 1).any()):
            own = measure_code(self._runtime, inputs.photo, size, cache=self._codes)
            codes = torch.lerp(own, codes, strengths.to(codes)[:, None])
        if regions.masks:
            return codes
        return _blend_shares(regions).to(codes) @ codes


def measure_code(
    loaded: Runtime,
    picture: Picture,
    size: tuple[int, int],
    scale: float = 1.0,
    part: Mask | None = None,
    cache: CodeCache | None = None,
) -> Tensor:
    """Measure the code [NUMBERS] of a painting for results of a size.

    The strength of its octaves of detail is measured at the size of the strokes. The rest, which
    needs VGG, is measured on fewer pixels.

    Args:
        loaded: the network.
        picture: the painting.
        size: (width, height) of the results.
        scale: size of the strokes, ``style.scale`` of a recipe.
        part: the part of the painting that counts. None: all of it.
        cache: codes of whole paintings, which is read and extended. None: every painting is
            measured.
    """
    digest = picture.compute_sha256() if part is None and cache is not None else ""

    def measure_at(side: int, measure: Callable[[Tensor, Tensor | None], Tensor]) -> Tensor:
        shrink = min(1.0, side / math.sqrt(math.prod(size)))
        result = round(size[0] * shrink), round(size[1] * shrink)
        own = picture.width, picture.height
        width, height = fit_painting(own, result, min(max(scale, SCALES[0]), SCALES[1]))
        key = digest, side, width, height
        if part is None and cache is not None and key in cache:
            cache.move_to_end(key)
            return cache[key]
        image = tensors.picture_to_tensor(picture, width, height, Storage(torch.device("cpu")))
        if part is not None:
            mask = torch.from_numpy(part.resize_rows(width, height, slice(0, height)))
            return measure(image, mask[None, None].float())
        numbers = measure(image, None)
        if cache is not None:
            cache[key] = numbers
            if len(cache) > MEASUREMENTS:
                cache.popitem(last=False)
        return numbers

    code = measure_at(runtime.CODE_SIDE, loaded.code)
    if math.prod(size) <= runtime.CODE_SIDE**2:
        return code
    strength = measure_at(runtime.WORK, lambda image, mask: measure_grade(image, mask)[0])
    return torch.cat([code[:-GRADE_NUMBERS], strength.to(code)])


def _blend_shares(regions: Regions) -> Tensor:
    """Return the shares [1, K] of paintings that are blended."""
    return torch.tensor([regions.weights]) / sum(regions.weights)


def _list_strengths(regions: Regions) -> Tensor:
    """Return the strengths [K] of the styles in their regions."""
    each = torch.tensor(regions.strengths)
    return each if regions.masks else _blend_shares(regions) @ each
