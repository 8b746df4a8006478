"""Predict the memory of a run, and choose a layout that fits.

This happens before the run starts, so that it does not fail hours later.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from impasto.canvas.canvases import CANVASES
from impasto.encoders.encoder import EncoderMemory
from impasto.encoders.encoder_registry import get_layer_shape
from impasto.engine.pixels.colors import Colors, count_copied_pixels
from impasto.engine.plan import State
from impasto.engine.sizes import SHORTEST
from impasto.errors import ResourceError
from impasto.image.rows import PIXELS_PER_BAND
from impasto.objective.losses.neighbor_matching import CHUNK
from impasto.optimize.solvers.solver_choice import SOLVERS
from impasto.recipe.tables import CanvasChoice, ContentChoice, SolverChoice

SHARE_BYTES = 8
"""Additional bytes per pixel and region: the region's weights at all layers."""
MATTING_BYTES = 820
"""With photorealism, additional bytes per pixel: the float64 window means that its gradient needs
while the activations are still in memory. Measured as 820 and 658 at 512 and 1024 px square."""
IMAGE_BYTES = 12
"""Bytes per pixel of an image tensor: three channels of float32."""
MASK_BYTES = 4
"""Bytes per pixel of a mask."""
PAINTING_BYTES = IMAGE_BYTES + SHARE_BYTES
"""Bytes per pixel of a painting: a tensor and its mask. All paintings are loaded at once."""
RESULT_BYTES = 16
"""Bytes per pixel of writing the finished picture, whose floats are read in bands: 4 in Pillow and
up to 3 encoded, or 6 and twice 6 with 16 bits, less what compression saves."""
BANDS = 12
"""Bands of tensors that a solver uses at once when its state is not in memory."""
TILES = (2048, 1536, 1024, 768, 512, 384, 256)
"""Sides of tiles to choose from, in pixels. With a halo of 80 px, the largest tiles cover 1.2 times
the pixels of a large picture and the smallest 2.6 times. That is 1.7 and 3.8 times the work of the
whole picture (see :data:`impasto.engine.plan.TILED_WORK`), in a hundredth of its memory."""
SMALL, LARGE = 512, 1024
"""Sides in pixels: tiles below ``SMALL`` are tried last, and tiles above ``LARGE`` only where all
state is in the memory of the device."""


@dataclass(frozen=True)
class Layout:
    """The sizes of tiles, and where the state of a run is stored.

    Attributes:
        tile: side in pixels of the tiles that larger scales are cut into. 0: no tiles.
        state: where the solver's pictures and the photo's features are stored: in the memory of the
            device, in the memory of the host, or in files.
    """

    tile: int
    state: State = "device"


@dataclass(frozen=True)
class Room:
    """Bytes that are free or allowed. None: not known.

    Attributes:
        device: memory of the device.
        host: memory of the host. 0: the device uses it too.
        disk: disk space in the scratch folder.
    """

    device: int | None
    host: int | None
    disk: int


@dataclass(frozen=True)
class Needs:
    """Peak bytes above the loaded network, by the places of :class:`Room`."""

    device: int
    host: int = 0
    disk: int = 0

    def fit(self, room: Room) -> bool:
        """Return whether there is enough room everywhere."""
        return (
            (room.device is None or self.device <= room.device)
            and (room.host is None or self.host <= room.host)
            and self.disk <= room.disk
        )


@dataclass(frozen=True)
class Demand:
    """What determines the memory that a run needs.

    Attributes:
        result: (width, height) in pixels.
        paintings: (width, height) in pixels each, at their style sizes.
        halo: width of a tile's halo in pixels.
        precision: precision of the convolutions, ``float32`` or ``bfloat16``.
        images: tensors of the result's size that the run keeps; see :func:`count_images`.
        features: numbers per pixel in the photo's features; see :func:`count_features`.
        encoder: what the encoder needs.
        columns: numbers per pixel in its hypercolumns; see
            :meth:`impasto.objective.specs.ObjectiveSpec.count_columns`.
        regions: regions with statistics of their own. 0: no masks.
        matting: whether photorealism counts.
        colors: the recipe's; see :func:`impasto.engine.pixels.colors.count_copied_pixels`.
        mask_pixels: pixels of the decoded masks.
        has_own_memory: whether the device has memory apart from the host's.
    """

    result: tuple[int, int]
    paintings: tuple[tuple[int, int], ...]
    halo: int
    precision: str
    images: int
    features: float
    encoder: EncoderMemory
    columns: float = 0.0
    regions: int = 0
    matting: bool = False
    colors: Colors = "style"
    mask_pixels: int = 0
    has_own_memory: bool = False

    @property
    def longest(self) -> int:
        """Longest side in pixels; a tile that is at least as long covers everything."""
        return max(max(size) for size in (self.result, *self.paintings))

    @property
    def _input_bytes(self) -> int:
        """Bytes of host memory for recolored pictures and masks, which every layout needs."""
        copies = count_copied_pixels(self.colors, self.result, self.paintings)
        return IMAGE_BYTES * copies + MASK_BYTES * self.mask_pixels

    def _count_neighbor_bytes(self, result: int, painting: int) -> int:
        """Count the bytes for neighbors: hypercolumns of the picture and the painting, targets,
        the copies that centering makes, and a chunk of similarities.
        """
        if not self.columns:
            return 0
        return int(4 * self.columns * (4 * result + 3 * painting)) + 4 * CHUNK

    def compute_needs(self, layout: Layout) -> Needs:
        """Compute what a run with a layout needs."""
        needs = self._compute_working_needs(layout)
        if self.has_own_memory:
            return replace(needs, host=needs.host + self._input_bytes)
        return replace(needs, device=needs.device + self._input_bytes)

    def _compute_working_needs(self, layout: Layout) -> Needs:
        result, sizes = math.prod(self.result), [math.prod(size) for size in self.paintings]
        painting, loaded = max(sizes), PAINTING_BYTES * sum(sizes)
        is_changed = self.colors in ("content", "luminance") or self.regions or self.matting
        finished = (RESULT_BYTES + IMAGE_BYTES * bool(is_changed)) * result
        active = self.encoder.activations[self.precision]
        if self.regions:
            active += self.encoder.weighted + SHARE_BYTES * self.regions
        if self.matting:
            active += MATTING_BYTES
        if not layout.tile or layout.tile >= self.longest:
            resident = IMAGE_BYTES * self.images * result + self._count_neighbor_bytes(
                result, painting
            )
            at_work = max(active * result, self.encoder.forward * painting + loaded)
            return Needs(max(resident + at_work, finished) + self.encoder.fixed)
        sides = (min(layout.tile + 2 * self.halo, side) for side in self.result)
        at_work = active * math.prod(sides) + self.encoder.fixed
        # The solver's pictures are made after the pixels of the paintings and the photo are freed.
        images = max(IMAGE_BYTES * self.images * result, IMAGE_BYTES * 3 * result + loaded)
        resident = images + int(self.features * result * (2 if self.precision == "bfloat16" else 4))
        bands = BANDS * PIXELS_PER_BAND * IMAGE_BYTES
        match layout.state:
            case "device":
                return Needs(max(resident + at_work, finished + self.encoder.fixed))
            case "host":
                return Needs(at_work, host=resident + finished)
            case "disk":
                return Needs(max(at_work, finished + self.encoder.fixed) + bands, disk=resident)


def count_images(solver: SolverChoice, canvas: CanvasChoice) -> int:
    """Count the pictures of the result's size that a run keeps at its peak."""
    return SOLVERS[solver.kind].count_images(solver) + CANVASES[canvas.kind].images


def count_features(content: ContentChoice) -> float:
    """Count the numbers per pixel of the photo's features that are kept; samples are negligible."""
    if content.kind == "self_similarity":
        return 0.0
    shapes = [get_layer_shape(layer) for layer in content.layers]
    return sum(shape.channels / shape.cell**2 for shape in shapes)


def list_layouts(
    tile: int, longest: int, solver: SolverChoice, canvas: CanvasChoice, *, has_own_memory: bool
) -> Iterator[Layout]:
    """List the possible layouts of a run, fastest first.

    Args:
        tile: side of the largest tiles. 0: the whole picture.
        longest: longest side of all pictures.
        solver, canvas: the choices of the recipe; not all of them work on disk.
        has_own_memory: whether the device has memory apart from the host's.
    """
    sides = [tile, *(side for side in TILES if side < (tile or longest))]
    places: list[State] = []
    if SOLVERS[solver.kind].uses_storage and CANVASES[canvas.kind].uses_storage:
        places = ["host", "disk"] if has_own_memory else ["disk"]
    # Small tiles cost more time than slow memory does; large tiles need much scarce memory.
    for choice in (
        [side for side in sides if not side or side >= SMALL],
        [side for side in sides if 0 < side < SMALL],
    ):
        yield from (Layout(side) for side in choice)
        yield from (Layout(side, p) for p in places for side in choice if 0 < side <= LARGE)


def choose_layout(
    demand: Demand,
    room: Room,
    candidates: Sequence[Layout],
    used: int,
    demand_at: Callable[[int], Demand],
    cause: str = "",
) -> Layout:
    """Choose the first layout that fits.

    Args:
        demand: the demand of the run.
        room: the room that is left.
        candidates: possible layouts, best first.
        used: bytes of the device's memory that the process uses already, for the message.
        demand_at: returns the demand of a result with a given longer side, for the message.
        cause: what the pictures take, for the message.

    Raises:
        ResourceError: not even the last one fits; the message names a size that does.
    """
    for layout in candidates:
        if demand.compute_needs(layout).fit(room):
            return layout
    last = candidates[-1]
    needs, (width, height) = demand.compute_needs(last), demand.result
    fits = _find_largest_fit(demand_at, max(demand.result), room, candidates)
    where = " even in tiles" if last.tile else ""
    if last.state == "disk":
        where += f" with {needs.disk / 2**30:.2f} GiB on disk ({room.disk / 2**30:.2f} are free)"
    needed, allowed = needs.device + used, (room.device or 0) + used
    enough = f"too little for any `size`; {_round_up(needed, 10):.1f} GiB are enough"
    raise ResourceError(
        f"a result of {width}x{height} px needs about {_round_up(needed, 100):.2f} GiB "
        f"of memory{where}{cause}, and {allowed / 2**30:.2f} GiB may be used: "
        + (f"a `size` of {fits} would fit" if fits >= SHORTEST else enough),
        limit=allowed,
        field="size",
    )


def _round_up(count: int, parts: int) -> float:
    """Return the GiB of some bytes, rounded up to a tenth or a hundredth."""
    return math.ceil(parts * count / 2**30) / parts


def _find_largest_fit(
    demand_at: Callable[[int], Demand], longest: int, room: Room, candidates: Sequence[Layout]
) -> int:
    """Find the longer side of the largest result that fits, in pixels. 0: none fits."""

    def fits(longer: int) -> bool:
        return any(demand_at(longer).compute_needs(layout).fit(room) for layout in candidates)

    return bisect.bisect_left(range(1, longest), True, key=lambda n: not fits(n))
