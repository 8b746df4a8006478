"""Measure peak memory of the solver alone, with its state on disk and its history full.

Run: ``OMP_NUM_THREADS=1 python benchmarks/state.py [--width 12288 --height 8192]``. The memory of a
run of 100 megapixels beside its tiles is known only after as many iterations as the history is
long, each of most of an hour. Here the objective is a weighted sum of squares that is evaluated in
bands, so that only the solver of ``standard`` is left.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.canvas.pixel_canvas import PixelCanvas
from impasto.engine.machine.capacity import find_scratch_folder
from impasto.engine.machine.storage import Storage
from impasto.optimize.solvers.bounded_lbfgs import BoundedLbfgs
from impasto.optimize.solvers.solver import SolverProblem
from impasto.recipe.recipe import load_recipe


class Squares:
    """Half the mean of w (x - t)^2, with weights that vary by row and column."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """Compute the loss and its gradient."""
        gradient, total = self._storage.like(image), 0.0
        across = torch.linspace(0, 40, image.shape[3])
        for rows in self._storage.split_rows(image):
            down = torch.linspace(0, 30, image.shape[2])[rows, None]
            weight = 1 + (down.cos() * across.cos()).square() * 9
            away = image[..., rows, :] - (0.5 + 0.4 * (down + across).sin())
            gradient[..., rows, :] = weight * away / image.numel()
            total += float((weight * away.square()).sum()) / 2 / image.numel()
        return {"total": total}, gradient


def main() -> None:
    """Print a line for each step: loss, seconds, and the peak so far."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=12288)
    parser.add_argument("--height", type=int, default=8192)
    parser.add_argument("--steps", type=int, help="default: until the history is full")
    options = parser.parse_args()
    settings = load_recipe("standard").solver
    storage = Storage(torch.device("cpu"), find_scratch_folder())
    start = torch.full((1, 3, 1, 1), 0.5).expand(1, 3, options.height, options.width)
    squares, canvas = Squares(storage), PixelCanvas(options.width, options.height, storage)

    def evaluate(parameters: Sequence[Tensor]) -> tuple[dict[str, float], list[Tensor]]:
        losses, gradient = squares.evaluate(parameters[0])
        return losses, [gradient]

    solver = BoundedLbfgs(settings, SolverProblem(canvas, [start], evaluate, storage))
    for step in range(options.steps or settings.history + 2):
        began = time.monotonic()
        loss = solver.step()["total"]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{step + 1}: {loss:.6f}, {time.monotonic() - began:.0f} s, {peak:.0f} MB", flush=True
        )


if __name__ == "__main__":
    main()
