"""How a run fits into memory, decided before it starts: it would fail hours later."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from impasto.encoders.layers import get_cell_size, list_convolutions
from impasto.engine.colors import Colors, count_copied_pixels
from impasto.engine.plan import State
from impasto.engine.sizes import SHORTEST
from impasto.errors import ResourceError
from impasto.image.rows import PIXELS_PER_BAND
from impasto.objective.losses.neighbor_matching import CELL, CHUNK
from impasto.recipe.tables import CanvasChoice, ContentChoice, SolverChoice, StyleChoice

ACTIVATION_BYTES = {"float32": 2750, "bfloat16": 1700}
"""A pixel that is back-propagated, by precision: the activations its gradient needs. float32: peak
resident memory of ``standard`` above what the loaded network takes is 479, 1054 and 2006 MiB at
256, 512 and 768 px square: 3050 a pixel, of which 360 are the solver's, and a fixed 290 MiB.
bfloat16: 682 MiB at 512 px, of which 1570 a pixel if the fixed part is the same, and a margin."""
WEIGHTED_BYTES = 256
"""And, with masks, of the first layer's 64 features times their weights, in passing."""
SHARE_BYTES = 8
"""And of each region's weights at all layers."""
MATTING_BYTES = 820
"""And, with photorealism, of the float64 means over windows that its gradient needs: 820 and 658 at
512 and 1024 px square, beside the activations, which are not gone yet."""
FORWARD_BYTES = 750
"""A pixel that only passes the network, without a gradient: 1072 and 1974 MiB at 1024 and 1536 px
square in float32."""
FIXED_BYTES = 300 * 2**20
IMAGE_BYTES = 12
"""A pixel of a tensor: three channels of float32."""
MASK_BYTES = 4
"""A pixel of a mask."""
PAINTING_BYTES = IMAGE_BYTES + SHARE_BYTES
"""A pixel of a painting, all of which are loaded at once: a tensor, and its own mask."""
RESULT_BYTES = 24
"""A pixel of the finished picture: as floats, as integers, and as Pillow's own copies."""
BANDS = 12
"""Bands of tensors at work together in a solver whose state is not in memory."""
TILES = (2048, 1536, 1024, 768, 512, 384, 256)
"""Sides to choose from, in pixels. With a halo of 80 px the largest sees 1.2 times the pixels of
a large picture, the smallest 2.6 times, which are 1.7 and 3.8 times the work of the whole (see
:data:`impasto.engine.plan.TILED_WORK`), in a hundredth of its memory."""
SMALL, LARGE = 512, 1024
"""Of tiles: see :func:`layouts`."""


@dataclass(frozen=True)
class Layout:
    """How a run is spread over memory.

    Attributes:
        tile: side in pixels of the tiles that larger scales are worked on in; 0: none.
        state: where the solver's pictures and the photo's features are: in the memory of the
            device, in that of the machine beside it, or in files.
    """

    tile: int
    state: State = "device"


@dataclass(frozen=True)
class Room:
    """Bytes there are, or that were allowed; none: not known.

    Attributes:
        device: in the memory of the device.
        host: in that of the machine beside it; 0 where they are the same.
        disk: in the folder for temporary files.
    """

    device: int | None
    host: int | None
    disk: int


@dataclass(frozen=True)
class Needs:
    """Bytes at the peak, above the loaded network; as in :class:`Room`."""

    device: int
    host: int = 0
    disk: int = 0

    def fit(self, room: Room) -> bool:
        """Whether there is as much of everything."""
        return (
            (room.device is None or self.device <= room.device)
            and (room.host is None or self.host <= room.host)
            and self.disk <= room.disk
        )


@dataclass(frozen=True)
class Demand:
    """What a run asks of memory.

    Attributes:
        result: (width, height) in pixels.
        paintings: likewise, at their style sizes.
        halo: of a tile, in pixels.
        precision: ``float32`` or ``bfloat16``, of the convolutions.
        images: tensors of the result's size that the solver and the loop keep; see
            :func:`images_of`.
        features: numbers a pixel in the photo's features; see :func:`kept_features`.
        columns: numbers a pixel in its hypercolumns; see :func:`column_numbers`.
        regions: that have statistics of their own; 0: no masks.
        matting: whether photorealism counts.
        colors: whose the result has; see :func:`impasto.engine.colors.count_copied_pixels`.
        masked: pixels of the masks as they were decoded.
        beside: whether the device has a memory of its own beside the machine's.
    """

    result: tuple[int, int]
    paintings: tuple[tuple[int, int], ...]
    halo: int
    precision: str
    images: int
    features: float
    columns: float = 0.0
    regions: int = 0
    matting: bool = False
    colors: Colors = "style"
    masked: int = 0
    beside: bool = False

    @property
    def longest(self) -> int:
        """Side in pixels; a tile that is no shorter is none."""
        return max(max(size) for size in (self.result, *self.paintings))

    @property
    def _held(self) -> int:
        """Bytes of the machine's memory for what the whole run looks at, whatever its layout."""
        return IMAGE_BYTES * count_copied_pixels(self.colors, self.result, self.paintings) + (
            MASK_BYTES * self.masked
        )

    def _matching(self, result: int, painting: int) -> int:
        """Bytes for neighbors: the picture's hypercolumns, their targets, the painting's and a
        chunk of similarities, with the copies that centring makes.
        """
        if not self.columns:
            return 0
        return int(4 * self.columns * (4 * result + 3 * painting)) + 4 * CHUNK

    def needs(self, layout: Layout) -> Needs:
        """What a run takes if it is laid out so."""
        needs = self._at_work(layout)
        if self.beside:
            return replace(needs, host=needs.host + self._held)
        return replace(needs, device=needs.device + self._held)

    def _at_work(self, layout: Layout) -> Needs:
        result, sizes = math.prod(self.result), [math.prod(size) for size in self.paintings]
        painting, loaded = max(sizes), PAINTING_BYTES * sum(sizes)
        finished = RESULT_BYTES * result
        active = ACTIVATION_BYTES[self.precision]
        if self.regions:
            active += WEIGHTED_BYTES + SHARE_BYTES * self.regions
        if self.matting:
            active += MATTING_BYTES
        if not layout.tile or layout.tile >= self.longest:
            kept = IMAGE_BYTES * self.images * result + self._matching(result, painting)
            at_work = max(active * result, FORWARD_BYTES * painting + loaded)
            return Needs(max(kept + at_work, finished) + FIXED_BYTES)
        sides = (min(layout.tile + 2 * self.halo, side) for side in self.result)
        at_work = active * math.prod(sides) + FIXED_BYTES
        # The solver's pictures are made when the painting's pixels and the photo's are gone.
        images = max(IMAGE_BYTES * self.images * result, IMAGE_BYTES * 3 * result + loaded)
        kept = images + int(self.features * result * (2 if self.precision == "bfloat16" else 4))
        walked = BANDS * PIXELS_PER_BAND * IMAGE_BYTES
        match layout.state:
            case "device":
                return Needs(max(kept + at_work, finished + FIXED_BYTES))
            case "host":
                return Needs(at_work, host=kept + finished)
            case "disk":
                return Needs(max(at_work, finished + FIXED_BYTES) + walked, disk=kept)


def column_numbers(style: StyleChoice) -> float:
    """How many numbers a pixel of hypercolumns are made; 0 where none are."""
    if style.distance != "neighbors":
        return 0.0
    channels = {layer.name: layer.outputs for layer in list_convolutions("vgg19")}
    return sum(channels[layer] for layer in style.layers) / CELL**2


def images_of(solver: SolverChoice, canvas: CanvasChoice) -> int:
    """How many pictures of the result's size a run holds at its peak."""
    own = {
        "adam": 11,
        # The free pixels are one, and the scale before, of a quarter of the size, is half of them.
        "bounded": 7 + 2 * solver.history,
        "lbfgs": 10 + 2 * solver.history,
        # SciPy works in float64, with 2 m + 5 vectors of its own and our copies of ends and points;
        # the gradients of a round are kept for a replay.
        "lbfgsb": 2 * (13 + 2 * solver.history) + solver.restart_every,
    }
    if canvas.kind == "laplacian":  # a pyramid has a third more numbers than its picture
        return own[solver.kind] + 4
    return own[solver.kind]


def kept_features(content: ContentChoice) -> float:
    """How many numbers a pixel of the photo's features are kept; of samples, next to none."""
    if content.kind == "self_similarity":
        return 0.0
    channels = {layer.name: layer.outputs for layer in list_convolutions("vgg19")}
    return sum(channels[layer] / get_cell_size(layer) ** 2 for layer in content.layers)


def layouts(
    asked: int, longest: int, solver: SolverChoice, canvas: CanvasChoice, *, beside: bool
) -> Iterator[Layout]:
    """The ways to spread a run, from the fastest on.

    Args:
        asked: side of the tiles to begin with; 0: the whole picture.
        longest: side of all pictures.
        solver, canvas: of the recipe; not all of them work on disk.
        beside: whether the device has a memory of its own beside the machine's.
    """
    sides = [asked, *(tile for tile in TILES if tile < (asked or longest))]
    places: list[State] = []
    if solver.kind in ("adam", "bounded") and canvas.kind == "pixels":
        places = ["host", "disk"] if beside else ["disk"]
    # Small tiles cost more time than a slow memory does, large ones much of a scarce one.
    for wanted in (
        [side for side in sides if not side or side >= SMALL],
        [side for side in sides if 0 < side < SMALL],
    ):
        yield from (Layout(side) for side in wanted)
        yield from (Layout(side, p) for p in places for side in wanted if 0 < side <= LARGE)


def choose_layout(
    demand: Demand,
    room: Room,
    candidates: Sequence[Layout],
    taken: int,
    demand_at: Callable[[int], Demand],
) -> Layout:
    """The first layout that fits.

    Args:
        demand, room: to be brought together.
        candidates: best first.
        taken: bytes of the device's memory that the process holds already, for the complaint.
        demand_at: of a result whose longer side has so many pixels, likewise.

    Raises:
        ResourceError: even the last does not fit, with the size that would.
    """
    for layout in candidates:
        if demand.needs(layout).fit(room):
            return layout
    last = candidates[-1]
    needs, (width, height) = demand.needs(last), demand.result
    fits = _largest_fit(demand_at, max(demand.result), room, candidates)
    where = " even in tiles" if last.tile else ""
    if last.state == "disk":
        where += f" with {needs.disk / 2**30:.2f} GiB on disk ({room.disk / 2**30:.2f} are free)"
    needed, allowed = needs.device + taken, (room.device or 0) + taken
    raise ResourceError(
        f"a result of {width}x{height} px needs about {needed / 2**30:.2f} GiB "
        f"of memory{where}, and {allowed / 2**30:.2f} GiB may be used: "
        + (f"a `size` of {fits} would fit" if fits >= SHORTEST else "too little for any `size`"),
        limit=allowed,
        field="size",
    )


def _largest_fit(
    demand_at: Callable[[int], Demand], longest: int, room: Room, candidates: Sequence[Layout]
) -> int:
    """Longer side in pixels of the largest result that fits in some way; 0: none does."""

    def fits(longer: int) -> bool:
        return any(demand_at(longer).needs(layout).fit(room) for layout in candidates)

    return bisect.bisect_left(range(1, longest), True, key=lambda n: not fits(n))
