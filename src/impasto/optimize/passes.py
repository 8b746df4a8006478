"""Plan the passes of a run before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from impasto.engine.plan import estimate_total_work, estimate_work
from impasto.engine.sizes import Scale
from impasto.optimize.focus import Focus
from impasto.optimize.past_frames import PastFrames


@dataclass(frozen=True)
class Pass:
    """One part of a run, with an objective and a solver of its own.

    Attributes:
        scale: size of the picture and number of iterations.
        focus: the places of a film's frame that are worked on. None: the whole picture.
    """

    scale: Scale
    focus: Focus | None = None

    def estimate_work(self, tile: int, halo: int) -> float:
        """Estimate the work of one iteration, in pixels.

        See :func:`impasto.engine.plan.estimate_work`.
        """
        share = 1.0 if self.focus is None else self.focus.cost
        return share * estimate_work(self.scale, tile, halo)


def plan_passes(scales: Sequence[Scale], past: PastFrames | None = None) -> tuple[Pass, ...]:
    """List the passes of a run: its scales, coarse to fine.

    A film's frame with a focus has a pass for it first, at the size of its only scale.
    """
    passes = tuple(Pass(scale) for scale in scales)
    if past is None or past.focus is None:
        return passes
    return (Pass(replace(scales[-1], iterations=past.focus_iterations), past.focus), *passes)


def estimate_work_left(
    passes: Sequence[Pass], index: int, done: int, tile: int, halo: int
) -> float:
    """Estimate the work that is left after some iterations of a pass, in pixels.

    Args:
        passes: all passes of the run.
        index: index of the current pass.
        done: iterations of the current pass so far.
        tile: side of the tiles in pixels. 0: no tiles.
        halo: width of a tile's halo in pixels.
    """
    current = passes[index]
    here = (current.scale.iterations - done) * current.estimate_work(tile, halo)
    return here + estimate_total_work([each.scale for each in passes[index + 1 :]], tile, halo)
