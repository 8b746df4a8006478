"""Define Gaussian splats: a scene of soft ellipsoids, each with a color and an opacity.

Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering" (2023).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SH_FIRST = 0.28209479177387814
"""The constant spherical harmonic: a color is 0.5 + SH_FIRST * f_dc."""


@dataclass(frozen=True)
class Splats:
    """N Gaussians.

    Attributes:
        positions: [N, 3] centers.
        scales: [N, 3] standard deviations along the axes of each Gaussian, above 0.
        rotations: [N, 4] unit quaternions (w, x, y, z) from those axes to the scene.
        opacities: [N] in (0, 1].
        colors: [N, 3] sRGB, seen from everywhere alike; within [0, 1] but for rare ones.
    """

    positions: Array
    scales: Array
    rotations: Array
    opacities: Array
    colors: Array

    def __len__(self) -> int:
        return len(self.positions)

    def hash_geometry(self) -> str:
        """Compute the hexadecimal hash of everything but the colors."""
        digest = hashlib.sha256()
        for each in (self.positions, self.scales, self.rotations, self.opacities):
            digest.update(np.ascontiguousarray(each).data)
        return digest.hexdigest()

    def compute_axes(self) -> Array:
        """Compute [N, 3, 3], whose columns are the axes times their standard deviations."""
        w, x, y, z = self.rotations.T
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        matrices = np.stack([np.stack(row, -1) for row in rows], -2)
        axes: Array = matrices * self.scales[:, None, :]
        return axes
