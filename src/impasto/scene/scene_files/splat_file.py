"""Define what every kind of file with splats offers, and check what it holds."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from impasto.errors import InputError, LimitError, format_count
from impasto.scene.splats import Array, Splats

ViewDependence = Literal["keep", "scale", "drop"]
"""What happens to the part of a color that depends on the direction of view: it stays, is scaled
like the color, or is removed."""
Numbers = NDArray[np.floating[Any]]
MOST = 4_000_000
"""Largest number of Gaussians."""


class SplatFile(Protocol):
    """A file with splats."""

    @property
    def kind(self) -> str:
        """The suffix of such files, without its dot."""

    @property
    def splats(self) -> Splats:
        """The scene."""

    def recolor(self, colors: Array, view_dependent: ViewDependence) -> bytes:
        """Return the file with other colors. All other bytes stay as they are.

        Args:
            colors: [N, 3] sRGB in [0, 1].
            view_dependent: what happens to colors that depend on the direction of view.
        """


def check_count(count: int, where: str) -> None:
    """Check the number of Gaussians.

    Raises:
        InputError: there is none.
        LimitError: there are too many.
    """
    if not count:
        raise InputError("contains no Gaussians", where=where)
    if count > MOST:
        raise LimitError(
            f"contains {count:,} Gaussians; at most {MOST:,} are supported", where=where, limit=MOST
        )


def make_splats(
    positions: Numbers,
    scales: Numbers,
    rotations: Numbers,
    opacities: Numbers,
    colors: Numbers,
    where: str,
) -> Splats:
    """Make splats of what a file holds, with unit quaternions.

    Args:
        positions, scales, rotations, opacities, colors: see :class:`Splats`; quaternions of any
            length.
        where: name of the file, for errors.

    Raises:
        InputError: a number is not finite, a scale is not above 0, or a quaternion is zero.
    """
    parts = {
        "position": positions,
        "scale": scales,
        "rotation": rotations,
        "opacity": opacities[:, None],
        "color": colors,
    }
    for name, values in parts.items():
        _refuse(~np.isfinite(values).all(1), f"a {name} that is not a finite number", where)
    _refuse(np.asarray((scales <= 0).any(1)), "a scale that is not above 0", where)
    lengths = np.linalg.norm(rotations, axis=1, keepdims=True)
    _refuse(lengths[:, 0] < 1e-6, "a rotation that is zero", where)
    if float(opacities.max()) <= 0:
        raise InputError("all Gaussians are invisible", where=where)
    return Splats(
        *(
            np.ascontiguousarray(each, np.float32)
            for each in (positions, scales, rotations / lengths, opacities, colors)
        )
    )


def _refuse(bad: NDArray[np.bool_], what: str, where: str) -> None:
    count = int(bad.sum())
    if count:
        has = "has" if count == 1 else "have"
        raise InputError(f"{format_count(count, 'Gaussian')} {has} {what}", where=where)
