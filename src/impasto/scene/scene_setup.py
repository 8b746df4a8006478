"""Hold what all passes of a run over a scene work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.canvas.view import Canvas
from impasto.engine.sizes import Scale
from impasto.optimize.run_setup import RunSetup
from impasto.scene.splat_canvas import SplatCanvas, SplatView
from impasto.scene.splats import Array


@dataclass(frozen=True)
class Studies:
    """What all cameras show of a scene, at the size of each pass.

    Attributes:
        views: what each camera shows, by the side of the pictures in pixels.
        background: [3] RGB, what is behind the scene.
        colors: [N, 3] in [0, 1], the scene's own.
        start: [N, 3] in [0, 1], what the first pass starts from.
        mask: [N] in [0, 1], how much each Gaussian may change. None: all may.
        per_step: number of views that an iteration looks at.
        seed: of the order in which it does.
    """

    views: Mapping[int, Sequence[SplatView]]
    background: Array
    colors: Array
    start: Array
    mask: Array | None
    per_step: int
    seed: int

    def make_canvas(self, side: int, views: Sequence[int] | None = None) -> SplatCanvas:
        """Make the canvas of a pass with all of its views, or some."""
        every = self.views[side]
        some = every if views is None else [every[view] for view in views]
        return SplatCanvas(some, self.background, self.mask)

    def choose_views(self, step: int) -> Sequence[int] | None:
        """Choose the views of an iteration: all of them in a random order, again and again."""
        count = len(next(iter(self.views.values())))
        if self.per_step >= count:
            return None
        places = range(step * self.per_step, (step + 1) * self.per_step)
        orders = (np.random.default_rng([self.seed, place // count]) for place in places)
        return [
            int(order.permutation(count)[place % count])
            for order, place in zip(orders, places, strict=True)
        ]


@dataclass(frozen=True)
class SceneSetup(RunSetup):
    """What all passes work with, where the image of the canvas is a table of colors.

    Attributes:
        studies: what all cameras show.
    """

    studies: Studies | None = None

    def make_canvas(self, scale: Scale, views: Sequence[int] | None = None) -> Canvas:
        """See :meth:`RunSetup.make_canvas`."""
        return self._get_studies().make_canvas(scale.width, views)

    def choose_views(self, step: int) -> Sequence[int] | None:
        """See :meth:`RunSetup.choose_views`."""
        return self._get_studies().choose_views(step)

    def make_blank(self, scale: Scale) -> Tensor:  # noqa: ARG002
        """See :meth:`RunSetup.make_blank`."""
        return torch.zeros(1, 3, 1, len(self._get_studies().colors))

    def load_photo(self, scale: Scale) -> Tensor:  # noqa: ARG002
        """Return the table of the scene's own colors, [1, 3, 1, N]."""
        return make_table(self._get_studies().colors)

    def make_start(self, scale: Scale) -> Tensor:  # noqa: ARG002
        """Return the table that the first pass starts from."""
        return make_table(self._get_studies().start)

    def enlarge_start(self, picture: Tensor, coarser: Scale, scale: Scale) -> Tensor:  # noqa: ARG002
        """Return the table of the pass before: its size stays the same."""
        return picture

    def _get_studies(self) -> Studies:
        assert self.studies is not None
        return self.studies


def make_table(colors: Array) -> Tensor:
    """Return colors [N, 3] as the image [1, 3, 1, N] of a splat canvas."""
    return torch.from_numpy(np.ascontiguousarray(colors.T, np.float32))[None, :, None]


def read_table(table: Tensor) -> Array:
    """Return the colors [N, 3] of an image [1, 3, 1, N]."""
    colors: Array = np.ascontiguousarray(table[0, :, 0].T.cpu().numpy())
    return colors
