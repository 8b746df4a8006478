"""Read and recolor Gaussian splats in .splat files, which hold 32 bytes for each Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.errors import InputError
from impasto.scene.scene_files.splat_file import ViewDependence, check_count, make_splats
from impasto.scene.splats import Array, Splats

RECORD = np.dtype(
    [("position", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("turn", "u1", 4)]
)
FARTHEST = 1e6
"""Largest coordinate or scale in a file that is taken for one: it has no magic number."""
SAMPLES = 1000


@dataclass(frozen=True)
class SplatRecords:
    """Splats in a .splat file.

    Attributes:
        data: the whole file.
        splats: the scene.
    """

    data: bytes
    splats: Splats

    @classmethod
    def read(cls, data: bytes, where: str) -> SplatRecords:
        """Read a file; see :func:`looks_like_records`.

        Raises:
            InputError: it is damaged.
            LimitError: there are too many Gaussians.
        """
        check_count(len(data) // RECORD.itemsize, where)
        if len(data) % RECORD.itemsize:
            raise InputError("ends within a Gaussian", where=where)
        records = np.frombuffer(data, RECORD)
        splats = make_splats(
            positions=records["position"],
            scales=records["scale"],
            rotations=(records["turn"].astype(np.float32) - 128) / 128,
            opacities=records["color"][:, 3].astype(np.float32) / 255,
            colors=records["color"][:, :3].astype(np.float32) / 255,
            where=where,
        )
        return cls(data, splats)

    @property
    def kind(self) -> str:
        """See :class:`impasto.scene.scene_files.splat_file.SplatFile`."""
        return "splat"

    def recolor(self, colors: Array, view_dependent: ViewDependence) -> bytes:  # noqa: ARG002
        """See :class:`impasto.scene.scene_files.splat_file.SplatFile`."""
        changed = bytearray(self.data)
        records = np.frombuffer(changed, RECORD)
        records["color"][:, :3] = np.rint(colors.clip(0, 1) * 255)
        return bytes(changed)


def looks_like_records(data: bytes) -> bool:
    """Tell whether a file without a magic number may be a .splat file."""
    count = min(len(data) // RECORD.itemsize, SAMPLES)
    if not count:
        return False
    records = np.frombuffer(data, RECORD, count)
    numbers = np.concatenate([records["position"], records["scale"]], 1)
    with np.errstate(invalid="ignore"):
        sound = (np.abs(numbers) < FARTHEST).all(1) & (records["scale"] >= 0).all(1)
    return float(sound.mean()) > 0.5
